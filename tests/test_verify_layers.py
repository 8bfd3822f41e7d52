"""The rooms of `verify/`: imports go one way, and the proof depends neither on the tests nor on the team's code."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from .conftest import REPOSITORY

VERIFY = REPOSITORY / "template" / "verify"
LAYERS = (
    {"result", "common"},
    {"runner"},
    {"probe", "harness", "upkeep", "formats"},
    {"attacks"},
    {"acceptance"},
    {"stages", "target"},
    {"run"},
    {"__main__", "bounds", "update", "__init__"},
)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text().replace("{{ package_name }}", "service"))


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(VERIFY).parts).removesuffix(".jinja").removesuffix(".py")


MODULES = {dotted(path): path for path in (*VERIFY.rglob("*.py"), *VERIFY.rglob("*.py.jinja"))}


def imported(module: str) -> Iterator[str]:
    """What a module imports from the others, also inside functions."""
    here = module.split(".")
    for node in ast.walk(parsed(MODULES[module])):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - node.level], *(node.module or "").split(".")]
            for alias in node.names:
                names = [".".join(filter(None, [*base, *rest])) for rest in ([alias.name], [], ["__init__"])]
                yield from [name for name in names if name in MODULES][:1]


def layer(module: str) -> int:
    return next(index for index, names in enumerate(LAYERS) if module.partition(".")[0] in names)


def test_imports_go_one_way() -> None:
    graph = {module: set(imported(module)) for module in MODULES}

    assert len(graph) > 40
    assert [f"{by} imports {what}" for by in graph for what in graph[by] if layer(what) > layer(by)] == []
    assert {*TopologicalSorter(graph).static_order()} == {*graph}


def test_the_proof_depends_neither_on_the_tests_nor_on_the_application() -> None:
    others = {
        f"{module} imports {node.module}"
        for module, path in MODULES.items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom)
        and not node.level
        and (node.module or "").split(".")[0] in ("tests", "service")
    }

    assert {each for each in others if "service.hardening" not in each} == {"probe.__main__ imports service"}
    assert {each.split(".")[0] for each in others} == {"probe"}


def test_each_rule_has_an_id_of_its_own() -> None:
    ids = [
        ast.unparse(each.args[1])
        for path in MODULES.values()
        for each in ast.walk(parsed(path))
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "Rule" and isinstance(each.args[1], ast.Constant)
    ]

    assert len(ids) > 40
    assert [each for each in ids if ids.count(each) > 1] == []


def test_the_folder_of_attacks_is_the_list_of_steps() -> None:
    for path in (VERIFY / "attacks").glob("*.py"):
        if path.stem != "__init__":
            ids = [
                str(each.args[0].value)
                for each in ast.walk(parsed(path))
                if isinstance(each, ast.Call) and ast.unparse(each.func) in ("attacks", "last")
                if isinstance(each.args[0], ast.Constant)
            ]
            assert ids, path.name
            assert {each.partition(".")[0] for each in ids} == {path.stem}
            assert len(ids) == len({*ids})
