# Owned by the template: an update rewrites this file.
"""Standard output and error that never wait for whoever reads them. A pipe takes 64 KiB; once nobody empties it, every
write to it would wait, on the event loop, in the main process and for a `print` in a route alike.
"""

import atexit
import io
import os
import select
import socket
import stat
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

MAX_BACKLOG = 1_048_576
"""Bytes that wait for the reader of one stream; what comes after them is dropped and counted."""
_LAST_WAIT = 1.0
_LONGEST_WAIT = 0.05
_ATOMIC = getattr(select, "PIPE_BUF", 512)  # what a pipe takes goes in one piece up to here, whoever else writes to it
_SPARE = 24_576  # bytes of a pipe, for what others write meanwhile
_NEWLINE = 10
_NO_WAIT = getattr(socket, "MSG_DONTWAIT", 0)
Write = Callable[[bytes], int]


def _write_at_once(descriptor: int) -> Write | None:
    """A write that raises `BlockingIOError` where the usual one would wait; `None` where the system has none.

    The flag that says so belongs to whatever is open, which a shell or another process may share: so it is opened anew.
    """
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return partial(os.write, descriptor)
        if stat.S_ISSOCK(mode) and _NO_WAIT:
            connection = socket.socket(fileno=os.dup(descriptor))
            return lambda data: connection.send(data, _NO_WAIT)
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return partial(os.write, os.open(f"/proc/self/fd/{descriptor}", flags))
    except (OSError, AttributeError):  # no such folder or flag here, or a pipe of another user's
        return None


def _capacity(descriptor: int) -> int:
    """Bytes that a pipe takes; 0 of what is none, or where the system does not tell."""
    if sys.platform == "linux":
        from fcntl import F_GETPIPE_SZ, fcntl

        with suppress(OSError):
            return fcntl(descriptor, F_GETPIPE_SZ)
    return 0


def unread(descriptor: int) -> int:
    """Bytes in a pipe, or that have come on a connection, which nobody has read."""
    from fcntl import ioctl
    from termios import FIONREAD

    return int.from_bytes(ioctl(descriptor, FIONREAD, bytes(4)), sys.byteorder)


def _lines(lost: bytes) -> int:
    return lost.count(b"\n") or bool(lost)


class Unblocked(io.RawIOBase):
    """A stream that takes whatever is written to it at once. What its reader has no room for waits in memory, and a
    thread writes it; what there is no room for either is dropped, and one line says how much.

    Args:
        descriptor: Of the stream.
        loss: The line that says how many lines were dropped.
    """

    def __init__(self, descriptor: int, loss: Callable[[int], str]) -> None:
        self._descriptor, self._loss = descriptor, loss
        self._at_once, self._capacity = _write_at_once(descriptor), _capacity(descriptor)
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin)  # what waits, the other process has a thread for

    def _begin(self) -> None:
        self._backlog: deque[bytes] = deque()
        self._size = self._lost = 0
        self._write: Write | None = self._at_once  # while nothing waits
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    _is_begun = False
    """Whether what was written last is the beginning of a line."""
    _is_cut = False
    """Whether the rest of it is lost: what comes next begins a line of its own."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        self.put(bytes(data))
        return len(data)

    def put(self, data: bytes) -> None:
        """Take it, whatever becomes of it."""
        with self._lock:  # no other thread comes between the two parts of a line
            if self._write is not None and (len(data) <= _ATOMIC or self._has_room(len(data))):
                try:
                    written = self._write(data)
                except OSError:  # a thread finds out what it is, and counts
                    written = 0
                if written == len(data):
                    return
                self._is_begun = written > 0 and data[written - 1] != _NEWLINE
                data = data[written:]
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        self._write = None
        # Half of it has to be free again before lines are kept again: else lines and losses would alternate.
        if self._size + len(data) > (MAX_BACKLOG // 2 if self._lost else MAX_BACKLOG):
            self._lost += _lines(data)
            self._is_cut = self._is_cut or (self._is_begun and not self._backlog)
            return
        self._backlog.append(data)
        self._size += len(data)
        if self._thread is None:
            thread = threading.Thread(target=self._write_backlog, name="log-writer", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the process has as many as it may, or ends: the next line tries again
                return
            self._thread = thread
        self._changed.notify_all()

    def _write_backlog(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._backlog)
                data = self._backlog[0]
            rest = self._wait_for_reader(data)
            with self._changed:
                self._lost += _lines(rest)
                lost = 0 if rest or self._size - len(data) > MAX_BACKLOG // 2 else self._lost
            if lost and self._wait_for_reader(self._loss(lost).encode()):
                lost = 0
            with self._changed:
                self._lost -= lost
                self._size -= len(self._backlog.popleft())
                self._changed.notify_all()
                if not self._backlog and not self._lost:
                    self._write = self._at_once

    def _has_room(self, size: int) -> bool:
        """Whether so much goes out in one piece. Otherwise lines of another process that shares the pipe, as workers do,
        could come in between. Each of its pages may be half full.
        """
        if size > self._capacity - _SPARE:  # it is none, or never has
            return True
        try:
            return size + 2 * unread(self._descriptor) <= self._capacity - _SPARE
        except OSError:  # something else is open there by now
            return True

    def _wait_for_room(self, size: int) -> None:
        """Wait until a long line has room, or nobody reads any more."""
        if size > _ATOMIC and not self._has_room(size):
            reader, wait = select.poll(), 0.001
            reader.register(self._descriptor, 0)
            while not reader.poll(1000 * wait) and not self._has_room(size):
                wait = min(2 * wait, _LONGEST_WAIT)

    def _wait_for_reader(self, data: bytes) -> bytes:
        """What could not be written of it, since there is no reader any more."""
        try:
            if self._is_cut:
                self._write_some(b"\n")
                self._is_cut = False
            self._wait_for_room(len(data))
            while data:
                data = data[self._write_some(data) :]
        except OSError:
            self._is_cut = self._is_begun
        return data

    def _write_some(self, data: bytes) -> int:
        while True:
            try:
                written = os.write(self._descriptor, data)
            except BlockingIOError:  # somebody who shares it has set the flag
                select.select((), (self._descriptor,), ())
            else:
                self._is_begun = data[written - 1] != _NEWLINE
                return written

    def drain(self, seconds: float = _LAST_WAIT) -> None:
        """Wait until all is written, as long as this at most: the process ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._backlog, seconds)


def never_block(loss: Callable[[int], str]) -> Callable[[bytes], None] | None:
    """Put `Unblocked` streams in the place of this process's own, unless somebody else has put others there.

    Returns:
        What takes bytes for the standard output, if that is one of them now.
    """
    put = None
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not None and stream is getattr(sys, f"__{name}__"):
            stream.flush()
            raw = Unblocked(descriptor, loss)
            text = io.TextIOWrapper(raw, stream.encoding, stream.errors, line_buffering=True)  # type: ignore[type-var]
            setattr(sys, name, text)
            atexit.register(raw.drain)
            put = put or raw.put
    return put


def drain() -> None:
    """Give what is still to be written its last second."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(raw := getattr(stream, "buffer", None), Unblocked):
            raw.drain()
