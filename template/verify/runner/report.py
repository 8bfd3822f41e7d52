# Owned by the template: an update rewrites this file.
"""What is kept of a run: `.hardening/last-verify.json`, whole or not at all. It is written as a run begins, and anew as
each stage does, so that a run which is killed leaves no older proof in its place.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..result import Outcome
from .files import write_atomically
from .subprocesses import run

FILE = Path(".hardening", "last-verify.json")
RUN_ID = "VERIFY_RUN_ID"
"""The variable in which whoever starts verify names the run, to know its record from those of other runs."""


def write(project: Path, record: Mapping[str, Any]) -> None:
    """Put the record in the place of the last one.

    Raises:
        OSError: It cannot be written.
    """
    path = project / FILE
    path.parent.mkdir(exist_ok=True)
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
        found = [str(check["outcome"]) for check in record["checks"]]
        outcome = Outcome[str(record["outcome"]).upper()]
        stopped_at = record["stopped_at"]
        interrupted = bool(record["interrupted"])
    except (OSError, ValueError, LookupError, TypeError):
        return "could not tell, since it left no record"
    insecure = found.count("insecure")
    findings = f"{insecure} finding{'s' if insecure != 1 else ''}"
    if interrupted:
        so_far = f"; of what was checked by then, {findings} insecure" if insecure else ""
        return f"could not tell, since it was stopped at the stage {stopped_at}{so_far}"
    if code != outcome or (outcome is Outcome.PROVED) != (set(found) - {"warning"} == {"proved"}):
        return f"could not tell, since its record, which says {outcome.name.lower()}, does not agree"
    warned = found.count("warning")
    return {
        Outcome.PROVED: f"all else is proved, {warned} warning{'s' * (warned != 1)}" if warned else "all proved",
        Outcome.INSECURE: f"this service is not secure, {findings}",
        Outcome.UNVERIFIED: "not everything could be verified",
    }[outcome]


def commit_of(project: Path) -> str | None:
    """The commit that is proved, with `+` if files were changed since; nothing outside a repository."""
    try:
        at = run(["git", "rev-parse", "HEAD"], project, 5)
        changed = run(["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"], project, 5)
    except OSError:
        return None
    return at.out.strip() + ("+" if changed.out.strip() else "") if at.ok else None
