# Owned by the template: an update rewrites this file.
"""The way to Redis or Valkey. What must not happen when it is away: an answer that waits for it, a service that stays
down. A circuit breaker opens when Redis says no or says nothing; from then on nobody asks but a probe in the background,
until it may write.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import BusyLoadingError, MovedError, ResponseError

from ...core.log import log
from ..base import StoreUnavailableError
from .address import Address
from .calls import Argument, Call, Script, exchange

TIMEOUT = 0.1
"""Seconds that a call waits at most, whatever for."""
CONNECT = 1.0
"""Seconds that a new connection has for a name, TLS, a password and its first answer. No call waits for that."""
INTERVAL = 0.5
"""Seconds between two tries to connect."""
CONNECTIONS = 4
"""Connections of one process. Each takes all that is asked when it is free."""
_TOGETHER = 64
_LATE = 0.02
_NO = (ResponseError, BusyLoadingError, TypeError, ValueError)
_EVICTION = "A full Redis forgets who is being refused. Set maxmemory-policy noeviction, or give it one of its own."
_PROBE = Script("return redis.call('SET', KEYS[1], 1, 'PX', 1000)", is_repeatable=True)


class _Link:
    """A connection, the task that works on it, and what is under way."""

    task: asyncio.Task[None]
    connection: AbstractConnection | None = None
    calls: Sequence[Call] = ()
    wake: asyncio.Future[None] | None = None
    is_ready = False


class RedisConnection:
    """A few connections, made in the background, behind a circuit breaker.

    What is asked waits in one queue, and a connection that is free takes all of it: what a turn of the event loop asks
    is one write. A call that has no answer after half of its time is asked again on another connection if its script may
    run twice; else a probe is. So an answer that is late is told from a server that says nothing, which opens the breaker.

    Args:
        address: Where Redis is.
        fallback: What the log says of the time without it.
    """

    def __init__(self, address: Address, fallback: str) -> None:
        self.prefix = (__package__ or "").partition(".")[0]
        """What the name of every key of this service begins with, as `{prefix}`, the tag of a cluster's slot."""
        self._probe_key = f"{{{self.prefix}}}:probe"
        self._address, self._fallback = address, fallback
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open_since: float | None = None

    async def call(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Run a script: one round trip, within `TIMEOUT`.

        Args:
            script: What to run. In a cluster its keys must be in one slot.
            keys: Whole names, which begin with `{prefix}`.
            arguments: What the script finds in `ARGV`.

        Raises:
            StoreUnavailableError: There is no answer.
        """
        self.submit(call := Call(script, keys, arguments))
        return await call.future

    def submit(self, call: Call) -> None:
        """Let a call wait for its turn.

        Raises:
            StoreUnavailableError: Redis is away.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._begin()
        if self._open_since is not None:
            raise StoreUnavailableError
        call.asked = loop.time()
        self._waiting.append(call)
        self._young.append(call)
        if self._sweeper is None:
            self._sweep_at(call.asked + TIMEOUT / 2)
        self._wake()

    def trip(self, error: Exception) -> None:
        """Open the breaker: whoever is still waiting goes on at once."""
        if self._open_since is not None:
            return
        now = self._open_since = time.monotonic()
        log("error", "store_away", reason=type(error).__name__, meanwhile=self._fallback)
        self._stop()
        self._settled.set()
        # At once, unless it was tried just now: who lets a probe write and nobody else is not to be asked all the time.
        self._add_link(0.0 if now > self._tried + INTERVAL else INTERVAL)

    async def open(self) -> None:
        """Connect before the first request. If nobody answers, go on without."""
        self._begin()
        await self._settled.wait()

    async def close(self) -> None:
        """Close every connection; it may be opened again."""
        if self._loop is None:
            return
        tasks, self._loop = self._stop(), None
        if tasks:
            await asyncio.wait(tasks, timeout=CONNECT)

    async def ping(self) -> bool:
        """Whether Redis lets us write just now."""
        with suppress(StoreUnavailableError):
            await self.call(_PROBE, [self._probe_key])
            return True
        return self._open_since is None

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._settled = asyncio.Event()
        self._links: list[_Link] = []
        self._idle: list[_Link] = []
        self._is_waking = self._is_late = False
        # Calls in the order in which they were asked: not sent, asked just now, asked half of their time ago.
        self._waiting, self._young, self._old = deque[Call](), deque[Call](), deque[Call]()
        self._sweeper: asyncio.TimerHandle | None = None
        self._probe = Call(_PROBE)
        self._probe.fail()
        self._heard = self._tried = float("-inf")
        self._open_since = None
        self._add_link()

    def _stop(self) -> set[asyncio.Task[None]]:
        """Let go of every call and connection; the tasks that end."""
        for call in (*self._young, *self._old):
            call.fail()
        for calls in (self._waiting, self._young, self._old):
            calls.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        tasks = {link.task for link in self._links} - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        self._links, self._idle = [], []
        return tasks

    def _add_link(self, delay: float = 0.0) -> None:
        link = _Link()
        self._links.append(link)
        link.task = asyncio.create_task(self._run(link, delay))

    async def _run(self, link: _Link, delay: float) -> None:
        """Connect, then send what waits and hand over the answers, as long as the connection holds."""
        try:
            await asyncio.sleep(delay)
            connection = await self._connect(link)
            while True:
                if not self._waiting:
                    await self._next(link)
                if await connection.can_read():
                    raise EOFError  # closed while nobody asked
                link.calls = self._take()
                await exchange(connection, link.calls)
                self._heard, link.calls = link.task.get_loop().time(), ()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, there is no answer
            self._lose(link, error)
        finally:
            if link.connection is not None:
                await link.connection.disconnect(nowait=True)

    async def _connect(self, link: _Link) -> AbstractConnection:
        """Write, as requests do: a server that is full or a replica answers whoever only reads."""
        try:
            async with asyncio.timeout(CONNECT):
                link.connection = await self._address.connect(self._probe_key)
                await exchange(link.connection, [Call(_PROBE, [self._probe_key])])
            if not any(each.is_ready for each in self._links):
                async with asyncio.timeout(TIMEOUT):
                    await exchange(link.connection, [Call(_PROBE, [self._probe_key])])
                await self._look_at_memory(link.connection)
        finally:
            self._tried = time.monotonic()
        link.is_ready = True
        if (since := self._open_since) is not None:
            self._open_since = None
            log("warning", "store_back", seconds=round(time.monotonic() - since, 1))
        while len(self._links) < CONNECTIONS:
            self._add_link()
        if all(each.is_ready for each in self._links):
            self._settled.set()
        return link.connection

    async def _look_at_memory(self, connection: AbstractConnection) -> None:
        async with asyncio.timeout(CONNECT):
            await connection.send_command("INFO", "memory")
            lines = (await connection.read_response()).decode().splitlines()
        memory = dict(line.split(":", 1) for line in lines if ":" in line)
        if int(memory.get("maxmemory", 0)) and memory.get("maxmemory_policy") != "noeviction":
            log("warning", "store_may_forget", policy=memory["maxmemory_policy"], hint=_EVICTION)

    async def _next(self, link: _Link) -> None:
        """Wait for something to do."""
        link.wake = link.task.get_loop().create_future()
        self._idle.append(link)
        await link.wake

    def _wake(self) -> None:
        """Let one connection take what waits, in the next turn of the loop: all that this turn asks."""
        if self._idle and not self._is_waking:
            wake = self._idle.pop().wake
            if wake is not None and not wake.done():
                self._is_waking = True
                wake.set_result(None)

    def _take(self) -> list[Call]:
        calls: list[Call] = []
        while self._waiting and len(calls) < _TOGETHER:
            if not (call := self._waiting.popleft()).is_over:
                call.is_sent = True
                calls.append(call)
        self._is_waking = False
        if self._waiting:
            self._wake()
        return calls

    def _lose(self, link: _Link, error: Exception) -> None:
        """A connection broke, or could not be made."""
        if link not in self._links:  # given up already
            return
        if link.is_ready and isinstance(error, _NO) and not isinstance(error, MovedError):
            self.trip(error)
            return
        self._settled.set()
        self._forget(link)
        for call in link.calls:
            if not (isinstance(error, MovedError) or call.script.is_repeatable) or not self._repeat(call):
                call.fail()
        if link.is_ready:
            self._add_link()
        elif self._open_since is not None or any(each.is_ready for each in self._links):
            self._add_link(INTERVAL)
        else:
            self.trip(error)

    def _forget(self, link: _Link) -> None:
        self._links.remove(link)
        if link in self._idle:
            self._idle.remove(link)
        self._is_waking = False  # it may have been the one
        if self._waiting:
            self._wake()

    def _repeat(self, call: Call) -> bool:
        """Ask once more on another connection; whether it is."""
        if call.is_over or call.is_repeated:
            return False
        call.is_repeated = True
        self._waiting.append(call)
        self._wake()
        return True

    def _sweep_at(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_at(due, self._sweep, loop, due)

    def _sweep(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """Look at the calls whose time is up, or half of it."""
        now, self._sweeper = loop.time(), None
        self._is_late = now > due + _LATE and not self._is_late
        if self._is_late:  # it is this process that was late, and the answers may be there, unread
            self._sweep_at(now + _LATE)
            return
        while self._young and (self._young[0].is_over or self._young[0].asked + TIMEOUT / 2 <= now):
            if not (call := self._young.popleft()).is_over:
                self._old.append(call)
                if call.is_sent and not (call.script.is_repeatable and self._repeat(call)) and self._probe.is_over:
                    self._probe = Call(_PROBE, [self._probe_key])
                    self.submit(self._probe)
        while self._old and self._old[0].asked + TIMEOUT <= now:
            self._give_up(self._old.popleft())
        if self._sweeper is None and (self._young or self._old):
            dues = [each[0].asked + TIMEOUT / part for each, part in ((self._old, 1), (self._young, 2)) if each]
            self._sweep_at(min(dues))

    def _give_up(self, call: Call) -> None:
        """Time is up: part with the connection that keeps us waiting, and with Redis if nothing was heard of it since."""
        is_silent = not call.is_over and self._heard < call.asked
        call.fail()
        if is_silent:
            self.trip(TimeoutError())
        for link in [each for each in self._links if call in each.calls and all(other.is_over for other in each.calls)]:
            link.task.cancel()
            self._forget(link)
            self._add_link()
