# Owned by the template: an update rewrites this file.
"""Whether FastAPI, Starlette, Pydantic and Granian still mean what `core/framework.py` and the checks take from them.
A name that is gone and read as `None` would open what it closes, in silence.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, FastAPI

from ..core.findings import Finding
from ..core.framework import missing_of_granian
from ..core.routes import RouteTable
from ..models import ApiModel
from ..policy import guard, public

_DIGITS = "9" * 30
_MANY = {"inner": dict.fromkeys(map(str, range(100)), 0)}
_SCOPE = {"type": "http", "method": "GET", "path": "/a/b/1", "headers": [], "query_string": b"", "root_path": ""}


class _Inner(ApiModel):
    number: int


class _Body(ApiModel):
    inner: _Inner


@guard
def _caller() -> None: ...


@public
def _probe(number: int, limit: int = 1) -> None: ...


@public
def _store(body: _Body) -> None: ...


def framework_findings() -> Iterator[Finding]:
    """Try each part on routes of our own, whose answers are known."""
    for missed in (*_missed(), *missing_of_granian()):
        packages = ", ".join(f"{name} {version(name)}" for name in ("fastapi", "starlette", "pydantic", "granian"))
        yield Finding(
            "framework.E001",
            f"{packages}: {missed}; what hardening does with it would be left out in silence.",
            "Go back to the versions in the uv.lock of the last start, or update from the template.",
        )


@cache
def _missed() -> tuple[str, ...]:
    """What FastAPI and Pydantic lack, asked once: nobody installs another release of them into a process that runs."""
    return tuple(_tried())


def _tried() -> Iterator[str]:
    try:
        app, outer, inner = FastAPI(openapi_url=None), APIRouter(), APIRouter(prefix="/b")
        inner.get("/{number}")(_probe)
        outer.include_router(inner, dependencies=[Depends(_caller)])
        app.include_router(outer, prefix="/a")
        app.get("/own")(_probe)
        app.post("/own")(_store)
        table = RouteTable(app, lambda _: None)
        table.apply_default_bounds()
        yield from _missing(table)
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing is known of the routes
        yield f"routes cannot be read: {type(error).__name__}: {error}"


def _missing(table: RouteTable) -> Iterable[str]:
    found = {str(route): route for route in table}
    if found.keys() != {"GET /a/b/{number}", "GET /own", "POST /own"}:
        yield f"the routes are not found, but {sorted(found)}"
        return
    nested = found["GET /a/b/{number}"]
    parameters: list[Any] = [param for each in nested.dependants() for param in (*each.path_params, *each.query_params)]
    if nested.guards != ("_caller",):
        yield "the dependencies of a route are not found"
    if nested.query != {"limit": False} or len(parameters) != 2:
        yield "the parameters of a route are not found"
    if any(not each.validate(_DIGITS, {}, loc=("query",))[1] for each in parameters):
        yield "numbers cannot be bounded"
    bodies: list[Any] = [param for each in found["POST /own"].dependants() for param in each.body_params]
    if any(len(each.validate(_MANY, {}, loc=("body",))[1]) != 1 for each in bodies) or not bodies:
        yield "a large body is not refused at its first mistakes"
    if not nested.policy.public or not nested.by_path:
        yield "a route is not known for one of FastAPI's own"
    if table.find_by_path("GET", "/a/b/1") is not nested or table.search(_SCOPE) is not nested:
        yield "the router does not say which route answers"
