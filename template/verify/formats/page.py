# Owned by the template: an update rewrites this file.
"""A record as one page that can be handed on: no script, no other host, nothing to unfold, so that it prints as it is.

All text of a check may come from the team or from an attack. Each goes through `_text`, and the policy of the page lets no
script, image or form of an injected one work.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from ..result import WORDS, Outcome, counted, worst
from ..runner.terminal import printable

CHECKLIST = {
    "headers": ("Headers", "a browser that takes an answer for something else, or keeps it"),
    "rate_limit": ("Rate limit", "guessing, scraping and floods"),
    "validation": ("Validation", "what two readers would read differently, and input without a bound"),
    "errors": ("Errors", "answers that tell what runs inside"),
    "cors": ("CORS and cross-site requests", "pages of other sites that read answers or cause changes"),
    "audit": ("Audit", "packages that are known to be vulnerable"),
    "cookies": ("Cookies", "scripts, other sites and plain http that get at a cookie"),
}
"""The seven steps of the checklist in its order: what each is called, and what it stops."""
BESIDE = {
    "sessions": ("Sessions", "a stranger who is taken for someone who signed in"),
    "server": ("Server", "connections that send nothing, send it slowly, or are ambiguous"),
    "configuration": ("Configuration", "a start, an image or a pipeline that is not safe"),
    "owned": ("Owned files", "a hardening that somebody has edited"),
    "drift": ("Drift", "files that no longer are those of the recorded release, and a missed security release"),
    "lock": ("Lock", "packages that differ from one installation to the next"),
    "sbom": ("Bill of materials", "packages that nobody can name"),
    "overlay": ("Overlay", "rules of the organisation that are not in use"),
    "tests": ("Tests", "a change that breaks what was promised"),
}
_SIGNS = dict(zip(Outcome, "✓✗?!~–", strict=True))
_VERDICTS = {
    "proved": "Everything that was judged is proved",
    "insecure": "This service is not secure",
    "unverified": "Not everything could be verified, so it is not known to be secure",
}


def render(record: Mapping[str, Any]) -> str:
    """The page of a record, whole: what is printed by `--format html` and kept as `.hardening/report.html`."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    service, only, stopped = _text(record["package"]), record["options"]["only"], record["interrupted"]
    steps: dict[str, list[Mapping[str, Any]]] = {}
    for check in record["checks"]:
        steps.setdefault(check["step"], []).append(check)
    names = {**CHECKLIST, **{name: found for name, found in BESIDE.items() if name in steps or name == "drift"}}
    names |= {name: (name, "") for name in steps if name not in names}
    apart = {outcome: [each for each in record["checks"] if _outcome(each) is outcome] for outcome in Outcome}
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'">
<title>{service}: {WORDS[Outcome[record["outcome"].upper()]]}{_text(f" ({only} alone)" * bool(only))}</title>
<style>{style}</style>
</head>
<body>
<header>
<p class="kind">Security verification</p>
<h1>{service}</h1>
{_verdict(record)}
{_facts(record)}
</header>
<main>
{_section("open", "To mend", "", [*apart[Outcome.INSECURE], *apart[Outcome.UNVERIFIED]])}
<section aria-labelledby="steps"><h2 id="steps">The seven steps</h2>{_overview(steps, stopped=stopped)}</section>
{_section("warnings", "Warnings", "", apart[Outcome.WARNING])}
{_section("accepted", "Accepted by the team", "Each for a reason, and until a day where one is named.", apart[Outcome.ACCEPTED])}
{"".join(_section(f"step-{name}", title, f"Stops {stops}." if stops else "", steps.get(name, []), always=True) for name, (title, stops) in names.items())}
</main>
<footer>{_footer(record)}</footer>
</body>
</html>
"""


def _text(value: object) -> str:
    """Somebody's text as text: no markup, nothing that turns its direction, and commands in backticks as code."""
    lines = (printable(line) for line in str(value).splitlines())
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape("\n".join(lines)))


def _outcome(check: Mapping[str, Any]) -> Outcome:
    return Outcome[check["outcome"].upper()]


def _badge(outcome: Outcome, words: str = "") -> str:
    name = outcome.name.lower().replace("_", "-")
    return f'<span class="{name}"><span aria-hidden="true">{_SIGNS[outcome]}</span> {words or WORDS[outcome]}</span>'


