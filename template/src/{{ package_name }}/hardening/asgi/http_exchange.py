# Owned by the template: an update rewrites this file.
"""The messages of one HTTP request and its response: counted, timed, completed."""

import asyncio

from starlette.types import Message

from ..core.headers import HeaderList
from ..core.json_text import InvalidJSONError, check_json
from ..core.problems import (
    BODY_INVALID,
    BODY_TIMEOUT,
    BODY_TOO_LARGE,
    CLIENT_DISCONNECTED,
    READER_TIMEOUT,
    UNHANDLED,
    Refusal,
    Refused,
)
from .drain import LETTING_GO, MAX_IDLE, ends_connection
from .exchange import Exchange

# Messages that are no part of the response itself.
_ASIDE = frozenset({"http.response.debug", "http.response.early_hint", "http.response.push"})
_POLL = 0.01


class HttpExchange(Exchange):
    """The application is given its `receive` and `send`."""

    drain: asyncio.Task[bool] | None = None
    """Reads what is left of the body after its answer."""
    _received = 0
    _is_awaited = _is_read = _has_part = _is_stream = False
    _start: Message

    @property
    def _body_timeout(self) -> float:
        seconds = self._runtime.body_timeout
        if self._runtime.has_timeouts:
            seconds = self.request.policy.body_timeout or seconds
        return seconds

    def _await_body(self) -> None:
        """Give the client its time to send the body."""
        if self.slot is not None:
            self.slot.set_deadline(self._body_timeout, BODY_TIMEOUT)

    async def receive(self) -> Message:
        """The application's `receive` for a request with a body: counted, timed and, if JSON, checked whole.

        Raises:
            Refused: The body is too large, too slow or not what it says; the perimeter answers, whatever
                the application makes of it.
        """
        if self.drain is not None:
            return {"type": "http.disconnect"}
        if self.finished or self._is_read:
            return await self.raw_receive()
        if not self._is_awaited:
            self._is_awaited = True
            self._await_body()
        try:
            message = await self._receive_body()
        except Refused:
            if not self.started or self._has_part or self.refusal is CLIENT_DISCONNECTED:
                raise
            # A stream of Starlette's has begun and only listens for the client's end: it is not to be cut.
            self.refusal = None
            is_whole = self._is_read or await self._read_on(self._body_timeout)
            return await self.raw_receive() if is_whole else {"type": "http.disconnect"}
        self._has_part = True
        return message

    async def _receive_body(self) -> Message:
        is_json = self.request.is_json
        message = self._counted(await self.raw_receive())
        if is_json and message["more_body"]:
            chunks = [message["body"]]
            while message["more_body"]:
                message = self._counted(await self.raw_receive())
                chunks.append(message["body"])
            message["body"] = b"".join(chunks)
        if self._is_read:
            self.await_response()
        if is_json:
            try:
                check_json(message["body"])
            except InvalidJSONError as error:
                self.request.log_fields["reason"] = str(error)
                raise self._refused(BODY_INVALID) from None
        return message

    def _counted(self, message: Message) -> Message:
        if message["type"] == "http.disconnect":
            self._is_read = True
            raise self._refused(CLIENT_DISCONNECTED)
        message.setdefault("body", b"")
        message.setdefault("more_body", False)
        self._is_read = not message["more_body"]
        self._received += len(message["body"])
        if self._received > self.request.max_body_bytes:
            raise self._refused(BODY_TOO_LARGE)
        return message

    def _refused(self, refusal: Refusal) -> Refused:
        self.refusal = refusal
        return Refused(refusal)

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

    def _read_on(self, seconds: float) -> asyncio.Task[bool]:
        return self._runtime.drains.begin(self.request, self._peer, self.raw_receive, seconds)

    async def _let_body_end(self) -> None:
        """Wait for the body before the last part of a stream: with that, Granian ends the connection."""
        if not self._is_awaited:
            self._is_read = await self._read_on(self._body_timeout)
        for _ in range(int(MAX_IDLE / _POLL)):
            if self._is_read:
                break
            await asyncio.sleep(_POLL)  # the application listens, and so reads

    def _with_its_end(self, headers: HeaderList) -> HeaderList:
        """The headers, with `connection: close` where the rest of an unread body may be too much or never come."""
        if self.request.has_body and not self._is_read and ends_connection(self.request):
            return [*(header for header in headers if header[0] != b"connection"), (b"connection", b"close")]
        return headers

    def _begin(self) -> Message:
        start = self._start
        if not 200 <= start["status"] <= 599:
            raise ValueError(f"{start['status']} is not the status of a response")
        self.status = int(start["status"])
        headers = start.get("headers", ())
        headers = self._runtime.response_headers.finalize(self.request, self.status, headers)
        start["headers"] = self._with_its_end(headers)
        self.started = True
        if self.slot is not None:
            self.slot.clear_deadline()
        return start

    async def _send_answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        if self.slot is not None:
            self.slot.clear_deadline()
        headers = self._with_its_end(headers)
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
