# Owned by the template: an update rewrites this file.
"""One request and its response on the way through the perimeter: counted, timed, completed."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from ..core.headers import HeaderList, is_field
from ..core.json_text import InvalidJSONError, check_json
from ..core.log import describe, log, mask
from ..core.problems import (
    BODY_INVALID,
    BODY_TIMEOUT,
    BODY_TOO_LARGE,
    CLIENT_DISCONNECTED,
    READER_TIMEOUT,
    ROUTE_TIMEOUT,
    UNHANDLED,
    WEBSOCKET_REJECTED,
    Refusal,
    Refused,
)
from ..steps.base import RequestContext, Services
from .deadlines import Deadlines, Slot
from .drain import MAX_IDLE, Drains, ends_connection
from .response_headers import ResponseHeaders

# Messages that are no part of the response itself.
_ASIDE = frozenset({"http.response.debug", "http.response.early_hint", "http.response.push"})


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the exchanges of one application share."""

    services: Services
    identify: Callable[[RequestContext], str]
    deadlines: Deadlines
    drains: Drains
    response_headers: ResponseHeaders
    own_headers: ResponseHeaders
    """The same without the steps of the team, for when one of them fails."""
    unhandled: Callable[[str, BaseException], bytes]
    """The document of a 500."""
    body_timeout: float
    request_timeout: float
    has_timeouts: bool
    """Whether a route has a time-out of its own."""
    root_path: str


