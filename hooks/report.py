"""What came of a hook, and what the record of `verify` says about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from verify.result import WORDS as RESULTS
from verify.result import Outcome, worst
from verify.runner.terminal import printable

PROVED, INSECURE, UNVERIFIED = (each.name.lower() for each in (Outcome.PROVED, Outcome.INSECURE, Outcome.UNVERIFIED))
OFF = "off"
EXIT_CODES = {**{outcome.name.lower(): int(outcome) for outcome in Outcome}, OFF: 0}
WORDS = {outcome.name.lower(): word for outcome, word in RESULTS.items()}
FAILED = (WORDS[INSECURE], WORDS[UNVERIFIED])


@dataclass
class Stage:
    """One row of the summary."""

    name: str
    result: str
    seconds: float | None = None


@dataclass
class Report:
    """What came of it all."""

    outcome: str = UNVERIFIED
    insecure: int = 0
    apart: str = ""
    """How many were accepted, not looked at or warnings, and what was left for later, in words."""
    stages: list[Stage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def reached(self, name: str) -> bool:
        return any(stage.name == name and stage.result == "done" for stage in self.stages)


def verified_stages(record: dict[str, Any]) -> Iterator[Stage]:
    """The stages of verify with their times; whatever belongs to none of them by name is an attack."""
    seconds: dict[str, float] = record["seconds"]
    found: dict[str, set[Outcome]] = {name: set() for name in seconds}
    for check in record["checks"]:
        name = check["step"] if check["step"] in found else "attacks"
        found.setdefault(name, set()).add(Outcome[check["outcome"].upper()])
    for name, outcomes in found.items():
        if name == "lock" and outcomes == {Outcome.PROVED}:
            continue  # this hook has just made it
        taken = seconds.get(name)
        yield Stage(printable(name), RESULTS[worst(outcomes)], None if taken is None else float(taken))


def found_by(record: dict[str, Any]) -> Iterator[str]:
    """What verify could not prove, the worst first. It has printed what it saw and the remedy."""
    for outcome in (INSECURE, UNVERIFIED):
        for check in record["checks"]:
            if check["outcome"] == outcome:
                yield printable(f"{check['step']}: {check['name']}")[:200]
