# Owned by the template: an update rewrites this file.
"""All that is taken from FastAPI, Starlette, AnyIO, Pydantic and Granian beside what they document, in one place. Where a part of
it is gone or has another meaning, their own way is taken; `startup/frameworks.py` tries each at the start.
"""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType, MethodType
from typing import Any, TypeGuard, TypeVar
from urllib.parse import quote

import fastapi.routing
from fastapi import APIRouter
from fastapi.params import Form
from fastapi.routing import APIRoute, APIWebSocketRoute, RouteContext
from pydantic_core import SchemaValidator
from starlette._utils import get_route_path as get_route_path
from starlette.middleware import Middleware
from starlette.routing import Host, Match, Mount, WebSocketRoute, compile_path
from starlette.routing import Route as StarletteRoute
from starlette.types import Scope

_BY_PATH = (APIRoute, APIWebSocketRoute, StarletteRoute, WebSocketRoute, Mount)
# Names with which a class decides who answers, beside those that `APIRoute` declares.
_DECIDE = {"__call__", "__getattr__", "__getattribute__", "app", "endpoint", "methods", "path", "path_format"}
_DECIDE |= {"path_regex", "param_convertors"}
# What FastAPI's pages show how to override: it makes the application, and finds nothing.
_MAKES_THE_APP = {"get_route_handler"}
Inclusion: Any = getattr(fastapi.routing, "_IncludedRouter", None) or type("Inclusion", (), {})
"""What stands among an application's routes for a router that is included."""
# What a route raises is in the log already, once and masked.
SERVER_LOGGERS = {"_granian": "INFO", "_granian.asgi": "WARNING", "_granian.utils": "CRITICAL"}
_ON_SIGTERM, _ON_SIGHUP = "signal_handler_interrupt", "signal_handler_reload"
T = TypeVar("T")


def is_a(thing: object, kind: type[T]) -> TypeGuard[T]:
    """`isinstance`, by the type alone where a thing raises when it is asked for its class."""
    try:
        return isinstance(thing, kind)
    except BaseException:  # noqa: BLE001 - it raises what it likes
        return issubclass(type(thing), kind)


def hear_of_every_exception() -> None:
    """Let AnyIO take whatever a thread or a task of a group raises.

    It asks for the class in a callback of the loop: where that raises, nobody would hear of it, and a request wait for ever.
    """
    from anyio._backends import _asyncio

    vars(_asyncio)["isinstance"] = is_a


def stop_at_hangup(server: Any, begin: Callable[[], None]) -> None:
    """Let SIGHUP and SIGQUIT stop Granian as SIGTERM does, and call `begin` at each of them.

    At SIGHUP it would run old and new workers side by side, each with limits and sessions of its own in memory; a
    SIGQUIT would kill this process alone, and leave them behind.
    """
    if sys.platform != "win32" and (stop := getattr(server, _ON_SIGTERM, None)) is not None:

        def told(*signal_and_frame: Any) -> None:
            begin()
            stop(*signal_and_frame)

        setattr(server, _ON_SIGTERM, told)
        setattr(server, _ON_SIGHUP, told)
        signal.signal(signal.SIGQUIT, told)


def missing_of_granian() -> Iterator[str]:
    """What is not there of what is taken from Granian, if this process has imported it."""
    if (granian := sys.modules.get("granian")) is None:
        return
    if not all(callable(getattr(getattr(granian, "Granian", None), name, None)) for name in (_ON_SIGTERM, _ON_SIGHUP)):
        yield "SIGHUP cannot be made to stop the server"
    if getattr(getattr(sys.modules.get("granian.log"), "logger", None), "name", None) not in SERVER_LOGGERS:
        yield "the server's log has another name"


def adapter_of(param: Any) -> Any:
    """The Pydantic adapter of a parameter, body or response of FastAPI's."""
    return param._type_adapter


def core_schema_of(model: Any) -> Any:
    """What Pydantic has made of a model."""
    return model.__pydantic_core_schema__


def validator_in(model: Any) -> Any:
    """The validator that a model calls as it is made."""
    return model.__pydantic_validator__


def set_validator(model: Any, validator: Any) -> None:
    """Put another one in its place."""
    model.__pydantic_validator__ = validator


def is_complete(cls: type) -> bool:
    """Whether Pydantic has built the validator of a class."""
    return "__pydantic_validator__" in vars(cls) and bool(vars(cls).get("__pydantic_complete__"))


