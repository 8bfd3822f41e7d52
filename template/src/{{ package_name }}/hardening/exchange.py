# Owned by the template: an update rewrites this file.
"""One request and its response on the way through the perimeter: read once, counted, timed, completed."""

from asyncio import Task
from collections.abc import Mapping
from os import urandom
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from starlette._utils import get_route_path
from starlette.types import Message, Receive, Scope, Send

from .credentials import settle
from .errors import Refusal, Refused
from .headers import Fields
from .policy import DEFAULT, Policy
from .route_table import Route
from .validation import SINGLE, InvalidJSONError, check_json

if TYPE_CHECKING:
    from .credentials import SignInAttempt
    from .perimeter import Perimeter
    from .session_store import SessionStore
    from .settings import HardeningSettings
    from .store import Store

# Messages that are no part of the response itself.
_ASIDE = frozenset({"http.response.debug", "http.response.early_hint", "http.response.push"})


class Exchange:
    """One request and its response on the way through. The steps read it; the application sees only `scope`."""

    # What most exchanges never change stands on the class: an instance sets only what it needs.
    policy: Policy = DEFAULT
    route: Route | None = None
    refusal: Refusal | None = None
    overdue: Refusal | None = None
    repeated: frozenset[bytes] = frozenset()
    client = ""
    event = "request"
    status = 0
    started = finished = is_json = is_preflight = holds_place = False
    max_body_bytes = 0
    task: Task[Any] | None = None
    due: tuple[float, Refusal] | None = None
    """Until when what is waited for has to come, and the answer if it does not."""
    began: float | None = None
    """When the request arrived; `None` once it may create a session whatever was ended meanwhile."""
    session_keys: Mapping[str, str | None] = MappingProxyType({})
    """Sessions that this request has created, renewed or ended, by name."""
    with_success: Mapping[str, tuple[bytes, bytes]] = MappingProxyType({})
    """Fields that leave with the response unless it is an error."""
    attempts: tuple["SignInAttempt", ...] = ()
    """Attempts to sign in that this request has made, and that may have to be given back."""
    _received = 0
    _is_awaited = _is_read = False
    _start: Message

    def __init__(self, perimeter: "Perimeter", scope: Scope, receive: Receive, send: Send) -> None:
        self._perimeter = perimeter
        self.scope = scope
        self._receive = receive
        self._send = send
        self.request_id = urandom(16).hex()
        self.is_websocket = scope["type"] == "websocket"
        self.method: str = "WEBSOCKET" if self.is_websocket else scope["method"]
        root_path = perimeter.root_path or scope.get("root_path", "")
        self.path: str = get_route_path({**scope, "root_path": root_path}) if root_path else scope["path"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        self.headers = headers
        if len(headers) != len(scope["headers"]):
            self.repeated = self._repeated()
        self.has_body = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
        if self.method == "OPTIONS":
            self.is_preflight = b"access-control-request-method" in headers and b"origin" in headers
        self.added: Fields = []
        self.fields: dict[str, Any] = {}

    @property
    def route_method(self) -> str:
        """The method that the routes see: HEAD is answered as GET."""
        return "GET" if self.method == "HEAD" else self.method

    @property
    def sessions(self) -> "SessionStore":
        """Where sessions are kept."""
        return self._perimeter.sessions

    @property
    def store(self) -> "Store":
        """Where limits are counted."""
        return self._perimeter.store

    @property
    def settings(self) -> "HardeningSettings":
        return self._perimeter.settings

    @property
    def declared(self) -> frozenset[str]:
        """The names that routes declare for their input."""
        return self._perimeter.declared

    def _repeated(self) -> frozenset[bytes]:
        names = [name for name, _ in self.scope["headers"] if name in SINGLE]
        return frozenset(name for name in names if names.count(name) > 1)

    def note(self, event: str, **fields: Any) -> None:
        """Name what happened; the exchange's one line in the log carries it."""
        self.event = event
        self.fields.update(fields)

    async def receive(self) -> Message:
        """The application's `receive` for a request with a body: counted, timed and, if JSON, checked whole.

        Raises:
            Refused: The body is too large, too slow or not what it says; the perimeter answers, whatever
                the application makes of it.
        """
        if self.finished or self._is_read:
            return await self._receive()
        if not self._is_awaited:
            self._is_awaited = True
            self._perimeter.await_body(self)
        message = self._counted(await self._receive())
        if self.is_json and message["more_body"]:
            chunks = [message["body"]]
            while message["more_body"]:
                message = self._counted(await self._receive())
                chunks.append(message["body"])
            message["body"] = b"".join(chunks)
        if not message["more_body"]:
            self._is_read = True
            self._perimeter.await_response(self)
        if self.is_json:
            try:
                check_json(message["body"])
            except InvalidJSONError as error:
                raise self._refuse(self._perimeter.validation.invalid, reason=str(error)) from None
        return message

    def _counted(self, message: Message) -> Message:
        if message["type"] == "http.disconnect":
            raise self._refuse(self._perimeter.left)
        message.setdefault("body", b"")
        message.setdefault("more_body", False)
        self._received += len(message["body"])
        if self._received > self.max_body_bytes:
            raise self._refuse(self._perimeter.validation.too_large)
        return message

    def _refuse(self, refusal: Refusal, **fields: Any) -> Refused:
        self.refusal = refusal
        self.fields.update(fields)
        return Refused(refusal)

    async def send(self, message: Message) -> None:
        """The application's `send`: completes the headers, drops the body of a HEAD, replaces what was refused.

        The start waits for the first part of the body, so that a failure between the two still gets a whole answer.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self._start = message
            return
        if kind in _ASIDE:
            await self._send(message)
            return
        if self.finished or (self.refusal is not None and not self.started):
            return
        if not self.started:
            if self.attempts:
                await settle(self, is_away=self._start["status"] == 503)
            start = self._begin()
            try:
                await self._send(start)
            except BaseException:
                self.started = False  # a header that the server refuses: the answer is still to be given
                raise
        if self.method == "HEAD":
            self.finished = True
            await self._send({"type": "http.response.body", "body": b""})
            if message.get("more_body"):
                raise OSError("the answer to HEAD has no body to stream")
            return
        if message.get("more_body", False):
            self._perimeter.await_reader(self)
            await self._send(message)
            self.due = None
        else:
            self.finished = True
            await self._send(message)
            self._perimeter.deadlines.release(self)

    def _begin(self) -> Message:
        start = self._start
        if not 200 <= start["status"] <= 599:
            raise ValueError(f"{start['status']} is not the status of a response")
        self.status = int(start["status"])
        start["headers"] = self._perimeter.complete(self, start.get("headers", ()))
        self.started = True
        self.due = None
        return start

    async def send_websocket(self, message: Message) -> None:
        """The application's `send` for a WebSocket: a refused handshake leaves with the whole header set."""
        kind = message["type"]
        if kind == "websocket.accept" and message.get("subprotocol") not in (None, *self.scope.get("subprotocols", ())):
            raise ValueError("the client did not offer this subprotocol")
        if kind == "websocket.close" and not self.started:
            await self.answer(403, self._perimeter.denied.headers, self._perimeter.denied.body(self.request_id))
            return
        if kind in ("websocket.accept", "websocket.http.response.start") and not self.started:
            self.started = True
            self.status = int(message.get("status", 101))
            message["headers"] = self._perimeter.complete(self, message.get("headers", ()))
        await self._send(message)

    async def answer(self, status: int, fields: Fields, body: bytes) -> None:
        """Answer in the application's place."""
        self.refusal = None
        if self.attempts:
            await settle(self)
        fields = [*fields, (b"content-length", b"%d" % len(body))]
        if not self.is_websocket:
            self._start = {"type": "http.response.start", "status": status, "headers": fields}
            await self._send(self._begin())
            self.finished = True
            await self._send({"type": "http.response.body", "body": b"" if self.method == "HEAD" else body})
            self._perimeter.deadlines.release(self)
        elif "websocket.http.response" in self.scope.get("extensions", ()):
            await self.send_websocket({"type": "websocket.http.response.start", "status": status, "headers": fields})
            await self._send({"type": "websocket.http.response.body", "body": body})
        else:
            self.started, self.status = True, 403
            await self._send({"type": "websocket.close", "code": 1008})

    async def refuse(self, refusal: Refusal) -> None:
        if self.event == "request":
            self.event = refusal.event
        await self.answer(refusal.status, refusal.headers, refusal.body(self.request_id))
