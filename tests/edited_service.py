"""A service that a team has lived in, an update of it, and what an update must not do to it."""

import hashlib
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copier import run_copy, run_update
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from .copier_command import COPIER, in_one_text
from .releases import (
    FOLDER,
    OWNED,
    PACKAGE,
    PRESENT,
    RELEASES,
    Answers,
    asked_for,
    commit,
    files,
    git,
    made_once,
    matches,
)
from .team_edits import Edit

LOCKED = ("pyproject.toml", "uv.lock")
"""What the hook changes, though it belongs to the team."""

State = dict[str, tuple[bytes, bool]]
"""The content of each file, and whether it can be executed."""


def state(folder: Path) -> State:
    """What git would see of a folder."""
    names = git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    paths = {name: folder / name for name in names if name}
    return {
        name: (path.read_bytes(), path.stat().st_mode & 0o100 != 0) for name, path in paths.items() if path.is_file()
    }


@dataclass
class UpdateFaults:
    """What is wrong after an update: what has to be merged, what lost an edit, what is not as it should be."""

    conflicts: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.conflicts or self.lost or self.wrong)


def conflicts(folder: Path) -> list[str]:
    """The files that somebody would have to merge by hand."""
    unmerged = {line.split("\t")[1] for line in git(folder, "ls-files", "--unmerged").splitlines()}
    marked = {name for name in files(folder) if name.endswith(".rej") or b"<<<<<<< " in (folder / name).read_bytes()}
    return sorted(unmerged | marked)


class Services:
    """Services of every release, each emitted once, by whichever process needs it first.

    Args:
        history: The template with its releases.
        folder: Where to emit them, shared by all who have the same template.
    """

    def __init__(self, history: Path, folder: Path) -> None:
        self.history = history
        self.folder = folder

    def emit(self, release: str, answers: Answers) -> Path:
        """What a release emits for these answers. Whoever writes to it takes a copy."""
        asked = asked_for(release, answers) if release in (*RELEASES, PRESENT) else answers
        key = hashlib.sha256(json.dumps([release, sorted(asked.items())]).encode()).hexdigest()[:16]
        options: dict[str, Any] = {"vcs_ref": release, "defaults": True, "quiet": True, "skip_tasks": True}
        return made_once(
            self.folder / key / FOLDER, lambda folder: run_copy(str(self.history), folder, data=asked, **options)
        )

    def lived_in(self, folder: Path, release: str, answers: Answers, edits: Iterable[Edit]) -> Path:
        """Such a service in its repository, with these edits of the team on top."""
        shutil.copytree(self.emit(release, answers), folder)
        commit(folder, "emitted")
        for edit in edits:
            edit(folder, answers.get("package_name", PACKAGE))
        if git(folder, "status", "--porcelain"):
            commit(folder, "ours")
        return folder

    def compare(
        self, service: Path, before: State, release: str, answers: Answers, *, hook: bool = False
    ) -> UpdateFaults:
        """What an update did that it must not have done.

        Args:
            service: The service after the update.
            before: What it was before.
            release: Where it came from.
            answers: What was answered.
            hook: Whether what comes after the files was done too: then there is a lock file, and dependencies are the
                team's intersected with the template's.
        """
        found = UpdateFaults(conflicts=conflicts(service))
        after = state(service)
        fresh = state_of_emission(self.emit(PRESENT, answers))
        old = state_of_emission(self.emit(release, answers))
        if hook:
            texts = (
                each.get(name, (b"", False))[0].decode()
                for each, name in ((before, "pyproject.toml"), (after, "pyproject.toml"), (fresh, "verify/bounds.toml"))
            )
            found.lost += wrongly_bounded(*texts)
            found.wrong += [] if "uv.lock" in after else ["uv.lock is not there"]
            before, after = (
                {name: content for name, content in each.items() if name not in LOCKED} for each in (before, after)
            )
        for name in sorted({*before, *after, *fresh}):
            if not matches(OWNED, name) or (name in before and name not in old and name not in fresh):
                if name in before and after.get(name) != before[name]:
                    found.lost.append(name)
                elif name not in before and name in after:
                    found.wrong.append(f"{name} is a seed that came, or came back")
            elif after.get(name) != fresh.get(name):
                found.wrong.append(f"{name} is not as in a fresh copy")
        return found


def state_of_emission(folder: Path) -> State:
    """The same for a folder that is no repository."""
    return {name: ((folder / name).read_bytes(), (folder / name).stat().st_mode & 0o100 != 0) for name in files(folder)}


