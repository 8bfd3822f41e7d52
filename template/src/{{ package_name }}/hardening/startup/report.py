# Owned by the template: an update rewrites this file.
"""What `check` prints: every setting with its source, every route with its policy, every finding with its remedy."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Literal

from ..app import Hardened
from ..core.findings import Finding
from ..core.framework import is_frameworks
from ..core.route import Access, Route
from ..policy import DEFAULT, name_of
from ..settings import PREFIX, HardeningSettings, secrets_dir
from ..steps.errors import Errors
from .settings import secrets_in


def report(
    settings: HardeningSettings | None,
    app: Hardened | None,
    findings: list[Finding],
    sources: Mapping[str, str],
    form: Literal["table", "json"],
) -> str:
    """Everything, as text for a person or as JSON for a program."""
    declared = list(_settings(settings, sources)) if settings is not None else []
    routes = [_route(route, app.insecure_mounts) for route in app.table()] if app is not None else []
    layers = list(_layers(app)) if app is not None else []
    if form == "json":
        found = [{"id": each.id, "level": each.level, "message": each.message, "hint": each.hint} for each in findings]
        ok = not any(each.level == "error" for each in findings)
        whole = {"ok": ok, "settings": declared, "routes": routes, "layers": layers, "findings": found}
        return json.dumps(whole, indent=2)

    def count(level: str) -> int:
        return sum(each.level == level for each in findings)

    values = [[text if text is not None else "not set" for text in each.values()] for each in declared]
    rows = [
        *_table("SETTING", "VALUE", "FROM", rows=values),
        "",
        *_table("ROUTE", "ACCESS", "POLICY", rows=map(_cells, routes)),
        "",
        *(_table("LAYER", "WHAT", rows=map(list, map(dict.values, layers))) if layers else ()),
        *([""] if layers else ()),
        *(str(finding) for finding in findings),
        f"{count('error')} errors, {count('warning')} warnings",
    ]
    return "\n".join(rows)


def _settings(settings: HardeningSettings, sources: Mapping[str, str]) -> Iterator[dict[str, str | None]]:
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


def _layers(app: Hardened) -> Iterator[dict[str, str]]:
    """What may answer beside the routes: middleware, from the outside in, and handlers of the team's own."""
    for middleware in app.user_middleware:
        dispatch = middleware.kwargs.get("dispatch", middleware.cls)
        yield {"layer": "middleware", "what": name_of(dispatch)}
    for kind, handler in app.exception_handlers.items():
        if not (is_frameworks(handler) or isinstance(getattr(handler, "__self__", None), Errors)):
            yield {"layer": f"handler of {kind if isinstance(kind, int) else kind.__name__}", "what": name_of(handler)}
    if not is_frameworks(app.router.default):
        yield {"layer": "not found", "what": name_of(app.router.default)}


def overridden(app: Hardened) -> Iterator[Finding]:
    """What a subclass puts in the place of the perimeter or of what looks at it."""
    names = ("__call__", "findings", "seal", "table")
    if own := [name for name in names if getattr(type(app), name) is not getattr(Hardened, name)]:
        yield Finding(
            "routes.W004",
            f"{type(app).__name__} has {', '.join(own)} of its own: what passes by the perimeter or is left out is not seen.",
            "Leave it out: a step, a middleware or a dependency is looked at.",
        )


def _plain(value: Any) -> Any:
    if isinstance(value, dict | float | str):
        return value
    return sorted(value) if isinstance(value, Iterable) else str(value)


def _cells(route: dict[str, Any]) -> list[str]:
    policy = "; ".join(f"{name}={value}" for name, value in route["policy"].items())
    return [route["route"], route["access"] or "undeclared", policy]


def _table(*titles: str, rows: Iterable[list[str]]) -> Iterator[str]:
    body = [list(titles), *rows]
    widths = [max(len(row[column]) for row in body) for column in range(len(titles))]
    for row in body:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
