"""An ASGI application that does what brings a server to its edges: `python -m benchmarks.edges` asks for it."""

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
PART = b"a" * 65_536

if "SERVICE_PACKAGE" not in os.environ:
    time.sleep(float(os.environ.get("SLOW_START", "0")))  # as an import of many libraries


async def app(scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Any]) -> None:
    """Answer 404 without reading, send 64 MB, or take the messages of a WebSocket."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    path = scope["path"].rpartition("/")[2]
    status = 404 if path == "early" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    for _ in range(1024 if path == "big" else 0):
        await send({"type": "http.response.body", "body": PART, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})
