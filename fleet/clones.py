"""Services as git has them: a folder of clones, or addresses that are cloned for the look alone."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from . import records
from .model import ANSWERS, LARGEST, PYPROJECT, WAIVERS, Reading, branch_of
from .programs import Programs
from .template import answers_of
from .words import UnreadableError, UsageError, masked, printable

RECORDS = Path(".hardening")
NO_RECORD = "no .hardening/last-verify.json in this clone; run `uv run --locked python -m verify` there"
NO_PIPELINE = "an address alone has no pipeline; --github and --gitlab read what pipelines recorded"


def folders(root: Path) -> list[Path]:
    """The repositories in a folder: itself, or those that stand right in it, each once however many links lead to it.

    Raises:
        UsageError: There is no such folder, or nothing in it.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is no folder. --clones takes the folder that your clones stand in.")
    if (root / ".git").exists():
        return [root]
    found = sorted(path for path in root.iterdir() if path.is_dir() and ((path / ".git").exists() or _is_bare(path)))
    if not found:
        raise UsageError(f"No repository stands in {root}. --clones takes the folder that your clones stand in.")
    once = {path.resolve(): path for path in sorted(found, key=Path.is_symlink, reverse=True)}
    return sorted(once.values())


def _is_bare(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir()


def addresses(file: Path) -> list[str]:
    """The addresses in a file, one a line; `#` begins a comment.

    Raises:
        UsageError: It cannot be read, holds none, or one that git would take for an option.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}. It is a text file with one address a line.") from None
    found: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        address = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if not address:
            continue
        if address.startswith("-") or re.search(r"\s|::", address):
            raise UsageError(f"{file}, line {number}: {printable(address)!r} is no address that git can clone.")
        if masked(address) != address:
            raise UsageError(
                f"{file}, line {number}: take the password or token out of the address. git asks its credential helper."
            )
        found[address] = None
    if not found:
        raise UsageError(f"{file} holds no address. Write one a line, such as https://github.com/org/orders-api.")
    return list(found)


def services(folder: Path, name: str, programs: Programs, *, is_clone: bool) -> Iterator[Reading]:
    """The services of one repository, each by its answers file; none if no folder of it has one.

    Args:
        folder: The repository.
        name: What it is called.
        programs: What runs git.
        is_clone: Whether somebody works in it, so that it may hold records of `verify`.
    """
    head = programs.git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", folder=folder)
    if not head.ok:
        # git says nothing of an empty repository here, and a lot of one that belongs to somebody else.
        said = head.last() or "it has no commit"
        remedy = "Run `git status` there; it says what is in the way."
        yield Reading(name, problem=said, remedy=remedy)
        return
    listed = programs.git("ls-tree", "-r", "-z", "--full-tree", "HEAD", folder=folder)
    if not listed.ok:
        yield Reading(name, problem=listed.last(), remedy="Run `git fsck` there.")
        return
    tree = {}
    for line in listed.text.split("\0"):
        kind, _, path = line.partition("\t")
        if path:
            tree[path] = kind.split()[2]
    for answers in sorted(path for path in tree if PurePosixPath(path).name == ANSWERS):
        prefix = answers.removesuffix(ANSWERS)
        if {"tests", "template"}.isdisjoint(PurePosixPath(prefix).parts):
            own = f"{name}/{prefix.rstrip('/')}" if prefix else name
            yield _service(folder, own, prefix, head.text.strip(), tree, programs, is_clone=is_clone)


def _service(
    folder: Path, name: str, prefix: str, head: str, tree: dict[str, str], programs: Programs, *, is_clone: bool
) -> Reading:
    reading = Reading(name, head=head)
    try:
        reading.answers = answers_of(_blob(folder, tree[prefix + ANSWERS], programs))
        reading.tree = {path.removeprefix(prefix): id_ for path, id_ in tree.items() if path.startswith(prefix)}
        for path in (WAIVERS, PYPROJECT):
            if path in reading.tree:
                reading.files[path] = _blob(folder, reading.tree[path], programs)
    except UnreadableError as error:
        reading.problem, reading.remedy = str(error), error.remedy
        return reading
    if not is_clone:
        reading.no_records = NO_PIPELINE
        return reading
    own = folder / prefix / RECORDS
    reading.records = [found for path in _small(own, "*.json") if (found := records.parse(path.read_bytes()))]
    reading.no_records = NO_RECORD
    for record in reading.records:
        commit = record.get("commit")
        if isinstance(commit, str) and commit != head and _same_tree(folder, commit, prefix, programs):
            record["commit"] = head
    for file in _small(own, "seeds.json"):
        reading.offers = records.offered(file.read_bytes())
    branch = programs.git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch_of(prefix)}", folder=folder)
    if branch.ok:
        merged = programs.git("merge-base", "--is-ancestor", branch.text.strip(), "HEAD", folder=folder)
        reading.request = "" if merged.ok else f"branch {branch_of(prefix)}"
    return reading


def _small(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that are not too large to be a record, and no links."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    found = (path for path in sorted(folder.glob(pattern)) if path.is_file() and not path.is_symlink())
    return [path for path in found if path.stat().st_size <= LARGEST]


def _same_tree(folder: Path, commit: str, prefix: str, programs: Programs) -> bool:
    """Whether a service is the same in a commit as it is in HEAD, though others have changed in its repository."""
    if not prefix or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        return False
    asked = [f"{each}:{prefix}" for each in (commit, "HEAD")]
    ran = programs.git("rev-parse", "--verify", "--end-of-options", asked[0], folder=folder)
    other = programs.git("rev-parse", "--verify", "--end-of-options", asked[1], folder=folder)
    return ran.ok and other.ok and ran.text == other.text


def _blob(folder: Path, name: str, programs: Programs) -> str:
    ran = programs.git("cat-file", "blob", name, folder=folder)
    if not ran.ok or len(ran.out) > LARGEST:
        raise UnreadableError(ran.last() or "a file is too large", "Run `git fsck` there.")
    return ran.text


def cloned(address: str, folder: Path, programs: Programs) -> Path:
    """The newest commit of a repository, in a folder that does not exist yet.

    Raises:
        UnreadableError: It cannot be cloned.
    """
    local = Path(address)
    # git makes no shallow clone of a path, only of an address.
    source = local.resolve().as_uri() if local.is_dir() else address
    ran = programs.git("clone", "--quiet", "--bare", "--depth=1", "--", source, folder, folder=folder.parent)
    if not ran.ok:
        remedy = f"`git ls-remote {masked(address)}` has to work here without a question."
        raise UnreadableError(ran.last() or "it cannot be cloned", remedy)
    return folder
