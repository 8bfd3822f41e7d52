# Owned by the template: an update rewrites this file.
"""Where a `pyproject.toml` asks for which package: dependencies, extras, groups, and those that are installed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from .pyproject import Path as Keys
from .pyproject import Pyproject

RUNTIME: Keys = ("project", "dependencies")
_LEGACY: Keys = ("tool", "uv", "dev-dependencies")


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement of `pyproject.toml`."""

    keys: Keys
    number: int
    text: str
    asked: Requirement

    def __str__(self) -> str:
        return f"{self.text} in {'.'.join(self.keys)}"


def overrides(pyproject: Pyproject) -> Iterator[Line]:
    """What uv takes in the place of whatever is asked for anywhere."""
    keys = ("tool", "uv", "override-dependencies")
    return requirements(pyproject, [keys] if isinstance(pyproject.get(keys), list) else [])


def requirements(pyproject: Pyproject, lists: Iterable[Keys] | None = None) -> Iterator[Line]:
    """Every requirement in every list, or in these."""
    for keys in _lists(pyproject) if lists is None else lists:
        for number, text in enumerate(pyproject.get(keys)):
            if isinstance(text, str):
                try:
                    yield Line(keys, number, text, Requirement(text))
                except InvalidRequirement:
                    continue  # uv says so, and better


def _lists(pyproject: Pyproject) -> Iterator[Keys]:
    tables: list[Keys] = [("project", "optional-dependencies"), ("dependency-groups",)]
    keys = [RUNTIME, _LEGACY]
    keys += [(*table, name) for table in tables for name in _table(pyproject, table)]
    yield from (each for each in keys if isinstance(pyproject.get(each), list))


def installed_groups(pyproject: Pyproject) -> Iterator[Keys]:
    """The groups that `uv sync` installs if it is not told otherwise, and those that they include."""
    groups = {canonicalize_name(name): name for name in _table(pyproject, ("dependency-groups",))}
    default = pyproject.get(("tool", "uv", "default-groups"))
    todo = list(groups) if default == "all" else [canonicalize_name(str(each)) for each in default or ["dev"]]
    seen: set[str] = set()
    for name in todo:
        if name in seen:
            continue
        seen.add(name)
        keys = ("dependency-groups", groups.get(name, name))
        yield keys
        items = pyproject.get(keys)
        for item in items if isinstance(items, list) else []:
            if isinstance(item, dict) and "include-group" in item:
                todo.append(canonicalize_name(str(item["include-group"])))
        if name == "dev":
            yield _LEGACY


def has_own_source(pyproject: Pyproject, name: str) -> bool:
    """Whether the team takes a package from somewhere else than an index; which version that is, it knows best."""
    for key, source in _table(pyproject, ("tool", "uv", "sources")).items():
        if canonicalize_name(key) == name:
            return any("index" not in each for each in (source if isinstance(source, list) else [source]))
    return False


def _table(pyproject: Pyproject, keys: Keys) -> dict[str, Any]:
    value = pyproject.get(keys)
    return value if isinstance(value, dict) else {}
