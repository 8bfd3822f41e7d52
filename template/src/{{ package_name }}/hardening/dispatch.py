# Owned by the template: an update rewrites this file.
"""Straight to the path operation that answers. The framework asks one route after another, those of an included router
twice. What is found here is what it would find: wherever anything but its own classes decides, it is asked itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from operator import attrgetter, is_
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from fastapi.params import Form
from fastapi.routing import (
    APIRoute,
    APIRouter,
    APIWebSocketRoute,
    RouteContext,
    _EffectiveRouteContext,
    _IncludedRouter,
)
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Mount, WebSocketRoute, compile_path
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from .application import Hardened
    from .route_table import Route, Routes

_BY_PATH = (APIRoute, APIWebSocketRoute, StarletteRoute, WebSocketRoute, Mount)
# Names with which a class decides who answers, beside those that `APIRoute` declares.
_DECIDE = {"__call__", "__getattr__", "__getattribute__", "app", "endpoint", "methods", "path", "path_format"}
_DECIDE |= {"path_regex", "param_convertors"}
# What FastAPI's pages show how to override: it makes the application, and finds nothing.
_MAKES_THE_APP = {"get_route_handler"}

_version = attrgetter("_routes_version")


def is_frameworks(function: Any) -> bool:
    """Whether a function or method is FastAPI's or Starlette's own, and nobody has put another in its place."""
    if type(function) is MethodType:
        function = function.__func__
    if type(function) is not FunctionType:
        return False
    return function.__globals__["__name__"].partition(".")[0] in ("fastapi", "starlette")


def _is_untouched(kind: type) -> bool:
    """Whether every method of a class, inherited ones too, is the framework's own.

    Those that it calls deprecated are wrapped by another module, and none of them is on the way of a request.
    """
    methods = (
        value.__func__ if isinstance(value, staticmethod | classmethod) else value
        for each in kind.__mro__[:-1]
        for name, value in vars(each).items()
        if callable(value) and (name == "__call__" or not name.startswith("__"))
    )
    return all(is_frameworks(method) or hasattr(method, "__deprecated__") for method in methods)


def _is_unpatched(thing: object) -> bool:
    """Whether no attribute of the object's own stands before a method of its class."""
    return not any(callable(getattr(type(thing), name, None)) for name in vars(thing))


def _is_own(thing: object, kind: type) -> bool:
    """Whether an object is of just this class, and behaves as the class was written."""
    return type(thing) is kind and _is_untouched(kind) and _is_unpatched(thing)


def is_plain(router: Any) -> bool:
    """Whether a router does nothing but ask its routes: no class, no middleware, no method of somebody's own."""
    return _is_own(router, APIRouter) and router.middleware_stack == router.app


def _makes_its_app(kind: type) -> bool:
    """Whether a class inherits from `APIRoute` all but the way in which it makes its application."""
    if not issubclass(kind, APIRoute):
        return False
    own = {name for each in kind.__mro__[: kind.__mro__.index(APIRoute)] for name in vars(each)}
    known = {*_DECIDE, *APIRoute.__annotations__, *(name for name in dir(APIRoute) if not name.startswith("__"))}
    return not own & (known - _MAKES_THE_APP) and _is_untouched(APIRoute)


def matches_by_path(context: RouteContext) -> bool:
    """Whether path and method alone decide; a class or a pattern of its own may match whatever it likes."""
    route, kind = context.original_route, type(context.original_route)
    if not ((kind in _BY_PATH and _is_untouched(kind)) or _makes_its_app(kind)) or not _is_unpatched(route):
        return False
    path = f"{context.path}/{{path:path}}" if kind is Mount else context.path or ""
    return bool(context.path_regex == compile_path(path)[0])


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
                self.is_own = self.is_own and _is_own(route, _IncludedRouter) and is_plain(router)
                yield from self.walk(route.effective_candidates(), route)
                continue
            is_included = isinstance(route, _EffectiveRouteContext)
            context = RouteContext(route.original_route, route) if is_included else RouteContext(route)
            self.is_own = self.is_own and matches_by_path(context)
            yield context, _operation(context, within) if self.is_own else None


def _operation(context: RouteContext, within: _IncludedRouter | None) -> Operation | None:
    route, body = context.original_route, getattr(context, "body_field", None)
    if not isinstance(route, APIRoute):
        return None
    if context.max_body_size is not None or (body is not None and isinstance(body.field_info, Form)):
        return None  # the routers on the way may have limits for it
    found = {"included_router": within, "effective_route_context": context._route_context} if within else {}
    return Operation(context.app, route, context.endpoint, context.param_convertors, found)


class Dispatch:
    """Answers with the path operation that the table finds. All else (404, 405, mounts, forms) the framework does."""

    def __init__(self, app: "Hardened", routes: "Routes", framework: ASGIApp) -> None:
        self._app, self._framework = app, framework
        self._router = app.router
        self._use(routes)
        self._handlers: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        for kind, handler in app.exception_handlers.items():
            self._handlers[isinstance(kind, int)][kind] = handler

    def _use(self, routes: "Routes") -> None:
        self._routes = routes
        self._listed: list[BaseRoute] = list(self._router.routes)
        self._stack = self._router.middleware_stack
        self._routers = [self._router, *routes.routers]
        self._versions = list(map(_version, self._routers))

    def _is_current(self) -> bool:
        """Whether the framework would still find what the table finds."""
        routes, listed = self._router.routes, self._listed
        same = len(routes) == len(listed) and all(map(is_, routes, listed))
        return same and list(map(_version, self._routers)) == self._versions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._router.middleware_stack is not self._stack:
            await self._framework(scope, receive, send)
            return
        if not self._is_current():
            self._use(self._app.table())
            self._routes.bound()
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
