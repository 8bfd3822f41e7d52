# Owned by the template: an update rewrites this file.
"""One JSON object a line. A log that input can break, paint or fill with secrets serves the attacker:
everything is escaped to ASCII, bounded, and masked. ASVS v5.0.0-16.2.1 to 16.2.5, 16.4.1.
"""

import atexit
import json
import logging.config
import os
import re
import sys
import time
from asyncio import AbstractEventLoop, _get_running_loop
from collections.abc import Iterable
from contextvars import ContextVar
from json.encoder import encode_basestring_ascii as quoted
from threading import get_ident
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, to_json

from .problems import describe

if TYPE_CHECKING:
    from ..asgi.exchange import Exchange

request_id: ContextVar[str] = ContextVar("request_id", default="")
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
MAX_TEXT = 16_384
# What several workers write to one pipe does not mix up to here (PIPE_BUF of POSIX, as Linux has it).
MAX_WRITE = 4096
# Bounded and possessive throughout: this runs over text that a client may have written.
_SECRET = re.compile(
    r"""(?ix)
        (?P<name> (?:password|passwd|secret|token|api[_-]?key|authorization|cookie|session) [\w-]{0,64}+ ["']? )
        (?P<mark> [ \t]{0,8}+ [:=,] \s{0,8}+ )
        (?: b?["'] [^"']{0,512}+ ["'] | (?:(?:bearer|basic)\s{1,8}+)? [^\s,;&"')\]}]{1,4096}+ )
      | (?P<scheme> \b(?:bearer|basic)\s{1,8}+ ) [\w.~+/=-]{8,4096}+
      | (?P<user> ://[^/\s:@]{0,256}+: ) [^/\s]{1,512} (?=@)
      | (?P<query> [?&][\w.\[\]-]{1,64}+= ) [^\s"'&]{1,4096}+ """
)
_RESERVED = frozenset({"time", "level", "event", "logger", "request_id", "exception"})
_OPEN = '{"time":"'
_MILLISECONDS = [f".{number:03d}Z" for number in range(1000)]
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace passwords, tokens, cookies, credentials in addresses, query values and the given secrets by `***`."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return _SECRET.sub(_masked, text[:MAX_TEXT])


def _masked(match: re.Match[str]) -> str:
    name = "".join(match[group] or "" for group in ("name", "mark", "scheme", "user", "query"))
    return f"{name}***"


