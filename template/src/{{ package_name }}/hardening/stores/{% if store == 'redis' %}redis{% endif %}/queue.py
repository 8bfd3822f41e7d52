# Owned by the template: an update rewrites this file.
"""Calls of Redis that wait to be sent, or to be answered, and how long they may."""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf

from .calls import Call

_TOGETHER = 128
_TICK = 0.005
"""Seconds between two looks at what is not answered."""
_LATE = 0.025
"""Seconds that a look counts at most: this process, and not Redis, was late for the rest."""
DOUBT = 0.4
"""The part of its time after which a call is late: so much is left to the request that asks again."""


class CallQueue:
    """Calls in the order in which they were asked.

    Args:
        timeout: Seconds after which one that was not answered says something of Redis.
        on_doubt: What to do with one that is late.
        on_end: What to do with one that is that old.
    """

    def __init__(self, timeout: float, on_doubt: Callable[[Call], None], on_end: Callable[[Call], None]) -> None:
        self._timeout, self._on_doubt, self._on_end = timeout, on_doubt, on_end
        self._loop = asyncio.get_running_loop()
        self._unsent, self._asked = deque[Call](), list[Call]()
        self._ticker: asyncio.TimerHandle | None = None
        self._clock = self._ticked = 0.0

    def now(self) -> float:
        """Seconds that have passed while there was something to wait for.

        Those in which this process was late are not among them: an answer may be there, unread.
        """
        return self._clock + min(self._loop.time() - self._ticked, _LATE)

    def add(self, call: Call, seconds: float) -> None:
        """Let a call wait for its turn and its answer, so long at most."""
        if self._ticker is None:
            self._tick_later()
        call.asked = now = self.now()
        call.doubted, call.ends = now + seconds * DOUBT, now + seconds
        self._unsent.append(call)
        self._asked.append(call)

    def add_again(self, call: Call) -> bool:
        """Let a call be sent a second time, unless it was; whether it is."""
        if call.is_over or call.is_repeated:
            return False
        call.is_repeated = True
        self._unsent.append(call)
        return True

    def take(self) -> list[Call]:
        """What is to be sent now."""
        calls: list[Call] = []
        while self._unsent and len(calls) < _TOGETHER:
            if not (call := self._unsent.popleft()).is_over:
                call.is_sent = True
                calls.append(call)
        return calls

    def clear(self) -> None:
        """Let all go on without an answer."""
        for call in self._asked:
            call.fail()
        self._unsent.clear()
        self._asked.clear()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None

    def _tick_later(self) -> None:
        self._clock, self._ticked = self.now(), self._loop.time()
        self._ticker = self._loop.call_later(_TICK, self._tick)

    def _tick(self) -> None:
        """Look at what is not answered. What would be over before the next look is."""
        self._clock, self._ticked = self.now(), self._loop.time()
        soon = self._clock + _TICK
        asked = [call for call in self._asked if call.doubted == inf or not call.is_answered]
        self._asked = [call for call in asked if soon < call.asked + self._timeout]
        for call in asked:
            if soon >= call.asked + self._timeout:
                self._on_end(call)
        for call in list(self._asked):
            if soon >= call.ends:
                call.fail()
            elif self._clock >= call.doubted and call.is_sent and not call.is_over:
                call.doubted = inf
                self._on_doubt(call)
        self._ticker = None
        if self._asked:
            self._tick_later()
