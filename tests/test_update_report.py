"""What `verify.update` says of the proof that it ran: the record of that run decides, and nothing else."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from verify.result import Outcome
from verify.runner import processes, report, subprocesses
from verify.runner.subprocesses import Ran
from verify.upkeep import update

from .conftest import commit, git
from .mini_template import release, service_of, small_template

NO_RECORD = "could not tell, since it left no record"
PROVED = {"outcome": "proved", "found": ["proved", "proved"]}
INSECURE = {"outcome": "insecure", "found": ["proved", "insecure", "unverified"]}
UNVERIFIED = {"outcome": "unverified", "found": ["proved", "unverified"]}
STOPPED = {"outcome": "unverified", "found": ["proved"], "stopped_at": "tests"}
STOPPED_LATE = {**STOPPED, "found": ["proved", "insecure"]}


def leave_record(project: Path, outcome: str, found: Sequence[str], **more: Any) -> None:
    """Write what verify would have written."""
    told = {
        "outcome": outcome,
        "interrupted": "stopped_at" in more,
        "stopped_at": None,
        "options": {"only": "", "target": ""},
        "checks": [
            {
                "step": "tests",
                "id": "tests.later" * (each == "not_looked_at"),
                "outcome": each,
                "seen": "9 are left",
            }
            for each in found
        ],
        **more,
    }
    path = project / report.FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("code", "left", "says"),
    [
        (0, PROVED, "all proved"),
        (0, {**PROVED, "found": ["proved", "accepted", "accepted"]}, "all else is proved, 2 accepted"),
        (0, {**PROVED, "found": ["proved", "not_looked_at"]}, "all else is proved, 1 not looked at; 9 are left"),
        (0, {**PROVED, "found": ["not_looked_at", "warning"]}, "does not agree"),
        (1, INSECURE, "this service is not secure, 1 finding"),
        (2, UNVERIFIED, "not everything could be verified"),
        (2, STOPPED, "could not tell, since it was stopped at the stage tests"),
        (None, STOPPED, "could not tell, since it was stopped at the stage tests"),
        (-9, STOPPED, "could not tell, since it was stopped at the stage tests"),
        (137, STOPPED_LATE, "stopped at the stage tests; of what was checked by then, 1 finding insecure"),
        (None, PROVED, "could not tell, since its record, which says proved, does not agree"),
        (1, PROVED, "could not tell, since its record, which says proved, does not agree"),
        (0, {**PROVED, "found": ["proved", "unverified"]}, "does not agree"),
        (0, {**PROVED, "found": []}, "does not agree"),
        (0, {**PROVED, "run": "that of yesterday"}, NO_RECORD),
        (0, {**PROVED, "options": {"only": "audit", "target": ""}}, NO_RECORD),
        (0, {**PROVED, "options": {"only": "", "target": "https://api.example.com"}}, NO_RECORD),
        *[(code, None, NO_RECORD) for code in (None, 0, 1, 2, -15)],
    ],
    ids=str,
)
def test_a_request_says_what_the_record_of_its_run_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None, left: dict[str, Any] | None, says: str
) -> None:
    leave_record(tmp_path, **PROVED, run="")  # type: ignore[arg-type]
    patch = tmp_path / "update.patch"
    patch.write_text("something has changed")

    def run(command: Sequence[str | Path], folder: Path, timeout: float, variables: Any = None) -> Ran:
        if command[-1] != "verify":
            return Ran(0, "", "")
        if left is not None:
            leave_record(tmp_path, **{"run": variables[report.RUN_ID], **left})
        return Ran(code, "its last words", "")

    monkeypatch.setattr(subprocesses, "run", run)

    text, outcome = update._update(tmp_path, patch)

    first = text.splitlines()[0]
    assert says in first
    assert ("all proved" in first) == (says == "all proved")
    assert outcome is Outcome.PROVED, "there is something to propose, whatever is said of it"


@pytest.mark.parametrize("code", [None, -9, 137, 143])
def test_half_an_update_is_not_proposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None) -> None:
    monkeypatch.setattr(subprocesses, "run", lambda *_: Ran(code, "", ""))

    text, outcome = update._update(tmp_path, tmp_path / "update.patch")

    assert outcome is Outcome.UNVERIFIED
    assert text.startswith("`copier update` ")
    assert "it is not proposed" in text.splitlines()[0]


def test_a_verify_that_is_killed_is_not_proved(tmp_path: Path) -> None:
    template = small_template(tmp_path / "template")
    service = service_of(template, tmp_path / "orders-api")
    subprocesses.run(["uv", "lock", "--quiet"], service, 60)
    commit(service, "locked")
    stage = template / "template/verify/stages/configuration/__init__.py"
    stage.write_text(f"import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n{stage.read_text()}")
    release(template, "1.1.0", "Security", "A hole.")
    (service / ".hardening").mkdir()
    (service / ".hardening" / "update.md").write_text("`verify` ended with exit code 0: all proved.\n")

    done = subprocesses.run(["uv", "run", "--quiet", "python", "-m", "verify.update"], service, 120)

    assert done.code == 0, done.err
    told = (service / ".hardening" / "update.md").read_text()
    assert re.match(
        r"`verify` ended with exit code \d+: could not tell, since it was stopped at the stage configuration", told
    )
    assert "all proved" not in told
    assert "verify/stages/configuration/__init__.py" in git(service, "diff", "--cached", "--name-only")


def test_an_older_report_does_not_outlive_a_run_that_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "__file__", str(tmp_path / "verify" / "upkeep" / "update.py"))
    monkeypatch.setattr(processes, "install_signal_handlers", lambda: None)

    def stopped(*_: object) -> Ran:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocesses, "run", stopped)
    (tmp_path / ".hardening").mkdir()
    (tmp_path / ".hardening" / "update.md").write_text("all proved")
    (tmp_path / ".hardening" / "update.patch").write_text("of last week")

    assert update.main() == 2

    assert (tmp_path / ".hardening" / "update.md").read_text().startswith("Stopped before its end: nothing is proved.")
    assert (tmp_path / ".hardening" / "update.patch").stat().st_size == 0