def _masked_extra(key: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return mask(f"{key}={text}", log.secrets)[len(key) + 1 :]


class Log:
    """Writes events; `Handler` sends what other libraries log the same way."""

    def __init__(self) -> None:
        self.threshold = LEVELS["info"]
        self.readable = False
        self.secrets: tuple[str, ...] = ()
        self.lost = 0
        self._second = 0
        self._stamp = ""
        self._loop: AbstractEventLoop | None = None
        self._thread = 0
        self._waiting: list[str] = []
        self._size = 0

    def configure(self, level: str, readable: bool, secrets: Iterable[str] = ()) -> None:
        """Set the level and form of every line, and route the standard library's loggers here."""
        self.threshold, self.readable = LEVELS[level], readable
        self.secrets = tuple(secret for secret in secrets if len(secret) >= 8)
        logging.config.dictConfig(self.dictconfig(level))

    @staticmethod
    def dictconfig(level: str) -> dict[str, Any]:
        """A `logging.config` that sends every logger, the server's too, through one handler."""
        return {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"hardening": {"class": f"{__name__}.Handler"}},
            "root": {"level": level.upper(), "handlers": ["hardening"]},
        }

    def __call__(self, level: str, event: str, **fields: Any) -> None:
        if LEVELS[level] < self.threshold:
            return
        if self.lost:
            fields["lines_lost"] = self.lost
        if self.readable:
            line = _readable(self._now(), level, event, fields)
        else:
            line = _encode({"time": self._now(), "level": level, "event": event, **fields})
        self._write(f"{line}\n")

    def exchange(self, level: str, x: "Exchange", ms: float) -> None:
        """Write the one line of a request and its response, which is what the process logs most: no encoder, no copies."""
        if LEVELS[level] < self.threshold:
            return
        path = x.scope["path"][:1024]
        if self.readable:
            who = {"request_id": x.request_id, "client": x.client, "method": x.method, "path": path}
            self(level, x.event, **who, status=x.status, ms=round(ms, 1), **x.fields)
            return
        more = {**x.fields, "lines_lost": self.lost} if self.lost else x.fields
        end = f",{_encode(more)[1:]}" if more else "}"
        line = (
            f'{_OPEN}{self._now()}","level":"{level}","event":"{x.event}","request_id":"{x.request_id}",'
            f'"client":{quoted(x.client)},"method":{quoted(x.method)},"path":{quoted(path)},'
            f'"status":{x.status},"ms":{ms:.1f}{end}\n'
        )
        if self._loop is None or self._loop is not _get_running_loop() or level == "error" or self.lost:
            self._write(line)
            return
        if self._size + len(line) > MAX_WRITE:
            self.flush()
        if not self._waiting:
            self._loop.call_soon(self.flush)
        self._waiting.append(line)
        self._size += len(line)

    def gather(self, loop: AbstractEventLoop) -> None:
        """Let the lines of requests that end in one turn of the running `loop` share a write: a pipe wakes its reader
        at each. Every other line is written at once, after those that wait.
        """
        self._loop, self._thread = loop, get_ident()
        self.flush()

    def scatter(self) -> None:
        """Write what waits, and from now on every line at once: the loop may not come to another turn."""
        self.flush()
        self._loop = None

    def flush(self) -> None:
        """Write what waits. Only the loop's own thread does."""
        if self._waiting and get_ident() == self._thread:
            lines, self._waiting, self._size = self._waiting, [], 0
            self._print("".join(lines), len(lines))

    def _now(self) -> str:
        second, ms = divmod(time.time_ns() // 1_000_000, 1000)
        if second != self._second:
            self._second, self._stamp = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return self._stamp + _MILLISECONDS[ms]

    def _write(self, line: str) -> None:
        self.flush()
        self._print(line, 1)

    def _print(self, text: str, number: int) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
            self.lost = 0
        except (
            OSError,
            ValueError,
            AttributeError,
        ):  # nobody reads the log any more, which is no reason to fail the request
            self.lost += number


def _encode(fields: dict[str, Any]) -> str:
    try:
        line = to_json(fields, ensure_ascii=True, inf_nan_mode="null", fallback=str).decode()
        return line.replace("\x7f", "\\u007f")  # the one control character that the encoder lets through
    except PydanticSerializationError:  # half a surrogate pair or bytes: rare, and worth the slower encoder
        return json.dumps(fields, separators=(",", ":"), default=repr, skipkeys=True)


def _readable(stamp: str, level: str, event: str, fields: dict[str, Any]) -> str:
    exception = fields.pop("exception", "")
    words = " ".join(f"{name}={_printable(str(value))}" for name, value in fields.items() if value not in ("", None))
    trace = "".join(f"\n    {_printable(row)}" for row in exception.splitlines())
    return f"{stamp[11:23]} {level.upper():7} {_printable(event)}  {words}{trace}"


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class Handler(logging.Handler):
    """Takes what the standard library's loggers say, the team's own among them, and masks it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = {
                f"extra_{key}" if key in _RESERVED else key: _masked_extra(key, value)
                for key, value in record.__dict__.items()
                if key not in _STANDARD
            }
            if record.exc_info and record.exc_info[1]:
                fields["exception"] = mask(describe(record.exc_info[1]), log.secrets)
            event = mask(record.getMessage(), log.secrets)
            level = next((name for name in ("error", "warning", "info") if record.levelno >= LEVELS[name]), "debug")
            log(level, event, logger=record.name, request_id=request_id.get(), **fields)
        except Exception:  # noqa: BLE001 - a line that cannot be written must not break the request
            self.handleError(record)


log = Log()
atexit.register(log.flush)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=log.flush)  # or both processes would write it
