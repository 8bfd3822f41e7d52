# Owned by the template: an update rewrites this file.
"""Calls of Redis that wait to be sent, or to be answered, and how long they may."""

import asyncio
from collections import deque
from collections.abc import Callable

from .calls import Call

_TOGETHER = 128
_LATE = 0.02
DOUBT = 0.4
"""The part of its time after which a call is late: so much is left to the request that asks again."""


class CallQueue:
    """Calls in the order in which they were asked.

    Args:
        timeout: Seconds that a call waits at most, to be sent and answered.
        on_doubt: What to do with one that has been sent and is late, or is hasty.
        on_end: What to do when its time is over, whether it was answered or not since `on_doubt`.
    """

    def __init__(self, timeout: float, on_doubt: Callable[[Call], None], on_end: Callable[[Call], None]) -> None:
        self._timeout, self._on_doubt, self._on_end = timeout, on_doubt, on_end
        self._loop = asyncio.get_running_loop()
        self._unsent, self._young, self._old = deque[Call](), deque[Call](), deque[Call]()
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_late = False

    def __bool__(self) -> bool:
        """Whether there is something to send."""
        return bool(self._unsent)

    def add(self, call: Call) -> None:
        """Let a call wait for its turn."""
        call.asked = self._loop.time()
        self._unsent.append(call)
        self._young.append(call)
        if self._sweeper is None:
            self._sweep_at(call.asked + self._timeout * DOUBT)

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
        for call in (*self._young, *self._old):
            call.fail()
        for calls in (self._unsent, self._young, self._old):
            calls.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _sweep_at(self, due: float) -> None:
        self._sweeper = self._loop.call_at(due, self._sweep, due)

    def _sweep(self, due: float) -> None:
        now, self._sweeper = self._loop.time(), None
        self._is_late = now > due + _LATE and not self._is_late
        if self._is_late:  # it is this process that was late, and the answers may be there, unread
            self._sweep_at(now + _LATE)
            return
        late = self._timeout * DOUBT
        while self._young and (self._young[0].is_over or self._young[0].asked + late <= now):
            if not (call := self._young.popleft()).is_over:
                self._old.append(call)
                if call.is_sent or call.is_hasty:
                    self._on_doubt(call)
        while self._old and self._old[0].asked + self._timeout <= now:
            self._on_end(self._old.popleft())
        if self._sweeper is None and (self._young or self._old):
            waits = ((self._young, late), (self._old, self._timeout))
            self._sweep_at(min(calls[0].asked + seconds for calls, seconds in waits if calls) + 0.001)
