# ruff: noqa: E501 - the lines of a style sheet
"""The fleet as one HTML page that stands by itself: no script, no foreign host, light and dark, a phone and paper."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlsplit

from .model import Row, State
from .table import WORDS, acceptances, advisories, cells, ordered, summary
from .words import printable

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #59636e; --bad: #b42318; --odd: #8a5300; --good: #1a6e35; --back: #fff; --text: #1f2328; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #a2abb5; --bad: #ff9a90; --odd: #f0b429; --good: #6fdd8b; --back: #0d1117; --text: #e6edf3; --link: #7cb7ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 78rem; font: 1rem/1.45 system-ui, sans-serif; background: var(--back); color: var(--text); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
a { color: var(--link); } p.soft, .soft { color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { white-space: nowrap; } tbody th { font-weight: 600; min-width: 9rem; }
.act { color: var(--bad); font-weight: 600; } .unknown { color: var(--odd); font-weight: 600; } .well { color: var(--good); }
details { margin: .4rem 0; } summary { cursor: pointer; } ul { margin: .3rem 0; padding-left: 1.3rem; }
@media (max-width: 46rem) {
  thead { position: absolute; clip-path: inset(50%); }
  tr { display: block; border: 1px solid var(--line); border-radius: .4rem; margin: .6rem 0; padding: .3rem 0; }
  tbody th, td { display: grid; grid-template-columns: 7.5rem 1fr; border: 0; padding: .15rem .6rem; }
  tbody th::before, td::before { content: attr(data-column); color: var(--soft); font-weight: 400; }
}
@media print { body { max-width: none; font-size: 9pt; } .wide { overflow: visible; } tr { break-inside: avoid; } details > * { display: block; } }
"""
_CLASSES = {State.ACT: "act", State.UNKNOWN: "unknown", State.WELL: "well"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_COLUMNS = {
    "state": "State",
    "release": "Release",
    "drift": "Drift",
    "verify": "Last verify",
    "found": "Findings",
    "accepted": "Accepted",
    "offers": "Offers",
    "request": "Update",
}
_WORDS = {"?": "unknown", "-": "none"}


def page(rows: Sequence[Row], template: str, notes: Iterable[str] = (), now: datetime | None = None) -> str:
    """The page.

    Args:
        rows: The services.
        template: The template's address and newest release, for the head of the page.
        notes: What else a reader has to know.
        now: The present moment, for tests.
    """
    now = now or datetime.now(UTC)
    shown = ordered(rows)
    advised = (
        (
            package,
            advisory,
            "; ".join(f"{row.name} (waived until {until})" if until else row.name for row, until in hit),
        )
        for (package, advisory), hit in advisories(rows).items()
    )
    accepted = ((row.name, what, end, reason) for row, what, end, reason in acceptances(rows, now.date()))
    why = [_why(row) for row in shown if row.reasons]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_text(_POLICY)}">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>Fleet: {_text(summary(rows))}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{_text(summary(rows))}</h1>",
        f'<p class="soft">{now:%Y-%m-%d %H:%M} UTC. Template: {_text(template)}.</p>',
        *(f"<p>{_text(note)}</p>" for note in notes),
        _table(
            "Every service, what has to be acted upon first", ["Service", *_COLUMNS.values()], _services(shown, now)
        ),
        "<h2>Why</h2>",
        *(why or ["<p>Nothing has to be done.</p>"]),
        "<h2>Advisories by package</h2>",
        _texts("Known vulnerabilities of locked packages", ["Package", "Advisory", "Services"], advised),
        "<h2>Waivers and acceptances</h2>",
        _texts("What teams live with, the next to end first", ["Service", "What", "Ends", "Reason"], accepted),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _services(rows: Iterable[Row], now: datetime) -> Iterator[list[str]]:
    for row in rows:
        shown = {key: _text(_WORDS.get(value, value)) for key, value in cells(row, now).items()}
        shown["state"] = f'<span class="{_CLASSES[row.state]}">{WORDS[row.state]}</span>'
        shown["request"] = _link(row.reading.request or "", shown["request"])
        yield [_link(row.reading.link, _text(row.name)), *(shown[key] for key in _COLUMNS)]


def _why(row: Row) -> str:
    details = [*row.fixes, *(row.drift or ()), *row.proof.insecure, *row.proof.unverified, row.reading.remedy]
    details += [f"offered: {each}" for each in row.reading.offers or ()]
    details += [f"accepted: {each}" for each in row.proof.accepted]
    items = "".join(f"<li>{_text(each)}</li>" for each in details if each)
    reasons = "; ".join(row.reasons)
    head = f'<span class="{_CLASSES[row.state]}">{WORDS[row.state]}</span> <b>{_text(row.name)}</b>: {_text(reasons)}'
    return f"<details open><summary>{head}</summary><ul>{items}</ul></details>" if items else f"<p>{head}</p>"


def _texts(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    found = [[_text(cell) for cell in row] for row in rows]
    return _table(caption, head, found) if found else '<p class="soft">None that is known.</p>'


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already. `data-column` says on a phone what the hidden head says elsewhere."""
    columns = "".join(f'<th scope="col">{_text(each)}</th>' for each in head)
    body = []
    for first, *rest in rows:
        cells_ = "".join(
            f'<td data-column="{_text(name)}"><span>{cell}</span></td>'
            for name, cell in zip(head[1:], rest, strict=True)
        )
        body.append(f'<tr><th scope="row" data-column="{_text(head[0])}"><span>{first}</span></th>{cells_}</tr>')
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{_text(caption)}"><table>'
        f"<caption>{_text(caption)}</caption><thead><tr>{columns}</tr></thead><tbody>\n"
        + "\n".join(body)
        + "\n</tbody></table></div>"
    )


def _link(address: str, text: str) -> str:
    """A link, if an address is one that a browser may follow."""
    if urlsplit(address).scheme not in ("http", "https"):
        return text
    return f'<a href="{escape(address)}" rel="noreferrer">{text}</a>'


def _text(text: str) -> str:
    return escape(printable(text))
