# Owned by the template: an update rewrites this file.
"""`python -m verify.update --offers`, `--take FILE ...` and `--decline FILE --reason TEXT`: what to do about offers.

An offer is a change to a file of the team's that the template's changelog names. `.hardening/seeds.json` lists them,
`.hardening/seeds.patch` holds those that can be merged; `--take` writes them into the files and commits nothing.
Exit code: 0 it was done, 2 it was not, with a sentence that says why.
"""

import argparse
import json
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..common.addresses import masked
from ..result import Outcome, UnverifiedError
from ..runner import subprocesses
from ..runner.files import write_atomically
from ..runner.terminal import printable
from . import patches
from .offers import Offer, Search
from .seeds import FOUND, OFFERS, PATCH, PYPROJECT
from .template_repo import Template, recorded_answers

COMMAND = OFFERS.removesuffix(" --offers")


class RefusedError(Exception):
    """An offer is not taken or declined; the message says why."""


def main(project: Path, arguments: Sequence[str]) -> int:
    """Look for offers, and take or decline some."""
    parser = argparse.ArgumentParser(prog="python -m verify.update", description=__doc__)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--offers", action="store_true", help="list them, and change nothing")
    asked.add_argument("--take", nargs="+", metavar="FILE", help="write what is offered into these files")
    asked.add_argument("--decline", metavar="FILE", help="do without it, and remember why in pyproject.toml")
    parser.add_argument("--reason", default="", help="why it is declined")
    parser.add_argument("--template", default="", metavar="CLONE", help="a clone of the template that is at hand")
    options = parser.parse_args(arguments)
    try:
        found = look(project, options.template)
        if options.offers:
            lines = list(listed(found))
        elif options.take:
            lines = list(take(project, found, options.take))
        else:
            lines = [decline(project, found, options.decline, options.reason)]
    except (UnverifiedError, RefusedError, OSError) as error:
        print(masked(str(error)), getattr(error, "remedy", ""), file=sys.stderr)
        return Outcome.UNVERIFIED
    for line in lines:
        print(line)
    return Outcome.PROVED


def look(project: Path, source: str = "") -> list[Offer]:
    """Find the offers, and write down what was found.

    Args:
        project: The root of the service's repository.
        source: A clone of the template that is at hand, to ask instead of the recorded address.

    Raises:
        UnverifiedError: The template does not answer.
        OSError: A file cannot be read or written.
    """
    for older in (FOUND, PATCH):
        (project / older).unlink(missing_ok=True)
    package = recorded_answers(project).get("package_name", "")
    with tempfile.TemporaryDirectory(prefix="offers-", ignore_cleanup_errors=True) as scratch:
        template = Template.of(project, Path(scratch).resolve(), source)
        found = Search(project, package, template).offers()
    record(project, template.version, found)
    return found


def record(project: Path, release: str, found: Sequence[Offer]) -> None:
    """Write `.hardening/seeds.json` and, of what can be taken, `.hardening/seeds.patch`."""
    (project / FOUND).parent.mkdir(exist_ok=True)
    told = {"release": release, "offers": [each.as_json() for each in found]}
    write_atomically(project / FOUND, f"{json.dumps(told, indent=2)}\n".encode())
    (project / PATCH).unlink(missing_ok=True)
    ready = {each.file: each.new for each in found if each.state == "open" and each.new is not None}
    if ready:
        with tempfile.TemporaryDirectory(prefix="offers-", ignore_cleanup_errors=True) as name:
            scratch = Path(name).resolve()
            for file, new in ready.items():
                (scratch / "wanted" / file).parent.mkdir(parents=True, exist_ok=True)
                (scratch / "wanted" / file).write_bytes(new)
            patches.write(project, scratch, project / PATCH, scratch / "wanted", ready)


def listed(found: Sequence[Offer]) -> Iterator[str]:
    """The offers for a person, with the command that takes those that can be taken."""
    before = ""
    for each in found:
        yield f"{each.state}: {printable(each.say)}"
        if each.reason != before:
            yield f"    {each.release}: {printable(each.reason)}"
        before = each.reason
        if each.state == "open" and each.edited:
            yield "\n".join(f"    {printable(line)}" for line in each.diff.splitlines())
    waiting = [each for each in found if each.state == "open"]
    if ready := [each.file for each in waiting if each.new is not None]:
        yield f"{PATCH.as_posix()} holds what can be taken: `{COMMAND} --take {' '.join(ready)}`."
    if waiting:
        yield f"To do without one: `{COMMAND} --decline FILE --reason '...'`."
    else:
        yield "No offer is open."


