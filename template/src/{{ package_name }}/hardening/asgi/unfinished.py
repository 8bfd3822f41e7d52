# Owned by the template: an update rewrites this file.
"""Messages of WebSockets that have begun and not ended. The server hands over whole ones, keeps up to 64 MB of each in
memory until then, and has no setting for it.
"""

import asyncio
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from ..core.problems import BODY_TIMEOUT, BODY_TOO_LARGE, CLIENT_DISCONNECTED, OVERLOADED, Refusal
from ..steps.base import RequestContext
from ..steps.client import client_keys
from . import traffic
from .deadlines import Peer
from .places import Shares

INTERVAL = 0.05
"""Seconds between two looks."""
MAX_SUM = 16_777_216
"""Bytes of all of them together, or as much as two may have. The largest one makes room."""
_READ_AHEAD = 262_144  # what the server reads of the next messages, and the frames around them
_HEADER = 65_536
_SMALL = 16_384  # pings and the like
_PINGS = 8.0  # bytes of them a second, all day long


class Receiver(Protocol):
    """A socket that is open."""

    peer: Peer | None
    request: RequestContext
    delivered: int
    """How many messages the application was given."""

    def end(self, refusal: Refusal) -> None:
        """Close it."""


class _Held:
    """What the server has read of one socket since the last whole message."""

    def __init__(self, connection: traffic.Connection, before: int, keys: Sequence[str]) -> None:
        self.connection, self.keys = connection, keys
        self.base: float = min(before, connection.read())
        self.delivered, self.size = 0, 0.0
        self.since = self._looked = time.monotonic()

    admitted = -1
    """After how many messages a large one was let in."""
    counted: Shares | None = None
    """In which count of large ones it is."""

    def look(self, delivered: int, now: float) -> None:
        read = self.connection.read()
        if self.delivered != delivered:
            self.delivered, self.base = delivered, read
        self.base, self._looked = min(read, self.base + _PINGS * (now - self._looked)), now
        self.size = read - self.base
        if self.size <= _SMALL:
            self.since = now


class Unfinished:
    """Ends sockets whose message is too large, too slow, or too much with those of the others.

    Args:
        max_bytes: Of one message.
        seconds: For one message.
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._max_bytes, self._seconds = max_bytes, seconds
        self._large = Shares(max(2, MAX_SUM // max_bytes))
        """Large messages that are coming in, as far as they are within the shares of their clients."""
        self._connections, self._next = traffic.Connections(), 0.0
        self._new: dict[Peer, Receiver] = {}
        self._held: dict[Receiver, _Held] = {}

    def add(self, socket: Receiver) -> None:
        """It is going to be accepted: what its connection has brought so far is no message."""
        if socket.peer is not None:
            self._new[socket.peer] = socket
            self._find(socket)

    async def admit(self, socket: Receiver) -> None:
        """Wait while a large message stands before the door, and too many are coming in: it stays with its client."""
        while socket.peer in self._new:  # noqa: ASYNC110 - the look finds it, for all at once
            await asyncio.sleep(INTERVAL)
        if (held := self._held.get(socket)) is None:
            return
        while held.connection.waiting() > _SMALL:
            if self._is_counted(held):
                held.admitted = socket.delivered
                break
            await asyncio.sleep(INTERVAL)

    def _is_counted(self, held: _Held) -> bool:
        if held.counted is not self._large and self._large.hold(held.keys):
            held.counted = self._large
        return held.counted is self._large

    def _find(self, being_accepted: Receiver | None = None) -> None:
        """Find the connections of new sockets, unless that would take more than a tenth of the time: then later, and what
        came before it is taken for a header and the rest for a message.
        """
        if not self._new or (began := time.monotonic()) < self._next:
            return
        for peer, connection in self._connections.find(self._new.keys()).items():
            socket = self._new[peer]
            with suppress(OSError):  # it has ended already
                before = sys.maxsize if socket is being_accepted else _HEADER
                self._held[socket] = _Held(connection, before, client_keys(socket.request.client))
        self._new.clear()
        self._next = began + 10 * (time.monotonic() - began)

    def look(self, sockets: Iterable[Receiver]) -> None:
        """Look once at the sockets that are open."""
        self._find()
        now = time.monotonic()
        self._held = {each: held for each in sockets if (held := self._held.get(each)) is not None}
        self._large = Shares(self._large.most)
        total = 0.0
        for socket, held in self._held.items():
            try:
                held.look(socket.delivered, now)
            except OSError:  # the server does not always say so
                held.size = 0
                socket.end(CLIENT_DISCONNECTED)
            total += held.size
            if held.size > _SMALL or held.admitted == socket.delivered:
                self._is_counted(held)
            if held.size > self._max_bytes + _READ_AHEAD:
                socket.end(BODY_TOO_LARGE)
            elif now - held.since > self._seconds and held.size > _SMALL:
                socket.end(BODY_TIMEOUT)
        for socket, held in sorted(self._held.items(), key=lambda item: -item[1].size):
            if total <= max(MAX_SUM, 2 * self._max_bytes):
                break
            socket.end(OVERLOADED)
            total -= held.size
