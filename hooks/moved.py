"""Which files a release has no more, or elsewhere. Copier deletes them without a word, edits of the team and all.

What nobody had edited is counted. What the team had edited is named, with where the edit is now: in the commit before
the update and, if the file has only moved, in a patch for its new place.
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from programs import CannotGoOnError, Programs
from seeds import ANSWERS, Files, render
from verify.runner.terminal import printable

SIMILAR = "--find-renames=40%"  # a file that moves has its imports adjusted as well


def taken_away(programs: Programs, template: Path, before: str) -> Iterator[str]:
    """Say what is gone from the service, in one line, and by name what its team had edited.

    Args:
        programs: Runs git and Copier.
        template: The clone of the template that Copier has at hand.
        before: The release that the service had before the update.
    """
    try:
        names = deleted(programs)
        head = programs.ask(["git", "rev-parse", "--short", "HEAD"]).strip()
    except (OSError, subprocess.SubprocessError):
        yield "Which files the update took away could not be found out: git does not answer here."
        return
    if not names:
        return
    with tempfile.TemporaryDirectory(prefix="moved.", ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        try:
            answers = programs.ask(["git", "show", f"{head}:./{ANSWERS}"])
            emitted = render(programs, template, before, answers, scratch / "emitted")
            theirs = {each: programs.read(["git", "show", f"{head}:./{each}"]) for each in names}
            edited = {
                each: text
                for each, text in theirs.items()
                if each not in emitted or lines(text) != lines(emitted[each])
            }
            yield from counted(len(names) - len(edited))
            yield from named(programs, scratch, head, edited, emitted)
            for reject in rejects_of_the_gone(programs.folder, (f"{each}.rej" for each in names)):
                (programs.folder / reject).unlink(missing_ok=True)
        except (OSError, subprocess.SubprocessError, CannotGoOnError) as problem:
            yield (
                f"{len(names)} files of the template have moved or gone. Which of them had been edited could not be "
                f"found out: {printable(str(problem))}. `git diff --diff-filter=D {head}` shows what they held."
            )


def deleted(programs: Programs) -> list[str]:
    """The files of the last commit that are not there any more. One that has moved and is staged is one of them."""
    options = ["--name-only", "--relative", "--diff-filter=D", "--no-renames", "-z", "HEAD"]
    return sorted(each for each in programs.ask(["git", "diff", *options]).split("\0") if each)


def rejects_of_the_gone(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Those of the rejects that are of no use: what did not fit into a file has no file any more.

    `copier update --conflict=rej` leaves one for each edit of a file that it then deletes.
    """
    for name in names:
        if name.endswith(".rej") and not (folder / name.removesuffix(".rej")).exists():
            yield name


def counted(count: int) -> Iterator[str]:
    """One line for all that nobody will miss."""
    if count:
        which = "One file of the template has" if count == 1 else f"{count} files of the template have"
        yield f"{which} moved or gone; nobody had edited {'it' if count == 1 else 'them'}."


def named(programs: Programs, scratch: Path, head: str, edited: Files, emitted: Files) -> Iterator[str]:
    """A line for each file that the team had edited, and the patch for those that have moved."""
    new_paths = find_moved(programs, scratch, {each: emitted[each] for each in edited if each in emitted})
    for name in edited:
        where = f"is now {printable(new_paths[name])}" if name in new_paths else "is gone: the template has it no more"
        command = f"git show {shlex.quote(f'{head}:./{name}')}"
        yield f"{printable(name)} {where}, and it had been edited. What it held: {printable(command)}"
    if not new_paths:
        return
    patch = programs.folder / ".hardening" / f"edits-{head}.patch"
    prefix = programs.ask(["git", "rev-parse", "--show-prefix"]).strip()  # git takes paths from the root
    write(scratch / "a" / prefix, {path: lines(emitted[name]) for name, path in new_paths.items()})
    write(scratch / "b" / prefix, {path: lines(edited[name]) for name, path in new_paths.items()})
    patch.parent.mkdir(exist_ok=True)
    patch.write_bytes(compare(programs, scratch, "--binary"))
    kept_in = patch.relative_to(programs.folder).as_posix()
    yield (
        f"The edits of files that have moved are kept in {kept_in}. An update conflicts with them again and again: say "
        f"by a setting, or by what a seed passes in, what they are for. `git apply --3way {kept_in}` brings them back."
    )


def find_moved(programs: Programs, scratch: Path, gone: Files) -> dict[str, str]:
    """Where files have moved to that look much like those which are gone."""
    if not gone:
        return {}
    listed = programs.ask(["git", "ls-files", "-z", "--others", "--exclude-standard"])
    listed += programs.ask(
        ["git", "diff", "--name-only", "--relative", "--diff-filter=A", "--no-renames", "-z", "HEAD"]
    )
    paths = {each: programs.folder / each for each in listed.split("\0") if each}
    come = {each: path.read_bytes() for each, path in paths.items() if path.is_file() and not path.is_symlink()}
    write(scratch / "a", gone)
    write(scratch / "b", come)
    fields = compare(programs, scratch, "--name-status", "--diff-filter=R", SIMILAR, "-z").split(b"\0")
    names = [each.decode("utf-8", "surrogateescape").partition("/")[2] for each in fields]
    new_paths = dict(zip(names[1::3], names[2::3], strict=False))
    for side in ("a", "b"):
        (scratch / side).rename(scratch / f"{side}.done")
    return new_paths


def compare(programs: Programs, scratch: Path, *options: str) -> bytes:
    """What git says of the folders `a` and `b`, whatever the user's configuration makes of a diff."""
    switches = ["--no-index", "--no-ext-diff", "--no-textconv", "--no-color", "--no-prefix"]
    command = ["git", "-C", str(scratch), "diff", *switches, *options, "a", "b"]
    return programs.read(command, differs=1)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def lines(text: bytes) -> bytes:
    """A text whose line ends are those of the template, whatever git was told to make of them."""
    return text.replace(b"\r\n", b"\n")
