# Owned by the template: an update rewrites this file.
"""The messages of one WebSocket: a refused handshake leaves with the whole header set, as a response does."""

from starlette.types import Message, Receive
from starlette.websockets import WebSocketDisconnect

from ..core.headers import HeaderList
from ..core.problems import UNHANDLED, WEBSOCKET_REJECTED, Refusal
from .exchange import Exchange


class WebSocketExchange(Exchange):
    """The application is given its `send`; what the client sends, and when, is the route's to bound."""

    if_unanswered: Refusal | None = WEBSOCKET_REJECTED

    def begin(self) -> Receive:
        """End the time that the steps had, and return the application's `receive`."""
        if self.slot is not None:
            self.slot.clear_deadline()
        return self.raw_receive if self.request.refusal is None else self.receive_nothing

    async def send(self, message: Message) -> None:
        """The application's `send`: completes the headers of the handshake's answer."""
        if self.refusal is not None and not self.started:
            return
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

    async def _send_answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        if "websocket.http.response" in self.request.scope.get("extensions", ()):
            await self._start_with({"type": "websocket.http.response.start", "status": status, "headers": headers})
            await self.raw_send({"type": "websocket.http.response.body", "body": body})
        else:
            self.started, self.status = True, 403
            await self.raw_send({"type": "websocket.close", "code": 1008})

    async def fail(self, error: BaseException) -> None:
        """Answer what was raised: 500, or the end of the connection; that the client has gone is no failure."""
        if isinstance(error, WebSocketDisconnect):
            self.if_unanswered = None
            return
        self.note_failure(error)
        if self.started:
            await self.raw_send({"type": "websocket.close", "code": 1011})
        else:
            await self.refuse(UNHANDLED)
