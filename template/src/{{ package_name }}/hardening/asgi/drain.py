# Owned by the template: an update rewrites this file.
"""Reads what is left of a body after its answer, and throws it away (RFC 9112, 9.3 and 9.6).

A server that closes with unread bytes makes the kernel reset the connection: who is still sending loses the answer, and a
proxy takes the service for broken. Granian goes on delivering the body after the answer; `test_early_answers.py` holds
it to that, since no document promises it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from math import inf

from starlette.types import Receive

from ..steps.base import RequestContext
from ..steps.client import client_keys
from .deadlines import Peer
from .places import Shares

MAX_BYTES = 16_777_216
"""Of a body that no route has taken; one whose route takes more may be as long as that."""
MAX_DRAINS = 256
"""At once. The oldest makes room, of the client or network that has its share: it has had the most time."""
MAX_IDLE = 2.0
"""Seconds without a byte."""
LAST = 1.0
"""Seconds in all while the server stops."""
LETTING_GO = 0.05
"""Seconds. Granian cuts a connection whose cancelled `receive` has not let go of the body when the call returns."""
_SMALL, _LEAST = 16_384, 256  # bytes: of a part that is small, and what even the smallest counts for
_PARTS, _PAUSE = 32, 0.005  # each part wakes the loop: after so many small ones a pause for each drain of the client


def ends_connection(request: RequestContext) -> bool:
    """Whether an early answer must say that the connection ends: the rest of the body may never come, or is too much."""
    length = request.headers.get(b"content-length", b"0")
    return b"expect" in request.headers or not length.isdigit() or int(length) > max_bytes(request)


def max_bytes(request: RequestContext) -> int:
    """How much of a body is read after its answer."""
    return max(request.max_body_bytes, MAX_BYTES)


class Drains:
    """The bodies that are being read after their answer. They hold no place of `APP_MAX_CONCURRENCY`."""

    def __init__(self) -> None:
        self._clients: dict[asyncio.Task[bool], tuple[Sequence[str], Peer | None]] = {}
        self._shares = Shares(MAX_DRAINS)
        self._longest = inf

    @property
    def peers(self) -> Iterable[Peer | None]:
        """The other ends of their connections."""
        return (peer for _, peer in self._clients.values())

    def begin(self, request: RequestContext, peer: Peer | None, receive: Receive, seconds: float) -> asyncio.Task[bool]:
        """Read on in a task of its own, from the server's `receive` and for that many seconds at most."""
        keys = client_keys(request.client)
        if not self._shares.hold(keys):
            shares = zip(keys, self._shares.shares, strict=False)
            crowded = next((key for key, share in shares if self._shares.of(key) >= share), None)
            self._end(next(task for task, (others, _) in self._clients.items() if crowded is None or crowded in others))
            self._shares.hold(keys)
        task = asyncio.ensure_future(self._read(keys[-1], receive, max_bytes(request), min(seconds, self._longest)))
        self._clients[task] = keys, peer
        task.add_done_callback(self._forget)
        return task

    def end_soon(self) -> None:
        """The server stops, and would wait for them. Their answers have left: who sends on has a moment to read them."""
        self._longest = LAST
        for task in self._clients:
            task.get_loop().call_later(LAST, task.cancel)

    async def _read(self, key: str, receive: Receive, left: int, seconds: float) -> bool:
        """Read until the body ends, or a bound; whether it was the body. A cancellation, such as that of the server's
        stop, only ends the reading.
        """
        now = asyncio.get_running_loop().time
        end = now() + seconds
        small = 0
        try:
            async with asyncio.timeout_at(min(end, now() + MAX_IDLE)) as limit:
                while left > 0:
                    message = await receive()
                    if not message.get("more_body", False):  # whole, or the client is gone
                        return True
                    size = len(message.get("body", b""))
                    del message  # the next one may be long in coming
                    left -= max(size, _LEAST)
                    small += size < _SMALL
                    if small == _PARTS:
                        small = 0
                        await asyncio.sleep(_PAUSE * self._shares.of(key))
                    limit.reschedule(min(end, now() + MAX_IDLE))
        except (TimeoutError, asyncio.CancelledError):
            await asyncio.sleep(LETTING_GO)
        return False

    def _end(self, task: asyncio.Task[bool]) -> None:
        self._forget(task)  # at once: it takes a while to let go, and the next one is to end another
        task.get_loop().call_soon(task.cancel)  # after its first step: what never began would raise at who awaits it

    def _forget(self, task: asyncio.Task[bool]) -> None:
        if (client := self._clients.pop(task, None)) is not None:
            self._shares.let_go(client[0])
