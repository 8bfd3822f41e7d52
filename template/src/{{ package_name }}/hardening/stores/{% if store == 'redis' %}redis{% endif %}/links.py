# Owned by the template: an update rewrites this file.
"""Connections to Redis: made in the background, and given what waits as soon as they are free."""

import asyncio
import time
from collections.abc import Callable

from hiredis import ReplyError

from .address import Address
from .calls import Call
from .probe import Probe
from .queue import CallQueue
from .wire import Wire

CONNECT = 1.0
"""Seconds that a new connection has for a name, TLS, a password and its first answer. No call waits for that."""
INTERVAL = 0.5
"""Seconds between two tries to connect."""
REFUSALS = (ReplyError, TypeError, ValueError)
"""What Redis says no with, or what no script answers."""


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
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wires: list[Wire] = []
        self._idle: list[Wire] = []
        self._is_waking = False
        self.settled = asyncio.Event()
        """Set when as many as wanted are ready, or one has failed."""
        self.heard = self.tried = float("-inf")
        """When Redis last answered, by the queue's clock, and when a connection was last tried, by the machine's."""

    def add(self, delay: float = 0.0) -> None:
        """Make one more connection, after so many seconds."""
        self._tasks.add(self._loop.create_task(self._make(delay)))

    def wake(self) -> None:
        """Let one that is free take what waits, at the end of this turn of the loop: all that the turn asks."""
        if self._idle and not self._is_waking:
            self._is_waking = True
            self._loop.call_soon(self._send)

    def stop(self) -> set[asyncio.Task[None]]:
        """Close all; the tasks that end."""
        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        for wire in self._wires:
            wire.close()
        self._tasks, self._wires, self._idle = set(), [], []
        return tasks

    def replace(self, call: Call) -> None:
        """Part with a connection whose calls are over, and that does not answer this one of them."""
        for wire in [each for each in self._wires if call in each.calls and all(other.is_over for other in each.calls)]:
            wire.close()
            self._wires.remove(wire)
            self.add()

    def _send(self) -> None:
        self._is_waking = False
        while self._idle and (calls := self._queue.take()):
            self._idle.pop().send(calls)

    def _hear(self) -> None:
        self.heard = self._queue.now()

    def _free(self, wire: Wire) -> None:
        if calls := self._queue.take():
            wire.send(calls)
        else:
            self._idle.append(wire)

    async def _make(self, delay: float) -> None:
        task = asyncio.current_task()
        try:
            await asyncio.sleep(delay)
            wire = await self._connect()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, there is no connection
            self.settled.set()
            if task not in self._tasks:  # given up already
                return
            self._tasks.discard(task)
            if self._wires:
                self.add(INTERVAL)
            else:
                self._on_failure(error)
            return
        self._tasks.discard(task)
        self._wires.append(wire)
        wire.on_data, wire.on_free, wire.on_lost = self._hear, self._free, self._lose
        wire.made = time.monotonic()
        self._on_ready()
        while len(self._wires) + len(self._tasks) < self._size:
            self.add()
        if len(self._wires) == self._size:
            self.settled.set()
        if wire.is_lost:
            self._lose(wire, EOFError())
        else:
            self._free(wire)

    async def _connect(self) -> Wire:
        wire = None
        try:
            async with asyncio.timeout(CONNECT):
                wire = await self._address.connect(self._probe.key)
                await wire.ask(self._probe.call())
            if not self._wires:
                async with asyncio.timeout(self._timeout):
                    await wire.ask(self._probe.call())
                async with asyncio.timeout(CONNECT):
                    await self._probe.look_at_distance(wire)
                    await self._probe.look_at_memory(wire)
        except BaseException:
            if wire is not None:
                wire.close()
            raise
        finally:
            self.tried = time.monotonic()
        return wire

    def _lose(self, wire: Wire, error: Exception) -> None:
        """A connection broke, or Redis refuses."""
        is_moved = isinstance(error, ReplyError) and str(error).startswith("MOVED ")
        if isinstance(error, REFUSALS) and not is_moved:
            self._on_failure(error)
            return
        gone = {wire, *(self._idle if is_moved else ())}  # what is idle leads to the same shard
        for each in gone:
            each.close()
        self._wires, self._idle = ([each for each in some if each not in gone] for some in (self._wires, self._idle))
        for call in wire.calls:
            if not (is_moved or call.script.is_repeatable) or not self._queue.add_again(call):
                call.fail()
        self.add(INTERVAL if self._wires and time.monotonic() < wire.made + INTERVAL else 0.0)
        self.wake()
