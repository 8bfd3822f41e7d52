"""Every release of the template, and the present working tree as the newest: what services come from and go to."""

import fcntl
import os
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import copier
import yaml
from jinja2 import Environment
from pathspec import PathSpec

REPOSITORY = Path(__file__).parent.parent
FOLDER = "orders-api"
PACKAGE = "orders_api"
PRESENT = "v999.0.0"
RELEASES: dict[str, str] = tomllib.loads((REPOSITORY / "tests" / "releases.toml").read_text())["releases"]
OWNED = (
    "/.copier-answers.yml",
    "/.env.example",
    "/HARDENING.md",
    "/src/*/__main__.py",
    "/src/*/hardening/**",
    "/tests/hardening/**",
    "/verify/**",
)
"""What belongs to the template, in every release; all else that is emitted is a seed."""

Answers = dict[str, str]


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, message: str) -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def files(folder: Path) -> list[str]:
    """The files of a folder, as relative paths with slashes."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    )


def copy_working_tree(folder: Path) -> None:
    """Copy what git would commit of this repository."""
    for name in git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that the first process which asks for it makes, and all find; whoever writes to it takes a copy.

    Args:
        folder: Where it is, or will be.
        make: Makes it, its parents being there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f"{folder.name}.made")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of somebody who failed
            make(folder)
            made.touch()
    return folder


@contextmanager
def quick_copier() -> Iterator[None]:
    """Let Copier take a third of the time in this process; where it is a command of its own, it is as it comes.

    At each file it asks git whether `core.fileMode` is off, which it is not here, and compiles the same few texts.
    """
    compiled: dict[tuple[object, ...], Any] = {}
    compile_anew = Environment.compile

    def compile_once(self: Environment, source: Any, *arguments: Any, **named: Any) -> Any:
        key = (type(self), self.lexer, *self.extensions, str(source), *arguments, *named.items())
        if key not in compiled:
            compiled[key] = compile_anew(self, source, *arguments, **named)
        return compiled[key]

    with (
        patch.object(copier._main.Worker, "_sync_git_index_executable_bit", lambda *_: None),
        patch.object(Environment, "compile", compile_once),
    ):
        yield


@contextmanager
def nothing_of_this_machine(folder: Path) -> Iterator[None]:
    """Keep the settings of the person who runs this out of git, Copier and uv, and make Copier quick.

    Args:
        folder: Where to put a file of settings that sets nothing.
    """
    folder.mkdir(exist_ok=True)
    settings = folder / "copier.yml"
    settings.write_text("{}\n")
    before = dict(os.environ)
    for name in before:
        # Without its bytecode each command would compile all that it imports; in CI a service runs its slow tests.
        if name == "CI" or name.startswith(("APP_", "GIT_", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")):
            del os.environ[name]
    os.environ.update(COPIER_SETTINGS_PATH=str(settings), GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1")
    for role in ("AUTHOR", "COMMITTER"):
        os.environ.update({f"GIT_{role}_NAME": "Test", f"GIT_{role}_EMAIL": "test@example.com"})
    try:
        with quick_copier():
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def check_history(repository: Path) -> None:
    """See that every release is in the history of a clone of this repository.

    Raises:
        LookupError: One is not.
    """
    for version, revision in RELEASES.items():
        command = ["git", "cat-file", "-e", f"{revision}^{{commit}}"]
        if subprocess.run(command, cwd=repository, check=False, capture_output=True).returncode:
            shallow = git(repository, "rev-parse", "--is-shallow-repository").strip() == "true"
            remedy = "run `git fetch --unshallow`" if shallow else "fetch its commit, or correct tests/releases.toml"
            raise LookupError(f"Release {version} ({revision[:9]}) is not in this clone: {remedy}.")


def make_history(folder: Path) -> Path:
    """A clone of this repository in which each release has its tag and the working tree is the newest.

    Raises:
        LookupError: If a release is not in the history of this clone.
    """
    check_history(REPOSITORY)
    quiet = ["--quiet", "--config", "advice.detachedHead=false"]
    subprocess.run(["git", "clone", *quiet, "--no-tags", REPOSITORY, folder], check=True)
    for name in git(folder, "ls-files", "-z").split("\0"):
        if name:
            (folder / name).unlink()
    copy_working_tree(folder)
    for version, revision in RELEASES.items():
        git(folder, "fetch", "--quiet", "origin", revision)
        git(folder, "tag", version, revision)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "present")
    git(folder, "tag", PRESENT)
    git(folder, "gc", "--quiet")  # Copier clones it at each step, and one pack is quicker to copy and to delete
    return folder


@cache
def configuration(release: str) -> dict[str, Any]:
    """The `copier.yml` of a release."""
    if release == PRESENT:
        text = (REPOSITORY / "copier.yml").read_text()
    else:
        text = git(REPOSITORY, "show", f"{RELEASES[release]}:copier.yml")
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


def asked_for(release: str, answers: Answers) -> Answers:
    """Without the answers that a release gives by itself: with and without them it emits the same."""
    questions = configuration(release)
    return {name: each for name, each in answers.items() if each != questions.get(name, {}).get("default")}


def choices(release: str, question: str) -> list[str]:
    """What a question of a release can be answered with."""
    offered = configuration(release)[question]["choices"]
    return list(offered.values() if isinstance(offered, dict) else offered)


def combinations(release: str, *questions: str) -> list[Answers]:
    """Every combination of the answers to these questions."""
    return [
        dict(zip(questions, chosen, strict=True))
        for chosen in product(*(choices(release, question) for question in questions))
    ]


def seeds(release: str) -> list[str]:
    """The globs of what belongs to the team: what a copy does not overwrite."""
    return list(configuration(release)["_skip_if_exists"])


def left_out(release: str, operation: str) -> list[str]:
    """The globs of what a release does not write in a copy or an update."""
    jinja = Environment(autoescape=False)  # noqa: S701 - these are patterns, not HTML
    return jinja.from_string(configuration(release)["_exclude"][-1]).render(_copier_operation=operation).split()


def rewrite(file: Path, written: Callable[[Path], str]) -> int:
    """Write a file anew, for a `main`.

    Args:
        file: The file.
        written: Its text, made in an empty folder.
    """
    with tempfile.TemporaryDirectory() as name, nothing_of_this_machine(Path(name, "settings")):
        (folder := Path(name, "work")).mkdir()
        file.write_text(written(folder))
    return 0


def matches(patterns: list[str] | tuple[str, ...], path: str) -> bool:
    """Whether Copier would hold these patterns to match this path."""
    return PathSpec.from_lines(copier._main._pathspec_pattern, patterns).match_file(path)
