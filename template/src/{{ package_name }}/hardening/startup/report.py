# Owned by the template: an update rewrites this file.
"""What `check` prints: every setting with its source, every route with its policy, every finding with its remedy."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import SecretBytes, SecretStr

from ..app import Hardened
from ..core.routes import Route
from ..policy import DEFAULT
from ..settings import PREFIX, HardeningSettings, secrets_dir
from .settings import Finding

# However it was written: a password with a slash ends an address early for whoever parses it.
_IN_ADDRESS = re.compile(r"://[^/\s:@]*:(.+)@")
_ALONE = re.compile(r"^(?:redis|unix)[^:]*://([^/\s:@]+)@")  # no user of Redis: a password whose colon was forgotten
_IN_QUERY = re.compile(r"[?&]\w*password=([^&#]+)")


def report(
    settings: HardeningSettings | None,
    app: Hardened | None,
    findings: list[Finding],
    sources: Mapping[str, str],
    form: Literal["table", "json"],
) -> str:
    """Everything, as text for a person or as JSON for a program."""
    told = list(_settings(settings, sources)) if settings is not None else []
    routes = [_route(route, app.insecure_mounts) for route in app.table()] if app is not None else []
    if form == "json":
        found = [{"id": each.id, "level": each.level, "message": each.message, "hint": each.hint} for each in findings]
        ok = not any(each.level == "error" for each in findings)
        return json.dumps({"ok": ok, "settings": told, "routes": routes, "findings": found}, indent=2)

    def count(level: str) -> int:
        return sum(each.level == level for each in findings)

    rows = [
        *_table("SETTING", "VALUE", "FROM", rows=([each["name"], each["value"], each["source"]] for each in told)),
        "",
        *_table("ROUTE", "ACCESS", "POLICY", rows=([x["route"], x["access"], _said(x["policy"])] for x in routes)),
        "",
        *(str(finding) for finding in findings),
        f"{count('error')} errors, {count('warning')} warnings",
    ]
    return "\n".join(rows)


def secrets_in(settings: HardeningSettings) -> Iterator[str]:
    """The secret values of the settings, so that the log can mask them wherever they turn up."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        secrets: list[str] = []
        if isinstance(value, SecretStr):
            secrets = [value.get_secret_value()]
        elif isinstance(value, SecretBytes):
            secrets = [value.get_secret_value().decode("latin-1")]
        elif isinstance(value, str) and "://" in value:
            secrets = [*_IN_ADDRESS.findall(value), *_ALONE.findall(value), *_IN_QUERY.findall(value)]
        for secret in filter(None, secrets):
            yield from {secret, unquote(secret)}


def _settings(settings: HardeningSettings, sources: Mapping[str, str]) -> Iterator[dict[str, str]]:
    folder = secrets_dir()
    files = {path.name.upper() for path in folder.iterdir()} if folder is not None and folder.is_dir() else set()
    environment = {name.upper() for name in os.environ}
    secrets = list(secrets_in(settings))
    for name, value in settings.model_dump(mode="json").items():
        full = f"{PREFIX}{name}".upper()
        if full in environment:
            source = sources.get(full, "environment")
        elif full in files:
            source = "APP_SECRETS_DIR"
        else:
            source = "development" if name in settings.model_fields_set else "default"
        text = "not said" if value is None else str(value)
        for secret in secrets:
            text = text.replace(secret, "***")
        yield {"name": full, "value": text, "source": source}


def _route(route: Route, insecure_mounts: Mapping[str, str]) -> dict[str, Any]:
    policy: dict[str, Any] = {"max_body_size": route.max_body_bytes} if route.max_body_bytes is not None else {}
    for each in fields(route.policy):
        value = getattr(route.policy, each.name)
        if each.name != "public" and value != getattr(DEFAULT, each.name):
            policy[each.name] = _plain(value)
    if route.app is not None and route.path in insecure_mounts:
        policy["insecure_because"] = {"routes.E005": insecure_mounts[route.path]}
    return {"route": str(route), "access": "mounted" if route.app is not None else route.access, "policy": policy}


def _plain(value: Any) -> Any:
    if isinstance(value, dict | float | str):
        return value
    return sorted(value) if isinstance(value, Iterable) else str(value)


def _said(policy: dict[str, Any]) -> str:
    return "; ".join(f"{name}={value}" for name, value in policy.items())


def _table(*titles: str, rows: Iterable[list[str]]) -> Iterator[str]:
    body = [list(titles), *rows]
    widths = [max(len(row[column]) for row in body) for column in range(len(titles))]
    for row in body:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
