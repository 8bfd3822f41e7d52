# Owned by the template: an update rewrites this file.
"""A log that nobody reads stops nothing: `hardening/core/log_writer.py`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .live import Server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of a POSIX system"),
]

PATH = "/nope/" + "a" * 900  # 65 such lines fill a pipe


class Piped(Server):
    """One that logs to a descriptor, which is closed here."""

    def __init__(self, log: Path, output: int) -> None:
        self.output = output
        super().__init__(log, APP_REQUEST_TIMEOUT="8s")
        os.close(output)


def pipe() -> tuple[int, int]:
    return os.pipe()


def stream_socket() -> tuple[int, int]:
    """What systemd's journal gives a service."""
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def ask(running: Server, number: int) -> None:
    """Make requests that leave long lines; each must be answered."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(running.get, [f"{PATH}/{each}" for each in range(number)]))
    assert {answer.status for answer in answers} <= {404}


def read_all(descriptor: int, seconds: float) -> list[dict[str, object]]:
    """The whole lines that come until nothing has come for so long."""
    os.set_blocking(descriptor, False)
    text, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if not (part := os.read(descriptor, 1_000_000)):
                break
            text, end = text + part, time.monotonic() + seconds
        except BlockingIOError:
            time.sleep(0.02)
    return [json.loads(line) for line in text.rpartition(b"\n")[0].splitlines()]


@pytest.mark.parametrize("make", [pipe, stream_socket])
def test_requests_are_answered_though_nobody_reads_the_log(tmp_path: Path, make: Callable[[], tuple[int, int]]) -> None:
    reader, writer = make()
    running = Piped(tmp_path / "log", writer)
    try:
        running.wait()
        ask(running, 1200)  # more than the pipe and the memory for it take
        assert running.get("/health/live").status == 200

        lines = read_all(reader, 1.0)
        ask(running, 1)
        lines += read_all(reader, 0.5)
    finally:
        assert running.stop() == 0
        os.close(reader)

    answered = [line for line in lines if str(line.get("path", "")).startswith(PATH)]
    (lost,) = [line["lines_lost"] for line in lines if line["event"] == "log_unread"]
    assert isinstance(lost, int)
    assert lost > 0
    assert len(answered) + lost == 1201
    assert lines[-1]["path"] == f"{PATH}/0"


@pytest.mark.parametrize("number", [0, 100], ids=["from the start", "while it serves"])
def test_a_stop_is_in_time_though_nobody_reads_the_log(tmp_path: Path, number: int) -> None:
    reader, writer = pipe()
    if not number:
        os.set_blocking(writer, False)
        os.write(writer, b"x" * 65_536)
        os.set_blocking(writer, True)
    running = Piped(tmp_path / "log", writer)
    try:
        running.wait()
        ask(running, number)
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert time.monotonic() - began < 5
    finally:
        running.process.kill()
        os.close(reader)


def test_the_flags_of_what_others_share_are_left_alone(tmp_path: Path) -> None:
    reader, writer = pipe()
    running = Piped(tmp_path / "log", os.dup(writer))
    try:
        running.wait()
        assert os.get_blocking(writer), "a shell would find its terminal broken"
    finally:
        assert running.stop() == 0
        os.close(writer)
        os.close(reader)


BEGIN = """
import os, resource, sys, threading, time
from {package}.hardening.core.log import log
log.never_block()
"""
LONG_PRINT = "print('x' * 2_000_000)\n"  # more than a pipe and the memory for it take
FULL_DISK = """
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
for number in range(20): log("info", "before", text="x" * 700)
time.sleep(0.5)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
"""
NO_THREADS = """
def start(self): raise RuntimeError("can't start new thread")
threading.Thread.start, start = start, threading.Thread.start
for number in range(600): log("info", "before", text="x" * 700)
threading.Thread.start = start
"""


WORKER = """
for number in range(600): log("info", "before", text="x" * (5_000 if number % 2 else 700))
print("full", file=sys.stderr)
sys.stdout.buffer.drain(20)
"""


def child(code: str, output: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", f"{BEGIN}{code}print('done', file=sys.stderr)".replace("{package}", _package())]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE)  # noqa: S603 - our own command line


def ended(process: "subprocess.Popen[bytes]") -> None:
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, b"done\n")


@pytest.mark.parametrize("before", ["", "os.dup2(os.open(os.devnull, os.O_WRONLY), 1)\nprint('x' * 9000)\n"])
def test_a_print_waits_for_nobody_either(before: str) -> None:
    reader, writer = pipe()
    ended(child(f"{before}for number in range(3000): print('x' * 500, number)\n", writer))
    os.close(writer)
    os.close(reader)


def test_a_slow_reader_of_a_stream_that_does_not_block_loses_nothing() -> None:
    reader, writer = pipe()
    os.set_blocking(writer, False)
    process = child("for number in range(500): log('info', 'line', text='x' * 1000)\nlog('info', 'last')\n", writer)
    os.close(writer)
    assert process.stderr is not None
    assert process.stderr.readline() == b"done\n"
    lines = read_all(reader, 1.0)
    process.communicate(timeout=20)
    os.close(reader)

    assert [line["event"] for line in lines] == ["line"] * 500 + ["last"]


def test_lines_of_workers_that_share_a_pipe_stay_whole_and_what_is_lost_is_counted() -> None:
    """A pipe takes 4096 bytes in one piece, and more only while there is room: the rest came after another's lines."""
    reader, writer = pipe()
    workers = [child(WORKER, writer) for _ in range(4)]
    os.close(writer)
    for each in workers:
        assert each.stderr is not None
        assert each.stderr.readline() == b"full\n"
    lines = read_all(reader, 2.0)
    for each in workers:
        ended(each)
    os.close(reader)

    told = [lost for line in lines if isinstance(lost := line.get("lines_lost"), int)]
    assert len(told) == 4
    assert sum(told) + sum(line["event"] == "before" for line in lines) == 4 * 600


@pytest.mark.parametrize(("code", "number"), [(LONG_PRINT, 1), (FULL_DISK, 20), (NO_THREADS, 600)])
def test_what_is_lost_is_counted_and_cuts_no_line_that_follows(tmp_path: Path, code: str, number: int) -> None:
    reader, writer = pipe()
    if code == FULL_DISK:
        os.close(writer)
        writer = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    process = child(f"{code}log('info', 'after')\n", writer)
    os.close(writer)
    assert process.stderr is not None
    assert process.stderr.readline() == b"done\n"
    text = b"".join(iter(lambda: os.read(reader, 65_536), b""))
    os.close(reader)
    assert process.communicate(timeout=20)[1] == b""

    found = (tmp_path / "log").read_bytes() if code == FULL_DISK else text
    cut, lines = [], []
    for line in filter(None, found.splitlines()):
        try:
            lines.append(json.loads(line))
        except ValueError:
            cut.append(line)
    assert len(cut) == (code != NO_THREADS)
    assert [line["event"] for line in lines if line["event"] == "after"] == ["after"]
    told = sum(line["lines_lost"] for line in lines if line["event"] == "log_unread")
    assert told + sum(line["event"] == "before" for line in lines) == number


def _package() -> str:
    from .probe import shared

    return type(shared()).__module__.partition(".")[0]
