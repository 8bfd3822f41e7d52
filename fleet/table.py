"""One table for a terminal of 80 columns, and below it what has to be done, most urgent first."""

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime

from .model import Row, State
from .words import age, printable

WIDTH = 80
WORDS = {State.WELL: "well", State.ACT: "ACT", State.UNKNOWN: "unknown"}
_NAME = 20
_SHORT = {"accepted": "acc", "offers": "off", "request": "upd"}
_OUTCOMES = {"unverified": "unproved"}
SOON = 14
"""Days before its end from which a waiver or an acceptance is pointed out."""


def cells(row: Row, now: datetime) -> dict[str, str]:
    """What the table and the page say of a service, by column, in a few characters; a question mark is "unknown"."""
    proof = row.proof
    behind = "" if not row.newest or row.reading.release == row.newest else "+fixes" if row.fixes else " old"
    release = row.reading.release or "?"
    return {
        "state": WORDS[row.state],
        "release": release + (behind if row.reading.release else ""),
        "drift": "?" if row.drift is None else str(len(row.drift)) if row.drift else "-",
        "verify": f"{_OUTCOMES.get(proof.outcome, proof.outcome)} {age(proof.time, now)}" if proof.time else "?",
        "found": "?" if not proof.time else str(len(proof.insecure)) if proof.insecure else "-",
        "accepted": str(len(row.acceptances)) if row.acceptances else "-",
        "offers": "?" if row.reading.offers is None else str(len(row.reading.offers)) if row.reading.offers else "-",
        "request": "?" if row.reading.request is None else "open" if row.reading.request else "-",
    }


def ordered(rows: Iterable[Row]) -> list[Row]:
    """What has to be acted upon first, then what is not known, then the rest; by name."""
    turn = {State.ACT: 0, State.UNKNOWN: 1, State.WELL: 2}
    return sorted(rows, key=lambda row: (turn[row.state], row.name))


def advisories(rows: Iterable[Row]) -> dict[tuple[str, str], list[tuple[Row, str]]]:
    """The services that each advisory hits, by package and advisory, with the day until which one waives it."""
    found: dict[tuple[str, str], list[tuple[Row, str]]] = defaultdict(list)
    for row in rows:
        for each in row.proof.advisories:
            found[each.package, each.name].append((row, each.waived_until))
    # First what is waived nowhere, then what hits most.
    return dict(sorted(found.items(), key=lambda item: (all(until for _, until in item[1]), -len(item[1]), item[0])))


def acceptances(rows: Iterable[Row], today: date) -> list[tuple[Row, str, str, str]]:
    """Every waiver and acceptance: the service, what, when it ends in words, and why; the next to end first."""
    found = []
    for row in rows:
        for each in row.acceptances:
            end = each.expires.isoformat() if each.expires and each.expires.year > 1 else "no day"
            days = (each.expires - today).days if each.expires else None
            word = " ENDED" if each.is_over(today) else " soon" if days is not None and days <= SOON else ""
            found.append((each.expires or date.max, row, each.what, end + word, each.reason))
    return [each[1:] for each in sorted(found, key=lambda each: (each[0], each[1].name, each[2]))]


def summary(rows: Sequence[Row]) -> str:
    """The whole fleet in one line."""
    counted = {state: sum(row.state is state for row in rows) for state in State}
    words = f"{counted[State.WELL]} well, {counted[State.ACT]} to act upon, {counted[State.UNKNOWN]} unknown"
    return f"{len(rows)} service{'s' if len(rows) != 1 else ''}: {words}."


def lines(rows: Sequence[Row], now: datetime | None = None) -> Iterator[str]:
    """The table, and what stands below it."""
    now = now or datetime.now(UTC)
    head = ("service", "state", "release", "drift", "verify", "found", "accepted", "offers", "request")
    widths = (_NAME, 7, 12, 5, 12, 5, 3, 3, 4)
    yield _row([_SHORT.get(each, each) for each in head], widths)
    for row in ordered(rows):
        told = cells(row, now)
        name = printable(row.name)
        name = name if len(name) <= _NAME else f"..{name[2 - _NAME :]}"
        yield _row((name, *(printable(told[each]) for each in head[1:])), widths)
    yield ""
    yield "found: insecure; acc: waivers and acceptances; off: offers; upd: open update"
    yield "-: none; ?: unknown; +fixes: a newer release fixes a vulnerability of it"
    yield ""
    for row in ordered(rows):
        if row.reasons:
            yield f"{WORDS[row.state]}: {printable(row.name)}"
            for reason in row.reasons:
                yield from _wrapped(reason, "  - ")
            for found in (*row.fixes, *(row.drift or ())[:10], *row.proof.insecure, *row.proof.unverified[:5]):
                yield from _wrapped(found, "      ")
            if row.reading.remedy:
                yield from _wrapped(row.reading.remedy, "      ")
    for (package, advisory), hit in advisories(rows).items():
        names = ", ".join(f"{row.name} (until {until})" if until else row.name for row, until in hit)
        yield from _wrapped(f"{package}, {advisory}: {len(hit)} of {len(rows)}: {names}", "advisory: ")
    for row, what, end, reason in acceptances(rows, now.date()):
        yield from _wrapped(f"{row.name}: {what}, {end}: {reason}", "accepted: ")
    for row in ordered(rows):
        if row.reading.request:
            yield from _wrapped(f"{row.name}: {row.reading.request}", "update: ")
        if row.reading.offers:
            yield from _wrapped(f"{row.name}: {', '.join(row.reading.offers)}", "offers: ")


def _row(values: Sequence[str], widths: Sequence[int]) -> str:
    """Columns of these widths; what is too long takes its space from the gap behind it."""
    line, goal = "", 0
    for value, width in zip(values, widths, strict=True):
        line = line.ljust(goal) if len(line) < goal else f"{line} " if line else ""
        line += value
        goal += width + 1
    return line.rstrip()


def _wrapped(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_on_hyphens=False,
        break_long_words=False,
    )
