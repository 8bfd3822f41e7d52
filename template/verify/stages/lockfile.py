# Owned by the template: an update rewrites this file.
"""What `uv.lock` holds, for the stages that account for each of its packages."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from ..result import UnverifiedError

REMEDY = "Run `uv lock`, look at what changed, and commit uv.lock."
_parsed = lru_cache(1)(tomllib.loads)  # for each stage that reads it: it is long

Key = tuple[str, str]
"""Name and version, normalised: what makes two locked packages the same."""


@dataclass(frozen=True, slots=True)
class Need:
    """One package that another one asks for; the version is empty where the lock holds a single one."""

    name: str
    version: str
    extras: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """One locked package."""

    name: str
    version: str
    source: dict[str, str]
    needs: dict[str, tuple[Need, ...]]
    """What it needs by itself (`""`) and for each of its extras."""
    files: tuple[tuple[str, str], ...]
    """Address and hash of each file that may be installed."""

    @property
    def key(self) -> Key:
        return key(self.name, self.version)

    @property
    def is_own(self) -> bool:
        """Whether it is code of this repository and not a package that somebody published."""
        return bool(self.source.keys() & {"directory", "editable", "virtual"})

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class Lock:
    """What `uv.lock` holds."""

    root: Package
    packages: tuple[Package, ...]
    groups: dict[str, tuple[Need, ...]]
    """What each group of development dependencies asks for."""
    bounds: dict[str, str]
    """What `pyproject.toml` asks for, by name, such as `>=1.2,<2`."""

    @classmethod
    def read(cls, project: Path) -> "Lock":
        """Read `uv.lock`.

        Raises:
            UnverifiedError: It is not there, or it is not what uv writes.
        """
        try:
            folder = folder_of(project)
            data = _parsed((folder / "uv.lock").read_text(encoding="utf-8"))
            packages = tuple(map(_package, data["package"]))
            here = project.resolve().relative_to(folder).as_posix()
            root = next(each for each in packages if here in (each.source.get("editable"), each.source.get("virtual")))
            raw = next(each for each in data["package"] if each["name"] == root.name)
        except FileNotFoundError:
            raise UnverifiedError("there is no uv.lock", REMEDY) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
            raise UnverifiedError(f"uv.lock cannot be read: {error!r}", REMEDY) from None
        metadata = raw.get("metadata", {})
        asked = [*metadata.get("requires-dist", ()), *(x for y in metadata.get("requires-dev", {}).values() for x in y)]
        found = cls(
            root,
            packages,
            {name: tuple(map(_need, needs)) for name, needs in raw.get("dev-dependencies", {}).items()},
            {canonicalize_name(each["name"]): each["specifier"] for each in asked if each.get("specifier")},
        )
        if folder == project.resolve():
            return found
        needs = [need for part in (*root.needs.values(), *found.groups.values()) for need in part]
        return replace(found, packages=(root, *(each for each in found.behind(*needs) if each != root)))

    @property
    def published(self) -> tuple[Package, ...]:
        """Every package but those that are code of this repository."""
        return tuple(package for package in self.packages if not package.is_own)

    def runtime(self) -> frozenset[Key]:
        """What the service may import in production: everything but what only development needs."""
        return frozenset(
            package.key for needs in self.root.needs.values() for need in needs for package in self.behind(need)
        )

    def brought_by(self, package: Package) -> list[tuple[str, str]]:
        """The direct dependencies through which a package comes, each with the part of `pyproject.toml` it stands in."""
        parts = {name or "runtime": needs for name, needs in self.root.needs.items()}
        found = [
            (need.name, part)
            for part, needs in {**parts, **{f"group {name}": needs for name, needs in self.groups.items()}}.items()
            for need in needs
            if package.key in {each.key for each in self.behind(need)}
        ]
        return list(dict.fromkeys(found))

    def behind(self, *needs: Need) -> list[Package]:
        """The packages that these needs come to, and all that those need in turn."""
        seen: dict[tuple[Key, str], Package] = {}
        todo = list(needs)
        while todo:
            need = todo.pop()
            for package in self.matches(need):
                for part in ("", *need.extras):
                    if (package.key, part) not in seen:
                        seen[package.key, part] = package
                        todo += package.needs.get(part, ())
        return list({package.key: package for package in seen.values()}.values())

    def matches(self, need: Need) -> Iterator[Package]:
        """The locked packages that a need may mean: one, or one for each platform."""
        for package in self.packages:
            if package.name == need.name and need.version in ("", package.version):
                yield package


def folder_of(project: Path) -> Path:
    """Where `uv.lock` stands: in the project, or in the workspace of which it is a member."""
    project = project.resolve()
    for folder in project.parents:
        try:
            tool = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
            names = (tool["uv"]["workspace"].get(each, ()) for each in ("members", "exclude"))
            members, others = ({path for name in each for path in folder.glob(name)} for each in names)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, NotImplementedError):
            continue  # the last is what Path.glob raises for an absolute path
        if project in members - others:
            return folder
    return project


def key(name: str, version: str) -> Key:
    """Name and version as they compare.

    Raises:
        packaging.version.InvalidVersion: It is not a version.
    """
    return canonicalize_name(name), str(Version(version)) if version else ""


def _package(data: dict[str, Any]) -> Package:
    files = [*([data["sdist"]] if "sdist" in data else []), *data.get("wheels", ())]
    needs = {"": data.get("dependencies", ()), **data.get("optional-dependencies", {})}
    package = Package(
        data["name"],
        data.get("version", ""),
        dict(data["source"]),
        {part: tuple(map(_need, each)) for part, each in needs.items()},
        tuple((str(each.get("url", each.get("path", ""))), str(each.get("hash", ""))) for each in files),
    )
    key(*package.key)
    return package


def _need(data: dict[str, Any]) -> Need:
    return Need(data["name"], data.get("version", ""), tuple(data.get("extra", ())))