def take(project: Path, found: Sequence[Offer], files: Sequence[str]) -> Iterator[str]:
    """Write what is offered into these files, all of them or none.

    Raises:
        RefusedError: One of them is not as it has to be.
        OSError: One cannot be written.
    """
    chosen = [_named(found, file) for file in files]
    for offer in chosen:
        if problem := _in_the_way(project, offer):
            raise RefusedError(f"Nothing was changed. {problem}")
    written: list[tuple[Path, bytes | None]] = []
    try:
        for offer in chosen:
            path = project / offer.file
            path.parent.mkdir(parents=True, exist_ok=True)
            old = offer.old if path.exists() else None
            write_atomically(path, offer.new or b"")
            written.append((path, old))
    except OSError:
        for path, old in written:
            path.unlink() if old is None else write_atomically(path, old)
        raise
    yield from (f"{offer.file} has what {offer.release} offers." for offer in chosen)
    record(project, chosen[0].release, [each for each in found if each not in chosen])
    yield "Look at `git diff`, then `uv run --locked python -m verify`, and commit it."


def _named(found: Sequence[Offer], file: str) -> Offer:
    for offer in found:
        if offer.file == file.removeprefix("./"):
            return offer
    names = ", ".join(each.file for each in found) or "nothing"
    raise RefusedError(f"Nothing was changed. There is no offer for {file}; offered is {names}.")


def _in_the_way(project: Path, offer: Offer) -> str:
    """Why an offer cannot be taken."""
    path = project / offer.file
    if offer.state == "gone" or offer.new is None:
        return offer.say
    if path.resolve() != project.resolve() / offer.file:
        return f"{offer.file} is a link, or in a folder that is one: change what it leads to by hand."
    if path.exists() and not path.stat().st_mode & 0o200:
        return f"{offer.file} is read-only: `chmod u+w {offer.file}` first."
    if subprocesses.run(["git", "check-ignore", "--quiet", "--", offer.file], project, 60).code == 0:
        return f"{offer.file} is ignored by git, which could not bring it back: take it out of .gitignore, or write it by hand."
    status = subprocesses.run(["git", "status", "--porcelain", "--", offer.file], project, 60)
    if not status.ok:
        return f"Whether {offer.file} has edits that are not committed, git does not say: {status.tail()}"
    if status.out:
        return f"{offer.file} has edits that are not committed: commit or stash them first."
    if (path.read_bytes() if path.exists() else b"") != offer.old:
        return f"{offer.file} has changed while offers were looked for: run it again."
    return ""


def decline(project: Path, found: Sequence[Offer], file: str, reason: str) -> str:
    """Remember in `pyproject.toml` that the team does without an offer.

    Raises:
        RefusedError: There is no such offer, no reason, or no place for it.
        OSError: It cannot be written.
    """
    offer = _named(found, file)
    if not reason.strip():
        raise RefusedError("Nothing was changed. Say why, for those who come after you: `--reason '...'`.")
    if any("\ud800" <= each <= "\udfff" for each in reason):  # how Python reads bytes that are not UTF-8
        raise RefusedError("Nothing was changed. The reason is not UTF-8: write it in other characters.")
    path = project / PYPROJECT
    before = path.read_bytes()
    told = {"file": offer.file, "release": offer.release, "reason": " ".join(reason.split())}
    lines = ["", "[[tool.hardening.declined]]", *(f"{key} = {_quoted(value)}" for key, value in told.items()), ""]
    end = b"\r\n" if b"\r\n" in before else b"\n"
    try:
        after = before.rstrip() + end + end.join(line.encode() for line in lines)
        tomllib.loads(after.decode())
    except ValueError as error:
        raise RefusedError(f"Nothing was changed. {PYPROJECT} takes no [[tool.hardening.declined]]: {error}") from None
    write_atomically(path.resolve(), after)
    record(project, offer.release, [each for each in found if each is not offer])
    return f"{offer.file} stays as it is; {PYPROJECT} remembers why. What a later release names is offered again."


def _quoted(text: str) -> str:
    """A text as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