def _verdict(record: Mapping[str, Any]) -> str:
    words = _VERDICTS[record["outcome"]]
    if record["interrupted"]:
        words = f"Stopped at the stage {_text(record['stopped_at'])}, before its end: nothing is proved"
    elif record["not_made"] and record["outcome"] == "proved":
        words = "All that was tried on the deployed service is proved"
    if only := record["options"]["only"]:
        words = f"The step {_text(only)} alone: {words[0].lower()}{words[1:]}"
    return f'<p class="verdict {record["outcome"]}">{_badge(Outcome[record["outcome"].upper()], words)}</p>'


def _facts(record: Mapping[str, Any]) -> str:
    options = record["options"]
    when = datetime.fromisoformat(record["time"]).strftime("%d %B %Y, %H:%M UTC")
    commit = record["commit"] or "outside a repository"
    facts = {
        "Result": (counted(map(_outcome, record["checks"])) or "nothing was looked at")
        + ", before it was stopped" * record["interrupted"],
        "When": f'<time datetime="{_text(record["time"])}">{when}</time>',
        "Commit": f"<code>{_text(commit.removesuffix('+'))}</code>{', with changes that are not committed' * commit.endswith('+')}",
        "What": _text(
            (f"the deployed service at {options['target']}" if options["target"] else "this repository")
            + (f", the step {options['only']} alone" if options["only"] else "")
            + (", thorough" if options["thorough"] else "")
        ),
        "Took": f"{sum(record['seconds'].values()):.0f} s",
    }
    return f"<dl>{''.join(f'<div><dt>{name}</dt><dd>{value}</dd></div>' for name, value in facts.items())}</dl>"


def _overview(steps: Mapping[str, list[Mapping[str, Any]]], *, stopped: bool) -> str:
    rows = ""
    for name, (title, stops) in CHECKLIST.items():
        found = [*map(_outcome, steps.get(name, []))]
        came_to = worst([*found, Outcome.UNVERIFIED] if stopped else found)  # no step is known to have come to its end
        result = _badge(came_to, counted(found) + " by then" * stopped) if found else "not run"
        rows += (
            f'<tr role="row"><th role="rowheader" scope="row"><a href="#step-{name}">{title}</a></th>'
            f'<td role="cell">Stops {stops}.</td><td role="cell">{result}</td></tr>\n'
        )
    return _table(("Step", "Purpose", "Result"), rows, "steps")


def _section(name: str, title: str, says: str, checks: list[Mapping[str, Any]], *, always: bool = False) -> str:
    if not checks and not always:
        return ""
    body = _table(("What was tried", "Result", "What was seen"), "".join(map(_row, checks)), name)
    if not checks:
        body = "<p>Not part of this run, so nothing is known of it.</p>"
    says = f'<p class="says">{says}</p>' if says else ""
    return f'<section aria-labelledby="{_text(name)}"><h2 id="{_text(name)}">{_text(title)}</h2>{says}{body}</section>'


def _row(check: Mapping[str, Any]) -> str:
    outcome = _outcome(check)
    name = check["name"].removeprefix(f"{check['object']}: ")
    where = f"<bdi>{_text(check['object'])}</bdi> · " * bool(check["object"])
    about = f" · {_text(check['about'])}" * bool(check["about"])
    remedy = check["remedy"] if outcome not in (Outcome.PROVED, Outcome.ACCEPTED) else ""
    return (
        f'<tr role="row"><th role="rowheader" scope="row">{_text(name)}'
        f"<small>{where}<code>{_text(check['id'])}</code>{about}</small></th>"
        f'<td role="cell">{_badge(outcome)}</td>'
        f'<td role="cell">{_text(check["seen"])}{f"<p><b>Remedy:</b> {_text(remedy)}</p>" if remedy else ""}</td></tr>\n'
    )


def _table(heads: Iterable[str], rows: str, name: str) -> str:
    columns = "".join(f'<th role="columnheader" scope="col">{each}</th>' for each in heads)
    return (
        f'<table role="table" aria-labelledby="{_text(name)}"><thead role="rowgroup"><tr role="row">{columns}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
    )


def _footer(record: Mapping[str, Any]) -> str:
    overridden = record["overridden"]
    told = {
        "Settings of the caller that were ignored": overridden.get("ignored"),
        "Settings that the proof was given": overridden.get("given"),
        "Not tried on a deployed service": record["not_made"],
        "The time": [f"{name} {value:.1f} s" for name, value in record["seconds"].items()],
    }
    lines = "".join(f"<p>{name}: {_text(', '.join(values))}.</p>" for name, values in told.items() if values)
    return f"{lines}<p>Proved is what was tried and held. What was accepted or not looked at is counted apart, and proves nothing.</p>"
