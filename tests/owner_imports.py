"""What owned code and seeds of an emitted service import from each other, read from their source."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .releases import OWNED, files, matches


@dataclass(frozen=True)
class Import:
    """`name` of the module in the file `source`, imported by the file `by`; without a name, the module itself."""

    by: str
    source: str
    name: str


def parse(folder: Path, name: str) -> ast.Module:
    return ast.parse((folder / name).read_text(encoding="utf-8"), name)


def package_of(folder: Path) -> str:
    """The package of an emitted service."""
    return next(path.parent.parent.name for path in (folder / "src").glob("*/hardening/__init__.py"))


def located(folder: Path, parts: tuple[str, ...]) -> str | None:
    """The file of a module, if it is one of the service's own."""
    roots = (folder / "src", folder) if parts[0] == package_of(folder) else (folder,)
    for root in roots:
        for path in (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")):
            if path.is_file():
                return path.relative_to(folder).as_posix()
    return None


def imports(folder: Path, name: str) -> Iterator[Import]:
    """What a module imports from the service itself, by a statement or by `import_module(f"{package}.app")`."""
    parts = Path(name).with_suffix("").parts
    here = parts[1:] if parts[0] == "src" else parts
    tree = parse(folder, name)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            source = located(folder, module)
            for alias in node.names:
                if source and binds(folder, source, alias.name):
                    yield Import(name, source, alias.name)
                elif submodule := located(folder, (*module, alias.name)):
                    yield Import(name, submodule, "")
                elif source:
                    yield Import(name, source, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if source := located(folder, tuple(alias.name.split("."))):
                    yield Import(name, source, "")
        elif isinstance(node, ast.Attribute):
            module = imported_by_name(node.value, package_of(folder))
            if module and (source := located(folder, module)):
                yield Import(name, source, node.attr)


def binds(folder: Path, source: str, name: str) -> bool:
    """Whether a module imports this name from elsewhere: `policy` of a package may be a function beside a module."""
    return name in _bound((folder / source).read_text(encoding="utf-8"))


@cache
def _bound(text: str) -> frozenset[str]:
    statements = [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom) and node.module]
    return frozenset(alias.asname or alias.name for node in statements for alias in node.names)


def imported_by_name(node: ast.expr, package: str) -> tuple[str, ...]:
    """The module of `import_module(f"{package}.app")`."""
    if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module")):
        return ()
    match node.args[0]:
        case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(rest))]) if rest.startswith("."):
            return (package, *rest[1:].split("."))
        case _:
            return ()


@cache
def crossings(folder: Path, *, from_owned: bool) -> frozenset[Import]:
    """What owned modules import from seeds, or seeds from owned modules, of a service that does not change."""
    return frozenset(
        each
        for name in files(folder)
        if name.endswith(".py") and matches(OWNED, name) == from_owned
        for each in imports(folder, name)
        if matches(OWNED, each.source) != from_owned
    )


def calls(folder: Path, names: set[str]) -> Iterator[str]:
    """How owned code calls what it has from seeds: `create_app(_)`."""
    for name in files(folder):
        if name.endswith(".py") and matches(OWNED, name):
            for node in ast.walk(parse(folder, name)):
                if isinstance(node, ast.Call) and (called := ast.unparse(node.func).rpartition(".")[2]) in names:
                    keywords = [f"{each.arg}=_" for each in node.keywords]
                    yield f"{called}({', '.join(['_'] * len(node.args) + keywords)})"
