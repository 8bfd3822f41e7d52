# Owned by the template: an update rewrites this file.
"""The folders of `hardening/`: imports go one way, so that whoever reads a step needs to read nothing above it."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

(HARDENING,) = Path(__file__).parents[2].glob("src/*/hardening")
LAYERS = (
    {"core", "settings", "policy", "models"},
    {"stores"},
    {"steps"},
    {"asgi"},
    {"app", "docs", "startup", "server", "signals"},
    {"__init__"},
)


def dotted(path: Path) -> str:
    """`steps.cors`, and `steps.__init__` for what a package has itself."""
    return ".".join(path.relative_to(HARDENING).with_suffix("").parts)


def imported(path: Path, modules: set[str]) -> Iterator[str]:
    """What a module imports from the others, also where only a type checker does, or only a function."""
    here = dotted(path).split(".")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - node.level], *(node.module or "").split(".")]
            for alias in node.names:
                names = [".".join(filter(None, [*base, *rest])) for rest in ([alias.name], [], ["__init__"])]
                yield from [name for name in names if name in modules][:1]


def layer(module: str) -> int:
    return next(index for index, names in enumerate(LAYERS) if module.partition(".")[0] in names)


@pytest.mark.costly
def test_every_module_has_its_layer_and_imports_nothing_above_it_nor_in_a_circle() -> None:
    graph = {dotted(path): path for path in HARDENING.rglob("*.py")}
    imports = {module: set(imported(path, {*graph})) for module, path in graph.items()}

    assert len(imports) > 30
    upwards = [f"{by} imports {what}" for by in imports for what in imports[by] if layer(what) > layer(by)]
    assert upwards == []
    assert {*TopologicalSorter(imports).static_order()} == {*imports}
