# Owned by the template: an update rewrites this file.
"""`python -m verify.update` takes in the newest release, proves the service again, and prepares a pull request.

For pipelines: `.hardening/update.patch` is what changed, `.hardening/update.md` what the update and verify said. An
empty patch means that there is nothing newer. Like `copier update --trust` it runs the template's hook; so let it run
where no right to write is at hand, and let another job push. What changed is also staged. Exit code: 0 both files are
there, 2 the update could not be made.
"""

import sys
from pathlib import Path

from ..result import Outcome
from ..runner import processes, subprocesses
from .template_repo import COPIER, masked

FOLDER = ".hardening"
TIMEOUT = 1500.0
"""Seconds that the update, and the proof after it, may take."""
LONGEST = 28_000
"""Characters of each part of the report: a pull request takes 65,536 in all."""

_UPDATE = ["tool", "run", "--from", COPIER, "copier", "update", "--trust", "--defaults"]
_VERIFY = ["run", "--locked", "python", "-m", "verify"]


def main() -> int:
    """Update the service that this file belongs to."""
    processes.install_signal_handlers()
    project = Path(__file__).resolve().parent.parent.parent
    folder = project / FOLDER
    folder.mkdir(exist_ok=True)
    patch, report = folder / "update.patch", folder / "update.md"
    try:
        status = subprocesses.run(["git", "status", "--porcelain"], project, 60)
        if not status.ok or status.out:
            print(f"Commit or stash first: {status.tail() or 'this is no git repository'}", file=sys.stderr)
            return Outcome.UNVERIFIED
        updated = subprocesses.run([subprocesses.uv(), *_UPDATE], project, TIMEOUT)
        subprocesses.run(["git", "add", "--all", "."], project, 60)
        made = subprocesses.run(["git", "diff", "--cached", "--binary", f"--output={patch}"], project, 60)
        is_new = made.ok and patch.stat().st_size > 0
        said = {"copier update": updated}
        if is_new:
            said = {"verify": subprocesses.run([subprocesses.uv(), *_VERIFY], project, TIMEOUT), **said}
    except OSError as error:
        print(f"{error}. Both git and uv have to be on the PATH.", file=sys.stderr)
        return Outcome.UNVERIFIED
    text = "\n".join(_section(name, ran) for name, ran in said.items())
    report.write_text(text, encoding="utf-8")
    print(text)
    return Outcome.PROVED if is_new or (made.ok and updated.ok) else Outcome.UNVERIFIED


def _section(name: str, ran: subprocesses.Ran) -> str:
    code = "was stopped" if ran.code is None else f"ended with exit code {ran.code}"
    means = {0: "all proved", 1: "this service is not secure", 2: "not everything could be verified"}
    verdict = f": {means.get(ran.code or 0, 'look at what it says')}" if name == "verify" else ""
    text = masked(f"{ran.out}\n{ran.err}".strip())
    shown = text if len(text) <= LONGEST else f"[...]\n{text[-LONGEST:]}"
    return f"`{name}` {code}{verdict}.\n\n~~~~~~text\n{shown.replace('~~~', '~ ~ ~')}\n~~~~~~\n"
