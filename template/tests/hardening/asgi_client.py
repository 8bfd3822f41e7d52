# Owned by the template: an update rewrites this file.
"""A client that speaks ASGI: it sends what no honest client would, and sees every message that comes back."""

import asyncio
import atexit
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from json import dumps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope, Send

from verify.common import answer
from verify.common.answer import HOST

__all__ = ["HOST", "Answer"]

CLIENT = "203.0.113.9"
P = ParamSpec("P")
T = TypeVar("T")
Headers = Mapping[str, str] | Sequence[tuple[str, str]]


@dataclass
class Answer(answer.Answer):
    """A response, and the messages of ASGI that it came in."""

    messages: list[Message] = field(default_factory=list)

    @classmethod
    def of(cls, messages: list[Message]) -> "Answer":
        """Put together what an application sent."""
        found = cls(messages=messages)
        for message in messages:
            kind = message["type"].removeprefix("websocket.")
            if kind == "http.response.start":
                if found.status:
                    raise ValueError("a response began twice")
                found.status = message["status"]
                found.headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
            elif kind == "http.response.pathsend":
                found.body += Path(message["path"]).read_bytes()
            elif kind == "http.response.body":
                found.body += message.get("body", b"")
        return found

    @property
    def is_complete(self) -> bool:
        """Whether the body came to its end."""
        return not self.messages[-1].get("more_body", False)


_runner = asyncio.Runner()
atexit.register(_runner.close)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the one event loop of all tests, as a server has one."""
    return _runner.get_loop().run_until_complete(work)  # `_runner.run` takes Ctrl-C over each time, at a price


def in_loop(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Let a test or a helper wait: it is a coroutine function, and runs on that loop."""

    @wraps(work)
    def waited(*arguments: P.args, **named: P.kwargs) -> T:
        return run(work(*arguments, **named))

    return waited


class Stall:
    """In place of a part of a body: the client sends nothing more, and stays."""


class Leave:
    """In place of a part of a body: the client goes away."""


Part = bytes | type[Stall] | type[Leave]


def scope_of(kind: str, target: str, headers: Headers, client: str, **more: Any) -> Scope:
    path, _, query = target.partition("?")
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    if not any(name == "host" for name, _ in pairs):
        pairs.insert(0, ("host", HOST))
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": (client, 40000),
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        # A value of `no` means: no such header.
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in pairs if value != "no"],
        **more,
    }


async def exchange(
    app: ASGIApp,
    method: str,
    target: str,
    headers: Headers = (),
    body: bytes | Sequence[Part] | None = None,
    client: str = CLIENT,
    json: Any = None,
) -> Answer:
    """Send one request inside a running event loop, and return what came back.

    Args:
        app: The application.
        method: As it stands in the request line.
        target: Path and query, percent-encoded.
        headers: Lower-case names; `host` is added unless it is given, and the value `no` leaves a header out.
        body: All of it, or its chunks, among them `Stall` and `Leave`. Content type and length are added.
        client: Address of the peer.
        json: In place of `body`.
    """
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    names = {name for name, _ in pairs}
    if json is not None:
        body = dumps(json).encode()
    if body is not None and "content-type" not in names:
        pairs.append(("content-type", "application/json"))
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        whole = isinstance(body, bytes)
        pairs.append(("content-length", str(len(body))) if whole else ("transfer-encoding", "chunked"))
    parts: list[Part] = [body or b""] if body is None or isinstance(body, bytes) else list(body)
    scope = scope_of(
        "http", target, pairs, client, method=method, scheme="http", extensions={"http.response.pathsend": {}}
    )
    done = asyncio.Event()
    messages: list[Message] = []

    async def receive() -> Message:
        if not parts or parts[0] is Stall:
            await done.wait()
            return {"type": "http.disconnect"}
        if parts[0] is Leave:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        messages.append(message)
        if message["type"] != "http.response.start" and not message.get("more_body", False):
            done.set()

    await asyncio.wait_for(app(scope, receive, send), 10)
    return Answer.of(messages)


request = in_loop(exchange)
"""The same outside of an event loop."""


@in_loop
async def together(app: ASGIApp, *targets: str) -> list[Answer]:
    """Send several GET requests at the same time."""
    return await asyncio.gather(*(exchange(app, "GET", target) for target in targets))


def handshake(
    app: ASGIApp, target: str, headers: Headers = (), texts: Iterable[str] = (), extended: bool = True
) -> list[Message]:
    """Open a WebSocket, send texts, close; return what the application sent."""
    extensions: dict[str, Any] = {"websocket.http.response": {}} if extended else {}
    scope = scope_of("websocket", target, headers, CLIENT, scheme="ws", subprotocols=[], extensions=extensions)
    waiting: list[Message] = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text": text} for text in texts),
        {"type": "websocket.disconnect", "code": 1000},
    ]
    messages: list[Message] = []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        messages.append(message)

    run(asyncio.wait_for(app(scope, receive, send), 10))
    return messages


async def get_and_stay(app: ASGIApp, target: str, send: Send, client: str = CLIENT) -> None:
    """Send one GET of a client that stays, and give `send` each message that comes back."""

    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError("the client stays")

    await app(scope_of("http", target, (), client, method="GET", scheme="http"), receive, send)


async def started(app: ASGIApp, said: list[Any] | None = None) -> list[Any]:
    """Start an application as a server does, and stop it; what it says."""
    said = [] if said is None else said
    waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        said.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    return said
