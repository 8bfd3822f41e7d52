# Owned by the template: an update rewrites this file.
"""What to do about an advisory: the command that upgrades just one package, tried before it is recommended."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from ..result import listed
from ..runner import subprocesses
from .lockfile import Key, Lock, Package
from .waivers import FILE

TIMEOUT = 20.0
MOST_TRIED = 5
"""Packages whose upgrade is tried before it is recommended; each takes about a second."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """One advisory that hits one locked package."""

    package: Package
    names: tuple[str, ...]
    """The advisory as the service calls it first, then its other names."""
    fixes: tuple[Version, ...]
    """Releases beyond the locked one in which it is fixed."""

    def __str__(self) -> str:
        return f"{self.package} has {self.names[0]}"


class Advice:
    """The command that upgrades just one package, tried before it is given: a bound may forbid what the advisory asks."""

    def __init__(self, project: Path, lock: Lock, findings: list[Advisory]) -> None:
        self._project = project
        self._lock = lock
        self._findings = findings
        self._given: dict[Key, str] = {}

    def on(self, finding: Advisory) -> str:
        """What to do about a package; the same for each advisory that hits it."""
        package = finding.package
        if not finding.fixes:
            return (
                f"No release to upgrade to is named. Do without {package.name}, or accept it for a while: a [[waiver]] in "
                f'{FILE} with advisory = "{finding.names[0]}", a reason and expires.'
            )
        if package.key not in self._given:
            goal = max(each.fixes[0] for each in self._findings if each.package == package and each.fixes)
            self._given[package.key] = self._upgrade(package, goal)
        return self._given[package.key]

    def _upgrade(self, package: Package, goal: Version) -> str:
        direct = [name for name, _ in self._lock.brought_by(package) if name != package.name]
        exact = ["--upgrade-package", f"{package.name}=={goal}"]
        newest = ["--upgrade-package", package.name]
        with_direct = [argument for name in direct for argument in ("--upgrade-package", name)]
        if len(self._given) >= MOST_TRIED:
            return f"Run `{_command(exact)}`."
        why = ""
        for arguments in [exact, newest, *([[*newest, *with_direct]] if direct else [])]:
            reached, said = self._reaches(arguments, package.name, goal)
            if reached:
                return f"Run `{_command(arguments)}`."
            if reached is None:
                return f"Run `{_command(exact)}`. Whether the bounds admit it could not be tried: {said}."
            why = why or said
        bound = self._lock.bounds.get(package.name)
        if bound is not None:
            return (
                f"pyproject.toml asks for {package.name}{bound}: raise that bound to admit {goal}, then run `uv lock`."
            )
        do = "do" if len(direct) > 1 else "does"
        holders = f"{listed(direct)} {do} not admit {package.name} {goal} in any release"
        asked = [f"{name}{self._lock.bounds[name]}" for name in direct if name in self._lock.bounds]
        within = f" that pyproject.toml admits ({listed(asked)})" if asked else ""
        return f"`{_command(exact)}` is forbidden: {holders}{within}. Raise or replace {listed(direct)}. uv says: {why}"

    def _reaches(self, arguments: list[str], name: str, goal: Version) -> tuple[bool | None, str]:
        """Whether this upgrade would lead to the goal or beyond; `None` if that cannot be told. And what uv says."""
        try:
            command = [subprocesses.uv(), "lock", "--dry-run", *arguments]
            ran = subprocesses.run(command, self._project, TIMEOUT)
        except OSError as error:
            return None, str(error)
        if not ran.ok:
            because = re.search(r"Because .*", ran.err)
            return (False, because[0]) if "No solution found" in ran.err and because else (None, ran.tail(1))
        update: Callable[[str], re.Match[str] | None] = re.compile(rf"(?:Update|Remove) {re.escape(name)} (.*)").match
        for match in filter(None, map(update, ran.err.splitlines())):
            _, arrow, new = match[1].partition(" -> ")
            try:
                return not arrow or all(
                    Version(each) >= goal for each in re.split(r",\s*", new)
                ), "it changes too little"
            except InvalidVersion:
                return None, match[0]
        return False, "it changes nothing"


def _command(arguments: list[str]) -> str:
    return " ".join(["uv", "lock", *arguments])
