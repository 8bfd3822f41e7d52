# Owned by the template: an update rewrites this file.
"""Around the application's router, inside all of the framework's own layers: what the perimeter has refused ends here,
and what the router has answered once is remembered.

The framework asks one route after another, those of an included router twice. Where path and method alone decide, its
own answer to the first request, as it stands in the scope, is the answer to those that follow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.findings import InsecureConfigurationError
from ..core.framework import ends_here, get_route_path, identity, is_test
from ..core.log import log
from ..core.problems import Refusal
from ..core.route import Route
from ..core.routes import RouteTable

OBSERVERS = frozenset(
    {"asgi_correlation_id", "ddtrace", "elasticapm", "logfire", "newrelic", "opentelemetry", "prometheus_client",
     "prometheus_fastapi_instrumentator", "sentry_sdk", "starlette_exporter"}
)  # fmt: skip
"""Packages whose middleware looks at requests and answers none: it sees those that are refused, too."""


@dataclass(slots=True)
class Answer:
    """What FastAPI's router has written into the scope of a request."""

    route: Any
    endpoint: Any
    fastapi: dict[str, Any]
    answers: Any
    """The route or the route's context, which has the application and the types of the path's parameters."""


class Dispatch:
    """Stands where the framework keeps the layers of the application's router, with these behind it.

    Args:
        router: The application's.
        routes: What is known of its routes.
        started: Called when the lifespan has started, or else at the first request, with whether a test does it.
    """

    def __init__(self, router: APIRouter, routes: RouteTable, started: Callable[[bool], None]) -> None:
        self.search: ASGIApp = router.middleware_stack
        """The framework's own way to a route."""
        self._router, self._routes = router, routes
        self._started: Callable[[bool], None] | None = started
        self._answers: dict[Route, Answer | None] = {}
        router.middleware_stack = self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        request = scope["hardening"]
        if request.refusal is not None:
            await _refuse(request.refusal, scope, send)
            return
        if self._started is not None:
            self._begin(scope)
        found, path, is_refused = None, "", False
        if scope["type"] == "http" and "fastapi.telemetry" not in scope:
            path = get_route_path(scope)
            found = self._routes.find_by_path(scope["method"], path)
            if found is None and self._routes.is_whole and ends_here(self._router) and self.search == self._router.app:
                scope.setdefault("router", self._router)
                found, is_refused = next(iter(self._routes.at(path)), None), True
                if found is None:
                    raise HTTPException(404)
        if found is None or not found.may_be_kept or (answer := self._answers.get(found)) is None:
            try:
                await self.search(scope, receive, send)
            finally:
                if found is not None and found.may_be_kept and found not in self._answers and "endpoint" in scope:
                    self._answers[found] = _answer(found, scope)
            return
        scope.setdefault("router", self._router)
        scope["route"], scope["endpoint"] = answer.route, answer.endpoint
        params = _params(found, answer.answers.param_convertors, path)
        scope["path_params"] = {**scope["path_params"], **params} if "path_params" in scope else params
        if answer.fastapi:
            scope.setdefault("fastapi", {}).update(answer.fastapi)
        if is_refused:  # as the framework does, which goes on to the first route of the path
            raise HTTPException(405, headers={"Allow": ", ".join(self._routes.methods_at(path))})
        await answer.answers.app(scope, receive, send)

    def _begin(self, scope: Scope) -> None:
        if self._started is not None:
            self._started(is_test(scope))
            self._started = None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start, and look at what is there then: a lifespan or a plug-in may have added to it."""
        found: list[InsecureConfigurationError] = []

        async def send_if_safe(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                try:
                    self._begin(scope)
                except InsecureConfigurationError as error:
                    found.append(error)
                    raise
            elif message["type"] == "lifespan.startup.failed" and found:
                message = {**message, "message": str(found[0])}
            await send(message)

        await self.search(scope, receive, send_if_safe)


def _answer(found: Route, scope: Scope) -> Answer | None:
    """What the framework has answered, unless it is another route than the table has: then it is asked each time."""
    own = scope.get("fastapi", {})
    context, route = own.get("effective_route_context"), scope.get("route")
    answers = route if context is None else context
    if found.context is None or identity(found.context) != id(answers):
        log("warning", "route_differs", path=found.path, route=str(getattr(route, "path", route)))
        return None
    return Answer(route, scope["endpoint"], dict(own) if context is not None else {}, answers)


def _params(found: Route, convertors: dict[str, Any], path: str) -> dict[str, Any]:
    match = found.regex.match(path) if convertors else None
    texts = match.groupdict() if match is not None else {}
    return {name: convertors[name].convert(text) for name, text in texts.items()}


async def _refuse(refusal: Refusal, scope: Scope, send: Send) -> None:
    """Tell the layers around how the perimeter answers, which does it itself when they are done."""
    kind = "http.response"
    if scope["type"] == "websocket":
        kind = "websocket.http.response"
        if kind not in scope.get("extensions", ()):
            await send({"type": "websocket.close", "code": 1008})
            return
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": list(refusal.headers)})
    await send({"type": f"{kind}.body", "body": b""})


class Admitted:
    """One middleware of the application's: it sees what the perimeter has let in, and nothing else."""

    def __init__(self, app: ASGIApp, middleware: Middleware) -> None:
        self.app: ASGIApp = middleware.cls(app, *middleware.args, **middleware.kwargs)
        self._behind = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = scope.get("hardening")
        refused = request is not None and request.refusal is not None
        await (self._behind if refused else self.app)(scope, receive, send)


def admitted(middleware: Middleware) -> Middleware:
    """The same middleware, for requests that are let in; one that only observes sees them all."""
    is_observer = getattr(middleware.cls, "__module__", "").partition(".")[0] in OBSERVERS
    return middleware if is_observer else Middleware(Admitted, middleware)
