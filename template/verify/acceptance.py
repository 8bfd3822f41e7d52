# Owned by the template: an update rewrites this file.
"""What the team lives with: `[[tool.hardening.verify.accept]]` in `pyproject.toml`, each of one check and one object, with
a reason and a last day. An advisory has `audit-waivers.toml`, and an exception of a route `insecure_because`.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from .attacks import STEPS
from .common.entries import SENTENCE, Form, Lines, is_sentence
from .result import Check, Outcome, Rule

FILE = "pyproject.toml"
TABLE = ("tool", "hardening", "verify", "accept")
FORM = Form("acceptance", ("check", "reason", "expires"), ("object",), 366)
ACCEPTANCE = Rule("configuration", "accept.holds", "every acceptance holds and is needed")
NEVER = {
    **dict.fromkeys(
        ("tests", "owned", "lock", "verify", "accept", "attacks", *STEPS), "what it proves is the proof itself"
    ),
    "audit.canary": "without it nothing that the advisory service says is believed",
    "audit.waiver": "mend the waiver",
    "audit.vulnerable": "an advisory is waived in audit-waivers.toml",
    "settings.accepted": "its reason stands in the policy of the route",
}
"""What nobody may accept, by its id or by what that begins with, and why."""
DOUBTS = ("skipped", "missing", "not understood")
"""Objects of `audit.complete` that are no package: with one of them accepted the audit would be blind."""


@dataclass
class Acceptances:
    """The acceptances that hold today, and what is wrong with the others."""

    valid: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    wrong: list[Check] = field(default_factory=list)
    used: set[tuple[str, str]] = field(default_factory=set)

    def applied(self, check: Check) -> Check:
        """The check as it is, or accepted if the team has said so of exactly this one."""
        key = (check.id, check.object)
        found = self.valid.get(key)
        if found is None:
            return check
        if check.outcome in (Outcome.PROVED, Outcome.ACCEPTED):
            return check
        self.used.add(key)
        seen = f"{found['reason'].strip()} (until {found['expires'].isoformat()}; seen: {check.seen})"
        return replace(check, outcome=Outcome.ACCEPTED, seen=seen)

    def unused(self) -> Iterator[Check]:
        """One check for each acceptance that nothing needs."""
        for key in self.valid.keys() - self.used:
            name = f"{FILE} accepts {' of '.join(filter(None, key))}: it is unused"
            rule = ACCEPTANCE.of(" ".join(key).strip(), name)
            yield rule.warning("no check that is not proved has this id and this object", f"Delete it from {FILE}.")


def read(project: Path, today: date) -> Acceptances:
    """Read what is accepted; without the table nothing is."""
    found = Acceptances()
    try:
        text = (project / FILE).read_text(encoding="utf-8")
        tables: Any = tomllib.loads(text)
    except (OSError, ValueError, RecursionError):
        return found  # which the lock and the bounds tell
    for name in TABLE:
        tables = tables.get(name) if isinstance(tables, dict) else None
    if tables is None:
        return found
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        found.wrong.append(_wrong(Lines(text).of(*TABLE), "`accept` is no list", f"Write `[[{'.'.join(TABLE)}]]`."))
        return found
    lines: Lines | None = None
    for number, table in enumerate(tables):
        key = (str(table.get("check", "")), str(table.get("object", "")))
        problems = [*FORM.problems(table, today), *_refused(table)]
        if key in found.valid and not problems:
            problems = [("check", "this is accepted already", "Keep one of the two.")]
        if problems:
            lines = lines or Lines(text)
            told = ((lines.of(*TABLE, number, name), seen, remedy, name) for name, seen, remedy in problems)
            found.wrong += [_wrong(*each) for each in told]
        else:
            found.valid[key] = table
    return found


def may_be_accepted(check: Check) -> bool:
    """Whether a team may live with what this check found."""
    return not any(_refused({"check": check.id, "object": check.object}))


def _refused(table: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Whatever an acceptance may not be about, however well it is formed."""
    check, reason, about = (str(table.get(name, "")) for name in ("check", "reason", "object"))
    why = NEVER.get(check) or NEVER.get(check.partition(".")[0])
    if why:
        yield "check", f"{check} cannot be accepted: {why}", "Mend what it says."
    if check.startswith("audit.") and not about and not why:
        yield "object", f"{check} is accepted of one package alone", 'Name it: object = "the-package".'
    if check == "audit.complete" and about in DOUBTS:
        yield "object", f"`{about}` is no package, but an answer that cannot be believed", "Mend what it says."
    for key, text in (("check", check), ("object", about)):
        if "*" in text:
            yield key, f"`{text}`: an acceptance names one {key}, and never a pattern", "Copy it from the report."
    if reason.strip() and not is_sentence(reason):
        yield "reason", f"`{reason}` is no reason", SENTENCE


def _wrong(line: int, seen: str, remedy: str, key: str = "") -> Check:
    place = f"{FILE}:{line}"
    return ACCEPTANCE.of(f"{place} {key}".strip(), f"{place} is an acceptance that holds").insecure(
        f"line {line}: {seen}", remedy
    )