class Exchange:
    """One request and its response. The application is given its `receive` and `send`; the steps see `request` alone."""

    # What most exchanges never change stands on the class: an instance sets only what it needs.
    refusal: Refusal | None = None
    slot: Slot | None = None
    drain: asyncio.Task[None] | None = None
    """Reads what is left of the body after its answer."""
    status = 0
    started = finished = False
    _received = 0
    _is_awaited = _is_read = False
    _start: Message

    def __init__(self, runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
        self._runtime = runtime
        self._peer = scope.get("client")  # `identify` puts the one there that a proxy names
        self.request = RequestContext(scope, runtime.services, runtime.identify, runtime.root_path)
        self.raw_receive = receive
        self.raw_send = send

    def acquire_slot(self) -> None:
        """Take a place among the requests at work."""
        self.slot = Slot(self._runtime.deadlines)
        self.slot.peer = self._peer

    def await_response(self) -> None:
        """Give the route its time to begin its response; one that has begun may take as long as it takes."""
        if self.slot is None:
            return
        if self.started:
            self.slot.clear_deadline()
            return
        seconds = self._runtime.request_timeout
        if self._runtime.has_timeouts:
            seconds = self.request.policy.request_timeout or seconds
        self.slot.set_deadline(seconds, ROUTE_TIMEOUT)

    @property
    def _body_timeout(self) -> float:
        seconds = self._runtime.body_timeout
        if self._runtime.has_timeouts:
            seconds = self.request.policy.body_timeout or seconds
        return seconds

    def _await_body(self) -> None:
        """Give the client its time to send the body."""
        if self.slot is not None:
            self.slot.set_deadline(self._body_timeout, BODY_TIMEOUT)

    async def receive(self) -> Message:
        """The application's `receive` for a request with a body: counted, timed and, if JSON, checked whole.

        Raises:
            Refused: The body is too large, too slow or not what it says; the perimeter answers, whatever
                the application makes of it.
        """
        if self.drain is not None:
            return {"type": "http.disconnect"}
        if self.finished or self._is_read:
            return await self.raw_receive()
        if not self._is_awaited:
            self._is_awaited = True
            self._await_body()
        is_json = self.request.is_json
        message = self._counted(await self.raw_receive())
        if is_json and message["more_body"]:
            chunks = [message["body"]]
            while message["more_body"]:
                message = self._counted(await self.raw_receive())
                chunks.append(message["body"])
            message["body"] = b"".join(chunks)
        if self._is_read:
            self.await_response()
        if is_json:
            try:
                check_json(message["body"])
            except InvalidJSONError as error:
                self.request.log_fields["reason"] = str(error)
                raise self._refused(BODY_INVALID) from None
        return message

    def _counted(self, message: Message) -> Message:
        if message["type"] == "http.disconnect":
            self._is_read = True
            raise self._refused(CLIENT_DISCONNECTED)
        message.setdefault("body", b"")
        message.setdefault("more_body", False)
        self._is_read = not message["more_body"]
        self._received += len(message["body"])
        if self._received > self.request.max_body_bytes:
            raise self._refused(BODY_TOO_LARGE)
        return message

    def _refused(self, refusal: Refusal) -> Refused:
        self.refusal = refusal
        return Refused(refusal)

    def give_up(self, refusal: Refusal) -> None:
        """Answer with a refusal from now on, whatever the application still sends."""
        self.refusal = refusal

    async def send(self, message: Message) -> None:
        """The application's `send`: completes the headers, drops the body of a HEAD, replaces what was refused.

        The start waits for the first part of the body, so that a failure between the two still gets a whole answer.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self._start = message
            return
        if kind in _ASIDE:
            await self.raw_send(message)
            return
        if self.finished or (self.refusal is not None and not self.started):
            return
        if not self.started:
            if self.request.unsettled:
                await self.request.settle(self._start["status"])
            start = self._begin()
            try:
                await self.raw_send(start)
            except BaseException:
                self.started = False  # a header that the server refuses: the answer is still to be given
                raise
        if self.request.method == "HEAD":
            await self._finish({"type": "http.response.body", "body": b""})
            if message.get("more_body"):
                raise OSError("the answer to HEAD has no body to stream")
            return
        slot = self.slot
        if message.get("more_body", False):
            if slot is not None:
                slot.set_deadline(self._runtime.body_timeout, READER_TIMEOUT)
            await self.raw_send(message)
            if slot is not None:
                slot.clear_deadline()
        else:
            await self._finish(message)

    async def _finish(self, message: Message) -> None:
        """Send the last part, give the place back, and read on what the client may still send of its body."""
        self.finished = True
        await self.raw_send(message)
        if self.slot is not None:
            self.slot.release()
        if self.request.has_body and not self._is_read and self.drain is None:
            is_overdue = self.slot is not None and self.slot.overdue is not None  # it has had its time
            seconds = MAX_IDLE if is_overdue else self._body_timeout
            self.drain = self._runtime.drains.begin(self.request, self._peer, self.raw_receive, seconds)

    def _finalize(
        self, response_headers: ResponseHeaders, status: int, headers: Iterable[tuple[bytes, bytes]]
    ) -> HeaderList:
        complete = response_headers.finalize(self.request, status, headers)
        if self.request.has_body and not self._is_read and ends_connection(self.request):
            complete = [*(header for header in complete if header[0] != b"connection"), (b"connection", b"close")]
        return complete

    def _begin(self) -> Message:
        start = self._start
        if not 200 <= start["status"] <= 599:
            raise ValueError(f"{start['status']} is not the status of a response")
        self.status = int(start["status"])
        headers = start.get("headers", ())
        start["headers"] = self._finalize(self._runtime.response_headers, self.status, headers)
        self.started = True
        if self.slot is not None:
            self.slot.clear_deadline()
        return start

    async def send_websocket(self, message: Message) -> None:
        """The application's `send` for a WebSocket: a refused handshake leaves with the whole header set."""
        kind = message["type"]
        subprotocols = self.request.scope.get("subprotocols", ())
        if kind == "websocket.accept" and message.get("subprotocol") not in (None, *subprotocols):
            raise ValueError("the client did not offer this subprotocol")
        if kind == "websocket.close" and not self.started:
            body = WEBSOCKET_REJECTED.body(self.request.request_id)
            await self.answer(WEBSOCKET_REJECTED.status, WEBSOCKET_REJECTED.headers, body)
            return
        if kind in ("websocket.accept", "websocket.http.response.start") and not self.started:
            status, headers = int(message.get("status", 101)), message.get("headers", ())
            message["headers"] = self._runtime.response_headers.finalize(self.request, status, headers)
            await self._start_with(message)
            return
        await self.raw_send(message)

    async def answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer in the application's place."""
        self.refusal = None
        if self.request.unsettled:
            await self.request.settle(None)
        headers = [*headers, (b"content-length", b"%d" % len(body))]
        try:
            complete = self._finalize(self._runtime.response_headers, status, headers)
            await self._answer(status, complete, body)
        except Exception as error:
            if self.started:  # the client is gone
                raise
            self.note_failure(error)  # a step of the team's, whatever it raises or writes
            self.request.response_headers[:] = [each for each in self.request.response_headers if is_field(*each)]
            status, body = UNHANDLED.status, self._runtime.unhandled(self.request.request_id, error)
            headers = [*UNHANDLED.headers, (b"content-length", b"%d" % len(body))]
            await self._answer(status, self._finalize(self._runtime.own_headers, status, headers), body)

    async def _answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        if not self.request.is_websocket:
            if self.slot is not None:
                self.slot.clear_deadline()
            await self._start_with({"type": "http.response.start", "status": status, "headers": headers})
            body = b"" if self.request.method == "HEAD" else body
            await self._finish({"type": "http.response.body", "body": body})
        elif "websocket.http.response" in self.request.scope.get("extensions", ()):
            await self._start_with({"type": "websocket.http.response.start", "status": status, "headers": headers})
            await self.raw_send({"type": "websocket.http.response.body", "body": body})
        else:
            self.started, self.status = True, 403
            await self.raw_send({"type": "websocket.close", "code": 1008})

    async def _start_with(self, start: Message) -> None:
        """Send the head of a response, which has begun unless the server refuses it."""
        self.started, self.status = True, start.get("status", 101)
        try:
            await self.raw_send(start)
        except BaseException:
            self.started = False
            raise

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal, and let the log name it unless something else has happened."""
        if self.request.event == "request":
            self.request.note(refusal.event)
        await self.answer(refusal.status, refusal.headers, refusal.body(self.request.request_id))

    async def fail(self, error: BaseException) -> None:
        """Answer 500."""
        await self.answer(500, UNHANDLED.headers, self._runtime.unhandled(self.request.request_id, error))

    def note_failure(self, error: BaseException) -> None:
        """Let the log tell of an exception."""
        self.request.note("unhandled_error", exception=mask(describe(error), log.secrets))
