"""What a changed answer means for files that belong to the team.

An update leaves these alone. But who says `copier update -d ci=gitlab` wants the file for GitLab. What the answer
brings, takes away or changes shows when the same release is rendered with the old answers and with the new ones. A file
that nobody has edited since follows; an edited one stays as it is, and what to change in it is said.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from programs import CannotGoOnError, Programs
from verify.runner.terminal import printable

ANSWERS = ".copier-answers.yml"
# Dependencies come by their bounds. Files whose first line has the ownership marker are skipped as well.
LEFT_OUT = {ANSWERS, "pyproject.toml"}
OWNED = b"Owned by the template"
OF_NO_FILE = re.compile(r"[#_]|checks:")

Files = dict[str, bytes]


def follow(programs: Programs, template: Path, before: str) -> Iterator[str]:
    """Let the team's files follow changed answers, and yield what was done and what is left to do.

    Args:
        programs: Runs git and Copier.
        template: The clone of the template that Copier has at hand.
        before: The release that the service had before the update.

    Raises:
        CannotGoOnError: The files could not be rendered.
    """
    folder = programs.folder
    try:
        new = (folder / ANSWERS).read_text(encoding="utf-8")
        old = programs.ask(["git", "show", f"HEAD:./{ANSWERS}"])
    except (OSError, ValueError, subprocess.SubprocessError):
        return
    if answered(old) == answered(new):
        return
    with tempfile.TemporaryDirectory(prefix="answers.", ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        try:
            emitted, same, wanted = (
                of_the_team(render(programs, template, release, answers, scratch / kind))
                for kind, release, answers in (("emitted", before, old), ("same", "HEAD", old), ("wanted", "HEAD", new))
            )
        except CannotGoOnError as problem:
            raise CannotGoOnError(
                f"What the changed answers mean for your own files could not be found out: {problem}. "
                "Compare them with a service that is emitted with these answers."
            ) from None
    for name in sorted(same.keys() | wanted.keys()):
        if same.get(name) != wanted.get(name):
            yield from follow_in(folder / name, name, emitted.get(name), same.get(name), wanted.get(name))


def follow_in(path: Path, name: str, emitted: bytes | None, same: bytes | None, wanted: bytes | None) -> Iterator[str]:
    """Let one file follow, if it may."""
    try:
        theirs = path.read_bytes().replace(b"\r\n", b"\n") if path.exists() else None
        linked = path.resolve() != path.parents[name.count("/")].resolve() / name
        if theirs == wanted:
            return
        if theirs is None and not linked:
            if same is None and wanted is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(wanted)
                yield f"{name} is new, as the changed answers ask for."
        elif linked or theirs not in (emitted, same):  # what a link leads to may be anybody's
            yield f"{name} is yours and stays as it is. " + (
                "Nothing needs it any more."
                if wanted is None
                else f"The changed answers ask for this in it:\n{diff(name, same, wanted)}"
            )
        elif wanted is None:
            path.unlink()
            for parent in path.relative_to(path.parents[name.count("/")]).parents[:-1]:
                with contextlib.suppress(OSError):
                    (path.parents[name.count("/")] / parent).rmdir()
            yield f"{name} is gone, as the changed answers ask for; nobody had edited it."
        else:
            path.write_bytes(wanted)
            yield f"{name} follows the changed answers; nobody had edited it."
    except OSError as error:
        yield f"{name} could not follow the changed answers: {error.strerror}."


def answered(answers: str) -> set[str]:
    """The answers that files may depend on, each as it stands in the text."""
    return {each for each in re.split(r"^(?=\S)", answers, flags=re.MULTILINE) if not OF_NO_FILE.match(each)}


def render(programs: Programs, template: Path, release: str, answers: str, folder: Path) -> Files:
    """What a release of the template emits for these answers.

    Raises:
        CannotGoOnError: Copier does not render it; the text is the end of what it says.
    """
    data = folder.with_suffix(".yml")
    data.write_text(answers, encoding="utf-8")
    command = [sys.executable, "-m", "copier", "copy", "--skip-tasks", "--defaults", "--quiet", f"--vcs-ref={release}"]
    code, said = programs.run([*command, f"--data-file={data}", str(template), str(folder)], "answers")
    if code:
        raise CannotGoOnError(printable(" ".join(said.split())[-200:]))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def of_the_team(files: Files) -> Files:
    """Those of the files that are seeds."""
    return {
        name: content
        for name, content in files.items()
        if name not in LEFT_OUT and OWNED not in content.partition(b"\n")[0]
    }


def diff(name: str, same: bytes | None, wanted: bytes) -> str:
    """What the answers change in a file."""
    old, new = ((text or b"").decode("utf-8", "replace").splitlines() for text in (same, wanted))
    lines = difflib.unified_diff(old, new, name, name, lineterm="", n=1)
    return "\n".join(f"      {printable(line)}" for line in lines)
