# Owned by the template: an update rewrites this file.
"""Straight to the path operation that answers. The framework asks one route after another, those of an included router
twice. What is found here is what it would find: wherever anything but its own classes decides, it is asked itself.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from operator import attrgetter, is_
from typing import TYPE_CHECKING, Any

from fastapi.params import Form
from fastapi.routing import APIRoute, APIRouter, RouteContext, _EffectiveRouteContext, _IncludedRouter
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .framework import is_frameworks, is_own, is_plain, matches_by_path

if TYPE_CHECKING:
    from .application import Hardened
    from .route_table import Route, Routes

version = attrgetter("_routes_version")


@dataclass(slots=True)
class Operation:
    """A path operation, and what the framework would write into the scope on the way to it."""

    app: ASGIApp
    route: APIRoute
    endpoint: Any
    convertors: dict[str, Any]
    fastapi: dict[str, Any]


@dataclass(slots=True)
class Way:
    """A walk through routes and included routers, in the order in which the framework asks them."""

    is_own: bool = True
    """Whether the framework's own classes alone have decided so far, by path and method."""
    routers: list[APIRouter] = field(default_factory=list)

    def walk(
        self, routes: Sequence[Any], within: _IncludedRouter | None = None
    ) -> Iterator[tuple[RouteContext, Operation | None]]:
        """Each route as it stands, with its operation where the framework adds nothing but the search for it."""
        for route in routes:
            if isinstance(route, _IncludedRouter):
                router = route.original_router
                self.routers.append(router)
                self.is_own = self.is_own and is_own(route, _IncludedRouter) and is_plain(router)
                yield from self.walk(route.effective_candidates(), route)
                continue
            is_included = isinstance(route, _EffectiveRouteContext)
            context = RouteContext(route.original_route, route) if is_included else RouteContext(route)
            self.is_own = self.is_own and matches_by_path(context)
            yield context, _operation(context, within) if self.is_own else None


def _operation(context: RouteContext, within: _IncludedRouter | None) -> Operation | None:
    route, body = context.original_route, getattr(context, "body_field", None)
    if not isinstance(route, APIRoute) or not is_frameworks(context.app):
        return None  # an application of somebody's own may raise what only the framework's layers answer
    if context.max_body_size is not None or (body is not None and isinstance(body.field_info, Form)):
        return None  # the routers on the way may have limits for it
    found = {"included_router": within, "effective_route_context": context._route_context} if within else {}
    return Operation(context.app, route, context.endpoint, context.param_convertors, found)


class Dispatch:
    """Answers with the path operation that the table finds. All else (404, 405, mounts, forms) the framework does."""

    def __init__(self, app: "Hardened", routes: "Routes", look: Callable[[], "Routes"], framework: ASGIApp) -> None:
        self._look, self._framework = look, framework
        self._router, self._routes = app.router, routes
        self._around: ASGIApp | None = app.router.middleware_stack
        self._handlers: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        for kind, handler in app.exception_handlers.items():
            self._handlers[isinstance(kind, int)][kind] = handler

    def _is_current(self) -> bool:
        """Whether the framework would still find what the table finds."""
        asked, table = self._router.routes, self._routes
        same = len(asked) == len(table.listed) and all(map(is_, asked, table.listed))
        return same and list(map(version, table.routers)) == table.versions

    def _look_again(self) -> None:
        self._routes = self._look()
        self._routes.bound()

    def _started(self, send: Send) -> Send:
        """A lifespan's `send`: what it has put onto routes, routers and their classes by its start is looked at."""

        async def told(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._look_again()
                if not is_plain(self._router):
                    self._around = None
            await send(message)

        return told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._router.middleware_stack is not self._around:
            await self._framework(scope, receive, self._started(send) if scope["type"] == "lifespan" else send)
            return
        if not self._is_current():
            self._look_again()
        path = get_route_path(scope)
        found = self._routes.find(scope["method"], path)
        if found is None or (operation := found.operation) is None:
            await self._framework(scope, receive, send)
            return
        scope.setdefault("router", self._router)
        scope["route"], scope["endpoint"] = operation.route, operation.endpoint
        params = _params(found, operation, path) if operation.convertors else {}
        scope["path_params"] = {**scope["path_params"], **params} if "path_params" in scope else params
        if operation.fastapi:
            scope.setdefault("fastapi", {}).update(operation.fastapi)
        scope["starlette.exception_handlers"] = self._handlers
        async with AsyncExitStack() as stack:
            scope["fastapi_middleware_astack"] = stack
            await operation.app(scope, receive, send)


def _params(found: "Route", operation: Operation, path: str) -> dict[str, Any]:
    match = found.regex.match(path)
    texts = match.groupdict() if match is not None else {}
    return {name: operation.convertors[name].convert(text) for name, text in texts.items()}
