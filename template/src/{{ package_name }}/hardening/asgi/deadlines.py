# Owned by the template: an update rewrites this file.
"""How long a request may take, and how many may be at work. A client that drips its body, a route that hangs, a reader
that does not read: each holds a place that an honest client needs (OWASP API4:2023).

One timer looks after all requests; one for each would cost more than the rest of the perimeter.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from math import ceil
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import current_default_thread_limiter
from starlette.types import Message, Receive

from ..core.log import log_failure_of, request_id
from ..core.problems import SERVICE_STOPS, Refusal
from .places import MAX_BYTES, Places, Shares

Peer = tuple[str, int]
_INTERVAL = 0.1
_GRACE = 1.0
GiveUp = Callable[[Refusal], Awaitable[None]]


class Slot:
    """The place of one request, taken as it is made, and until when what the request waits for has to come."""

    receiving: asyncio.Task[Any] | None = None
    """The task that waits for a message of a WebSocket: it is told first that this one has ended."""
    peer: Peer | None = None
    """The other end of its connection."""
    overdue: Refusal | None = None
    """The answer to a request whose deadline has passed."""
    _task: asyncio.Task[Any] | None = None
    _due: float | None = None
    _refusal: Refusal | None = None
    _is_in_thread = _is_released = False
    _held = 0

    def __init__(self, deadlines: "Deadlines", places: Places, keys: Sequence[str], give_up: GiveUp) -> None:
        self._deadlines, self._places, self._keys = deadlines, places, keys
        self.give_up: GiveUp | None = give_up
        deadlines.slots.add(self)

    def set_deadline(self, seconds: float, refusal: Refusal) -> None:
        """Cancel the request's task after `seconds` from now, with `refusal` as the answer, unless it is cleared."""
        if (task := self._task) is None:
            task = self._task = asyncio.current_task()
        if task is not None:
            self._due, self._refusal = time.monotonic() + seconds, refusal
            if self._deadlines.watched is not (loop := task.get_loop()):
                self._deadlines.begin(loop)

    def clear_deadline(self) -> None:
        self._due = None

    def release(self) -> None:
        """Give the place back; a background task may go on without one, but not what is overdue."""
        if self.overdue is None and not self._is_released:
            self._is_released = True
            self._places.let_go(self._keys)
            if self._held:
                self._deadlines.memory.let_go(self._keys, self._held)

    def end(self) -> None:
        """The request is over."""
        self.give_up = None  # a cycle would wait for the collector
        self._deadlines.slots.discard(self)
        if not self._is_released:
            self.overdue = None
            self.release()

    def hold(self, size: int) -> bool:
        """Hold so many bytes of a body or an answer until the place is given back, if there is room for them."""
        if self._is_released or not self._deadlines.memory.hold(self._keys, size, self._held):
            return self._is_released
        self._held += size
        return True

    def hold_up_to(self, size: int) -> bool:
        """Hold at least so many bytes in all, if there is room for them."""
        return size <= self._held or self.hold(size - self._held)

    def cancel(self, refusal: Refusal) -> None:
        """Cancel the request's task now, with `refusal` as the answer."""
        self._due, self._refusal = time.monotonic(), refusal
        self.cancel_if_overdue(self._due)

    def cancel_if_overdue(self, now: float) -> None:
        """Cancel the task, unless it waits for a thread: nothing stops that, so it keeps its place and its seat in the
        pool until it is back. The client is answered then, and when the task has not ended a second after.
        """
        if self._due is None or self._task is None or now < self._due:
            return
        task = self.receiving or self._task
        is_in_thread = self.receiving is None and self._deadlines.is_in_thread(task)
        if self._is_in_thread and is_in_thread:
            return
        if self.overdue is None or self._is_in_thread:
            self.overdue, self._due = self.overdue or self._refusal, now + _GRACE
            if not is_in_thread:
                self._is_in_thread = False
                task.cancel()
                return
            self._is_in_thread = True
        else:
            self._due = None
        if self.overdue is not None and self.give_up is not None:
            self._deadlines.run(self.give_up(self.overdue), self._task.get_loop())


class Deadlines:
    """The requests at work. A request holds a place until its response is complete, a WebSocket until it has ended.

    Args:
        number: Places for requests. Half as many of their own are for WebSockets, which stay.
    """

    def __init__(self, number: int) -> None:
        self.requests, self.sockets = Places(number), Places(ceil(number / 2))
        self.memory = Shares(MAX_BYTES)
        self.slots: set[Slot] = set()
        self._threads: CapacityLimiter | None = None
        self._answers: set[asyncio.Future[None]] = set()
        self.watched: asyncio.AbstractEventLoop | None = None  # a test client runs one loop after another

    def wait_for_drain(self, receive: Receive, seconds: float, at_shutdown: Callable[[], object]) -> Receive:
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

    def end_after(self, seconds: float) -> None:
        """End what is still at work so many seconds from now: the server stops, and would be killed in the middle of it."""

        def end() -> None:
            for slot in list(self.slots):
                slot.cancel(SERVICE_STOPS)

        asyncio.get_running_loop().call_later(seconds, end)

    def is_in_thread(self, task: asyncio.Task[Any]) -> bool:
        """Whether a request's task, or another one that it has begun, waits for a thread of the pool that `def` routes and
        dependencies run in.
        """
        if self._threads is None or not self._threads.borrowed_tokens:
            return False
        borrowers = self._threads.statistics().borrowers
        return task in borrowers or any(_request_of(each) == _request_of(task) != "" for each in borrowers)

    def run(self, work: Awaitable[None], loop: asyncio.AbstractEventLoop) -> None:
        """Do something beside the request's own task."""
        answer = asyncio.ensure_future(work, loop=loop)
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)
        answer.add_done_callback(log_failure_of)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch while there is a request; called within one."""
        self._threads = current_default_thread_limiter()
        self.watch(loop)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is overdue, now and at each interval while there is a request."""
        now = time.monotonic()
        for slot in list(self.slots):
            slot.cancel_if_overdue(now)
        self.watched = loop if self.slots else None
        if self.slots:
            loop.call_later(_INTERVAL, self.watch, loop)


def _request_of(task: object) -> str:
    """The id of the request in whose context a task runs."""
    if not isinstance(task, asyncio.Task):
        return ""
    if sys.version_info >= (3, 12):
        return task.get_context().get(request_id, "")
    # It has one here as well, that no name leads to.
    contexts = (each for each in gc.get_referents(task) if isinstance(each, Context))
    return next((found for each in contexts if (found := each.get(request_id, ""))), "")
