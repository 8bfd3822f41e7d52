# Owned by the template: an update rewrites this file.
"""The messages of one HTTP request and its response: counted, timed, completed."""

import os

from starlette.types import Message, Receive

from ..core.headers import HeaderList
from ..core.json_text import InvalidJSONError, check_json
from ..core.problems import (
    BODY_INVALID,
    BODY_TIMEOUT,
    BODY_TOO_LARGE,
    CLIENT_DISCONNECTED,
    OVERLOADED,
    READER_TIMEOUT,
    UNHANDLED,
    Refusal,
    Refused,
)
from .exchange import Exchange

_PART = 65_536  # bytes of an answer that are sent in one piece
# Messages that are no part of the response itself.
_ASIDE = frozenset({"http.response.debug", "http.response.early_hint", "http.response.push"})


class HttpExchange(Exchange):
    """The application is given its `receive` and `send`."""

    if_unanswered: Refusal | None = UNHANDLED
    _received = 0
    _is_awaited = _is_read = False
    _start: Message
    _length_left: int | None = None

    def begin(self) -> Receive:
        """Give the route its time, and return the application's `receive`."""
        if self.request.method == "HEAD":
            self.request.scope["method"] = "GET"
        self.await_response()
        return self.receive if self.request.has_body else self.raw_receive

    async def receive(self) -> Message:
        """The application's `receive` for a request with a body: counted, timed and, if JSON, checked whole.

        Raises:
            Refused: The body is too large, too slow or not valid JSON; the perimeter answers, whatever
                the application makes of it.
        """
        if self.finished or self._is_read:
            return await self.raw_receive()
        if not self._is_awaited:
            self._is_awaited = True
            if self.slot is not None:
                seconds = self.request.policy.body_timeout if self._runtime.has_timeouts else None
                self.slot.set_deadline(seconds or self._runtime.body_timeout, BODY_TIMEOUT)
        is_json = self.request.is_json
        message = self._counted(await self.raw_receive())
        if is_json and message["more_body"]:
            chunks = [message["body"]]
            while message["more_body"]:
                message = self._counted(await self.raw_receive())
                chunks.append(message["body"])
            message["body"] = b"".join(chunks)
        if not message["more_body"]:
            self._is_read = True
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
            raise self._refused(CLIENT_DISCONNECTED)
        message.setdefault("body", b"")
        message.setdefault("more_body", False)
        self._received += len(message["body"])
        if self._received > self.request.max_body_bytes:
            raise self._refused(BODY_TOO_LARGE)
        # The body of another type may be read in parts: what is beyond the bound of others counts as that bound.
        is_kept = self.request.is_json or self._received <= self.request.services.settings.max_body_bytes
        if is_kept and self.slot is not None and not self.slot.hold(len(message["body"])):
            raise self._refused(OVERLOADED)
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
            if self.started and not self.finished:
                raise RuntimeError("the response has begun already")
            self._start = message
            return
        if kind != "http.response.body":
            if kind in _ASIDE:
                await self.raw_send(message)
                return
            if kind != "http.response.pathsend":
                raise ValueError(f"{kind!r} is no message of a response")
            os.close(os.open(message["path"], os.O_RDONLY))  # the server's own 404 would be bare
        if self.finished or (self.refusal is not None and not self.started):
            return
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = message["body"] = bytes(memoryview(body))  # the server would send nothing in its place
        if not self.started:
            if not self._has_room(message):
                self.refusal = OVERLOADED
                return
            if self.request.unsettled:
                await self.request.settle(self._start["status"])
            start = self._begin()
            if message.get("more_body") or (b"content-length", b"%d" % len(body)) not in start["headers"]:
                self._length_left = self._declared_length(start, kind)
                self._count_down(message)
            self.started = True
            try:
                await self.raw_send(start)
            except BaseException:
                self.started = False  # a header that the server refuses: the answer is still to be given
                raise
            if self.slot is not None:
                self.slot.clear_deadline()
        elif self._length_left is not None:
            self._count_down(message)
        if self.request.method == "HEAD":
            self.finished = True
            await self.raw_send({"type": "http.response.body", "body": b""})
            if message.get("more_body"):
                raise OSError("the answer to HEAD has no body to stream")
            return
        slot = self.slot
        if message.get("more_body", False):
            await self._send_part(message)
        else:
            at = 0
            while len(body) - at > _PART:  # the server would keep all that is not read
                await self._send_part({**message, "body": body[at : at + _PART]})
                at += _PART
            if at:
                message["body"] = body[at:]
            self.finished = True
            await self.raw_send(message)
            if slot is not None:
                slot.release()

    async def _send_part(self, message: Message) -> None:
        slot = self.slot
        if slot is not None:
            slot.set_deadline(self._runtime.body_timeout, READER_TIMEOUT)
        message["more_body"] = True  # the server takes 1 for no
        await self.raw_send(message)
        if slot is not None:
            slot.clear_deadline()

    def _has_room(self, message: Message) -> bool:
        """Whether there is memory for an answer until its client has read it; a small one goes to the kernel at once."""
        size = len(message.get("body", b""))
        return size <= _PART or self.slot is None or self.slot.hold(size)

    def _begin(self) -> Message:
        start = self._start
        if not 200 <= start["status"] <= 599:
            raise ValueError(f"{start['status']} is not the status of a response")
        self.status = int(start["status"])
        headers = start.get("headers", ())
        start["headers"] = self._runtime.response_headers.finalize(self.request, self.status, headers)
        return start

    def _declared_length(self, start: Message, kind: str) -> int | None:
        """How long the body is that a response announces, if it does and the server does not see to it."""
        lengths = {value for name, value in start["headers"] if name == b"content-length"}
        if not lengths or kind != "http.response.body" or self.request.method == "HEAD" or self.status in (204, 304):
            return None
        (length, *others) = lengths
        if others or not length.isdigit():
            raise ValueError(f"{sorted(lengths)!r} is no Content-Length")
        return int(length)

    def _count_down(self, message: Message) -> None:
        """Stop a body that is not as long as announced: the rest would be read as the next response."""
        if self._length_left is None:
            return
        self._length_left -= len(message.get("body", b""))
        if self._length_left < 0 or (self._length_left and not message.get("more_body")):
            raise ValueError("the body is not as long as its Content-Length says")

    async def _send_answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        if self.slot is not None:
            self.slot.clear_deadline()
        await self._start_with({"type": "http.response.start", "status": status, "headers": headers})
        self.finished = True
        body = b"" if self.request.method == "HEAD" else body
        await self.raw_send({"type": "http.response.body", "body": body})
        if self.slot is not None:
            self.slot.release()

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
