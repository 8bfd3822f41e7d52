# Owned by the template: an update rewrites this file.
"""An application that answers wrongly in every way that a route can, one for each path."""

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.types import Message, Receive, Scope, Send

NEXT = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned"
"""What a client must never take for the next response."""


class Oddity(BaseException):
    """What no handler of exceptions catches, and what does not tell where it was raised."""

    def __str__(self) -> str:
        raise RuntimeError("canary")

    @property
    def __traceback__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("canary")


class Untold(Oddity):
    """What does not tell its class either: `isinstance` raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("canary")


def start(*headers: tuple[Any, Any], status: Any = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: Any, more: Any = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def length(value: int) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % value


BEFORE: dict[str, Sequence[Message | BaseException]] = {
    "longer": [start(length(3)), body(b"abc" + NEXT)],
    "longer-in-parts": [start(length(3)), body(b"abc" + NEXT, True), body(b"")],
    "shorter": [start(length(300)), body(b"abc")],
    "two-lengths": [start(length(3), length(50)), body(b"abc" + NEXT)],
    "lengths-swapped": [start(length(50), length(3)), body(b"abc")],
    "endless": [start((b"content-length", b"9" * 40)), body(b"abc", True), body(b"")],
    "odd-length": [start((b"Content-Length", b"+3")), body(b"abc")],
    "text": [start(length(3)), body("abc")],
    "nothing": [],
    "no-body": [start()],
    "no-start": [body(b"abc")],
    "unknown": [start(), {"type": "http.response.canary"}],
    "no-file": [start(length(3)), {"type": "http.response.pathsend", "path": "/canary"}],
    "folder": [start(), {"type": "http.response.pathsend", "path": "/"}],
    "bytes-for-a-path": [start(), {"type": "http.response.pathsend", "path": __file__.encode()}],
    "file-length": [start((b"content-length", b"x")), {"type": "http.response.pathsend", "path": __file__}],
    "name": [start((b"x canary", b"1")), body(b"abc")],
    "value": [start((b"x-canary", b"1\r\nx: y")), body(b"abc")],
    "no-bytes": [start(("x-canary", 1)), body(b"abc")],
    "headers": [start(*((b"x-%d" % number, b"1") for number in range(30_000))), body(b"abc")],
    "status": [start(status="200"), body(b"abc")],
    "oddity": [Oddity()],
    "untold": [Untold()],
    "interrupt": [start(), KeyboardInterrupt()],
    "exit": [SystemExit(3)],
    "group": [BaseExceptionGroup("canary", [Oddity()])],
    "generator-exit": [GeneratorExit()],
    "cancelled": [asyncio.CancelledError()],
}
"""Answers that are none: 500 in their place, and nothing of them."""
AFTER: dict[str, Sequence[Message | BaseException]] = {
    "too-long": [start(length(5)), body(b"abc", True), body(b"abc" + NEXT)],
    "too-short": [start(length(300)), body(b"abc", True), body(b"abc")],
    "twice": [start(), body(b"abc", True), start(status=201), body(b"abc")],
    "breaks": [start(), body(b"abc", True), Untold()],
    "ends": [start(length(300)), body(b"abc", True)],
    "text-later": [start(), body(b"abc", True), body("abc")],
}
"""Answers that have begun when they go wrong: the connection is cut."""
RIGHT: dict[str, Sequence[Message | BaseException]] = {
    "same": [start(length(3)), body(b"abc")],
    "in-parts": [start(length(6)), body(b"abc", 1), body(b"abc")],
    "bytearray": [start(length(3)), body(bytearray(b"abc"))],
    "view": [start(length(3)), body(memoryview(b"abc"))],
    "chunked": [start((b"Transfer-Encoding", b"chunked"), length(3)), body(b"abc")],
    "same-length-twice": [start(length(3), length(3)), body(b"abc")],
    "empty": [start(length(300), status=304), body(b"")],
    "no-content": [start(length(3), status=204), body(b"abc")],
}
"""Unusual, and right."""


async def _raise(error: BaseException) -> None:
    raise error


async def misbehaving(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the last part of the path says; a WebSocket is never answered."""
    if scope["type"] == "http":
        name = scope["path"].rpartition("/")[2]
        if name == "cancels-itself" and (task := asyncio.current_task()):
            task.cancel()
            await asyncio.sleep(1)
        for each in {**BEFORE, **AFTER, **RIGHT}[name]:
            if type(each) is SystemExit:  # from a task of its own, as in a stream of Starlette's
                await asyncio.ensure_future(_raise(each))
            if isinstance(each, BaseException):
                raise each
            await send(dict(each))
