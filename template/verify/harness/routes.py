# Owned by the template: an update rewrites this file.
"""The team's own routes, as the application has them: `python -m verify.harness.routes PACKAGE` prints them as JSON.

It runs in a process of its own, so that the team's code never runs inside verify.
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

# What stands for each kind of parameter in a path, and names what exists in no service.
_VALUES = {"int": "0", "float": "0.0", "path": "verify-nothing"}
_NOTHING = "00000000-0000-4000-8000-000000000000"
HARMLESS = {"routes.E003"}
"""Findings about what a route answers."""
_PARAMETER = re.compile(r"\{[^}:]*:?([^}]*)\}")


@dataclass(frozen=True, slots=True)
class DiscoveredRoute:
    """One route with one method, as an attacker needs to know it."""

    method: str
    path: str
    target: str
    content_types: tuple[str, ...] = ()
    max_body_bytes: int | None = None
    takes_body: bool = False
    checks_query: bool = False
    is_guarded: bool = False
    is_websocket: bool = False
    is_mount: bool = False
    script_cookies: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    """What the start-up check finds in it, accepted or not: nobody knows what it would do with a request."""
    form_field: str = ""
    """A field of the form that it reads, one that may not repeat."""
    is_public: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def why_spared(self) -> str:
        """Why nothing is sent to it, which may change what it is about; empty if something is."""
        if self.is_safe or self.is_mount:
            return ""
        if self.findings:
            return f"it has {', '.join(self.findings)}"
        return "" if self.takes_body or self.checks_query else "it has no model"

    @property
    def is_safe(self) -> bool:
        """Whether calling it changes nothing, by the definition of its method."""
        return self.method in ("GET", "HEAD")


def read(text: str) -> list[DiscoveredRoute]:
    """What this module printed, read again."""
    return [DiscoveredRoute(**_frozen(each)) for each in json.loads(text)]


def _frozen(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def routes(package: str) -> Iterator[DiscoveredRoute]:
    """Every route of the team's application.

    Args:
        package: The service's package.
    """
    load = import_module(f"{package}.hardening").load
    settings = load(import_module(f"{package}.settings").Settings)
    app = import_module(f"{package}.app").create_app(settings)
    table = app.table()
    find = import_module(f"{package}.hardening.startup.routes").route_findings
    for route in table:
        found = [each.id for each in find([route], app.insecure_mounts) if each.level == "error"]
        if route.app is not None:
            yield DiscoveredRoute("GET", route.path, f"{route.path}/verify-nothing", is_mount=True)
            continue
        for method in ["GET"] if route.is_websocket else sorted(route.methods or {"GET"}):
            yield DiscoveredRoute(
                method,
                route.path,
                _target(table, route, method),
                tuple(route.policy.content_types),
                route.max_body_bytes,
                any(each.body_params for each in route.dependants()),
                route.query is not None,
                bool(route.guards),
                route.is_websocket,
                False,
                tuple(sorted(route.policy.script_cookies)),
                tuple(sorted({*found, *route.policy.insecure_because} - HARMLESS)),
                next((name for name, repeats in route.form.fields.items() if not repeats), ""),
                route.policy.public,
            )


def _target(table: Any, route: Any, method: str) -> str:
    """A path that reaches the route and names nothing that exists; empty if another route stands before it."""
    target: str = _PARAMETER.sub(lambda match: _VALUES.get(match[1], _NOTHING), route.path)
    kind = "websocket" if route.is_websocket else "http"
    scope = {"type": kind, "method": method, "path": target, "root_path": "", "query_string": b"", "headers": []}
    asked = "WEBSOCKET" if route.is_websocket else method
    reached = route.methods is None or table.find(asked, target, scope, "") is route
    return target if reached and route.regex.match(target) else ""


if __name__ == "__main__":
    print(json.dumps([asdict(each) for each in routes(sys.argv[1])]))