def validator_of(schema: Any, classes: Iterable[Any]) -> SchemaValidator:
    """A validator of this very schema: of a class that is complete, pydantic-core takes the validator that it has."""
    complete = [cls for cls in classes if is_complete(cls)]
    try:
        for cls in complete:
            cls.__pydantic_complete__ = False
        return SchemaValidator(schema)
    finally:
        for cls in complete:
            cls.__pydantic_complete__ = True


def bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """The bounds that Pydantic puts around a schema which cannot hold them itself, as that of a validator."""
    function = schema.get("function")
    function = function.get("function") if isinstance(function, dict) else None
    if schema.get("type") != "function-after" or not isinstance(function, partial):
        return {}
    if not getattr(function.func, "__module__", "").startswith("pydantic."):
        return {}
    keywords = dict(function.keywords)
    for argument in function.args:
        keywords.update(argument if isinstance(argument, dict) else {})
    return keywords


def is_frameworks(function: Any) -> bool:
    """Whether a function or method is FastAPI's or Starlette's own, and nobody has put another in its place."""
    if type(function) is MethodType:
        function = function.__func__
    if type(function) is not FunctionType:
        return False
    return function.__globals__["__name__"].partition(".")[0] in ("fastapi", "starlette")


def teams_layer(middleware: Middleware) -> Any:
    """The class or function of a middleware, or `None` where it is the framework's own."""
    thing: Any = middleware.kwargs.get("dispatch", middleware.cls)
    return None if is_frameworks(getattr(thing, "__init__", None) if isinstance(thing, type) else thing) else thing


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


def may_have_websockets(app: Any) -> bool:
    """Whether a `Hardened` may answer one: by a route, what is mounted, a middleware, or what is added as it begins."""
    if app.has_lifespan or app.router.on_startup or app.user_middleware or not _is_plain(app.router):
        return True
    return any(route.is_websocket or route.methods is None for route in app.table())


def ends_here(router: Any) -> bool:
    """Whether a path that none of the router's routes has is a 404: no redirect, no frontend, no `default` stands behind."""
    return not (router.redirect_slashes or has_frontends(router)) and is_frameworks(router.default)


def has_frontends(router: Any) -> bool:
    """Whether a router has routes that FastAPI asks after all others."""
    return bool(lasts_of(router))


def lasts_of(router: Any) -> Sequence[Any]:
    """The routes that FastAPI asks after all others."""
    found: Sequence[Any] = getattr(router, "_low_priority_routes", ())
    return found


def _is_plain(router: Any) -> bool:
    """Whether a router does nothing but ask its routes: no class, no middleware, no method of somebody's own."""
    stack = getattr(router.middleware_stack, "search", router.middleware_stack)  # what the perimeter has put around it
    return _is_own(router, APIRouter) and bool(stack == router.app)


def _makes_its_app(kind: type) -> bool:
    """Whether a class inherits from `APIRoute` all but the way in which it makes its application."""
    if not issubclass(kind, APIRoute):
        return False
    own = {name for each in kind.__mro__[: kind.__mro__.index(APIRoute)] for name in vars(each)}
    known = {*_DECIDE, *APIRoute.__annotations__, *(name for name in dir(APIRoute) if not name.startswith("__"))}
    return not own & (known - _MAKES_THE_APP) and _is_untouched(APIRoute)


def _matches_by_path(context: RouteContext) -> bool:
    """Whether path and method alone decide; a class or a pattern of its own may match whatever it likes."""
    route, kind = context.original_route, type(context.original_route)
    if not ((kind in _BY_PATH and _is_untouched(kind)) or _makes_its_app(kind)) or not _is_unpatched(route):
        return False
    path = f"{context.path}/{{path:path}}" if kind is Mount else context.path or ""
    return bool(context.path_regex == compile_path(path)[0])


def is_test(scope: Scope) -> bool:
    """Whether Starlette's `TestClient` asks: it leaves out what every server says, the version of ASGI."""
    return "asgi" not in scope


def under_root_path(scope: Scope) -> Scope:
    """The scope with the server's `root_path` at the head of `path`, where ASGI has it, though a proxy took it off.

    Uvicorn does it as well, so that `request.url` and what is made of it is an address that a client can use.
    """
    root, path = scope["root_path"], scope["path"]
    if path == root or path.startswith(f"{root}/") or is_test(scope):  # a test client sends what it is told to
        return scope
    raw = scope.get("raw_path")
    return {**scope, "path": root + path, **({} if raw is None else {"raw_path": quote(root).encode() + raw})}


