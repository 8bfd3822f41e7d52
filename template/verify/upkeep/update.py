# Owned by the template: an update rewrites this file.
"""`python -m verify.update` takes in the newest release, proves the service again, and prepares a pull request.

For pipelines: `.hardening/update.patch` is what changed, `.hardening/update.md` what the update and verify said. An
empty patch means that there is nothing newer. Like `copier update --trust` it runs the template's hook; so let it run
where no right to write is at hand, and let another job push. What changed is also staged. Exit code: 0 both files are
there, 2 the update could not be made, or it was stopped and half of it is not worth a pull request.
"""

import json
import sys
from pathlib import Path

from ..common.addresses import masked
from ..result import Outcome, UnverifiedError
from ..runner import certificates, processes, report, subprocesses
from ..runner.terminal import Terminal
from . import overlay
from .seeds import FOUND, OFFERS, PATCH
from .template_repo import COPIER, refuse_secret

FOLDER = ".hardening"
TIMEOUT = 1500.0
"""Seconds that the update, and the proof after it, may take."""
LONGEST = 28_000
"""Characters of each part of the report: a pull request takes 65,536 in all."""

SHORTER = 7_000
"""Characters of the patch that is offered."""

_UPDATE = ["tool", "run", "--from", COPIER, "copier", "update", "--trust", "--defaults"]
_VERIFY = ["run", "--locked", "python", "-m", "verify"]


def main() -> int:
    """Update the service that this file belongs to."""
    project = Path(__file__).resolve().parent.parent.parent
    certificates.trust(project)
    patch, summary = (project / FOLDER / name for name in ("update.patch", "update.md"))
    patch.parent.mkdir(exist_ok=True)
    for older in (patch, summary):
        older.unlink(missing_ok=True)
    try:
        processes.install_signal_handlers()
        status = subprocesses.run(["git", "status", "--porcelain"], project, 60)
        if not status.ok or status.out:
            print(f"Commit or stash first: {status.tail() or 'this is no git repository'}", file=sys.stderr)
            return Outcome.UNVERIFIED
        refuse_secret(project)
        text, code = _update(project, patch)
    except UnverifiedError as error:
        text, code = f"Nothing was updated: {error.seen}. {error.remedy}\n", Outcome.UNVERIFIED
    except OSError as error:
        text, code = f"{error}. Both git and uv have to be on the PATH.\n", Outcome.UNVERIFIED
    except KeyboardInterrupt:
        text, code = "Stopped before its end: nothing is proved. Run it again.\n", Outcome.UNVERIFIED
    processes.work_is_done()
    if code is not Outcome.PROVED:
        patch.write_bytes(b"")
    summary.write_text(text, encoding="utf-8")
    Terminal(sys.stdout).document(f"{text}\n")
    return code


def _update(project: Path, patch: Path) -> tuple[str, Outcome]:
    """Make the update and prove what came of it: the report, and whether there is something to propose."""
    updated = subprocesses.run([subprocesses.uv(), *_UPDATE], project, TIMEOUT)
    if _was_stopped(updated.code):
        return _section("copier update", updated, "half of an update may be here, and it is not proposed"), (
            Outcome.UNVERIFIED
        )
    subprocesses.run(["git", "add", "--all", "."], project, 60)
    about_overlay = overlay.update(project)
    made = subprocesses.run(["git", "diff", "--cached", "--binary", f"--output={patch}"], project, 60)
    about_update = _section("copier update", updated) + about_overlay
    if not (made.ok and patch.stat().st_size):
        return about_update, Outcome.PROVED if made.ok and updated.ok else Outcome.UNVERIFIED
    run_id = report.new_run_id()
    ran = subprocesses.run([subprocesses.uv(), *_VERIFY], project, TIMEOUT, {report.RUN_ID: run_id})
    about_verify = _section("verify", ran, report.verdict(project, run_id, ran.code))
    return f"{about_verify}\n{_offers(project)}{about_update}", Outcome.PROVED


def _offers(project: Path) -> str:
    """What the hook found to offer for the team's own files: a second patch, of which nothing is in the first."""
    try:
        text = (project / PATCH).read_text(encoding="utf-8", errors="replace")
        offers = json.loads((project / FOUND).read_text(encoding="utf-8"))["offers"]
        says = [f"- {each['say']} {each['release']}: {each['reason']}" for each in offers if each["state"] == "open"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    shown = text if len(text) <= SHORTER else f"`{OFFERS}` shows it: it is too long for this page.\n"
    head = "Offered for your own files, and not part of this proposal (`git apply`, or `--take` after the merge):"
    return masked("\n".join([head, "", *says, "", "~~~~~~diff", f"{shown.replace('~~~', '~ ~ ~')}~~~~~~", "", ""]))


def _was_stopped(code: int | None) -> bool:
    """Whether a command did not end by itself. `uv` adds 128 to the number of the signal that ended what it ran."""
    return code is None or code < 0 or code > 128


def _section(name: str, ran: subprocesses.Ran, verdict: str = "") -> str:
    ended = f"was stopped after {TIMEOUT:g} s" if ran.code is None else f"ended with exit code {ran.code}"
    text = masked(f"{ran.out}\n{ran.err}".strip())
    shown = text if len(text) <= LONGEST else f"[...]\n{text[-LONGEST:]}"
    quoted = shown.replace("~~~", "~ ~ ~")
    return f"`{name}` {ended}{f': {verdict}' if verdict else ''}.\n\n~~~~~~text\n{quoted}\n~~~~~~\n"
