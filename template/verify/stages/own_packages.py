# Owned by the template: an update rewrites this file.
"""Packages of the team's own from an index: `[tool.hardening.audit]` names them, and no advisory service hears of them.

[tool.hardening.audit]
own = ["acme-*"]            # a name, or how names begin
own_indexes = ["internal"]  # the name of a `[[tool.uv.index]]`, or its address
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from ..result import Check, Rule, listed
from .lockfile import Lock, Package

OWN = Rule("audit", "audit.own", "packages of your own are asked for nowhere")
PUBLIC = {"fastapi", "pydantic", "starlette"}
"""What an index of own packages alone does not have."""
_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{2,}\*?")
_PYPI = re.compile(r"(test\.)?pypi\.org|(test-)?files\.python-?hosted\.org")


@dataclass(frozen=True, slots=True)
class Declared:
    """What the team says is its own."""

    patterns: tuple[str, ...]
    addresses: frozenset[str]
    wrong: tuple[str, ...]

    def has(self, package: Package) -> bool:
        """Whether a locked package is one of these."""
        name = canonicalize_name(package.name)
        named = any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in self.patterns)
        return "registry" in package.source and (named or _bare(package.source["registry"]) in self.addresses)


def declared(project: Path) -> Declared:
    """Read `[tool.hardening.audit]`."""
    try:
        tool: Any = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8")).get("tool", {})
        table: Any = tool.get("hardening", {}).get("audit", {})
        indexes = {str(each.get("name", "")): str(each["url"]) for each in tool.get("uv", {}).get("index", [])}
        names, chosen = (list(map(str, table.get(each, []))) for each in ("own", "own_indexes"))
        unknown = sorted(set(table) - {"own", "own_indexes"})
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return Declared((), frozenset(), (f"[tool.hardening.audit] cannot be read: {type(error).__name__}",))
    patterns = [re.sub(r"[-_.]+", "-", each).lower() for each in names]
    wrong = [f"`{name}` is not known" for name in unknown]
    wrong += [f"`{each}` is too wide" for each, it in zip(names, patterns, strict=True) if not _PATTERN.fullmatch(it)]
    wrong += [
        f"no `[[tool.uv.index]]` is called {each}" for each in chosen if each not in indexes and "://" not in each
    ]
    fine = tuple(each for each in patterns if _PATTERN.fullmatch(each))
    return Declared(fine, frozenset(_bare(indexes.get(each, each)) for each in chosen), tuple(wrong))


def _bare(address: str) -> str:
    """An address without credentials and the final slash."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/").casefold()


def apart(project: Path, lock: Lock) -> tuple[Lock, list[Check]]:
    """The lock with own packages marked as such, so that nothing asks for them, and what is to be said of each."""
    said = declared(project)
    checks = [OWN.of("pyproject.toml").insecure(listed(said.wrong, 9), _REMEDY)] if said.wrong else []
    own = [package for package in lock.packages if not package.is_own and said.has(package)]
    if public := [package.name for package in own if canonicalize_name(package.name) in PUBLIC]:
        seen = f"{listed(public)} would count as your own: what names it names everything"
        return lock, [*checks, OWN.insecure(seen, _REMEDY)]
    checks += _told(own)
    marked = [
        replace(each, source={"virtual": each.source["registry"]}) if each in own else each for each in lock.packages
    ]
    return replace(lock, packages=tuple(marked)), checks


def _told(own: list[Package]) -> Iterator[Check]:
    for package in {each.name: each for each in own}.values():
        address = package.source["registry"]
        rule = OWN.of(package.name, f"{package} is your own")
        if _PYPI.fullmatch(urlsplit(address).hostname or ""):
            yield rule.insecure(
                f"it is locked from {_bare(address)}, where anybody may publish a package of that name",
                "Bind it to your index in `[tool.uv.sources]`, with `explicit = true` there, and run `uv lock`.",
            )
        else:
            yield rule.not_looked_at(f"from {_bare(address)}; no advisory service is asked for it")


_REMEDY = 'Write own = ["acme-*"], with at least three letters, or own_indexes = ["name of an index"].'
