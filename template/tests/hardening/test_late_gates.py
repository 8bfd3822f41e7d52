# Owned by the template: an update rewrites this file.
"""Gates that are put onto routes and routers which are there already: `hardening/asgi/dispatch.py`, beside `test_gates.py`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from .asgi_client import request, run, started
from .test_gates import GUARDED, Outer, Wrapped, asks, assert_same, bare, early, endpoint, hardened, pair


def onto_routes(app: Any) -> None:
    for route in app.router.routes:
        if hasattr(route, "app"):
            route.app = Wrapped(route.app)


def onto_a_router(app: Any) -> None:
    router = next(route.original_router for route in app.router.routes if hasattr(route, "original_router"))
    router.handle = Wrapped(router.handle).__call__


def of_its_router(app: Any) -> None:
    app.router.__class__ = Outer


@pytest.mark.costly
@pytest.mark.parametrize("change", [onto_routes, onto_a_router, of_its_router])
def test_a_gate_that_a_lifespan_puts_onto_what_is_there_is_asked(change: Callable[[Any], None]) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        change(app)
        yield

    apps = bare(lifespan=lifespan), hardened(lifespan=lifespan)
    for app in apps:
        early(app)
        run(started(app))

    assert 403 in assert_same(apps, [*GUARDED, "GET /early"])


def raises(app: ASGIApp) -> ASGIApp:
    async def gate(scope: Scope, receive: Receive, send: Send) -> None:
        if not asks(scope):
            raise HTTPException(403)
        await app(scope, receive, send)

    return gate


def test_what_a_gate_around_a_route_raises_is_answered_as_by_fastapi() -> None:
    def build(app: Any) -> None:
        app.get("/gated")(endpoint("gated"))
        app.router.routes[-1].app = raises(app.router.routes[-1].app)

    assert [request(app, "GET", "/gated").status for app in pair(build)] == [403, 403]
