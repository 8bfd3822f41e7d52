"""The stages that both hooks run: commands of uv, and the proof that the service brings along."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from programs import CannotGoOnError, Programs, explain
from report import EXIT_CODES, FAILED, INSECURE, PROVED, UNVERIFIED, WORDS, Report, Stage, found_by, verified_stages
from verify.result import Outcome, apart, left_for_later
from verify.runner.report import new_run_id
from verify.runner.terminal import Terminal, printable

VERIFIED = Path(".hardening", "last-verify.json")


class UvFailedError(CannotGoOnError):
    """A stage of uv failed.

    Args:
        text: A sentence and its remedy.
        said: What uv printed.
    """

    def __init__(self, text: str, said: str) -> None:
        super().__init__(text)
        self.said = said


class Stages:
    """Runs each stage in the service's folder, and writes down what came of it.

    Args:
        programs: Runs uv.
        screen: Where a row of each stage is shown.
        report: Where it is written down.
    """

    def __init__(self, programs: Programs, screen: Terminal, report: Report) -> None:
        self.programs = programs
        self.screen = screen
        self.report = report

    def refuse_a_workspace(self, uv: Sequence[str]) -> None:
        """Stop before uv rewrites the lock file of a workspace around us."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            root = Path(self.programs.ask([*uv, "workspace", "dir"]).strip())
            if root.is_dir() and not root.samefile(self.programs.folder):
                raise CannotGoOnError(
                    f"The uv workspace {printable(str(root))} takes this folder in as a member, so uv would lock that "
                    "workspace, not this service. Exclude this folder there, or move the service elsewhere; "
                    "until then nothing is locked, installed or checked."
                )

    def uv(self, name: str, command: list[str]) -> None:
        """Run a command of uv as a stage of its own.

        Raises:
            UvFailedError: It failed.
        """
        self.screen.begin(name)
        started = time.monotonic()
        code, said = self.programs.run(command, name)
        self.end(name, "failed" if code else "done", started)
        if code:
            # uv breaks long lines, and a path that is in the way may stand on the next one.
            errors = re.split(r"\s+(?=(?:error|cause|hint): )", " " + " ".join(said.split()))
            causes = [error for error in errors if error.startswith(("error", "cause"))] or errors
            for line in dict.fromkeys(causes[:1] + causes[-1:]):
                self.screen.line(f"    uv: {printable(line)[:400]}")
            raise UvFailedError(explain(said, name), said)

    def end(self, name: str, result: str, started: float) -> None:
        seconds = time.monotonic() - started
        self.report.stages.append(Stage(name, result, seconds))
        self.screen.end(name, result, seconds)

    def verify(self, command: list[str]) -> None:
        """Run the proof that the service brings along. It prints its own lines; the record of this run, and of no
        other, says what came of it.
        """
        with contextlib.suppress(OSError):
            (self.programs.folder / VERIFIED).unlink()
        run = self.programs.environment["VERIFY_RUN_ID"] = new_run_id()
        self.screen.line()
        started = time.monotonic()
        code, _ = self.programs.run(command)
        seconds = time.monotonic() - started
        try:
            record = json.loads((self.programs.folder / VERIFIED).read_text(encoding="utf-8"))
            if record["run"] != run:
                raise ValueError(record["run"])
            outcome = str(record["outcome"])
            stages = list(verified_stages(record))
            if record["interrupted"]:
                at = printable(str(record["stopped_at"]))
                self.report.problems.append(f"verify was stopped at the stage {at}, with code {code}. Run it again.")
            elif EXIT_CODES[outcome] != code or (outcome == PROVED) != all(
                stage.result not in FAILED for stage in stages
            ):
                raise ValueError(outcome)
            self.report.stages += stages
            self.report.problems += list(found_by(record))
            self.report.insecure = sum(check["outcome"] == INSECURE for check in record["checks"])
            beside = apart(Outcome[check["outcome"].upper()] for check in record["checks"])
            self.report.apart = printable(f"{beside}{left_for_later(record['checks'])}")
            self.report.outcome = UNVERIFIED if record["interrupted"] else outcome
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            self.report.stages.append(Stage("verify", WORDS[UNVERIFIED], seconds))
            raise CannotGoOnError(
                f"verify ended with code {code} and left no record that agrees, so nothing is known. "
                "Run it again by hand with the commands below."
            ) from None
