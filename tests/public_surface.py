"""The names and signatures that pass between owned code and seeds, and their snapshot in `surface.txt`.

Seeds stay as they are for years, so what they import from owned code may grow but not change, and owned code may ask
nothing of them that older seeds do not have. `uv run python -m tests.public_surface` adds what is new to the snapshot.
"""

import ast
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from .contract import contract
from .edited_service import Services
from .owner_imports import calls, crossings, imports, package_of, parse
from .releases import PRESENT, combinations, make_history, nothing_of_this_machine

_OF_A_REQUEST = "client has_body headers is_websocket log_fields method note path policy request_id response_headers"
PROMISED = {"RequestContext": [*_OF_A_REQUEST.split(), "route", "scope", "services"]}
"""The members that a class promises, where the rest serves the template's own steps and may change: its docstring."""
SNAPSHOT = Path(__file__).with_name("surface.txt")
HEADER = """\
# What seeds may import from owned code, and, after `needs`, what owned code asks of seeds. What scripts, reports and
# links read: checks, findings, events and their fields, problem documents, exit codes, keys, names of stages, anchors.
# Lines are added by `uv run python -m tests.public_surface`. None is ever changed or taken away: seeds are years old.
"""


def signature(arguments: ast.arguments, *, bound: bool) -> str:
    """The parameters as a call sees them: `(settings, *, ready=...)`."""
    bare = ast.parse(f"def f({ast.unparse(arguments)}): ...").body[0]
    assert isinstance(bare, ast.FunctionDef)
    given = bare.args
    for each in [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]:
        if each:
            each.annotation = None
    if bound:
        (given.posonlyargs or given.args).pop(0)
    given.defaults = [ast.Constant(...) for _ in given.defaults]
    given.kw_defaults = [default and ast.Constant(...) for default in given.kw_defaults]
    return f"({ast.unparse(given)})"


def definition(folder: Path, source: str, name: str) -> tuple[str, ast.stmt | None]:
    """The function or class of this name, and its file, wherever the module has it from; None for a mere value."""
    for node in parse(folder, source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return source, node
    found = next((each for each in imports(folder, source) if each.name == name), None)
    return definition(folder, found.source, name) if found else (source, None)


def described(folder: Path, source: str, name: str) -> list[str]:
    """A name of a module as lines: its signature, and each public member if it is a class."""
    source, node = definition(folder, source, name)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [name + signature(node.args, bound=False)]
    if isinstance(node, ast.ClassDef):
        found = members(folder, source, node)
        if name in PROMISED:
            return [name, *(f"{name}.{member}{found[member]}" for member in PROMISED[name])]
        return [name + found.pop("", ""), *(f"{name}.{member}{found[member]}" for member in sorted(found))]
    return [name]


def members(folder: Path, source: str, node: ast.ClassDef) -> dict[str, str]:
    """Public attributes and methods of a class with their parameters; those of the class itself have no name."""
    found: dict[str, str] = {}
    for base in node.bases:
        where, inherited = definition(folder, source, ast.unparse(base))
        if isinstance(inherited, ast.ClassDef):
            found |= members(folder, where, inherited)
    fields = {
        each.target.id: each.value
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and not each.target.id.startswith("_")
    }
    found |= dict.fromkeys(fields, "")
    if any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        found[""] = f"({', '.join(field + '=...' * (value is not None) for field, value in fields.items())})"
    for each in node.body:
        if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        marks = [ast.unparse(decorator) for decorator in each.decorator_list]
        if each.name == "__init__":
            found[""] = signature(each.args, bound=True)
            found |= dict.fromkeys(public_attributes(each), "")
        elif not each.name.startswith("_"):
            found[each.name] = "" if "property" in marks else signature(each.args, bound="staticmethod" not in marks)
    return found


def public_attributes(constructor: ast.AST) -> Iterator[str]:
    for node in ast.walk(constructor):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and not node.attr.startswith("_"):
            yield node.attr


def surface(folders: Iterable[Path]) -> list[str]:
    """Every line of the snapshot for these emitted services."""
    lines: set[str] = set()
    for folder in folders:
        package = package_of(folder)
        door = f"src/{package}/hardening/__init__.py"
        offered = {(door, each.name) for each in imports(folder, door)}
        offered |= {(each.source, each.name) for each in crossings(folder, from_owned=False)}
        for source, name in offered:
            lines.update(f"{dotted(source, package)}.{line}" for line in described(folder, source, name))
        asked = crossings(folder, from_owned=True)
        lines.update(f"needs {dotted(each.source, package)}.{each.name}" for each in asked)
        lines.update(f"needs {call}" for call in calls(folder, {each.name for each in asked}))
        lines.update(contract(folder))
    return sorted(lines)


def dotted(source: str, package: str) -> str:
    """The module in a file, without the name of the package."""
    return source.removeprefix(f"src/{package}/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def admits(new: str, old: str) -> bool:
    """Whether a signature takes every call that another one takes: `f(a, *, b=...)` admits `f(a)`."""
    one, other = arguments_of(new), arguments_of(old)
    if one is None or other is None:
        return new == old
    positional, before = [*one.posonlyargs, *one.args], [*other.posonlyargs, *other.args]
    nameless = len(other.posonlyargs)
    slots = len(before) <= len(positional) and len(one.posonlyargs) <= nameless
    names = names_of(before[nameless:]) == names_of(positional[nameless : len(before)])
    keywords = {*names_of(other.kwonlyargs)} <= {*names_of([*one.args, *one.kwonlyargs])}
    needed = len(positional) - len(one.defaults) <= len(before) - len(other.defaults)
    rest = (one.vararg is not None or other.vararg is None) and (one.kwarg is not None or other.kwarg is None)
    return slots and names and keywords and needed and required_of(one) <= required_of(other) and rest


def arguments_of(line: str) -> ast.arguments | None:
    _, bracket, rest = line.partition("(")
    if not bracket:
        return None
    function = ast.parse(f"def f({rest}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    return function.args


def names_of(arguments: list[ast.arg]) -> list[str]:
    return [each.arg for each in arguments]


def required_of(arguments: ast.arguments) -> set[str]:
    """The keywords that have to be given."""
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {each.arg for each, default in pairs if default is None}


def broken(lines: list[str]) -> list[str]:
    """The lines of the snapshot that do not hold any more."""
    by_name = {line.partition("(")[0]: line for line in lines}
    return [old for old in snapshot() if not admits(by_name.get(old.partition("(")[0], ""), old)]


def snapshot() -> list[str]:
    return [line for line in SNAPSHOT.read_text().splitlines() if line and not line.startswith("#")]


def present(services: Services) -> list[Path]:
    """What the working tree emits, in every combination that matters here."""
    return [services.emit(PRESENT, answers) for answers in combinations(PRESENT, "example", "store")]


def main() -> int:
    """Bring what is new into the snapshot, unless something old is gone from it."""
    with tempfile.TemporaryDirectory() as name, nothing_of_this_machine(Path(name)):
        lines = surface(present(Services(make_history(Path(name) / "template"), Path(name) / "services")))
    if SNAPSHOT.exists() and (gone := broken(lines)):
        print("Seeds of older services use these; bring them back, or let them take what they took:", *gone, sep="\n  ")
        return 1
    SNAPSHOT.write_text(HEADER + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
