# Owned by the template: an update rewrites this file.
"""The messages of one HTTP request and its response: counted, timed, completed."""

import asyncio
import os
import stat
from contextlib import suppress
from typing import Any

from anyio import BrokenResourceError
from starlette.types import Message, Receive

from ..core.framework import is_a
from ..core.headers import HeaderList, is_field
from ..core.problems import CLIENT_DISCONNECTED, OVERLOADED, READER_TIMEOUT, UNHANDLED, Refusal
from .body_exchange import BodyExchange
from .drain import LETTING_GO, MAX_IDLE
from .response_headers import with_headers_of

_MOST_HEADERS = 10_000  # Granian ends its process at 24,576
_MOST_DIGITS = 18  # of a length: the server reads no longer one, and sends nothing
_PART = 65_536  # bytes of an answer that are sent in one piece
# Messages that are no part of the response itself.
_ASIDE = frozenset({"http.response.debug", "http.response.early_hint", "http.response.push"})


def _check_file(path: Any) -> None:
    """See that the server can send a file: its own answers, where it cannot, are bare or half ones.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no file, or its name is none that the server takes.
    """
    path.encode()
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for its writer
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path!r} is no regular file")
    finally:
        os.close(descriptor)


def _is_broken(error: BaseException) -> bool:
    """Whether it only tells that nobody takes what a stream still gives, as FastAPI's of events does."""
    broken = error.split(BrokenResourceError)[1] is None if is_a(error, BaseExceptionGroup) else False
    return broken or is_a(error, BrokenResourceError)


def _without(name: bytes, headers: HeaderList) -> HeaderList:
    return [header for header in headers if header[0] != name]


