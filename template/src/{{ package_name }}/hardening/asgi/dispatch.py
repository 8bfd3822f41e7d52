# Owned by the template: an update rewrites this file.
"""Straight to the path operation that answers. The framework asks one route after another, those of an included router
twice, and leads each request through layers whose work the perimeter has done.
"""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from fastapi.params import Form
from fastapi.routing import APIRoute, RouteContext
from starlette._utils import get_route_path
from starlette.routing import Mount, WebSocketRoute
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from ..app import Hardened
    from ..core.routes import Route, Routes

_BY_PATH = {APIRoute.matches, StarletteRoute.matches, WebSocketRoute.matches, Mount.matches}


def matches_by_path(context: RouteContext) -> bool:
    """Whether path and method alone decide; a class of its own may match whatever it likes."""
    return type(context.original_route).matches in _BY_PATH


def operation(context: RouteContext) -> ASGIApp | None:
    """The application of a path operation, unless the framework does more on the way to it.

    A class of its own may handle otherwise; limits of a body or a form may stand on the routers on the way.
    """
    if not isinstance(context.original_route, APIRoute) or type(context.original_route).handle is not APIRoute.handle:
        return None
    body = context.body_field
    if context.max_body_size is not None or (body is not None and isinstance(body.field_info, Form)):
        return None
    app: ASGIApp = context.app
    return app


class Dispatch:
    """Answers with the path operation that the table finds. All else (404, 405, mounts, forms) the framework does."""

    def __init__(self, app: "Hardened", routes: "Routes", framework: ASGIApp) -> None:
        self._app, self._routes, self._framework = app, routes, framework
        self._handlers: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        for kind, handler in app.exception_handlers.items():
            self._handlers[isinstance(kind, int)][kind] = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._framework(scope, receive, send)
            return
        scope["app"] = self._app
        path = get_route_path(scope)
        route = self._routes.find(scope["method"], path)
        if route is None or route.operation is None or route.context is None:
            await self._framework(scope, receive, send)
            return
        scope.setdefault("router", self._app.router)
        scope["route"], scope["endpoint"] = route.context.original_route, route.context.endpoint
        scope["path_params"] = {**scope.get("path_params", {}), **_params(route, path)}
        scope["starlette.exception_handlers"] = self._handlers
        async with AsyncExitStack() as stack:
            scope["fastapi_middleware_astack"] = stack
            await route.operation(scope, receive, send)


def _params(route: "Route", path: str) -> dict[str, Any]:
    if "{" not in route.path or route.context is None or (match := route.regex.match(path)) is None:
        return {}
    convertors = route.context.param_convertors
    return {name: convertors[name].convert(text) for name, text in match.groupdict().items()}
