# Owned by the template: an update rewrites this file.
"""A client of WebSockets that speaks ASGI: it opens, says and waits for what a test wants, and sees what comes back."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

from .asgi_client import CLIENT, Answer, Headers, scope_of


def clients(number: int) -> list[str]:
    """As many clients."""
    return [f"198.51.100.{each}" for each in range(1, number + 1)]


class Socket:
    """One WebSocket, inside a running event loop.

    Args:
        app: The application.
        target: Path and query.
        headers: Of the handshake.
        client: Address of the peer.
        reads: Whether the client reads; else what is sent to it after the handshake never gets away.
        closes: Whether the server still sends a close.
        accepts_after: Seconds that the server takes to accept.
    """

    def __init__(
        self,
        app: ASGIApp,
        target: str = "/ws",
        headers: Headers = (),
        client: str = CLIENT,
        *,
        reads: bool = True,
        closes: bool = True,
        accepts_after: float = 0.0,
    ) -> None:
        extensions: dict[str, Any] = {"websocket.http.response": {}}
        scope = scope_of("websocket", target, headers, client, scheme="ws", subprotocols=[], extensions=extensions)
        self.sent: list[Message] = []
        self._delays = {
            "websocket.accept": accepts_after,
            "websocket.send": 0.0 if reads else 60.0,
            "websocket.close": 0.0 if closes else 60.0,
        }
        self._inbox = asyncio.Queue[Message]()
        self._inbox.put_nowait({"type": "websocket.connect"})
        self._changed = asyncio.Event()
        self.task = asyncio.ensure_future(app(scope, self._inbox.get, self._send))

    async def _send(self, message: Message) -> None:
        if seconds := self._delays.get(message["type"]):
            await asyncio.sleep(seconds)
        self.sent.append(message)
        self._changed.set()

    async def until(self, number: int, seconds: float = 8.0) -> list[Message]:
        """Wait until the application has sent so many messages, or ended."""
        async with asyncio.timeout(seconds):
            while len(self.sent) < number and not self.task.done():
                self._changed.clear()
                changed = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait([changed, self.task], return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
        return self.sent

    async def accepted(self) -> bool:
        """Whether it was let in."""
        return bool((await self.until(1))[0]["type"] == "websocket.accept")

    def say(self, text: str | bytes) -> None:
        """Send a message."""
        kind = "text" if isinstance(text, str) else "bytes"
        self._inbox.put_nowait({"type": "websocket.receive", kind: text})

    async def leave(self) -> None:
        """Close it from this side, and wait for the application."""
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self.task, 5)

    async def close_code(self, seconds: float = 8.0) -> int:
        """Wait until the application has ended, and return the code with which it closed; 0 if it did not."""
        await asyncio.wait_for(self.task, seconds)
        last = self.sent[-1]
        return int(last["code"]) if last["type"] == "websocket.close" else 0

    @property
    def answer(self) -> Answer:
        """The response to a handshake that was refused."""
        return Answer.of(self.sent)