class HttpExchange(BodyExchange):
    """The application is given its `receive` and `send`."""

    if_unanswered: Refusal | None = UNHANDLED
    _is_stream = False
    _start: Message
    _length_left: int | None = None

    def begin(self) -> Receive:
        """Give the route its time, and return the application's `receive`."""
        if self.request.refusal is not None:
            return self.receive_nothing
        if self.request.method == "HEAD" and not (self.request.route and self.request.route.has_head):
            self.request.scope["method"] = "GET"
        self.await_response()
        return self.receive if self.request.has_body else self.raw_receive

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
            _check_file(message["path"])
        if self.finished or (self.refusal is not None and not self.started):
            return
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = message["body"] = bytes(memoryview(body))  # the server would send nothing in its place
        if not self.started:
            # There has to be memory for it until its client has read it; a small one goes to the kernel at once.
            if len(body) > _PART and self.slot is not None and not self.slot.hold(len(body)):
                self.refusal = OVERLOADED
                return
            if self.request.unsettled:
                await self.request.settle(self._start["status"])
            start = self._begin()
            # Starlette writes its length first, as most do, and of several the server sends the first.
            length = (b"content-length", b"%d" % len(body))
            is_bodiless = self.status == 204 or self.request.method == "HEAD"
            if is_bodiless or message.get("more_body") or start["headers"][0] != length:
                is_whole = kind == "http.response.body" and not message.get("more_body")
                if self.status >= 400 and is_whole and (body or self.request.method != "HEAD"):
                    # The status of an error counts more than a length that its handler took over from an upstream.
                    start["headers"] = [length, *_without(b"content-length", start["headers"])]
                else:
                    self._length_left = self._declared_length(start, kind)
                    self._count_down(message)
            self.started = True
            try:
                await self.raw_send(start)
            except BaseException:
                self.started = False  # a header that the server refuses: the answer is still to be given
                if bad := [name for name, value in start["headers"] if not is_field(name, value)]:
                    raise ValueError(f"{bad[0]!r} is no header that a server sends") from None
                raise
            if self.slot is not None:
                self.slot.clear_deadline()
        elif self._length_left is not None:
            self._count_down(message)
        if self.request.method == "HEAD":
            await self._finish({"type": "http.response.body", "body": b""})
            if message.get("more_body"):
                raise OSError("the answer to HEAD has no body to stream")
            return
        slot = self.slot
        if len(body) > _PART:  # the server would keep all that is not read
            await self._hold_part(len(body))
            last = len(body) - 1 - (len(body) - 1) % _PART
            for at in range(0, last, _PART):
                await self._send_part({**message, "body": body[at : at + _PART]})
            message["body"] = body[last:]
        if message.get("more_body", False):
            await self._send_part(message)
            return
        if self._is_read or not self.request.has_body:  # as most are; a call more is 1% of a request
            self.finished = True
            await self.raw_send(message)
            if slot is not None:
                slot.release()
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

    async def _hold_part(self, size: int) -> None:
        """End a stream if there is no memory for a part of it that is larger than all before it."""
        if self.slot is not None and not self.slot.hold_up_to(size):
            self.slot.cancel(OVERLOADED)
            await asyncio.sleep(self._runtime.body_timeout)

    async def _send_part(self, message: Message) -> None:
        self._is_stream = True
        slot = self.slot
        if slot is not None:
            slot.set_deadline(self._runtime.body_timeout, READER_TIMEOUT)
        message["more_body"] = True  # the server takes 1 for no
        await self.raw_send(message)
        await asyncio.sleep(0)  # where the client has left, that took no time: no one else would ever come to run
        if slot is not None:
            slot.clear_deadline()

    def _begin(self) -> Message:
        start = self._start
        if not 200 <= start["status"] <= 599:
            raise ValueError(f"{start['status']} is not the status of a response")
        self.status = int(start["status"])
        headers = start.get("headers", ())
        if self._runtime.services.routes.has_headers:
            headers = with_headers_of(self.request.policy, self.status, list(headers))
        headers = self._runtime.response_headers.finalize(self.request, self.status, headers)
        if len(headers) > _MOST_HEADERS:
            raise ValueError(f"{len(headers)} headers are more than the server outlives")
        start["headers"] = self._ending(headers) if self.request.has_body else headers
        return start

    def _declared_length(self, start: Message, kind: str) -> int | None:
        """How long the body is that a response announces, if it does and the server does not see to it."""
        lengths = [value for name, value in start["headers"] if name == b"content-length"]
        if not lengths:
            return None
        (length, *others) = set(lengths)
        if others or not length.isdigit() or len(length) > _MOST_DIGITS:
            raise ValueError(f"{lengths!r} is no Content-Length")
        if len(lengths) > 1 or self.status == 204:  # has none (RFC 9110, 8.6); of two the server sends no HEAD
            kept = [(b"content-length", length)] if self.status != 204 else []
            start["headers"] = [*kept, *_without(b"content-length", start["headers"])]
        is_counted = kind == "http.response.body" and self.request.method != "HEAD" and self.status not in (204, 304)
        return int(length) if is_counted else None

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
        headers = self._ending(headers)
        await self._start_with({"type": "http.response.start", "status": status, "headers": headers})
        body = b"" if self.request.method == "HEAD" else body
        await self._finish({"type": "http.response.body", "body": body})

    async def _has_left(self) -> bool:
        """Whether the client is gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LETTING_GO):
                return bool((await self.raw_receive())["type"] == "http.disconnect")
        return False

    async def fail(self, error: BaseException) -> None:
        """Answer what the application raised: 500, unless it was refused something on the way.

        Raises:
            BaseException: The same, where half of a response is out: nobody may take it for a whole one.
        """
        refusal = self.refusal
        if refusal is None and not (self.request.method == "HEAD" and self.finished):
            if self.started and not self.finished and _is_broken(error) and await self._has_left():
                self.note_once(CLIENT_DISCONNECTED)
            else:
                self.note_failure(error)
        if self.started:
            if not self.finished:
                self._runtime.cut(self.peer, self.request.scope["http_version"])
                raise error
        elif refusal is None:
            body = self._runtime.unhandled(self.request.request_id, error)
            await self.answer(UNHANDLED.status, UNHANDLED.headers, body)
