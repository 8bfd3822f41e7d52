# Owned by the template: an update rewrites this file.
"""What `check` prints: every setting with its source, every route with its policy, every finding with its remedy."""

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Literal, TextIO

from pydantic.fields import FieldInfo

from ..app import Hardened
from ..asgi.other_servers import LEFT_TO_PROXY, NOT_BOUNDED
from ..core.findings import Finding
from ..core.route import Access, Route
from ..policy import DEFAULT
from ..settings import PREFIX, HardeningSettings, lasting, seconds, secret_names, waiting
from .overrides import handlers, middleware, replaced
from .settings import secrets_in


def report(
    settings: HardeningSettings | None,
    app: Hardened | None,
    findings: list[Finding],
    sources: Mapping[str, str],
    form: Literal["table", "json"],
) -> str:
    """Everything, as text for a person or as JSON for a program."""
    used = app.settings if app is not None else settings
    declared = list(_settings(used, settings, sources)) if used is not None else []
    routes = [_route(route, app.insecure_mounts) for route in app.table()] if app is not None else []
    around: dict[str, list[str]] = {}
    if app is not None:
        around = {each.__name__: list(each(app)) for each in (replaced, middleware, handlers)}
    if form == "json":
        found = [{"id": each.id, "level": each.level, "message": each.message, "hint": each.hint} for each in findings]
        ok = not any(each.level == "error" for each in findings)
        data = {"ok": ok, "settings": declared, "routes": routes, "application": around, "findings": found}
        return json.dumps({**data, "under_serve_alone": NOT_BOUNDED, "left_to_proxy": LEFT_TO_PROXY}, indent=2)

    known = type(used).model_fields if used is not None else {}
    values = [_row(each, known) for each in declared]
    yours = [[what, name] for what, names in around.items() for name in names]
    rows = [
        *_table("SETTING", "VALUE", "FROM", rows=values),
        "",
        *_table("ROUTE", "ACCESS", "POLICY", rows=map(_cells, routes)),
        "",
        *([*_table("APPLICATION", "YOURS", rows=yours), ""] if yours else []),
        *for_people(findings),
        f"Under `serve` alone is bounded: {NOT_BOUNDED}.",
        f"Left to the proxy in front (HARDENING.md, Stand behind a proxy): {LEFT_TO_PROXY}.",
        f"{counted(findings, 'error')}, {counted(findings, 'warning')}",
    ]
    return "\n".join(part for row in rows for part in _fitted(row, sys.stdout))


def _row(each: Mapping[str, str | None], known: Mapping[str, FieldInfo]) -> list[str]:
    name = str(each["name"])
    return [name, _written(each["value"], known.get(name.removeprefix(PREFIX).lower())), str(each["source"])]


def counted(findings: Iterable[Finding], level: str) -> str:
    """How many findings of a level there are, in words: `1 error`."""
    number = sum(each.level == level for each in findings)
    return f"{number} {level}{'s' * (number != 1)}"


def for_people(findings: Iterable[Finding], stream: TextIO | None = None) -> Iterator[str]:
    """The findings as lines for a stream, standard output unless said: wrapped and in colour on a terminal."""
    stream = stream or sys.stdout
    is_plain = os.environ.get("TERM") == "dumb" or os.environ.get("NO_COLOR") or sys.platform == "win32"
    has_colours = stream is not None and stream.isatty() and not is_plain
    for finding in findings:
        colour = "31;1" if finding.level == "error" else "33"
        text = "\n".join(part for row in str(finding).splitlines() for part in _fitted(_visible(row), stream))
        yield text.replace(finding.id, f"\x1b[{colour}m{finding.id}\x1b[0m", 1) if has_colours else text


def _visible(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: ascii(found[0])[1:-1], text)


def _fitted(row: str, stream: TextIO | None) -> list[str]:
    """A row, on a terminal in as many lines as it takes."""
    if "\n" in row or "\x1b" in row or stream is None or not stream.isatty():
        return [row]
    own = os.get_terminal_size(stream.fileno()).columns or 80  # standard output may be a file, where errors are none
    width = max(20, shutil.get_terminal_size((own, 24)).columns) - 1
    indent = " " * max(4, len(row) - len(row.lstrip()))
    return textwrap.wrap(row, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _written(text: str | None, field: FieldInfo | None) -> str:
    """A value as a person would write it into a file of settings."""
    if text is None:
        return "not set"
    if text in ("True", "False"):
        return text.lower()
    if field is None or not any(getattr(each, "func", None) in (seconds, lasting, waiting) for each in field.metadata):
        return text
    return _duration(text)


def _duration(text: str | float) -> str:
    """Seconds as a duration is written: `1m`."""
    milliseconds = round(float(text) * 1000)
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
    return next((f"{milliseconds // size}{unit}" for unit, size in units if milliseconds % size == 0), str(text))


def _settings(
    settings: HardeningSettings, loaded: HardeningSettings | None, sources: Mapping[str, str]
) -> Iterator[dict[str, str | None]]:
    """What the application uses, and where it is from: of what was loaded, or put in its place by `create_app`."""
    files = {name.upper() for name in secret_names()}
    environment = {name.upper() for name in os.environ}
    secrets = list(secrets_in(settings))
    for name, value in settings.model_dump(mode="json").items():
        full = f"{PREFIX}{name}".upper()
        if loaded is not None and getattr(loaded, name, None) != getattr(settings, name):
            source = "create_app"
        elif full in environment:
            source = sources.get(full, "environment")
        elif full in files:
            source = "APP_SECRETS_DIR"
        else:
            own = type(settings).model_fields[name].default
            is_templates = own == getattr(HardeningSettings.model_fields.get(name), "default", own)
            given = "default" if is_templates else "settings.py"
            source = "development" if name in settings.model_fields_set else given
        text = None if value is None else str(value)
        for secret in secrets:
            text = text.replace(secret, "***") if text else text
        yield {"name": full, "value": text, "source": source}


def _route(route: Route, insecure_mounts: Mapping[str, str]) -> dict[str, Any]:
    policy: dict[str, Any] = {"max_body_size": route.max_body_bytes} if route.max_body_bytes is not None else {}
    for each in fields(route.policy):
        value = getattr(route.policy, each.name)
        if each.name != "public" and value != getattr(DEFAULT, each.name):
            policy[each.name] = _plain(value)
    if route.app is not None and route.path in insecure_mounts:
        policy["insecure_because"] = {"routes.E005": insecure_mounts[route.path]}
    access = "mounted" if route.app is not None else route.access.value
    if route.access is Access.GUARDED:
        access = f"guard {', '.join(route.guards)}"
    return {"route": str(route), "access": access, "policy": policy}


def _plain(value: Any) -> Any:
    if isinstance(value, dict | float | str):
        return value
    return sorted(value) if isinstance(value, Iterable) else str(value)


def _cells(route: dict[str, Any]) -> list[str]:
    written = ((name, _duration(x) if isinstance(x, float) else x) for name, x in route["policy"].items())
    policy = "; ".join(f"{name}={value}" for name, value in written)
    return [route["route"], route["access"] or "undeclared", policy]


def _table(*titles: str, rows: Iterable[list[str]]) -> Iterator[str]:
    body = [list(titles), *(list(map(_visible, row)) for row in rows)]
    widths = [max(len(row[column]) for row in body) for column in range(len(titles))]
    for row in body:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
