# Owned by the template: an update rewrites this file.
"""The lock file: what is installed is what was locked, with its hashes, and nothing that somebody slipped in since."""

from collections.abc import Iterator
from pathlib import Path

from ..result import Check, Options, Rule, UnverifiedError, listed
from ..runner import subprocesses
from ..runner.subprocesses import NO_UV
from .lockfile import REMEDY, Lock, folder_of

TIMEOUT = 60.0

CURRENT = Rule("lock", "lock.current", "uv.lock is there and holds what pyproject.toml asks for")
HASHES = Rule("lock", "lock.hashes", "every locked file has a hash")


def stage(options: Options) -> Iterator[Check]:
    """Whether `uv.lock` is there, belongs to `pyproject.toml`, and pins every file by its hash."""
    if not (folder_of(options.project) / "uv.lock").is_file():
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
    bare: dict[str, list[str]] = {}
    inside = 0
    for package in lock.published:
        hashes = bool(package.files) and all(hash_ for _, hash_ in package.files)
        if "git" in package.source or hashes:
            continue
        index = package.source.get("registry", "no index")
        if "://" not in index and _is_committed(folder_of(project) / index, [name for name, _ in package.files]):
            inside += 1
        else:
            bare.setdefault(index, []).append(str(package))
    if bare:
        return HASHES.insecure(
            "; ".join(f"{index} gives none for {listed(names)}" for index, names in bare.items()),
            "Whoever serves a file without a hash decides what it is. Take it from an index whose links end in `#sha256=...`, "
            "or commit it in a folder of this repository; then run `uv lock`.",
        )
    return HASHES.proved(f"{len(lock.published)} packages" + f", {inside} of them files that git holds" * bool(inside))


def _is_committed(folder: Path, names: list[str]) -> bool:
    """Whether these files of an index that is a folder are in a repository: then a commit says what they are."""
    try:
        ran = subprocesses.run(["git", "ls-files", "--error-unmatch", *names], folder.resolve(), TIMEOUT)
    except OSError:
        return False
    return bool(names) and ran.ok
