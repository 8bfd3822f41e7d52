# Owned by the template: an update rewrites this file.
"""What a step of the checklist is, and what it may see of a request. HARDENING.md, Steps, has a recipe for your own."""

import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from starlette.requests import HTTPConnection
from starlette.types import Scope

from ..core.findings import Finding
from ..core.framework import get_route_path, under_root_path
from ..core.headers import SINGLETON_HEADERS, HeaderList
from ..core.problems import Refusal
from ..core.route import Route
from ..core.routes import RouteTable
from ..policy import DEFAULT, Policy
from ..settings import HardeningSettings
from ..stores.base import SessionStore, Store

_AHEAD = 128
_ids: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.clear)  # or two workers would give the same ones


def _new_id() -> str:
    """A random id. Many are made at once: each call to the system lets go of the interpreter, and whoever waits for it
    takes it, in the middle of a request.
    """
    try:
        return _ids.pop()
    except IndexError:
        text = os.urandom(16 * _AHEAD).hex()
        _ids.extend(text[at : at + 32] for at in range(32, len(text), 32))
        return text[:32]


@dataclass(frozen=True, slots=True)
class Services:
    """What the steps of one application share."""

    settings: HardeningSettings
    store: Store
    """Where limits are counted."""
    sessions: SessionStore
    """Where sessions are kept."""
    routes: RouteTable


class Unsettled(Protocol):
    """What a request has begun, and must be settled before its response leaves."""

    async def settle(self, route_status: int | None) -> None:
        """Do it, given the status with which the route answers, or `None` if it does not."""