def settle_telemetry(app: Any) -> None:
    """Let FastAPI's telemetry no longer ask for what nobody has configured by now, which takes a seventh of a request."""
    telemetry = getattr(app, "_native_telemetry", None)
    if telemetry is not None and not telemetry.enabled():
        telemetry.enabled = bool  # which is False


@dataclass(slots=True)
class Way:
    """A walk through routes and included routers, in the order in which the framework asks them."""

    by_path: bool = True
    """Whether the framework's own classes alone have decided so far, by path and method."""
    routers: list[APIRouter] = field(default_factory=list)
    most_fields: int = 1000
    """Of a form, as Starlette has it, or as the most that a router or a route grants itself."""
    most_files: int = 1000

    def _note_limits(self, thing: Any) -> None:
        limits = getattr(thing, "form_limits", None) or {}
        self.most_fields = max(self.most_fields, limits.get("max_fields", 0))
        self.most_files = max(self.most_files, limits.get("max_files", 0))

    def walk(self, router: APIRouter) -> Iterator[tuple[RouteContext, bool]]:
        """Each route as it stands, and whether path and method alone lead to it; frontends, asked last, at the end."""
        self.routers.append(router)
        self._note_limits(router)
        self.by_path = self.by_path and _is_plain(router)
        yield from self._walk(router.routes)
        lasts: Callable[[], Iterator[Any]] = getattr(router, "_iter_low_priority_routes", lambda: iter(()))
        yield from ((_context_of(route), False) for route in lasts())

    def _walk(self, routes: Sequence[Any]) -> Iterator[tuple[RouteContext, bool]]:
        for route in routes:
            if isinstance(route, Inclusion):
                router = route.original_router
                self.routers.append(router)
                self._note_limits(getattr(route, "include_context", None))
                self.by_path = self.by_path and _is_own(route, Inclusion) and _is_plain(router)
                yield from self._walk(route.effective_candidates())
                continue
            context = _context_of(route)
            self._note_limits(context.original_route)
            self.by_path = self.by_path and _matches_by_path(context)
            yield context, self.by_path


def _context_of(route: Any) -> RouteContext:
    return RouteContext(route.original_route, route) if hasattr(route, "original_route") else RouteContext(route)


def may_limit_body(context: RouteContext) -> bool:
    """Whether routers on the way to a route may have limits for its body, which they keep to themselves."""
    body = getattr(context, "body_field", None)
    return getattr(context, "max_body_size", None) is not None or isinstance(getattr(body, "field_info", None), Form)


def identity(context: RouteContext) -> int:
    """What tells a route as it stands from every other, and from itself in another place."""
    effective = context._route_context
    return id(context.route if effective is None else effective)


def lists_of(router: APIRouter) -> Iterator[tuple[Any, str]]:
    """Where a router keeps what answers: objects, and their attributes that are lists."""
    yield router, "routes"
    if hasattr(router, "_low_priority_routes"):
        yield router, "_low_priority_routes"
        yield from ((group, "routes") for group in router._low_priority_routes if hasattr(group, "routes"))


def selected(router: APIRouter, scope: Scope, inner: Callable[[Any], Any]) -> int | None:
    """Ask FastAPI's own routes, in its own order, who answers.

    Args:
        router: Of the application.
        scope: Is not changed.
        inner: The router of a mounted application whose own routes are to be asked, or `None`.

    Returns:
        The `identity` of the route, or `None` if none does.
    """
    scope = {**scope, "fastapi": dict(scope.get("fastapi", {}))}
    partial = None
    for route in router.routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            return _within(route, {**scope, **child}, inner)
        if match is Match.PARTIAL and partial is None and not isinstance(route, Inclusion | APIRoute | StarletteRoute):
            partial = route
    if partial is not None:
        return id(partial)
    last = router._match_low_priority(scope) if hasattr(router, "_match_low_priority") else (None,) * 4
    return None if last[2] is None else id(last[3] or last[2])


def _within(route: Any, scope: Scope, inner: Callable[[Any], Any]) -> int | None:
    context = None
    if isinstance(route, Inclusion):
        match, child, route, context = route._match(scope)
        if match is not Match.FULL or route is None:
            return None
        scope = {**scope, **child}
        if isinstance(route, Inclusion):
            return _within(route, scope, inner)
    if isinstance(route, Mount | Host) and (router := inner(route.app)) is not None:
        return selected(router, scope, inner)
    return id(route if context is None else context)