def dependencies(project: str) -> dict[tuple[str, ...], SpecifierSet]:
    """The bounds in a `pyproject.toml` by list, package and marker."""
    parsed = tomllib.loads(project)
    lists = {"dependencies": parsed["project"]["dependencies"], **parsed["dependency-groups"]}
    every = [(name, Requirement(each)) for name, requirements in lists.items() for each in requirements]
    return {(name, canonicalize_name(each.name), str(each.marker or "")): each.specifier for name, each in every}


def wrongly_bounded(before: str, after: str, needed: str) -> Iterator[str]:
    """Where a `pyproject.toml` is not the team's with its dependencies intersected with what owned code needs."""
    lists = re.compile(r"(?ms)^(dependencies|dev) = \[.*?^\]$")
    if lists.sub("", before) != lists.sub("", after):
        yield "pyproject.toml has changed outside of its lists of dependencies"
    ours, theirs, now = map(dependencies, (before, needed, after))
    for key in {*ours, *theirs, *now}:
        both = ours.get(key, SpecifierSet()) & theirs.get(key, SpecifierSet())
        if key not in now or (key not in ours and key not in theirs) or not same(now[key], both):
            yield f"pyproject.toml bounds {' '.join(key)} by '{now.get(key)}', which is not '{both}'"


def same(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Whether two bounds admit the same versions, of those that they name and their neighbours."""
    named = {each.version for each in (*one, *other)}
    probes = {"0", "99999", *named, *(f"{each}.0.0.1" for each in named)}
    return all(one.contains(version) == other.contains(version) for version in probes)


def update(service: Path, answers: Answers | None = None) -> None:
    """Update to the newest release as `copier update --trust --defaults --skip-tasks` does: files and no more."""
    run_update(service, data=answers or {}, defaults=True, overwrite=True, quiet=True, unsafe=True, skip_tasks=True)


def update_and_prove(service: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Update with the command that people type, and all that comes after the files."""
    return in_one_text([*COPIER, "update", "--trust", "--defaults", *options], service)


BROUGHT = ("run --quiet python -m verify.bounds", "lock --quiet", "sync --quiet --locked")
"""What comes after an update of the files alone, as commands of uv."""
_TIMED = "tests/test_session.py::test_the_comparison_sees_an_answer_that_saved_the_work"
"""It tells apart milliseconds: in the services that are emitted here it has a machine to itself, or nearly so."""
CONFIGURATION = "python -m verify --only configuration"
AS_BEFORE = (
    "ruff check",
    "ruff format --check",
    "mypy",
    "pytest -q --collect-only",
    f"pytest -q --ignore tests/hardening --deselect {_TIMED}",
    CONFIGURATION,
)
"""What a service that nobody edited passes after an update as it did before, in less than a minute."""
AS_BEFORE_AGAIN = tuple(each for each in AS_BEFORE if "--collect-only" not in each)
"""The same once offers are taken: none of them is a file of the owned tests, which are collected before."""


def bring(service: Path) -> None:
    """Bring the bounds of owned code in, lock and install."""
    for command in BROUGHT:
        subprocess.run(["uv", *command.split()], cwd=service, check=True, capture_output=True, text=True)


def failing(service: Path, commands: Iterable[str] = AS_BEFORE) -> dict[str, str]:
    """Which of these commands fail in a service, with what they print."""
    found = {}
    for command in commands:
        ended = subprocess.run(
            ["uv", "run", "--quiet", "--locked", *command.split()],
            cwd=service,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode:
            found[command] = ended.stdout
    return found


def offers(service: Path, *take: str) -> dict[str, str]:
    """Take these offers, or look for all: the state of each that is left, by file."""
    command = "run --quiet --locked python -m verify.update"
    options = ["--take", *take] if take else ["--offers"]
    ended = subprocess.run(["uv", *command.split(), *options], cwd=service, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    left = json.loads((service / ".hardening" / "seeds.json").read_text())["offers"]
    return {each["file"]: each["state"] for each in left}


def warned(service: Path) -> list[str]:
    """The ids of the checks that the last run of `verify` warns of, but for what `check` warns of in any case."""
    checks = json.loads((service / ".hardening" / "last-verify.json").read_text())["checks"]
    return [each["id"] for each in checks if each["outcome"] == "warning" and each["id"] != "settings.finding"]


def proved(service: Path) -> str:
    """What the last run of `verify` in a service found, in one word."""
    outcome: str = json.loads((service / ".hardening" / "last-verify.json").read_text())["outcome"]
    return outcome
