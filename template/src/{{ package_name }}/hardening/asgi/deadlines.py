# Owned by the template: an update rewrites this file.
"""How long a request may take, and how many may be at work. A client that drips its body, a route that hangs, a reader
that does not read: each holds a place that an honest client needs (OWASP API4:2023).

One timer looks after all requests; one for each would cost more than the rest of the perimeter.
"""

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.types import Message, Receive

from ..core.problems import Refusal

if TYPE_CHECKING:
    from .exchange import Exchange

_INTERVAL = 0.1


class Deadlines:
    """The requests at work; `busy` counts those that hold a place, until their response is complete."""

    def __init__(self) -> None:
        self.busy = 0
        self._entered: set[Exchange] = set()
        self._watched: asyncio.AbstractEventLoop | None = None  # a test client runs one loop after another

    def enter(self, x: "Exchange") -> None:
        """Take a place."""
        self.busy += 1
        x.holds_place = True
        self._entered.add(x)

    def release(self, x: "Exchange") -> None:
        """Give the place back; a background task may go on without one."""
        if x.holds_place:
            x.holds_place = False
            self.busy -= 1

    def leave(self, x: "Exchange") -> None:
        """The request is over."""
        self.release(x)
        self._entered.discard(x)

    def allow(self, x: "Exchange", seconds: float, overdue: Refusal) -> None:
        """Cancel the request's task after `seconds` from now, with `overdue` as the answer, unless `x.due` is emptied."""
        if (task := x.task) is None:
            task = x.task = asyncio.current_task()
        if task is not None:
            x.due = (time.monotonic() + seconds, overdue)
            if self._watched is not (loop := task.get_loop()):
                self._watch(loop)

    def drained(self, receive: Receive, seconds: float) -> Receive:
        """A lifespan's `receive` that holds the shutdown back while requests are at work, `seconds` at most.

        Background tasks outlive their response, and servers do not wait for them.
        """

        async def wait() -> Message:
            message = await receive()
            limit = time.monotonic() + seconds
            while message["type"] == "lifespan.shutdown" and self._entered and time.monotonic() < limit:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            return message

        return wait

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        for x in self._entered:
            if x.due is not None and x.task is not None and now >= x.due[0]:
                x.overdue = x.due[1]
                x.due = None
                x.task.cancel()
        self._watched = loop if self._entered else None
        if self._entered:
            loop.call_later(_INTERVAL, self._watch, loop)
