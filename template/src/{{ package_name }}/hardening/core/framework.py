# Owned by the template: an update rewrites this file.
"""What is FastAPI's and Starlette's own, and so decides by path and method alone; anything else may decide otherwise."""

from types import FunctionType, MethodType
from typing import Any

from fastapi.routing import APIRoute, APIRouter, APIWebSocketRoute, RouteContext
from starlette.routing import Mount, WebSocketRoute, compile_path
from starlette.routing import Route as StarletteRoute

_BY_PATH = (APIRoute, APIWebSocketRoute, StarletteRoute, WebSocketRoute, Mount)
# Names with which a class decides who answers, beside those that `APIRoute` declares.
_DECIDE = {"__call__", "__getattr__", "__getattribute__", "app", "endpoint", "methods", "path", "path_format"}
_DECIDE |= {"path_regex", "param_convertors"}
# What FastAPI's pages show how to override: it makes the application, and finds nothing.
_MAKES_THE_APP = {"get_route_handler"}


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


def is_own(thing: object, kind: type) -> bool:
    """Whether an object is of just this class, and behaves as the class was written."""
    return type(thing) is kind and _is_untouched(kind) and _is_unpatched(thing)


def is_plain(router: Any) -> bool:
    """Whether a router does nothing but ask its routes: no class, no middleware, no method of somebody's own."""
    return is_own(router, APIRouter) and router.middleware_stack == router.app


def may_have_websockets(app: Any) -> bool:
    """Whether a `Hardened` may answer one: by a route, what is mounted, a middleware, or what is added as it begins."""
    if app.has_lifespan or app.router.on_startup or app.user_middleware or not is_plain(app.router):
        return True
    return any(route.is_websocket or route.methods is None for route in app.table())


def ends_here(router: Any) -> bool:
    """Whether a path that none of the router's routes has is a 404: no redirect, no frontend, no `default` stands behind."""
    return not (router.redirect_slashes or router._low_priority_routes) and is_frameworks(router.default)


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
