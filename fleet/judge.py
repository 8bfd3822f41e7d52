"""The rule by which a service is well, has to be acted upon, or is not known; `docs/fleet.md` states it for people."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from . import records
from .model import Reading, Row, State
from .template import Template
from .words import UnreadableError

MAX_AGE = 8
"""Days that an audit may be old by default: those of a week, and one for a pipeline that failed."""


def judged(reading: Reading, template: Template, *, max_age: int, now: datetime | None = None) -> Row:
    """One service against the template's releases.

    Args:
        reading: What could be read of it.
        template: The template's releases.
        max_age: Days that an audit may be old.
        now: The present moment, for tests.
    """
    now = now or datetime.now(UTC)
    row = Row(reading, newest=template.newest)
    act, unknown = row.reasons.append, list[str]()
    if reading.problem:
        row.reasons = [f"could not be read: {reading.problem}"]
        row.state = State.UNKNOWN
        return row
    _release(row, template, act, unknown.append)
    _drift(row, template)
    if row.drift:
        act(f"{_many(row.drift, 'owned file')} not as in {reading.release}")
    elif row.drift is None:
        unknown.append(f"drift is unknown: {row.no_drift}")
    row.proof = records.merged(reading.records)
    row.acceptances = list(records.acceptances(reading.files))
    if row.proof.insecure or row.proof.outcome == "insecure":
        act(f"verify found {len(row.proof.insecure) or 'something'} insecure")
    for each in row.acceptances:
        if each.is_over(now.date()):
            act(f"{each.what}: ended on {each.expires}" if each.expires and each.expires.year > 1 else each.what)
    unknown += _doubts(row, now, max_age)
    row.state = State.ACT if row.reasons else State.UNKNOWN if unknown else State.WELL
    row.reasons += unknown
    return row


def _release(row: Row, template: Template, act: Callable[[str], None], unknown: Callable[[str], None]) -> None:
    release = row.reading.release
    behind = template.is_behind(release)
    if behind is None:
        unknown(f"its release is unknown: {release or 'none'} is recorded")
    elif behind:
        row.fixes = template.fixes(release, row.reading.answers)
        if row.fixes:
            act(f"{template.newest} fixes {_many(row.fixes, 'vulnerability', 'vulnerabilities')} of {release}")


def _drift(row: Row, template: Template) -> None:
    reading = row.reading
    if reading.tree is None:
        row.no_drift = "its files could not be listed"
        return
    try:
        row.drift = template.rendering(reading.release, reading.answers).drift(reading.tree)
    except UnreadableError as error:
        row.no_drift = str(error)


def _doubts(row: Row, now: datetime, max_age: int) -> list[str]:
    """Why what `verify` said last does not tell how this service is today."""
    proof, head = row.proof, row.reading.head
    if not proof.time:
        return [f"no run of verify is known: {row.reading.no_records or 'none was left behind'}"]
    found = []
    if proof.outcome == "unverified":
        found.append(f"verify could not verify {len(proof.unverified) or 'everything'}")
    if head and proof.commit != head:
        changed = "with changed files" if proof.commit == f"{head}+" else f"on {proof.commit[:9] or 'no commit'}"
        found.append(f"verify ran {changed}, not on {head[:9]}")
    if proof.audited is None or now - proof.audited > timedelta(days=max_age):
        found.append(f"no audit in the last {max_age} days")
    return found


def _many(found: Sequence[object], one: str, many: str = "") -> str:
    return f"{len(found)} {one if len(found) == 1 else many or one + 's'}"
