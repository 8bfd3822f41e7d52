# Owned by the template: an update rewrites this file.
"""The messages of one WebSocket. A refused handshake leaves with the whole header set, as a response does; an open
socket has bounds as a request has: on silence, age, the size of a message and how many come.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from starlette.types import Message, Receive
from starlette.websockets import WebSocketDisconnect

from ..core.framework import is_a
from ..core.headers import HeaderList
from ..core.problems import (
    BODY_TOO_LARGE,
    READER_TIMEOUT,
    SERVICE_STOPS,
    SOCKET_IDLE,
    SOCKET_TOO_OLD,
    UNHANDLED,
    WEBSOCKET_REJECTED,
    Refusal,
)
from ..steps.client import client_keys
from .drain import LETTING_GO
from .exchange import Exchange
from .sockets import GRACE, LAST_SEND, MAX_REASON, close_code, disconnect, title_of


class WebSocketExchange(Exchange):
    """The application is given its `receive` and `send`."""

    is_used = False
    """Whether a message came from the client since the session was last looked up."""
    delivered = 0
    _late_status = 0
    _denial: Message | None = None
    _body = b""
    _ends = 0.0
    paced: Sequence[object] = ()

    if_unanswered: Refusal | None = WEBSOCKET_REJECTED

    def begin(self) -> Receive:
        """Give the route its time to accept, and return the application's `receive`."""
        if self.request.refusal is not None:
            return self.receive_nothing
        self.await_response()
        return self.receive

    async def receive(self) -> Message:
        """The application's `receive`: messages of a bounded size, no faster than they may come. Where the socket has
        had its time, the application is told of its end.
        """
        slot = self.slot
        if slot is None or self.status != 101:
            return await self.raw_receive()
        if self.finished:
            return disconnect(1006)
        slot.receiving = task = asyncio.current_task()
        try:
            await self._runtime.sockets.admit(self)
            message = await self.raw_receive()
        except asyncio.CancelledError:
            if (overdue := slot.overdue) is None or task is None or task.uncancel():
                raise
            slot.overdue = None
            await asyncio.sleep(LETTING_GO)  # or the server closes without the code
            return await self._end_with(overdue)
        finally:
            slot.receiving = None
        if message["type"] == "websocket.disconnect":
            self.finished = True
            return message
        self.is_used = True
        self.delivered += 1
        self._runtime.sockets.count(self)
        self._await_traffic()
        size = len(message.get("bytes") or (message.get("text") or "").encode())
        if size > self.request.services.settings.max_body_bytes:
            return await self._end_with(BODY_TOO_LARGE)
        return message

    async def send(self, message: Message) -> None:
        """The application's `send`: completes the headers of the handshake's answer. What answers a failure after that
        becomes the code of a close.
        """
        if (self.status != 101) if self.started else (self.refusal is not None):
            return
        kind = message["type"]
        if not self.started:
            await self._answer_handshake(kind, message)
        elif kind == "websocket.http.response.start":
            self._late_status = message["status"]
        elif kind == "websocket.http.response.body":
            await self._close(close_code(self._late_status), title_of(message.get("body", b"")))
        elif kind == "websocket.close":
            await self._close(message.get("code", 1000), message.get("reason") or "")
        elif self.finished:
            raise OSError("the socket is closed")
        else:
            await self._deliver(message)
            self._await_traffic()

    async def _answer_handshake(self, kind: str, message: Message) -> None:
        subprotocols = self.request.scope.get("subprotocols", ())
        if kind == "websocket.accept" and message.get("subprotocol") not in (None, *subprotocols):
            raise ValueError("the client did not offer this subprotocol")
        if kind == "websocket.close":
            body = WEBSOCKET_REJECTED.body(self.request.request_id)
            await self.answer(WEBSOCKET_REJECTED.status, WEBSOCKET_REJECTED.headers, body)
            return
        settings = self.request.services.settings
        if kind == "websocket.accept":
            message["headers"] = await self._finalized(101, message)
            self.paced = self, *client_keys(self.request.client)
            self._runtime.sockets.add(self)
            await self._start_with(message)
            self._ends = time.monotonic() + settings.session_lifetime
            self._await_traffic()
        elif kind == "websocket.http.response.start":
            if not 200 <= message["status"] <= 599:
                raise ValueError(f"{message['status']} is not the status of a response")
            self._denial = message
        elif kind == "websocket.http.response.body" and self._denial is not None:
            # The server neither counts it, nor sends one in parts.
            self._body += message.get("body", b"")
            if len(self._body) > settings.max_body_bytes:
                raise ValueError("the body of a handshake's answer is larger than APP_MAX_BODY_BYTES")
            if not message.get("more_body"):
                status = int(self._denial["status"])
                headers = await self._finalized(status, self._denial)
                kept = [header for header in headers if header[0] != b"content-length"]
                await self._send_answer(status, [*kept, (b"content-length", b"%d" % len(self._body))], self._body)
        else:
            await self.raw_send(message)

    async def _finalized(self, status: int, start: Message) -> HeaderList:
        if self.request.unsettled:
            await self.request.settle(status)
        return self._runtime.response_headers.finalize(self.request, status, start.get("headers", ()))

    def _await_traffic(self) -> None:
        """Give both sides their time for the next message."""
        if self.slot is None or self.finished:
            return
        seconds, refusal = self.request.services.settings.socket_idle, SOCKET_IDLE
        if (left := self._ends - time.monotonic()) < seconds:
            seconds, refusal = left, SOCKET_TOO_OLD
        self.slot.set_deadline(seconds, refusal)

    async def _deliver(self, message: Message) -> None:
        seconds = LAST_SEND if self.request.event == SERVICE_STOPS.event else self._runtime.body_timeout
        try:
            async with asyncio.timeout(seconds):
                await self.raw_send(message)
        except TimeoutError:
            self.finished = True
            self.note_once(READER_TIMEOUT)
            if self.slot is not None:
                if self.slot.receiving is not None:
                    self.slot.cancel(READER_TIMEOUT)
                else:
                    self.slot.set_deadline(GRACE, READER_TIMEOUT)
            raise OSError(READER_TIMEOUT.event) from None

    async def _close(self, code: int, reason: str) -> None:
        if not self.finished:
            self.finished = True
            self.request.log_fields["close"] = code
            reason = reason.encode()[:MAX_REASON].decode(errors="ignore")
            await self._deliver({"type": "websocket.close", "code": code, "reason": reason})

    async def _end_with(self, refusal: Refusal) -> Message:
        """Close the socket, and return what tells the route so; it is cancelled if it goes on nevertheless."""
        self.note_once(refusal)
        code = close_code(refusal.status)
        if self.slot is not None:
            self.slot.set_deadline(GRACE, refusal)
        with suppress(OSError):  # who does not read it is told by the end of the connection
            await self._close(code, "")
        return disconnect(code)

    def end(self, refusal: Refusal) -> None:
        """Close the socket, whatever the route is doing; one that is closed already leaves its route the time it has."""
        if self.slot is not None and not self.finished:
            self.slot.cancel(refusal)

    async def give_up(self, refusal: Refusal) -> None:
        """Close the socket though its route does not stop, or answer its handshake."""
        await super().give_up(refusal)
        if self.status == 101:
            self.note_once(refusal)
            await self._close(close_code(refusal.status), "")

    async def _send_answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        if "websocket.http.response" in self.request.scope.get("extensions", ()):
            await self._start_with({"type": "websocket.http.response.start", "status": status, "headers": headers})
            await self.raw_send({"type": "websocket.http.response.body", "body": body})
        else:
            self.started, self.status = True, 403
            await self.raw_send({"type": "websocket.close", "code": 1008})

    async def fail(self, error: BaseException) -> None:
        """Answer what was raised: 500, or the end of the connection; that the client has gone is no failure."""
        rest = error.split(WebSocketDisconnect)[1] if is_a(error, BaseExceptionGroup) else error
        if rest is None or is_a(rest, WebSocketDisconnect):
            self.if_unanswered = None
            return
        self.note_failure(error)
        if self.status == 101:
            await self._close(1011, "")
        elif not self.started:
            await self.refuse(UNHANDLED)

    async def cancelled(self, error: asyncio.CancelledError) -> None:
        """Close what is open and has had its time; else as with any request."""
        task, overdue = asyncio.current_task(), self.slot.overdue if self.slot is not None else None
        if self.status == 101 and overdue is not None and task is not None and not task.uncancel():
            await self._end_with(overdue)
        else:
            await super().cancelled(error)

    def over(self) -> None:
        """Give back what it held."""
        super().over()
        self._runtime.sockets.discard(self)
