# Owned by the template: an update rewrites this file.
"""How long a request may take, and how many may be at work. A client that drips its body, a route that hangs, a reader
that does not read: each holds a place that an honest client needs (OWASP API4:2023).

One timer looks after all requests; one for each would cost more than the rest of the perimeter.
"""

import asyncio
import time
from collections.abc import Callable
from math import ceil
from typing import Any

from starlette.types import Message, Receive

from ..core.problems import Refusal
from .places import Memory, Places

_INTERVAL = 0.1


class Slot:
    """The place of one request, taken as it is made, and until when what the request waits for has to come."""

    receiving: asyncio.Task[Any] | None = None
    """The task that waits for a message of a WebSocket: it is told first that this one has ended."""
    overdue: Refusal | None = None
    """The answer to a request whose deadline has passed."""
    _task: asyncio.Task[Any] | None = None
    _due: float | None = None
    _refusal: Refusal | None = None
    _is_released = False
    _held = 0

    def __init__(self, deadlines: "Deadlines", places: Places, client: str) -> None:
        self._deadlines, self._places, self._client = deadlines, places, client
        deadlines.slots.add(self)

    def set_deadline(self, seconds: float, refusal: Refusal) -> None:
        """Cancel the request's task after `seconds` from now, with `refusal` as the answer, unless it is cleared."""
        if (task := self._task) is None:
            task = self._task = asyncio.current_task()
        if task is not None:
            self._due, self._refusal = time.monotonic() + seconds, refusal
            if self._deadlines.watched is not (loop := task.get_loop()):
                self._deadlines.watch(loop)

    def clear_deadline(self) -> None:
        self._due = None

    def release(self) -> None:
        """Give the place back; a background task may go on without one."""
        if not self._is_released:
            self._is_released = True
            self._places.give_back(self._client)
            if self._held:
                self._deadlines.memory.let_go(self._client, self._held)

    def hold(self, size: int) -> bool:
        """Hold so many bytes of a body or an answer until the place is given back, if there is room for them."""
        if self._is_released or not self._deadlines.memory.hold(self._client, size, self._held):
            return self._is_released
        self._held += size
        return True

    def cancel(self, refusal: Refusal) -> None:
        """Cancel the request's task now, with `refusal` as the answer."""
        if (task := self.receiving or self._task) is not None:
            self.overdue, self._due = refusal, None
            task.cancel()

    def cancel_if_overdue(self, now: float) -> None:
        if self._due is not None and self._refusal is not None and now >= self._due:
            self.cancel(self._refusal)


class Deadlines:
    """The requests at work. A request holds a place until its response is complete, a WebSocket until it has ended.

    Args:
        number: Places for requests. Half as many of their own are for WebSockets, which stay.
    """

    def __init__(self, number: int) -> None:
        self.requests, self.sockets = Places(number), Places(ceil(number / 2))
        self.memory = Memory()
        self.slots: set[Slot] = set()
        self.watched: asyncio.AbstractEventLoop | None = None  # a test client runs one loop after another

    def forget(self, slot: Slot) -> None:
        """The request is over."""
        slot.release()
        self.slots.discard(slot)

    def wait_for_drain(self, receive: Receive, seconds: float, at_shutdown: Callable[[], None]) -> Receive:
        """A lifespan's `receive` that holds the shutdown back while requests are at work, `seconds` at most.

        Background tasks outlive their response, and servers do not wait for them.
        """

        async def wait() -> Message:
            message = await receive()
            limit = time.monotonic() + seconds
            if message["type"] == "lifespan.shutdown":
                at_shutdown()
            while message["type"] == "lifespan.shutdown" and self.slots and time.monotonic() < limit:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            return message

        return wait

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is overdue, now and at each interval while there is a request."""
        now = time.monotonic()
        for slot in self.slots:
            slot.cancel_if_overdue(now)
        self.watched = loop if self.slots else None
        if self.slots:
            loop.call_later(_INTERVAL, self.watch, loop)
