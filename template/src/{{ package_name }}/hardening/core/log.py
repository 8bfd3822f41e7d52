# Owned by the template: an update rewrites this file.
"""One JSON object a line. A log that input can break, paint or fill with secrets serves the attacker:
everything is escaped to ASCII, bounded, and masked. ASVS v5.0.0-16.2.1 to 16.2.5, 16.4.1.
"""

import atexit
import logging.config
import os
import sys
import time
from asyncio import AbstractEventLoop, Future, _get_running_loop
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from json.encoder import encode_basestring_ascii as quoted
from threading import get_ident
from typing import Any

from .log_format import encode, readable
from .log_writer import never_block
from .masking import describe, mask
from .traces import trace_of

request_id: ContextVar[str] = ContextVar("request_id", default="")
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# What several workers write to one pipe does not mix up to here (PIPE_BUF of POSIX, as Linux has it).
MAX_WRITE = 4096
MAX_SHOWN = 100
_RESERVED = frozenset({"time", "level", "event", "logger", "request_id", "exception"})
_LINE_PREFIX = '{"time":"'
_MILLISECONDS = [f".{number:03d}Z" for number in range(1000)]
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


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
        self.dropped_lines = 0
        self._second = 0
        self._stamp = ""
        self._loop: AbstractEventLoop | None = None
        self._thread = 0
        self._pending: list[str] = []
        self._size = 0
        self._put: Callable[[bytes], None] | None = None

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

    def __call__(self, level: str, event: str, **log_fields: Any) -> None:
        if LEVELS[level] < self.threshold:
            return
        if trace_id := trace_of(log_fields.get("request_id") or request_id.get()):
            log_fields.setdefault("trace_id", trace_id)
        if self.dropped_lines:
            log_fields["lines_lost"] = self.dropped_lines
        self._write(self._line(level, event, log_fields))

    def _line(self, level: str, event: str, log_fields: dict[str, Any]) -> str:
        if self.readable:
            return f"{readable(self._now(), level, event, log_fields)}\n"
        return f"{encode({'time': self._now(), 'level': level, 'event': event, **log_fields})}\n"

    def never_block(self) -> None:
        """From now on no line, nor what anything else prints, waits for whoever reads it: this process serves."""
        self._put = never_block(self._loss) or self._put

    def _loss(self, lines: int) -> str:
        return self._line("warning", "log_unread", {"lines_lost": lines})

    def request(
        self,
        level: str,
        event: str,
        request_id: str,
        client: str,
        method: str,
        path: str,
        status: int,
        ms: float,
        log_fields: dict[str, Any],
    ) -> None:
        """Write the one line of a request and its response, which is what the process logs most: no encoder, no copies."""
        if LEVELS[level] < self.threshold:
            return
        path = path[:1024]
        if self.readable:
            who = {"request_id": request_id, "client": client, "method": method, "path": path}
            self(level, event, **who, status=status, ms=round(ms, 1), **log_fields)
            return
        more = {**log_fields, "lines_lost": self.dropped_lines} if self.dropped_lines else log_fields
        end = f",{encode(more)[1:]}" if more else "}"
        line = (
            f'{_LINE_PREFIX}{self._now()}","level":"{level}","event":"{event}","request_id":"{request_id}",'
            f'"client":{quoted(client)},"method":{quoted(method)},"path":{quoted(path)},'
            f'"status":{status},"ms":{ms:.1f}{end}\n'
        )
        if self._loop is None or self._loop is not _get_running_loop() or level == "error" or self.dropped_lines:
            self._write(line)
            return
        if self._size + len(line) > MAX_WRITE:
            self.flush()
        if not self._pending:
            self._loop.call_soon(self.flush)
        self._pending.append(line)
        self._size += len(line)

    def start_batching(self, loop: AbstractEventLoop) -> None:
        """Batch the lines of requests that end in one iteration of the running `loop` into one write: a pipe wakes its
        reader at each. Other lines are written at once, after the batch.
        """
        self._loop, self._thread = loop, get_ident()
        self.flush()

    def stop_batching(self) -> None:
        """Write the batch, and from now on every line at once: the loop may not come to another iteration."""
        self.flush()
        self._loop = None

    def flush(self) -> None:
        """Write the batch. Only the loop's own thread does."""
        if self._pending and get_ident() == self._thread:
            lines, self._pending, self._size = self._pending, [], 0
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
        if self._put is not None:
            self._put(text.encode())
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
            self.dropped_lines = 0
        except (OSError, ValueError, AttributeError):  # nobody reads the log any more: no reason to fail the request
            self.dropped_lines += number


def shown(value: bytes | str) -> str:
    """What a client sent and was refused for, as a line of the log may repeat it."""
    text = value if isinstance(value, str) else value.decode("latin-1")
    return mask(text[:MAX_SHOWN], log.secrets)


def log_failure(error: BaseException) -> None:
    """Log what was raised beside any request."""
    log("error", "unhandled_error", exception=mask(describe(error), log.secrets))


def log_failure_of(task: "Future[None]") -> None:
    """Log what a task has raised that nobody waits for."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log_failure(error)


class Handler(logging.Handler):
    """Takes what the standard library's loggers say, the team's own among them, and masks it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            log_fields = {
                f"extra_{key}" if key in _RESERVED else key: _masked_extra(key, value)
                for key, value in record.__dict__.items()
                if key not in _STANDARD
            }
            if record.exc_info and record.exc_info[1]:
                log_fields["exception"] = mask(describe(record.exc_info[1]), log.secrets)
            event = mask(record.getMessage(), log.secrets)
            level = next((name for name in ("error", "warning", "info") if record.levelno >= LEVELS[name]), "debug")
            log(level, event, logger=record.name, request_id=request_id.get(), **log_fields)
        except Exception:  # noqa: BLE001 - a line that cannot be written must not break the request
            self.handleError(record)


log = Log()
atexit.register(log.flush)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=log.flush)  # or both processes would write it
