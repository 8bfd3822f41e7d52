# Owned by the template: an update rewrites this file.
"""What every stage of the proof is told, and what it answers: `stage(options)` in its module tries things and yields a
`Check` for each. Three answers, never two: silence of a tool is not proof.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for.

    Args:
        project: The root of the service's repository.
        package: The service's package, such as `my_service`.
        thorough: Take minutes instead of seconds.
        target: The address of a deployed service to ask instead of a server of our own.
        only: The one step to prove, or nothing for all.
    """

    project: Path
    package: str
    thorough: bool = False
    target: str = ""
    only: str = ""

    def wants(self, step: str) -> bool:
        """Whether this step was asked for."""
        return self.only in ("", step)


class Outcome(IntEnum):
    """What came of a check; the number is the exit code that it asks for."""

    PROVED = 0
    INSECURE = 1
    UNVERIFIED = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried.

    Args:
        step: The step that it belongs to, a name that `--only` takes: `audit`, `headers`, `rate_limit`, ...
        name: What was tried, in the words of an attacker or a colleague.
        outcome: What came of it.
        seen: The answer that was seen, short.
        remedy: What to do about it, if it is not proved.
    """

    step: str
    name: str
    outcome: Outcome
    seen: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "outcome": self.outcome.name.lower()}


def overall(checks: Iterable[Check]) -> Outcome:
    """The worst that was found; of no checks at all nothing is known."""
    outcomes = {check.outcome for check in checks}
    if Outcome.INSECURE in outcomes:
        return Outcome.INSECURE
    return Outcome.PROVED if outcomes == {Outcome.PROVED} else Outcome.UNVERIFIED
