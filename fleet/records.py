"""What runs of `verify` left behind, read by the keys that they document, and what a team lives with until a day.

A record is a claim of the service's own pipeline: it is shown, and never run or followed.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any

from .model import PYPROJECT, WAIVERS, Acceptance, Advisory, Proof

_ADVISORY = re.compile(
    r"(?P<package>[\w.-]+) (?P<version>\S+) has (?P<name>[\w.:-]+)(?:, waived until (?P<until>[\d-]+))?"
)
_KNOWN = {"proved", "insecure", "unverified"}
SHOWN = 300
"""Characters of a text of somebody else's that are kept."""


def parse(content: bytes) -> dict[str, Any] | None:
    """A record, if this is one."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("checks"), list) or when(found) is None:
        return None
    return found


def when(record: dict[str, Any]) -> datetime | None:
    """When a run was."""
    try:
        time = datetime.fromisoformat(record["time"])
    except (KeyError, TypeError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def is_whole(record: dict[str, Any]) -> bool:
    """Whether a run was of everything that a plain `verify` looks at."""
    options = record.get("options")
    return isinstance(options, dict) and not options.get("only") and not options.get("target")


def has_audit(record: dict[str, Any]) -> bool:
    return any(step == "audit" for step, *_ in _checks(record))


def merged(records: Iterable[dict[str, Any]]) -> Proof:
    """The newest whole run, with what a newer audit alone has found since."""
    newest = sorted(records, key=lambda each: when(each) or datetime.min.replace(tzinfo=UTC), reverse=True)
    whole = next((each for each in newest if is_whole(each)), None)
    audit = next((each for each in newest if has_audit(each)), None)
    proof = Proof(audited=when(audit) if audit else None)
    if whole:
        proof.outcome, proof.time = _text(whole.get("outcome")), when(whole)
        proof.commit = _text(whole.get("commit"))
    found = [each for each in _checks(whole or {}) if each[0] != "audit"]
    for step, name, outcome, seen in [*found, *(each for each in _checks(audit or {}) if each[0] == "audit")]:
        advisory = _ADVISORY.fullmatch(name) if step == "audit" else None
        if advisory:
            until = advisory["until"] or ""
            proof.advisories.append(Advisory(advisory["package"], advisory["version"], advisory["name"], until))
        line = f"{step}: {name}" + (f" ({seen.splitlines()[0]})" if seen else "")
        if outcome == "insecure":
            proof.insecure.append(line)
        elif outcome == "unverified":
            proof.unverified.append(line)
        elif outcome == "accepted":
            proof.accepted.append(line)
    if whole and proof.outcome not in _KNOWN:
        proof.outcome = "unverified"
    return proof


def _checks(record: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for check in record.get("checks", []):
        if isinstance(check, dict):
            yield (
                _text(check.get("step")),
                _text(check.get("name")),
                _text(check.get("outcome")),
                _text(check.get("seen")),
            )


def _text(value: object) -> str:
    return value[:SHOWN] if isinstance(value, str) else ""


def acceptances(files: dict[str, str]) -> Iterator[Acceptance]:
    """The waivers of `audit-waivers.toml` and the accepted checks of `pyproject.toml`, those that are over included."""
    for path, kind, keys in (
        (WAIVERS, "waiver", ("waiver",)),
        (PYPROJECT, "", ("tool", "hardening", "verify", "accept")),
    ):
        if path not in files:
            continue
        try:
            found: Any = tomllib.loads(files[path])
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            yield Acceptance(f"{path} cannot be read", _text(str(error)), date.min)
            continue
        for name in keys:
            found = found.get(name, {}) if isinstance(found, dict) else {}
        for table in found if isinstance(found, list) else []:
            if isinstance(table, dict):
                names = [_text(table.get(each)) for each in ("advisory", "check", "id", "object", "package")]
                expires = table.get("expires")
                if isinstance(expires, datetime) or not isinstance(expires, date):
                    expires = None
                yield Acceptance(" ".join([kind, *filter(None, names)]).strip(), _text(table.get("reason")), expires)


def offered(content: bytes) -> list[str] | None:
    """The open offers among those that an update has left in `.hardening/seeds.json`."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    offers = found.get("offers") if isinstance(found, dict) else None
    if not isinstance(offers, list):
        return None
    return [
        _text(each.get("file")) for each in offers if isinstance(each, dict) and each.get("state", "open") == "open"
    ]