class RequestContext:
    """One request (or WebSocket handshake) as the steps see it, and what they want of its response.

    A step of your own may rely on the attributes below, `route`, `policy` and `note`; the rest serves the steps of the
    template and may change with a release.

    Attributes:
        scope: The ASGI scope.
        headers: The last value of each request header, by its name in lower case.
        method: `GET`, `POST` ..., or `WEBSOCKET`.
        path: The path, decoded, below a root path.
        client: The client's address: the peer's, or the one that a trusted proxy names.
        request_id: 32 hexadecimal digits, in the log and in `x-request-id`.
        is_websocket: It is a handshake.
        has_body: It announces a body.
        response_headers: What steps add to the response; they replace what a route writes under these names.
        log_fields: More fields for the line of this request in the log.
        services: What the steps share.
    """

    event = "request"  # what most requests never change stands on the class
    repeated: frozenset[bytes] = frozenset()
    """Headers that came more than once and must not."""
    check_body: Callable[[bytes, bool], None] | None = None
    is_json = is_preflight = has_response = ignores_revocation = _is_routed = False
    max_body_bytes = 0
    session_keys: Mapping[str, str | None] = MappingProxyType({})
    """Sessions that this request has created, renewed or ended, by the name of their cookie."""
    sessions_read: frozenset[str] = frozenset()  # their keys; a WebSocket ends with the first that does
    headers_on_success: Mapping[str, tuple[bytes, bytes]] = MappingProxyType({})
    """What leaves with the response unless that is an error."""
    unsettled: tuple[Unsettled, ...] = ()
    refusal: Refusal | None = None
    """What is answered in the place of a route; set as soon as a step has refused."""
    _route: Route | None = None

    def __init__(
        self, scope: Scope, services: Services, identify: "Callable[[RequestContext], str]", root_path: str = ""
    ) -> None:
        self.started_at = time.perf_counter()
        self.scope = scope
        self.services = services
        self.request_id = _new_id()
        self.is_websocket = scope["type"] == "websocket"
        self.method: str = "WEBSOCKET" if self.is_websocket else scope["method"]
        if not root_path and scope.get("root_path"):
            self.scope = scope = under_root_path(scope)
        self._root_path = root_path = root_path or scope.get("root_path", "")
        self.path: str = get_route_path({**scope, "root_path": root_path}) if root_path else scope["path"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        self.headers = headers
        if len(headers) != len(scope["headers"]):
            names = [name for name, _ in scope["headers"]]
            self.repeated = frozenset(name for name in SINGLETON_HEADERS if names.count(name) > 1)
        self.has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        if self.method == "OPTIONS":
            self.is_preflight = b"access-control-request-method" in headers and b"origin" in headers
        self.client = identify(self)
        self.response_headers: HeaderList = []
        self.log_fields: dict[str, Any] = {}

    @property
    def route(self) -> Route | None:
        """The route that will answer, or `None` where it will be 404 or 405."""
        if not self._is_routed:
            self._is_routed = True
            self._route = self.services.routes.find(self.method, self.path, self.scope, self._root_path)
        return self._route

    @property
    def methods(self) -> list[str]:
        """Every method that its path is answered to."""
        routes = self.services.routes
        return routes.methods_at(self.path, lambda method: routes.find(method, self.path, self.scope, self._root_path))

    @property
    def policy(self) -> Policy:
        """What the route declares of itself."""
        return DEFAULT if (route := self.route) is None else route.policy

    def note(self, event: str, **log_fields: Any) -> None:
        """Name what happened; the one line of the request in the log carries it."""
        self.event = event
        self.log_fields.update(log_fields)

    def expect_body(self, *, is_json: bool, max_bytes: int) -> None:
        """Say what the body has to be: JSON or anything, and how many bytes at most."""
        self.is_json, self.max_body_bytes = is_json, max_bytes

    def keep_session(self, name: str, key: str | None) -> None:
        """Know the session of this name under another key from now on, or `None` once it has ended."""
        self.session_keys = {**self.session_keys, name: key}

    def add_on_success(self, name: str, header: tuple[bytes, bytes]) -> None:
        """Send a header with the response unless that is an error; a later one of this name takes its place."""
        self.headers_on_success = {**self.headers_on_success, name: header}

    def ignore_revocation(self) -> None:
        """Let this request create a session although all of its account were ended meanwhile: it ended them itself."""
        self.ignores_revocation = True

    def settle_before_response(self, what: Unsettled) -> None:
        """Settle something before the response leaves, or the request ends without one."""
        self.unsettled = (*self.unsettled, what)

    async def settle(self, route_status: int | None) -> None:
        """Settle all, once."""
        unsettled, self.unsettled = self.unsettled, ()
        for each in unsettled:
            await each.settle(route_status)

    def begin_response(self, status: int) -> HeaderList:
        """What the steps add to the response, which begins now."""
        self.has_response = True
        added = [*self.response_headers, (b"x-request-id", self.request_id.encode())]
        if self.headers_on_success and status < 400:
            added += self.headers_on_success.values()
        return added


class Step:
    """One step of the checklist. Override what it needs; what is not overridden costs nothing at run time.

    An application makes one object of each class before its first request, and keeps it. Whatever a step needs at a
    request that does not depend on it belongs into `__init__`.
    """

    name: ClassVar[str]
    """What messages call it."""
    fixed_headers: Sequence[tuple[bytes, bytes]] = ()
    """What every response carries, whoever made it; a value that a route chooses stays."""
    reserved_headers: frozenset[bytes] = frozenset()
    """Names in lower case that no route may set: what it writes under them is dropped."""

    def __init__(self, services: Services) -> None:
        self.services = services

    @staticmethod
    def findings(settings: HardeningSettings) -> Iterable[Finding]:
        """What is not safe in the settings. An error keeps production from starting."""
        return ()

    def refuse(self, request: RequestContext) -> Refusal | Awaitable[Refusal | None] | None:
        """Refuse a request before any route sees it, or return `None`. It may be an `async def`."""
        return None

    respond_triggers: frozenset[bytes] = frozenset()
    """Names in lower case. If there are any, `respond` may be left out of a response where neither the request nor what
    the route wrote has a header of one of these names."""

    def respond(self, request: RequestContext, headers: HeaderList) -> HeaderList:
        """What a response carries, given what the route wrote; the fixed headers and those of the request come after. What
        a step of your own writes is treated as a route's: cookies get their flags, reserved names are dropped.
        """
        return headers


def is_overridden(method: Any, inherited: Any) -> bool:
    """Whether a step's method is another than that of `Step`, be it of its class or of the object alone."""
    return getattr(method, "__func__", None) is not inherited


def context_of(connection: HTTPConnection) -> RequestContext:
    """The context of a request that a route handles."""
    context: RequestContext = connection.scope["hardening"]
    return context
