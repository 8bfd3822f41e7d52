# Owned by the template: an update rewrites this file.
"""What a stage is told and what it answers: rules, each with an id, and for each a check with its outcome.

What is judged is proved, insecure or could not be verified: silence of a tool is not proof. A warning, what the team has
accepted and what was not looked at are counted apart, and never called proved. The hooks load this file too, in Copier's
interpreter: Python 3.10, and the standard library.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

from .common.addresses import masked


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
    """What came of a check. The first three are the exit codes that they ask for; the others ask for none."""

    PROVED = 0
    INSECURE = 1
    UNVERIFIED = 2
    WARNING = 3
    ACCEPTED = 4
    """The team lives with it, for a reason that it has written down."""
    NOT_LOOKED_AT = 5
    """There is nothing of the kind here, or nothing that verify understands."""


APART = (Outcome.WARNING, Outcome.ACCEPTED, Outcome.NOT_LOOKED_AT)
"""What is counted apart: it fails no run, and proves nothing."""
LATER = "tests.later"
"""The rule whose check counts the tests that the quick tier leaves out."""
WORDS = {
    Outcome.PROVED: "proved",
    Outcome.INSECURE: "INSECURE",
    Outcome.UNVERIFIED: "NOT VERIFIED",
    Outcome.WARNING: "warning",
    Outcome.ACCEPTED: "accepted",
    Outcome.NOT_LOOKED_AT: "not looked at",
}


class UnverifiedError(Exception):
    """Nothing is known: what should have been looked at could not be. No password of an address is in what it says.

    Args:
        seen: What stood in the way, short.
        remedy: What to do about it.
    """

    def __init__(self, seen: str, remedy: str) -> None:
        super().__init__(masked(seen))
        self.seen = masked(seen)
        self.remedy = masked(remedy)


@dataclass(frozen=True, slots=True)
class Check:
    """What came of one rule.

    Args:
        step: The step that it belongs to, a name that `--only` takes: `audit`, `headers`, `rate_limit`, ...
        id: The rule, such as `docker.user`. Ids are kept: reports, acceptances and links name them.
        object: What it is about, if the rule is about several: a file, a route, a package. In one run, `step`, `id` and
            `object` together name one check.
        name: What was tried, in the words of a colleague.
        outcome: What came of it.
        seen: The answer that was seen, short.
        remedy: What to do about it, if it is not proved.
        about: Of an attack, what was attacked: `probe` (the template's own application), `yours`, or both.
    """

    step: str
    id: str
    object: str
    name: str
    outcome: Outcome
    seen: str
    remedy: str = ""
    about: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "outcome": self.outcome.name.lower()}


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to be proved, and the one way to make a `Check`.

    Args:
        step: The step that it belongs to.
        id: Its id: the subject, a dot, and what has to hold, such as `ci.runs-verify`.
        name: What has to hold, or what is tried, in a line.
        object: What it is about, if it is about several.
    """

    step: str
    id: str
    name: str
    object: str = ""

    def of(self, thing: str, name: str = "") -> "Rule":
        """The same rule about one of several things, with a name of its own if it needs one."""
        return replace(self, object=thing, name=name or f"{thing}: {self.name}")

    def proved(self, seen: str, remedy: str = "") -> Check:
        return self._check(Outcome.PROVED, seen, remedy)

    def insecure(self, seen: str, remedy: str) -> Check:
        return self._check(Outcome.INSECURE, seen, remedy)

    def warning(self, seen: str, remedy: str) -> Check:
        return self._check(Outcome.WARNING, seen, remedy)

    def accepted(self, seen: str, remedy: str = "") -> Check:
        return self._check(Outcome.ACCEPTED, seen, remedy)

    def not_looked_at(self, seen: str, remedy: str = "") -> Check:
        return self._check(Outcome.NOT_LOOKED_AT, seen, remedy)

    def unverified(self, seen: str | UnverifiedError, remedy: str = "") -> Check:
        """Nobody knows; from an `UnverifiedError` with the remedy that it brings."""
        if isinstance(seen, UnverifiedError):
            return self._check(Outcome.UNVERIFIED, f"could not tell: {seen.seen}", seen.remedy)
        return self._check(Outcome.UNVERIFIED, seen, remedy)

    def _check(self, outcome: Outcome, seen: str, remedy: str) -> Check:
        return Check(self.step, self.id, self.object, self.name, outcome, masked(seen), masked(remedy))


def overall(checks: Iterable[Check]) -> Outcome:
    """The worst that was found, what is counted apart aside; where nothing was proved, nothing is known."""
    found = worst(check.outcome for check in checks)
    return Outcome.UNVERIFIED if found in APART else found


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """What a stage came to. What is counted apart shows only where there is nothing else."""
    found = set(outcomes)
    order = (Outcome.INSECURE, Outcome.UNVERIFIED, Outcome.PROVED, *APART)
    return next((each for each in order if each in found), Outcome.UNVERIFIED)


def apart(outcomes: Iterable[Outcome]) -> str:
    """How many were accepted, not looked at or warnings, in words: `2 accepted, 1 warning`; empty if none."""
    numbers = Counter(outcomes)
    return ", ".join(
        f"{numbers[each]} {WORDS[each]}{'s' * (each is Outcome.WARNING and numbers[each] != 1)}"
        for each in (Outcome.ACCEPTED, Outcome.WARNING, Outcome.NOT_LOOKED_AT)
        if numbers[each]
    )


def counted(outcomes: Iterable[Outcome]) -> str:
    """How many there are of each, in words, what is judged first: `3 proved, 1 insecure, 2 accepted`."""
    every = list(outcomes)
    judged = (Outcome.PROVED, Outcome.INSECURE, Outcome.UNVERIFIED)
    said = (f"{every.count(each)} {WORDS[each].lower()}" for each in judged if each in every)
    return ", ".join([*said, *filter(None, [apart(every)])])


def left_for_later(checks: Iterable[Mapping[str, Any]]) -> str:
    """What the quick tier leaves out, as a closing sentence names it: `; 2095 tests are left to --thorough`, or nothing."""
    return "".join(f"; {check['seen']}" for check in checks if check.get("id") == LATER)


def number(count: int, noun: str) -> str:
    """How many of something, in words: `1 route`, `2 routes`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def listed(names: Iterable[str], at_most: int = 5) -> str:
    """Some names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - at_most} more" if len(every) > at_most else ""
    return ", ".join(every[:at_most]) + more
