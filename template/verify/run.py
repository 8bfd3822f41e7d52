# Owned by the template: an update rewrites this file.
"""One run of `python -m verify`: its stages in order, what each found, and what is said of it."""

import gc
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from . import acceptance
from .attacks import STEPS
from .common.addresses import masked
from .result import (
    WORDS,
    Check,
    Options,
    Outcome,
    Rule,
    UnverifiedError,
    apart,
    counted,
    left_for_later,
    listed,
    overall,
    worst,
)
from .runner import processes, report
from .runner.terminal import Terminal, printable
from .upkeep.prerequisites import first_command

STAGES = ("owned", "lock", "audit", "sbom", "drift", "configuration", "overlay", "tests", "attacks")
"""In order, each a module of `stages/`. What it takes to begin is loaded when it begins."""
ON_REQUEST = "drift"  # it needs the template and not the service: with --thorough, and by its name
ORDER = (
    Outcome.PROVED,
    Outcome.NOT_LOOKED_AT,
    Outcome.ACCEPTED,
    Outcome.WARNING,
    Outcome.UNVERIFIED,
    Outcome.INSECURE,
)
"""In which outcomes are shown: the worst stands last, beside the verdict."""


class Run:
    """One run: what was found, how long it took, and what it was kept from."""

    def __init__(self, options: Options, screen: Terminal, overridden: Sequence[str]) -> None:
        self.options = options
        self.screen = screen
        self.checks: list[Check] = []
        self.accepted = acceptance.read(options.project, datetime.now(UTC).date())
        self.seconds: dict[str, float] = {}
        self.overridden: dict[str, Any] = {"ignored": list(overridden)}
        self.not_made: list[str] = []
        self.run_id = os.environ.pop(report.RUN_ID, "")
        self.commit: str | None = None
        self.stopped_at: str | None = "start"

    def record(self) -> dict[str, Any]:
        """What came of the run so far, for `.hardening/last-verify.json`."""
        options = self.options
        interrupted = self.stopped_at is not None
        return {
            "run": self.run_id,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": self.commit,
            "package": options.package,
            "options": {"thorough": options.thorough, "target": masked(options.target), "only": options.only},
            "outcome": "unverified" if interrupted else overall(self.checks).name.lower(),
            "interrupted": interrupted,
            "stopped_at": self.stopped_at,
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "overridden": self.overridden,
            "not_made": self.not_made,
            "checks": [report.as_known(check.as_json(), self.run_id) for check in self.checks],
        }

    def add(self, check: Check) -> None:
        """Add a check that belongs to no stage but its own."""
        self.checks.append(check)
        self.seconds.setdefault(check.step, 0.0)

    def _reached(self, stage: str) -> None:
        """Should this run be killed from now on, its record says so."""
        self.stopped_at = stage
        with suppress(OSError):  # the record at the end is written to the same place, and an error there is reported
            report.write(self.options.project, self.record())

    def everything(self) -> None:
        """Run every stage that was asked for."""
        gc.set_threshold(100_000, 50, 50)  # nearly all that it has stays
        self._reached("start")
        self.commit = report.commit_of(self.options.project)
        if self.options.target:
            self._stage("target", "target")
            from .target import NOT_MADE

            self.not_made = list(NOT_MADE)
            return
        if not self.options.only:  # the tests compute while the audit waits for its answers
            import_module(".stages.tests", __package__).begin(self.options)
        for name in STAGES:
            if self._is_due(name):
                self._stage(name, f"stages.{name}")
        if not self.options.only:
            self.checks += self.accepted.unused()

    def _is_due(self, name: str) -> bool:
        if name == ON_REQUEST:
            return self.options.only == name or (self.options.thorough and not self.options.only)
        if name == "overlay" and not self.options.only:
            from .upkeep.overlay import is_there

            return is_there(self.options.project)
        return self.options.wants(name) or (name == "attacks" and self.options.only in STEPS)

    def _stage(self, name: str, module: str) -> None:
        self.seconds[name] = 0.0
        self._reached(name)
        self.screen.begin(name)
        began = time.monotonic()
        found: list[Check] = []
        try:
            with processes.hold():
                stage = import_module(f".{module}", __package__).stage
            for check in map(self.accepted.applied, stage(self.options)):
                found.append(check)
                self.checks.append(check)
                self.screen.note(check.name)
        except Exception as error:  # noqa: BLE001 - the other stages are still worth their answers
            self.checks.append(crashed(name, error, self.options.project))
            found.append(self.checks[-1])
        finally:
            self.seconds[name] = time.monotonic() - began
            self.screen.halt()
        if not found:
            self.checks.append(ran(name).unverified("nothing was looked at", "Report this."))
            found.append(self.checks[-1])
        self.screen.end(
            name,
            WORDS[worst(each.outcome for each in found)],
            self.seconds[name],
            counted(each.outcome for each in found),
        )
        if name == "attacks":
            from .harness.service import OWN, PROBE, declared_environment

            probe = {name: value for name, value in PROBE.items() if name != "PYTHONPATH"}
            self.overridden |= {
                "service": OWN,
                "probe": probe,
                "given": sorted(declared_environment(self.options.project)),
            }

    def summary(self) -> None:
        """Say what was not proved, and where the time went."""
        screen = self.screen
        open_ends = [check for check in self.checks if check.outcome is not Outcome.PROVED]
        shown = self.checks if self.options.only else open_ends
        for check in sorted(shown, key=lambda each: ORDER.index(each.outcome)):
            screen.line()
            self._show(check)
        red = (Outcome.INSECURE,) if self.not_made else (Outcome.INSECURE, Outcome.UNVERIFIED)
        found = [each for each in open_ends if each.outcome in red and acceptance.may_be_accepted(each)]
        named = dict.fromkeys(f"{each.id}{f' of {each.object}' * bool(each.object)}" for each in found)
        if named:
            said = f"accept its check and object in {acceptance.FILE} (HARDENING.md, Accepting)"
            screen.line()
            screen.line(f"To live with one of them, {said}: {listed(named)}.")
        screen.line()
        if self.overridden["ignored"]:
            screen.line(f"Ignored here: {', '.join(self.overridden['ignored'])}.")
        if self.not_made:
            screen.line(f"Not tried on a deployed service: {'; '.join(self.not_made)}.")
        took = sum(self.seconds.values())
        spent = ", ".join(f"{name} {value:.1f} s" for name, value in self.seconds.items())
        screen.line(f"{took:.1f} s: {spent}.")
        if self.stopped_at is not None:
            screen.line(f"Stopped at the stage {self.stopped_at}, before its end: nothing is proved. Run it again.")
            return
        if not any(check.id == report.KEPT.id for check in self.checks):
            screen.line(f"Every check with what was seen: {report.PAGE.as_posix()}, {report.FILE.name}")
        if self.run_id:  # whoever started it says what came of it
            return
        proved = len(self.checks) - len(open_ends)
        beside = apart(check.outcome for check in open_ends)
        outcome = overall(self.checks)
        words = {
            Outcome.PROVED: f"all {'else ' * bool(beside)}{'that was tried is ' * bool(self.not_made)}proved",
            Outcome.INSECURE: "this service is not secure",
            Outcome.UNVERIFIED: "not everything could be verified, so it is not known to be secure",
        }
        screen.line(
            f"{screen.paint(WORDS[outcome], WORDS[outcome])}: {proved} of {len(self.checks)} checks"
            f"{f' of {self.options.only} alone' * bool(self.options.only)}{' proved' * (outcome is not Outcome.PROVED)}"
            f"{f', {beside}' * bool(beside)}; {words[outcome]}{left_for_later(check.as_json() for check in open_ends)}."
        )

    def _show(self, check: Check) -> None:
        """A check in full: what was tried, what was seen, and the remedy."""
        word = WORDS[check.outcome]
        step = f"{check.step} ({check.about})" if check.about else check.step
        if check.outcome is Outcome.NOT_LOOKED_AT:
            self.screen.line(self.screen.paint(f"{word}  {step}: {printable(f'{check.name}: {check.seen}')}", word))
            return
        self.screen.line(f"{self.screen.paint(word, word)}  {step}: {printable(check.name)}")
        for row in check.seen.splitlines():
            self.screen.line(f"    {printable(row)}")
        if check.remedy and check.outcome not in (Outcome.PROVED, Outcome.ACCEPTED):
            self.screen.line(f"    Remedy: {printable(check.remedy)}")


def ran(stage: str) -> Rule:
    """What is asked of every stage: that it comes to its end, and looks at something."""
    return Rule(stage, "verify.stage-runs", f"run the stage {stage}")


def crashed(name: str, error: Exception, project: Path) -> Check:
    if isinstance(error, UnverifiedError):
        return ran(name).unverified(error)
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError):
        remedy = first_command(project) or "Run `uv sync`, then try again."
    else:
        remedy = "Run it again; if it stays, report it to the template."
    return ran(name).unverified(reason, remedy)
