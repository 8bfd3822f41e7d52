# Owned by the template: an update rewrites this file.
"""The team's own files that a changelog entry names: as what they were emitted once, and which offers were declined.

`verify/seeds.sha256` has a line for each text that an older release emitted and that a later entry would change. So a
plain `verify` tells, without the template, whether somebody has edited such a file since.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..result import Check, Outcome
from .changelog import HASH, version_or_none
from .owned_files import PACKAGE, digest

LIST = Path("verify", "seeds.sha256")
FOUND = Path(".hardening", "seeds.json")
PATCH = Path(".hardening", "seeds.patch")
PYPROJECT = "pyproject.toml"
OFFERS = "uv run --locked python -m verify.update --offers"

_LINE = re.compile(r"([0-9a-f]{64})  (\S+)  # (\S+) ([0-9a-f]{40}) (\S+) (\S+)")


@dataclass(frozen=True, slots=True)
class Emitted:
    """A text that an older release emitted, and that a later one would have otherwise.

    Args:
        digest: SHA-256 of the text.
        path: Where the file is, with `{package}` for the service's package.
        release: The newest release that emitted it.
        commit: The template's commit of that release.
        since: The newest section of the changelog that names the file.
        kinds: The kinds of the entries that do: `Fixed`, `Security`, ...
    """

    digest: str
    path: str
    release: str
    commit: str
    since: str
    kinds: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.digest}  {self.path}  # {self.release} {self.commit} {self.since} {','.join(self.kinds)}"


@dataclass(frozen=True, slots=True)
class Declined:
    """An offer that the team has declined: `[[tool.hardening.declined]]` in `pyproject.toml`.

    Args:
        file: The file.
        release: The release whose offer it was; what a later one names is an offer again.
        reason: Why.
    """

    file: str
    release: str
    reason: str


def seed_digest(content: bytes, package: str) -> str:
    """SHA-256 of a seed's text, whatever its line ends and whatever the package is called, in imports or in quotes."""
    return digest(content.replace(f'"{package}"'.encode(), f'"{PACKAGE}"'.encode()), package)


def emitted(project: Path, package: str) -> list[Emitted]:
    """The lines of the list, with the paths of this service.

    Raises:
        OSError: It cannot be read.
    """
    lines = (
        _LINE.fullmatch(line) for line in (project / LIST).read_text(encoding="utf-8", errors="replace").splitlines()
    )
    return [
        Emitted(line[1], line[2].replace(PACKAGE, package), line[3], line[4], line[5], tuple(line[6].split(",")))
        for line in lines
        if line
    ]


def unedited(project: Path, package: str) -> dict[str, Emitted]:
    """The files that are, byte for byte, what an older release emitted, by their paths.

    Raises:
        OSError: The list cannot be read.
    """
    found = {}
    for each in emitted(project, package):
        path = project / each.path
        if path.is_file() and not path.is_symlink() and seed_digest(path.read_bytes(), package) == each.digest:
            found[each.path] = each
    return found


def declined(project: Path) -> list[Declined]:
    """What the team has declined, in the order in which it stands there; what is no such table is passed over."""
    try:
        found: Any = tomllib.loads((project / PYPROJECT).read_text(encoding="utf-8"))
        tables = found["tool"]["hardening"]["declined"]
        return [Declined(str(each["file"]), str(each["release"]), str(each["reason"])) for each in tables]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def is_after(release: str, other: str) -> bool:
    """Whether a release comes after another, as each does after the bare hash of a commit: there was none yet.

    What is no release itself (`Unreleased`, a hash) comes after none.
    """
    newer, older = version_or_none(release), version_or_none(other)
    return newer is not None and (older is None or HASH.fullmatch(other) is not None or newer > older)


def softened(checks: Iterable[Check], project: Path, package: str, *names: str) -> Iterator[Check]:
    """Checks of seeds: what fails where nobody has edited since the template wrote it is a warning with the offer.

    An entry under Security that names the file makes it fail all the same.

    Args:
        checks: The checks of these files.
        project: The root of the service's repository.
        package: The service's package.
        names: The files that they are about; of a check with an object in one of the folders, that file.
    """
    for check in checks:
        about = [name for name in names if check.object and name.endswith(f"/{check.object}")] or names
        if check.outcome in (Outcome.INSECURE, Outcome.UNVERIFIED):
            as_emitted = unedited(project, package) if (project / LIST).is_file() else {}
            if about and all(n in as_emitted and "Security" not in as_emitted[n].kinds for n in about):
                remedy = f"{check.remedy} Nobody has edited it since {as_emitted[about[0]].release}: `{OFFERS}` has the way out."
                check = replace(check, outcome=Outcome.WARNING, remedy=remedy)
        yield check
