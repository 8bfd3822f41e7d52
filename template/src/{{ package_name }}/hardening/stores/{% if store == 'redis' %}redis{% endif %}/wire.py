# Owned by the template: an update rewrites this file.
"""A connection to Redis: what is sent in one write is answered in turn. No task stands between a socket and who waits."""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from hiredis import Reader, ReplyError

from .calls import Call

_CODE = re.compile(r"(?:^(?!ERR )|[ :]-)([A-Z]{2,20})\b")
_CERTIFICATE = re.compile(r"certificate verify failed: (.+?)\.? \(_ssl")
_NAMELESS = {"max number of clients": "MAXCLIENTS", "can't run this command": "NOPERM"}
_HINTS = {
    "certificate has expired": "Renew the certificate of Redis.",
    "self-signed certificate": "Name its authority in APP_STORE_URL: ?ssl_ca_certs=FILE.",
    "unable to get local issuer": "Name its authority in APP_STORE_URL: ?ssl_ca_certs=FILE.",
    "Hostname mismatch": "Write the host in APP_STORE_URL as the certificate of Redis does.",
    "IP address mismatch": "Write the host in APP_STORE_URL as the certificate of Redis does.",
    "MAXCLIENTS": "Redis takes no more connections: raise its maxclients.",
}


def reason(error: Exception) -> tuple[str, str]:
    """What the log says of an error: the word that Redis refuses with, such as `OOM`, what is wrong with its
    certificate, or the kind of the error; and what to do, empty where that says it."""
    text, word = str(error), type(error).__name__
    if isinstance(error, ReplyError):
        code = _CODE.search(text)
        word = code[1] if code else next((word for part, word in _NAMELESS.items() if part in text), "ERR")
    elif certificate := _CERTIFICATE.search(text):
        word = certificate[1]
    return word, next((hint for begin, hint in _HINTS.items() if word.startswith(begin)), "")


class Wire(asyncio.Protocol):
    """Sends calls and hands over their answers. Whoever uses it says what to do when it is heard, free, or lost."""

    on_data: Callable[[], None]
    on_free: Callable[["Wire"], None]
    on_lost: Callable[["Wire", Exception], None]
    made = 0.0
    """When it was ready, by the clock of the machine."""
    is_lost = False
    _error: Exception | None = None

    def __init__(self) -> None:
        self.calls = deque[Call]()
        """What has been sent and is not answered."""
        self._unknown: list[Call] = []
        self._reader = Reader()
        ignore: Callable[..., None] = lambda *_: None  # noqa: E731 - nobody has asked for what comes before a call
        self.on_data = self.on_free = self.on_lost = ignore

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, calls: Sequence[Call], *, is_known: bool = True) -> None:
        """Send what is asked in one write."""
        self.calls.extend(calls)
        self._transport.write(b"".join([call.command(is_known=is_known) for call in calls]))

    async def ask(self, *calls: Call) -> None:
        """Send calls and wait until all are answered; before the callbacks are set.

        Raises:
            ReplyError, OSError, EOFError: Redis refuses, or the connection broke.
            TypeError, ValueError: An answer is none of its script.
        """
        done = asyncio.get_running_loop().create_future()
        self.on_data = lambda: None
        self.on_free = lambda _: None if done.done() else done.set_result(None)
        self.on_lost = lambda _, error: None if done.done() else done.set_exception(error)
        if self.is_lost:
            raise self._error or EOFError()
        self.send(calls)
        await done

    def close(self) -> None:
        """Part with it, and hear no more of it."""
        self.is_lost = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            if (answer := self._reader.gets()) is not False:
                self.on_data()  # a part of an answer is silence
            while not self.is_lost and answer is not False:
                self._hand_over(answer)
                answer = self._reader.gets()
        except Exception as error:  # noqa: BLE001 - whatever it is, what follows cannot be told from an answer
            self._lose(error)

    def connection_lost(self, error: Exception | None) -> None:
        self._lose(error or EOFError())

    def _hand_over(self, answer: object) -> None:
        if not self.calls:
            raise answer if isinstance(answer, ReplyError) else EOFError("nobody has asked")
        call = self.calls[0]
        if not isinstance(answer, ReplyError):
            call.succeed(answer)
            call.is_answered = True
        elif str(answer).startswith("NOSCRIPT"):
            self._unknown.append(call)
        else:
            raise answer
        self.calls.popleft()
        if self._unknown and not self.calls:
            unknown, self._unknown = self._unknown, []
            self.send(unknown, is_known=False)
        elif not self.calls:
            self.on_free(self)

    def _lose(self, error: Exception) -> None:
        if not self.is_lost:
            self._error = error
            self.calls.extendleft(self._unknown)
            self.close()
            self.on_lost(self, error)
