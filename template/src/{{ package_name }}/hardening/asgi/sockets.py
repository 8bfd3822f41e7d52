# Owned by the template: an update rewrites this file.
"""The WebSockets that are open, and the sessions that they were opened with: a socket ends with its session, whichever
worker ended that. ASVS v5.0.0-7.4.1, 7.4.2, 7.4.3, 4.4.4.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Protocol

from starlette.types import Message

from ..core.log import log_failure, log_failure_of
from ..core.problems import SERVICE_STOPS, SESSION_OVER, SESSION_UNKNOWN
from ..stores.base import SessionStore, StoreUnavailableError
from .places import QUARTERS
from .unfinished import INTERVAL as OFTEN
from .unfinished import Receiver, Unfinished

INTERVAL = 1.5
"""Seconds between two looks at the sessions. A look at 256 of them in a slow Redis takes 3; both together less than 5."""
UNKNOWN = 3.3
"""Seconds for which a session counts as alive while the store gives no answer; with the next look less than 5."""
RATE, BURST = 100.0, 2.0
"""Messages a second that a socket may send, and seconds of which they may come at once. What comes faster waits with the
client."""
CLIENT_RATE = 20 * RATE
"""The same for all sockets of one client: as many as an office has tabs may each send as fast as they may."""
GRACE = 5.0
"""Seconds that a route has to end after it was told that its socket is closed."""
LAST_SEND = 0.5
"""Seconds to say that the service stops: Granian sends nothing any more, unless a request is still at work."""
MAX_REASON = 123
"""Bytes of the words in a close (RFC 6455, 5.5)."""
_AT_ONCE = 8
# RFC 6455, 7.4.1, and the registry of IANA (3000 unauthorized, 3003 forbidden, 3008 timeout).
_CODES = {401: 3000, 403: 3003, 408: 3008, 413: 1009, 503: 1013}


def close_code(status: int) -> int:
    """What the status of a response is called where a WebSocket is open already."""
    return _CODES.get(status, 1011 if status >= 500 else 1008)


def disconnect(code: int) -> Message:
    """What tells an application that its socket has ended."""
    return {"type": "websocket.disconnect", "code": code, "reason": ""}


def title_of(document: bytes) -> str:
    """The words of a problem document that the client may read."""
    try:
        return str(json.loads(document)["title"])
    except (ValueError, KeyError, TypeError):
        return ""


class Socket(Receiver, Protocol):
    """One that is open."""

    paced: Sequence[object]
    """Itself and its `client_keys`."""
    is_used: bool
    """Whether a message came from the client since the last look."""


class Sockets:
    """Looks every session up that has sockets: once, however many those are.

    Args:
        sessions: Where sessions are kept.
        unfinished: Looks at their messages.
    """

    def __init__(self, sessions: SessionStore, unfinished: Unfinished) -> None:
        self._sessions, self._unfinished = sessions, unfinished
        self._open: set[Socket] = set()
        self._known: dict[str, float] = {}
        self._rates = (RATE, *(CLIENT_RATE * quarters for quarters in QUARTERS))
        self._next: dict[object, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    def add(self, socket: Socket) -> None:
        """It is going to be accepted."""
        self._unfinished.add(socket)
        self._open.add(socket)
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._watch())

    def end_all(self) -> float:
        """Close all of them: the service stops, and the server would wait for messages that it no longer reads.

        Returns:
            Seconds that this takes.
        """
        for socket in self._open:
            socket.end(SERVICE_STOPS)
        return LAST_SEND if self._open else 0.0

    async def admit(self, socket: Socket) -> None:
        """Wait until its next message may come in."""
        now = time.monotonic()
        if (pause := max(self._next.get(key, now) for key in socket.paced) - now) > 0:
            await asyncio.sleep(pause)
        await self._unfinished.admit(socket)

    def count(self, socket: Socket) -> None:
        """A message of it has come in."""
        earliest = time.monotonic() - BURST
        for key, rate in zip(socket.paced, self._rates, strict=False):
            self._next[key] = max(self._next.get(key, earliest), earliest) + 1 / rate

    def discard(self, socket: Socket) -> None:
        """It has ended."""
        self._open.discard(socket)
        self._next.pop(socket, None)

    async def _watch(self) -> None:
        looked = time.monotonic()
        while self._open:
            await asyncio.sleep(OFTEN)
            try:
                self._unfinished.look(self._open)
            except Exception as error:  # noqa: BLE001 - what is not looked at is not ended
                log_failure(error)
            # Beside it: messages go on coming in while a slow store answers.
            if (now := time.monotonic()) - looked >= INTERVAL and (self._looking is None or self._looking.done()):
                self._next = {key: at for key, at in self._next.items() if at > now - BURST}
                self._looking = asyncio.ensure_future(self._look(looked))
                self._looking.add_done_callback(log_failure_of)
                looked = now

    async def _look(self, before: float) -> None:
        by_session: dict[str, list[Socket]] = {}
        for socket in self._open:
            for key in socket.request.sessions_read:
                by_session.setdefault(key, []).append(socket)
        self._known = {key: self._known.get(key, before) for key in by_session}
        keys = list(by_session)
        for at in range(0, len(keys), _AT_ONCE):
            await asyncio.gather(*(self._look_up(key, by_session[key]) for key in keys[at : at + _AT_ONCE]))

    async def _look_up(self, key: str, sockets: list[Socket]) -> None:
        is_used = any(socket.is_used for socket in sockets)
        try:
            # A message is a use of the session, as a request is.
            found = await (self._sessions.read(key) if is_used else self._sessions.whose(key))
        except Exception as error:  # noqa: BLE001 - the watch must go on, whatever the store raises
            if not isinstance(error, StoreUnavailableError):
                log_failure(error)
            if time.monotonic() - self._known[key] < UNKNOWN:
                return
            refusal = SESSION_UNKNOWN
        else:
            self._known[key] = time.monotonic()
            for socket in sockets:
                socket.is_used = False
            if found is not None:
                return
            refusal = SESSION_OVER
        for socket in sockets:
            socket.end(refusal)
