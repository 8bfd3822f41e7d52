# Owned by the template: an update rewrites this file.
"""Straight to the path operation that answers. The framework asks one route after another, those of an included router
twice. What is found here is what it would find: wherever anything but its own classes decides, it is asked itself.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from operator import is_
from typing import Any

from fastapi import FastAPI
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.framework import ends_here, is_plain
from ..core.operations import Operation, version
from ..core.routes import Route, RouteTable


class Dispatch:
    """Answers with the path operation that the table finds. All else (mounts, forms) the framework does."""

    def __init__(
        self, app: FastAPI, routes: RouteTable, read_routes: Callable[[], RouteTable], framework: ASGIApp
    ) -> None:
        self._read_routes, self._framework = read_routes, framework
        self._router, self._routes = app.router, routes
        self._around: ASGIApp | None = app.router.middleware_stack
        self._handlers: tuple[dict[Any, Any], dict[Any, Any]] = ({}, {})
        for kind, handler in app.exception_handlers.items():
            self._handlers[isinstance(kind, int)][kind] = handler
        self._refuse = ExceptionMiddleware(self._raise, app.exception_handlers)

    def _is_current(self) -> bool:
        """Whether the framework would still find what the table finds."""
        asked, table = self._router.routes, self._routes
        same = len(asked) == len(table.listed) and all(map(is_, asked, table.listed))
        return same and list(map(version, table.routers)) == table.versions

    def _look_again(self) -> None:
        self._routes = self._read_routes()
        self._routes.apply_default_bounds()

    def _send_of_lifespan(self, send: Send) -> Send:
        """A lifespan's `send`: what it has put onto routes, routers and their classes by its start is looked at."""

        async def send_and_look(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._look_again()
                if not is_plain(self._router):
                    self._around = None
            await send(message)

        return send_and_look

    async def _raise(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As the framework does when it has asked every route."""
        scope.setdefault("router", self._router)
        methods = self._routes.methods_at(get_route_path(scope))
        raise HTTPException(405, headers={"Allow": ", ".join(methods)}) if methods else HTTPException(404)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._router.middleware_stack is not self._around:
            await self._framework(scope, receive, self._send_of_lifespan(send) if scope["type"] == "lifespan" else send)
            return
        if not self._is_current():
            self._look_again()
        path = get_route_path(scope)
        found = self._routes.find(scope["method"], path)
        if found is None and self._routes.is_whole and ends_here(self._router):
            await self._refuse(scope, receive, send)
            return
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


def _params(found: Route, operation: Operation, path: str) -> dict[str, Any]:
    match = found.regex.match(path)
    texts = match.groupdict() if match is not None else {}
    return {name: operation.convertors[name].convert(text) for name, text in texts.items()}
