# Owned by the template: an update rewrites this file.
"""The way to Redis or Valkey. What must not happen when it is away: an answer that waits for it, a service that stays
down. A circuit breaker opens when Redis says no or says nothing; from then on nobody asks but a probe in the background,
until it may write.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TypeVar

from ...core.log import log
from ...settings import HardeningSettings
from ..base import StoreUnavailableError
from .address import Address
from .calls import Argument, Call, Script
from .links import CONNECT, INTERVAL, REFUSALS, Links
from .probe import NEAR, Probe
from .queue import DOUBT, CallQueue
from .wire import reason

TIMEOUT = 0.1
"""Seconds that a request waits at most, whatever for and however often it asks."""
CONNECTIONS = 4
"""Connections of one process."""
_FORGET = 1.0
"""Seconds after its first wait in which a request, or a connection of days, may wait again: for the next message."""
_RELAPSE, _LONGEST = 1.0, 8.0
"""Seconds after the breaker closed within which a refusal doubles the pause until the next probe, up to this many."""
Answer = TypeVar("Answer")


class _Waits:
    """What a request has waited, with the tasks that it has begun since; what it waits for at once counts once."""

    __slots__ = ("_since", "seconds", "until")

    def __init__(self) -> None:
        self.seconds = self.until = 0.0
        self._since = time.monotonic()

    def is_over(self) -> bool:
        return time.monotonic() > self._since + _FORGET


_waits: ContextVar[_Waits | None] = ContextVar("waits", default=None)


class RedisConnection:
    """A few connections behind a circuit breaker.

    A call that is late is asked again on another connection if its script may run twice; else a probe is, and if that is
    answered at once, the call is given up. So an answer that is late is told from a server that says nothing, which opens
    the breaker; and a request, however often it asks, waits for `TIMEOUT` in all.

    Args:
        address: Where Redis is.
        settings: Those of the service.
        fallback: What the log says of the time without it.
    """

    def __init__(self, address: Address, settings: HardeningSettings, fallback: str) -> None:
        self.prefix = (__package__ or "").partition(".")[0]
        """What the name of every key of this service begins with, as `{prefix}`, the tag of a cluster's slot."""
        self._probe = Probe(self.prefix, settings)
        self._address, self._fallback = address, fallback
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open_since: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the circuit breaker is, so that nobody asks."""
        return self._open_since is not None

    async def call(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Run a script: one round trip, within what is left of the request's `TIMEOUT`.

        Args:
            script: What to run. In a cluster its keys must be in one slot.
            keys: Whole names, which begin with `{prefix}`.
            arguments: What the script finds in `ARGV`.

        Raises:
            StoreUnavailableError: There is no answer.
        """
        self.submit(call := Call(script, keys, arguments), self.patience())
        return await self.answer(call, call.future)

    async def answer(self, call: Call, future: asyncio.Future[Answer]) -> Answer:
        """Wait for an answer to a call, or to a part of it.

        Raises:
            StoreUnavailableError: There is none.
        """
        try:
            answer = await future
        except StoreUnavailableError:
            self._note(call.asked, self._queue.now())
            raise
        if self._links.heard - call.asked > NEAR:
            self._note(call.asked, self._links.heard)
        return answer

    def _note(self, began: float, ended: float) -> None:
        """Know for the next call of this request how long it has waited."""
        waits = self._waited()
        waits.seconds += max(ended - max(began, waits.until), 0.0)
        waits.until = ended

    def _waited(self) -> _Waits:
        if (waits := _waits.get()) is None or waits.is_over():
            _waits.set(waits := _Waits())
        return waits

    def patience(self) -> float:
        """How many seconds the request that is running may still wait."""
        return TIMEOUT - self._waited().seconds

    def submit(self, call: Call, seconds: float) -> None:
        """Let a call wait for its turn and its answer, so long at most.

        Raises:
            StoreUnavailableError: Redis is away, or there is no time left to wait for it.
        """
        if self._loop is not asyncio.get_running_loop():
            self._begin()
        if self._open_since is not None or seconds <= 0:
            raise StoreUnavailableError
        self._queue.add(call, seconds)
        self._links.wake()

    async def open(self) -> None:
        """Connect before the first request. If nobody answers, go on without."""
        self._begin()
        await self._links.settled.wait()

    async def close(self) -> None:
        """Close every connection; it may be opened again."""
        if self._loop is None:
            return
        self._loop = None
        self._queue.clear()
        if tasks := self._links.stop():
            await asyncio.wait(tasks, timeout=CONNECT)
        await asyncio.sleep(0)  # sockets are closed in the next turn

    async def ping(self) -> bool:
        """Whether Redis lets us write just now."""
        with suppress(StoreUnavailableError):
            self.submit(call := self._probe.call(), TIMEOUT)
            await call.future
        return self._open_since is None

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue = CallQueue(TIMEOUT, self._doubt, self._give_up)
        self._links = Links(
            self._address, self._probe, self._queue, CONNECTIONS, TIMEOUT, self._close_breaker, self._open_breaker
        )
        self._probing: Call | None = None
        self._open_since = None
        self._closed_at, self._pause = float("-inf"), INTERVAL
        self._links.add()

    def _open_breaker(self, error: Exception) -> None:
        """Whoever is still waiting goes on at once."""
        now = time.monotonic()
        if self._open_since is None:
            self._open_since = now
            # Redis lets a probe write, and says no to requests: it will for longer.
            is_relapse = isinstance(error, REFUSALS) and now < self._closed_at + _RELAPSE
            self._pause = min(2 * self._pause, _LONGEST) if is_relapse else INTERVAL
            word, hint = reason(error)
            log("error", "store_away", reason=word, meanwhile=self._fallback, **({"hint": hint} if hint else {}))
        self._queue.clear()
        self._links.stop()
        # At once, unless it was tried just now: who lets a probe write and nobody else is not to be asked all the time.
        self._links.add(0.0 if now > self._links.tried + self._pause else self._pause)

    def _close_breaker(self) -> None:
        if (since := self._open_since) is not None:
            self._open_since, self._closed_at = None, time.monotonic()
            log("warning", "store_back", seconds=round(self._closed_at - since, 1))

    def _doubt(self, call: Call) -> None:
        """It is late: is it the answer that is late, or Redis that is silent?"""
        is_asked_again = call.script.is_repeatable and self._queue.add_again(call)
        if not is_asked_again and call is not self._probing:
            if self._probing is None or self._probing.is_over:
                self._probing = self._probe.call()
                self._queue.add(self._probing, TIMEOUT)
            self._probing.future.add_done_callback(lambda _: self._end_early(call))
        self._links.wake()

    def _end_early(self, call: Call) -> None:
        """Give a call up if enough of its time is left for its request to ask again."""
        if self._queue.now() < call.ends - (call.ends - call.asked) * DOUBT:
            call.fail()

    def _give_up(self, call: Call) -> None:
        """Time is up: part with a connection that does not answer, and with Redis if nothing was heard since."""
        is_silent = (call.is_sent or not call.is_over) and self._links.heard <= call.asked
        call.fail()
        if is_silent:
            self._open_breaker(TimeoutError())
        self._links.replace(call)
