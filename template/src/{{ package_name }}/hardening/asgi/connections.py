# Owned by the template: an update rewrites this file.
"""Connections that wait for a request: silent or half a header, idle after an answer, too many of them.

Granian has one time-out for headers and for idle connections, and no bound but on all connections. So `serve` gives it
the longer one, `APP_KEEPALIVE_TIMEOUT`, and this looks through the connections of the worker every second or so. It asks
the kernel (`TCP_INFO`, see tcp(7)) what came and went on each, and shuts down those that have had their time. Linux only.
"""

import asyncio
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from ..core.log import log_failure
from ..core.peers import canonical
from ..steps.client import client_keys
from .deadlines import Peer
from .places import QUARTERS
from .traffic import FD, Traffic, opened
from .traffic import Connections as Finder

_SLICE, _PAUSE = 64, 0.005  # connections that are looked at in one go, less than a millisecond, and seconds between
_RESET = struct.pack("ii", 1, 0)  # when it is closed, see socket(7)
_SOON = 0.1  # seconds to the next look where connections ran out: others are queued before the listener

served: tuple[int, int] | None = None
"""The port, and how many connections a worker may have. `serve` sets it before it forks, where there is enough to see."""


class _Waiting(NamedTuple):
    """A connection that waits for a request."""

    descriptor: int
    address: str
    """Of its client."""
    idle: int
    """Milliseconds since anything was sent or received."""
    received: int
    """Bytes that had come when it was first seen to wait."""
    answers: int
    """Segments with data that were sent."""
    seconds: float = 0.0
    """How long a header has been under way, or the first one awaited."""


def can_look() -> bool:
    """Whether this system tells enough of a connection: tried on one of our own."""
    if sys.platform != "linux" or not os.path.isdir(FD):  # noqa: PTH112 - a name of the system's
        return False
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as listener,
            socket.create_connection(listener.getsockname()) as client,
            listener.accept()[0] as served,
        ):
            client.sendall(b"12345")
            answer = served.recv(5)
            silent = Traffic.of(served)
            served.sendall(answer)
            return (*silent[1:], *Traffic.of(served)[1:]) == (5, 0, 5, 1)
    except OSError:
        return False


def _name(peer: Peer) -> Peer:
    return canonical(peer[0]), int(peer[1])  # the server says a text


class Connections:
    """The connections of this worker.

    Args:
        busy: The peers whose request is at work, or whose body is still read.
        header_timeout: Seconds for a header, or to begin the first.
    """

    def __init__(self, busy: Callable[[], Iterable[Peer | None]], header_timeout: float) -> None:
        self._busy, self._header_timeout = busy, header_timeout
        self._waiting: dict[int, _Waiting] = {}
        self._to_cut: set[Peer] = set()
        self._is_crowded = False

    def cut(self, peer: Peer | None, version: str) -> None:
        """Shut a connection down at the next look: the server lets one go only when its client has read what is left.

        Args:
            peer: Of the connection.
            version: Of HTTP; Granian calls 1.0 "1". There a response without a length ends as its connection does, so
                that this one ends by a reset.
        """
        if served is None or peer is None:
            return
        self._to_cut.add(_name(peer))
        for found in Finder().find([peer] if version in ("1", "1.0") else []).values():
            with suppress(OSError), opened(*found) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async def watch(self) -> None:
        """Look through them again and again, if `serve` has asked for it."""
        paused = 0.0
        while served is not None:
            interval = _SOON if self._is_crowded else min(1.0, self._header_timeout / 4)
            await asyncio.sleep(interval)
            try:
                # Not by the clock: while a route blocks the loop, a header may have come that nobody here knows of.
                paused = await self.look(*served, interval + paused)
            except Exception as error:  # noqa: BLE001 - what is not looked at is not ended
                if not isinstance(error, OSError):
                    log_failure(error)

    async def look(self, port: int, most: int, elapsed: float) -> float:
        """Look through them once.

        Args:
            port: The one that the server listens on.
            most: How many connections it may have.
            elapsed: Seconds since the last time.

        Returns:
            Seconds that it paused.
        """
        before, self._waiting = self._waiting, {}
        to_cut, self._to_cut = self._to_cut, set()
        total, descriptors = 0, [int(name) for name in os.listdir(FD)]  # noqa: PTH208 - there may be thousands
        for at in range(0, len(descriptors), _SLICE):
            busy = {_name(peer) for peer in self._busy() if peer is not None}
            for descriptor in descriptors[at : at + _SLICE]:
                with suppress(OSError), opened(descriptor) as connection:
                    own = connection.getsockname()
                    if not isinstance(own, tuple) or own[1] != port:  # not one of the server's
                        continue
                    host, number, *_ = connection.getpeername()
                    total += 1
                    if (name := (canonical(host), number)) in to_cut:
                        connection.shutdown(socket.SHUT_RDWR)
                    elif name not in busy:
                        self._look_at(connection, descriptor, name[0], before, elapsed)
            await asyncio.sleep(_PAUSE)
        self._is_crowded = total > most * 0.9
        if self._is_crowded:
            self._make_room(total - int(most * 0.75))
        return len(descriptors) / _SLICE * _PAUSE

    def _look_at(
        self, connection: socket.socket, descriptor: int, address: str, before: dict[int, _Waiting], elapsed: float
    ) -> None:
        inode, (idle, received, answers) = os.fstat(connection.fileno()).st_ino, Traffic.of(connection)
        seconds, old = 0.0, before.get(inode)
        if old is not None and old.answers == answers:
            # What had come when it was first seen to wait does not count: it may be the end of a body.
            if not answers or received != old.received:
                seconds = old.seconds + elapsed
            received = old.received
        if seconds >= self._header_timeout:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            self._waiting[inode] = _Waiting(descriptor, address, idle, received, answers, seconds)

    def _make_room(self, number: int) -> None:
        """Shut down those that have waited longest, of the clients that hold most of their share: a crowd pushes out its
        own.
        """
        held: Counter[str] = Counter()
        ranked = []
        for inode, waiting in sorted(self._waiting.items(), key=lambda item: item[1].idle):
            keys = client_keys(waiting.address)
            held.update(keys)
            part = max(held[key] / quarters for key, quarters in zip(keys, QUARTERS, strict=False))
            ranked.append((part, waiting.idle, inode, waiting.descriptor))
        for *_, inode, descriptor in sorted(ranked, reverse=True)[:number]:
            with suppress(OSError), opened(descriptor, inode) as connection:
                connection.shutdown(socket.SHUT_RDWR)
