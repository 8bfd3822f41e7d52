# Owned by the template: an update rewrites this file.
"""The body of one HTTP request: counted and timed for the application, read on after an answer that did not wait."""

import asyncio
from typing import Any

from starlette.types import Message

from ..core.headers import HeaderList
from ..core.json_text import InvalidBodyError, UndeclaredFieldError, check_json
from ..core.log import log
from ..core.masking import mask
from ..core.problems import BODY_TIMEOUT, BODY_TOO_LARGE, CLIENT_DISCONNECTED, OVERLOADED, Refusal, Refused
from .drain import MAX_IDLE, ends_connection
from .exchange import Exchange

_POLL = 0.01


class BodyExchange(Exchange):
    """What an exchange does with the body of its request; `HttpExchange` adds the response."""

    _received = 0
    _is_awaited = _is_read = _has_part = False

    @property
    def _body_timeout(self) -> float:
        seconds = self._runtime.body_timeout
        if self._runtime.services.routes.has_timeouts:
            seconds = self.request.policy.body_timeout or seconds
        return seconds

    def _await_body(self) -> None:
        """Give the client its time to send the body."""
        if self.slot is not None:
            self.slot.set_deadline(self._body_timeout, BODY_TIMEOUT)

    async def receive(self) -> Message:
        """The application's `receive` for a request with a body: counted, timed and, if JSON or a form, checked.

        Raises:
            Refused: The body is too large, too slow or not valid; the perimeter answers, whatever
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
        try:
            if is_json:
                value = check_json(message["body"])
                if self._runtime.services.routes.any_embedded:
                    self._check_embedded(value)
            elif self.request.check_body is not None:
                self.request.check_body(bytes(message["body"]), self._is_read)
        except InvalidBodyError as error:
            self.request.log_fields["reason"] = mask(str(error), log.secrets)
            raise self._refused(error.refusal) from None
        return message

    def _check_embedded(self, value: Any) -> None:
        """Refuse what stands beside a model that is embedded under a name: the framework would ignore it."""
        names = self.request.route.embedded if self.request.route is not None else frozenset()
        if names and isinstance(value, dict) and (unknown := next((each for each in value if each not in names), None)):
            raise UndeclaredFieldError(f"a field that is not declared: {unknown[:100]!r}")

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
        # The body of another type may be read in parts: what is beyond the bound of others counts as that bound.
        is_kept = self.request.is_json or self._received <= self.request.services.settings.max_body_bytes
        if is_kept and self.slot is not None and not self.slot.hold(len(message["body"])):
            raise self._refused(OVERLOADED)
        return message

    def _refused(self, refusal: Refusal) -> Refused:
        self.refusal = refusal
        return Refused(refusal)

    def _read_on(self, seconds: float) -> asyncio.Task[bool]:
        return self._runtime.drains.begin(self.request, self.peer, self.raw_receive, seconds)

    async def _let_body_end(self) -> None:
        """Wait for the body before the last part of a stream: with that, Granian ends the connection."""
        if not self._is_awaited:
            self._is_read = await self._read_on(self._body_timeout)
            return
        for _ in range(int(MAX_IDLE / _POLL)):
            if self._is_read:
                break
            await asyncio.sleep(_POLL)  # the application listens, and so reads

    def _ending(self, headers: HeaderList) -> HeaderList:
        """The headers, with `connection: close` where the rest of an unread body may be too much or never come."""
        if self.request.has_body and not self._is_read and ends_connection(self.request):
            return [*(header for header in headers if header[0] != b"connection"), (b"connection", b"close")]
        return headers
