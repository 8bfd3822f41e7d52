"""What a source reads of a service, and what is told about it."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum
from typing import Any

ANSWERS = ".copier-answers.yml"
WAIVERS = "audit-waivers.toml"
PYPROJECT = "pyproject.toml"
BRANCH = "hardening-update"
"""The branch of a proposed update, here and in the weekly pipelines that are emitted."""
LARGEST = 2_000_000
"""Bytes of a file or an answer that are read; those that matter here are a tenth of it."""


def branch_of(prefix: str) -> str:
    """The branch for a service in a folder of a larger repository; two of them have two."""
    return "-".join([BRANCH, *re.findall(r"[A-Za-z0-9_]+", prefix)])


@dataclass(slots=True)
class Reading:
    """What could be read of one service.

    Args:
        name: What the service is called in the table.
        link: Where a person looks at it; empty if only this machine has it.
        problem: Why nothing could be read, and `remedy` what to do; empty if it could.
        answers: What its answers file records.
        head: The commit that was looked at.
        tree: The object id of each file; `None` if it could not be listed.
        files: Those texts of the repository that are read whole, by path.
        records: What runs of `verify` left behind, in no order.
        no_records: Why there are none.
        request: The address of an open proposed update, empty if there is none, `None` if nobody could tell.
        offers: Changes to the team's own files that the template offers, `None` if nobody could tell.
    """

    name: str
    link: str = ""
    problem: str = ""
    remedy: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    head: str = ""
    tree: dict[str, str] | None = None
    files: dict[str, str] = field(default_factory=dict)
    records: list[dict[str, Any]] = field(default_factory=list)
    no_records: str = ""
    request: str | None = None
    offers: list[str] | None = None

    @property
    def release(self) -> str:
        return self.answers.get("_commit", "")

    @property
    def template(self) -> str:
        return self.answers.get("_src_path", "")


class State(IntEnum):
    """What is said of a service; the number is the exit code that it asks for."""

    WELL = 0
    ACT = 1
    UNKNOWN = 2


@dataclass(frozen=True, slots=True)
class Advisory:
    """An advisory that hits a package of a service."""

    package: str
    version: str
    name: str
    waived_until: str = ""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Something that a team lives with until a day: a waiver of an advisory, or an accepted check."""

    what: str
    reason: str
    expires: date | None

    def is_over(self, today: date) -> bool:
        return self.expires is not None and self.expires < today


@dataclass(slots=True)
class Proof:
    """What the newest records of `verify` say together.

    Args:
        outcome: `proved`, `insecure` or `unverified`; empty if no whole run is known.
        time: When the whole run was, and `audited` when the locked packages were last looked up.
        commit: What it was run on.
        insecure, unverified: What was found and what could not be told, a line each.
        accepted: What the run counted as accepted.
    """

    outcome: str = ""
    time: datetime | None = None
    audited: datetime | None = None
    commit: str = ""
    insecure: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    advisories: list[Advisory] = field(default_factory=list)


@dataclass(slots=True)
class Row:
    """One service, judged."""

    reading: Reading
    state: State = State.WELL
    reasons: list[str] = field(default_factory=list)
    newest: str = ""
    fixes: list[str] = field(default_factory=list)
    drift: list[str] | None = None
    no_drift: str = ""
    proof: Proof = field(default_factory=Proof)
    acceptances: list[Acceptance] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.reading.name
