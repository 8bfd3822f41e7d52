# Owned by the template: an update rewrites this file.
"""The messages of one HTTP request and its response: counted, timed, completed."""

from starlette.types import Message, Receive

from ..core.headers import HeaderList
from ..core.problems import READER_TIMEOUT, UNHANDLED
from .body_exchange import BodyExchange
from .drain import MAX_IDLE

# Messages that are no part of the response itself.
_ASIDE = frozenset({"http.response.debug", "http.response.early_hint", "http.response.push"})


class HttpExchange(BodyExchange):
    """The application is given its `receive` and `send`."""

    if_unanswered = UNHANDLED
    _is_stream = False
    _start: Message

    def begin(self) -> Receive:
        """Give the route its time, and return the application's `receive`."""
        if self.request.method == "HEAD":
            self.request.scope["method"] = "GET"
        self.await_response()
        return self.receive if self.request.has_body else self.raw_receive

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
            self.drain = self._read_on(MAX_IDLE if is_overdue else self._body_timeout)

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
