# Owned by the template: an update rewrites this file.
"""The lock file: what is installed is what was locked, with its hashes, and nothing that somebody slipped in since."""

from collections.abc import Iterator
from pathlib import Path

from ..result import Check, Options, Rule, UnverifiedError, listed
from ..runner import subprocesses
from ..runner.subprocesses import NO_UV
from .lockfile import REMEDY, Lock

TIMEOUT = 60.0

CURRENT = Rule("lock", "lock.current", "uv.lock is there and holds what pyproject.toml asks for")
HASHES = Rule("lock", "lock.hashes", "every locked file has a hash")


def stage(options: Options) -> Iterator[Check]:
    """Whether `uv.lock` is there, belongs to `pyproject.toml`, and pins every file by its hash."""
    if not (options.project / "uv.lock").is_file():
        yield CURRENT.insecure("there is no uv.lock: every install may differ", REMEDY)
        return
    try:
        ran = subprocesses.run([subprocesses.uv(), "lock", "--check"], options.project, TIMEOUT)
    except OSError as error:
        yield CURRENT.unverified(f"uv cannot be started: {error}", NO_UV)
        return
    if ran.code is None:
        seen = f"uv gave no answer within {TIMEOUT:g} s"
        yield CURRENT.unverified(seen, "Try `uv lock --check` by hand; it may need the network.")
    elif ran.ok:
        yield CURRENT.proved("`uv lock --check` finds nothing to change")
    elif "needs to be updated" in ran.err or "Failed to parse `uv.lock`" in ran.err:
        yield CURRENT.insecure("pyproject.toml asks for something else by now", REMEDY)
    elif "No solution found" in ran.err:
        seen = f"what pyproject.toml asks for cannot be resolved: {ran.tail()}"
        yield CURRENT.insecure(seen, "Change the bounds in pyproject.toml; `uv lock` says which.")
    else:
        remedy = "With the package index in reach, run `uv lock --check` again."
        yield CURRENT.unverified(f"uv could not tell: {ran.tail()}", remedy)
    yield _hashes(options.project)


def _hashes(project: Path) -> Check:
    try:
        lock = Lock.read(project)
    except UnverifiedError as error:
        return HASHES.unverified(error)
    bare = [
        str(package)
        for package in lock.published
        if "git" not in package.source and not (package.files and all(hash_ for _, hash_ in package.files))
    ]
    if bare:
        remedy = "Take these from an index that gives hashes; without one, whoever serves the file decides what it is."
        return HASHES.insecure(listed(bare), remedy)
    return HASHES.proved(f"{len(lock.published)} packages")
