# Owned by the template: an update rewrites this file.
"""The messages of one HTTP request and its response: counted, timed, completed."""

import asyncio

from starlette.types import Message

from ..core.headers import HeaderList
from ..core.problems import READER_TIMEOUT, UNHANDLED
from .body_exchange import BodyExchange
from .drain import LETTING_GO, MAX_IDLE

# Messages that are no part of the response itself.
_ASIDE = frozenset({"http.response.debug", "http.response.early_hint", "http.response.push"})


class HttpExchange(BodyExchange):
    """The application is given its `receive` and `send`."""

    _is_stream = False
    _start: Message

    async def send(self, message: Message) -> None:
        """The application's `send`: completes the headers, drops the body of a HEAD, replaces what was refused.

        The start waits for the first part of the body, so that a failure between the two still gets a whole answer.
        """
        kind = message["type"]
        if kind == "http.response.start":
            self._start = message
            return
        if kind in _ASIDE:
            await self.raw_send(message)
            return
        if self.finished or (self.refusal is not None and not self.started):
            return
        if not self.started:
            if self.request.unsettled:
                await self.request.settle(self._start["status"])
            start = self._begin()
            try:
                await self.raw_send(start)
            except BaseException:
                self.started = False  # a header that the server refuses: the answer is still to be given
                raise
        if self.request.method == "HEAD":
            await self._finish({"type": "http.response.body", "body": b""})
            if message.get("more_body"):
                raise OSError("the answer to HEAD has no body to stream")
            return
        slot = self.slot
        if message.get("more_body", False):
            self._is_stream = True
            if slot is not None:
                slot.set_deadline(self._runtime.body_timeout, READER_TIMEOUT)
            await self.raw_send(message)
            if slot is not None:
                slot.clear_deadline()
        else:
            await self._finish(message)

    async def _finish(self, message: Message) -> None:
        """Send the last part, give the place back, and read on what the client may still send of its body."""
        if self._is_stream and self.request.has_body and not self._is_read:
            await self._let_body_end()
        self.finished = True
        await self.raw_send(message)
        if self.slot is not None:
            self.slot.release()
        if self.request.has_body and not self._is_read and self.drain is None:
            is_overdue = self.slot is not None and self.slot.overdue is not None  # it has had its time
            seconds = MAX_IDLE if is_overdue else self._body_timeout
            self.drain = self._read_on(seconds)

    def _begin(self) -> Message:
        start = self._start
        if not 200 <= start["status"] <= 599:
            raise ValueError(f"{start['status']} is not the status of a response")
        self.status = int(start["status"])
        headers = start.get("headers", ())
        headers = self._runtime.response_headers.finalize(self.request, self.status, headers)
        start["headers"] = self._ending(headers)
        self.started = True
        if self.slot is not None:
            self.slot.clear_deadline()
        return start

    async def _send_answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        if self.slot is not None:
            self.slot.clear_deadline()
        headers = self._ending(headers)
        await self._start_with({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if self.request.method == "HEAD" else body
        await self._finish({"type": "http.response.body", "body": body})

    async def cancelled(self, error: asyncio.CancelledError) -> None:
        """Say why the request was cancelled: its time is up, the server stops, or the application did it itself.

        Raises:
            CancelledError: The server stops.
            ConnectionAbortedError: Half of a response is out, so the server is to cut the connection.
        """
        task = asyncio.current_task()
        overdue = self.slot.overdue if self.slot is not None else None
        if overdue is not None and task is not None and not task.uncancel():
            self.refusal = overdue
            await asyncio.sleep(LETTING_GO)
            if self.started:
                self.request.note(overdue.event)
                raise ConnectionAbortedError(overdue.event)
        elif task is not None and task.cancelling():
            raise error
        else:
            await self.fail(error)

    async def fail(self, error: BaseException) -> None:
        """Answer what the application raised: 500, unless it was refused something on the way.

        Raises:
            BaseException: The same, where half of a response is out: nobody may take it for a whole one.
        """
        refusal = self.refusal
        if refusal is None and not (self.request.method == "HEAD" and self.finished):
            self.note_failure(error)
        if self.started:
            if not self.finished:
                raise error
        elif refusal is None:
            body = self._runtime.unhandled(self.request.request_id, error)
            await self.answer(UNHANDLED.status, UNHANDLED.headers, body)
