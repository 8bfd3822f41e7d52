# Owned by the template: an update rewrites this file.
"""Straight to the path operation that answers. The framework asks one route after another, those of an included router
twice, and leads each request through layers whose work the perimeter has done.
"""

from contextlib import AsyncExitStack
from typing import Any

from fastapi import FastAPI
from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from ..core.routes import Route, RouteTable


class Dispatch:
    """Answers with the path operation that the table finds. All else (404, 405, mounts, forms) the framework does."""

    def __init__(self, app: FastAPI, routes: RouteTable, framework: ASGIApp) -> None:
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
        if route is None or route.endpoint_app is None or route.context is None:
            await self._framework(scope, receive, send)
            return
        scope.setdefault("router", self._app.router)
        scope["route"], scope["endpoint"] = route.context.original_route, route.context.endpoint
        scope["path_params"] = {**scope.get("path_params", {}), **_params(route, path)}
        scope["starlette.exception_handlers"] = self._handlers
        async with AsyncExitStack() as stack:
            scope["fastapi_middleware_astack"] = stack
            await route.endpoint_app(scope, receive, send)


def _params(route: Route, path: str) -> dict[str, Any]:
    if "{" not in route.path or route.context is None or (match := route.regex.match(path)) is None:
        return {}
    convertors = route.context.param_convertors
    return {name: convertors[name].convert(text) for name, text in match.groupdict().items()}
