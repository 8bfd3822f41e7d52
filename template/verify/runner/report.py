# Owned by the template: an update rewrites this file.
"""What is kept of a run: `.hardening/last-verify.json`, whole or not at all. It is written as a run begins, and anew as
each stage does, so that a run which is killed leaves no older proof in its place.
"""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..result import APART, WORDS, Outcome, Rule, apart, left_for_later
from .files import write_atomically
from .subprocesses import run

FILE = Path(".hardening", "last-verify.json")
PAGE, SARIF = FILE.with_name("report.html"), FILE.with_name("report.sarif")
KEPT = Rule("record", "verify.record", "keep the record")
RUN_ID = "VERIFY_RUN_ID"
"""The variable in which whoever starts verify names the run, to know its record from those of other runs."""


def new_run_id() -> str:
    """A name for a run, by whoever knows every outcome."""
    return f"all-outcomes-{uuid.uuid4().hex}"


def as_known(check: dict[str, Any], run_id: str) -> dict[str, Any]:
    """A check as whoever started the run knows it: `verify.update` up to 0.6.0 holds a record with an outcome that it does not
    know for one that contradicts itself.
    """
    is_new = Outcome[check["outcome"].upper()] in (Outcome.ACCEPTED, Outcome.NOT_LOOKED_AT)
    if not is_new or not run_id or run_id.startswith("all-outcomes-"):
        return check
    return {**check, "outcome": "warning", "seen": f"{WORDS[Outcome[check['outcome'].upper()]]}: {check['seen']}"}


def write(project: Path, record: Mapping[str, Any]) -> None:
    """Put the record in the place of the last one.

    Raises:
        OSError: It cannot be written.
    """
    path = project / FILE
    path.parent.mkdir(exist_ok=True)
    for made_of_the_last in (PAGE, SARIF):
        (project / made_of_the_last).unlink(missing_ok=True)
    write_atomically(path, f"{json.dumps(record, indent=2)}\n".encode())


def verdict(project: Path, run_id: str, code: int | None) -> str:
    """What a full run came to, in words. Its own record says so; an exit code alone proves nothing.

    Args:
        project: The root of the service's repository.
        run_id: What the run was called, in the variable `RUN_ID`.
        code: Its exit code; `None` if it was ended because its time was over.
    """
    try:
        record = json.loads((project / FILE).read_text(encoding="utf-8"))
        if not run_id or record["run"] != run_id or record["options"]["only"] or record["options"]["target"]:
            return "could not tell, since it left no record"
        found = [Outcome[str(check["outcome"]).upper()] for check in record["checks"]]
        outcome = Outcome[str(record["outcome"]).upper()]
        stopped_at = record["stopped_at"]
        interrupted = bool(record["interrupted"])
    except (OSError, ValueError, LookupError, TypeError):
        return "could not tell, since it left no record"
    insecure = found.count(Outcome.INSECURE)
    findings = f"{insecure} finding{'s' if insecure != 1 else ''}"
    if interrupted:
        so_far = f"; of what was checked by then, {findings} insecure" if insecure else ""
        return f"could not tell, since it was stopped at the stage {stopped_at}{so_far}"
    if code != outcome or (outcome is Outcome.PROVED) != (set(found).difference(APART) == {Outcome.PROVED}):
        return f"could not tell, since its record, which says {outcome.name.lower()}, does not agree"
    beside = apart(found)
    words = {
        Outcome.PROVED: "all else is proved" if beside else "all proved",
        Outcome.INSECURE: f"this service is not secure, {findings}",
        Outcome.UNVERIFIED: "not everything could be verified",
    }[outcome]
    return f"{words}{f', {beside}' * bool(beside)}{left_for_later(record['checks'])}"


def commit_of(project: Path) -> str | None:
    """The commit that is proved, with `+` if files were changed since; nothing outside a repository."""
    try:
        at = run(["git", "rev-parse", "HEAD"], project, 5)
        changed = run(["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"], project, 5)
    except OSError:
        return None
    return at.out.strip() + ("+" if changed.out.strip() else "") if at.ok else None
