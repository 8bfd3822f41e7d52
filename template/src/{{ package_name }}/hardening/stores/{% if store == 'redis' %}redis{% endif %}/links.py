# Owned by the template: an update rewrites this file.
"""Connections to Redis: made in the background, and each with a task that sends what waits."""

import asyncio
import time
from collections.abc import Callable, Sequence

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, MovedError, ResponseError

from .address import Address
from .calls import Call, exchange
from .probe import Probe
from .queue import CallQueue

CONNECT = 1.0
"""Seconds that a new connection has for a name, TLS, a password and its first answer. No call waits for that."""
INTERVAL = 0.5
"""Seconds between two tries to connect."""
_REFUSALS = (ResponseError, BusyLoadingError, TypeError, ValueError)


class _Link:
    """A connection, the task that works on it, and what is under way."""

    task: asyncio.Task[None]
    connection: AbstractConnection | None = None
    calls: Sequence[Call] = ()
    wake: asyncio.Future[None] | None = None
    is_ready = False


class Links:
    """A few connections. One that is free takes all that waits: what a turn of the event loop asks is one write.

    Args:
        address: Where Redis is.
        probe: What a connection is asked before it is used.
        queue: What waits.
        size: How many there are.
        timeout: Seconds that a call waits at most; the first connection must answer the probe so soon.
        on_ready: Called when there is a connection that may be used.
        on_failure: Called when Redis refuses, or there is no connection and none can be made.
    """

    def __init__(
        self,
        address: Address,
        probe: Probe,
        queue: CallQueue,
        size: int,
        timeout: float,
        on_ready: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._address, self._probe, self._queue, self._size, self._timeout = address, probe, queue, size, timeout
        self._on_ready, self._on_failure = on_ready, on_failure
        self._all: list[_Link] = []
        self._idle: list[_Link] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._is_waking = False
        self.settled = asyncio.Event()
        """Set when as many as wanted are ready, or one has failed."""
        self.heard = self.tried = float("-inf")
        """When Redis last answered, by the loop's clock, and when a connection was last tried, by the machine's."""

    def add(self, delay: float = 0.0) -> None:
        """Make one more connection, after so many seconds."""
        link = _Link()
        self._all.append(link)
        link.task = asyncio.create_task(self._run(link, delay))

    def wake(self) -> None:
        """Let one that is free take what waits, in the next turn of the loop: all that this turn asks."""
        if self._queue and self._idle and not self._is_waking:
            wake = self._idle.pop().wake
            if wake is not None and not wake.done():
                self._is_waking = True
                wake.set_result(None)

    def stop(self) -> set[asyncio.Task[None]]:
        """Close all; the tasks that end."""
        tasks = {*(link.task for link in self._all), *self._watchers} - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        self._all, self._idle, self._watchers, self._is_waking = [], [], [], False
        return tasks

    def replace(self, call: Call) -> None:
        """Part with a connection whose calls are over, and that does not answer this one of them."""
        for link in [each for each in self._all if call in each.calls and all(other.is_over for other in each.calls)]:
            link.task.cancel()
            self._forget(link)
            self.add()

    async def _watch(self) -> None:
        """Look at those that are idle: what was closed meanwhile is replaced before a request needs it."""
        while True:
            await asyncio.sleep(INTERVAL)
            for link in list(self._idle):
                if link.connection is not None and await link.connection.can_read():
                    self._idle.remove(link)
                    self._lose(link, EOFError())
                    link.task.cancel()

    async def _run(self, link: _Link, delay: float) -> None:
        """Connect, then send what waits and hand over the answers, as long as the connection holds."""
        try:
            await asyncio.sleep(delay)
            connection = await self._connect(link)
            while True:
                if not self._queue:
                    self._idle.append(link)
                    link.wake = link.task.get_loop().create_future()
                    await link.wake
                if await connection.can_read():
                    raise EOFError  # closed while nobody asked
                link.calls = self._queue.take()
                self._is_waking = False
                self.wake()
                await exchange(connection, link.calls)
                self.heard, link.calls = link.task.get_loop().time(), ()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, there is no answer
            self._lose(link, error)
        finally:
            if link.connection is not None:
                await link.connection.disconnect(nowait=True)

    async def _connect(self, link: _Link) -> AbstractConnection:
        try:
            async with asyncio.timeout(CONNECT):
                link.connection = await self._address.connect(self._probe.key)
                await self._probe.ask(link.connection)
            if not any(each.is_ready for each in self._all):
                async with asyncio.timeout(self._timeout):
                    await self._probe.ask(link.connection)
                async with asyncio.timeout(CONNECT):
                    await self._probe.look_at_memory(link.connection)
        finally:
            self.tried = time.monotonic()
        link.is_ready = True
        self._on_ready()
        self._watchers = self._watchers or [asyncio.create_task(self._watch())]
        while len(self._all) < self._size:
            self.add()
        if all(each.is_ready for each in self._all):
            self.settled.set()
        return link.connection

    def _lose(self, link: _Link, error: Exception) -> None:
        """A connection broke, or could not be made."""
        if link not in self._all:  # given up already
            return
        self.settled.set()
        if link.is_ready and isinstance(error, _REFUSALS) and not isinstance(error, MovedError):
            self._on_failure(error)
            return
        self._forget(link)
        for call in link.calls:
            if not (isinstance(error, MovedError) or call.script.is_repeatable) or not self._queue.add_again(call):
                call.fail()
        if link.is_ready:
            self.add()
        elif any(each.is_ready for each in self._all):
            self.add(INTERVAL)
        else:
            self._on_failure(error)

    def _forget(self, link: _Link) -> None:
        self._all.remove(link)
        if link in self._idle:
            self._idle.remove(link)
        self._is_waking = False  # it may have been the one
        self.wake()
