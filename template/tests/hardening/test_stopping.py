# Owned by the template: an update rewrites this file.
"""What is stopped has stopped, or keeps its place: `hardening/asgi/deadlines.py`, `core/unread_answers.py`, `server.py`."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.types import Message

from .asgi_client import HOST, Answer, exchange, get_and_stay, in_loop, request
from .assertions import assert_problem
from .conftest import Lines
from .live import PRODUCTION, Server, environment, free_port, read, server, until
from .probe import probe

pytestmark = pytest.mark.slow
STUBBORN = ["/thread/1500", "/threads/1500", "/stubborn/2500"]


@pytest.mark.parametrize("target", STUBBORN)
@in_loop
async def test_what_cannot_be_stopped_is_answered_and_keeps_its_place(target: str, logged: Lines) -> None:
    app = probe(max_concurrency=1)

    messages: list[Message] = []
    answered = asyncio.Event()

    async def send(message: Message) -> None:
        messages.append(message)
        if message["type"] == "http.response.body":
            answered.set()

    await exchange(app, "GET", f"{target.rpartition('/')[0]}/1")  # the first one waits for imports
    overdue = asyncio.ensure_future(get_and_stay(app, target, send))
    await answered.wait()
    assert not overdue.done(), "the client waits for what is overdue"
    assert_problem(Answer.of(messages), 503)
    assert (await exchange(app, "GET", "/ok")).status == 503
    await overdue
    assert (await exchange(app, "GET", "/ok")).status == 200
    lines = [line for line in logged() if line.get("path", target) == target]
    assert [line["event"] for line in lines] == ["work_goes_on", "request_timed_out"]


def test_threads_have_a_bound_though_their_requests_time_out(tmp_path: Path) -> None:
    with server(tmp_path / "log") as running, ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(running.get, ["/thread/4000"] * 120))
        threads = max(_threads(pid) for pid in running.workers)
        assert {answer.status for answer in answers} == {503}
        assert running.get("/ok").status == 200

    assert threads < 70, "each time-out left a thread behind"


def test_a_route_that_returns_in_time_is_no_news(logged: Lines) -> None:
    assert request(probe(), "GET", "/thread/10").status == 200
    assert [line["event"] for line in logged()] == ["request"]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has a time-out for what is not read")
@pytest.mark.parametrize("target", ["/large/whole", "/large/file", "/large/stream"])
def test_a_reader_that_does_not_read_is_cut(tmp_path: Path, target: str) -> None:
    with server(tmp_path / "log", APP_BODY_TIMEOUT="1s") as running:
        unread = []
        for _ in range(5):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", running.port))
            connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            unread.append(connection)
        time.sleep(1.0)
        assert len(_established(running.port)) == 5
        assert until(lambda: not _established(running.port), 10)
        for connection in unread:
            connection.close()


@pytest.mark.skipif(sys.platform != "linux", reason="nothing but Linux tells enough of a connection")
def test_a_reader_that_reads_hardly_anything_is_cut_though_the_server_has_something_left(tmp_path: Path) -> None:
    with server(tmp_path / "log", APP_BODY_TIMEOUT="1s") as running, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", running.port))
        connection.sendall(f"GET /large/stream HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        running.line("/large/stream")  # the perimeter has given it up
        end = time.monotonic() + 6
        while "01" in _established(running.port) and time.monotonic() < end:
            connection.recv(8192)
            time.sleep(0.05)
        assert "01" not in _established(running.port), "it is read on"


@pytest.mark.skipif(sys.platform == "win32", reason="no fork and no such signal there")
@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.03, 0.06, 0.1, 0.2])
def test_a_stop_during_the_start_is_immediate(tmp_path: Path, seconds: float) -> None:
    running = Server(tmp_path / "log")
    try:
        until(lambda: '"start"' in (tmp_path / "log").read_text(), 20, 0.001)
        time.sleep(seconds)
        began = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(25)

        assert time.monotonic() - began < 5
        assert "refused to gracefully stop" not in (tmp_path / "log").read_text()
    finally:
        running.process.kill()


FIRST = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
"""What follows is process 1, as in a container."""


@pytest.mark.skipif(
    not shutil.which(FIRST[0]) or subprocess.run([*FIRST, "true"], capture_output=True, check=False).returncode != 0,  # noqa: S603
    reason="nobody here may begin a namespace of processes",
)
def test_a_stop_is_heard_by_the_first_process_of_a_container_while_it_imports(tmp_path: Path) -> None:
    package, log = type(probe()).__module__.partition(".")[0], tmp_path / "log"
    command = [*FIRST, sys.executable, "-X", "importtime", "-m", package, "serve", "--port", str(free_port())]
    with log.open("wb") as file:
        running = subprocess.Popen(command, env=environment(**PRODUCTION), stderr=file)  # noqa: S603 - our own command line
    try:
        until(lambda: "fastapi" in log.read_text(), 20, 0.01)
        (first,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        assert running.wait(5) == 128 + signal.SIGTERM
    finally:
        running.kill()


HANGS = """
import contextlib, sys, time
from verify.probe import __main__ as probe

@contextlib.asynccontextmanager
async def hangs(app):
    print("hangs", flush=True)
    time.sleep(60)
    yield

app = sys.modules[probe.command.__package__ + ".app"]
app.create_app = lambda settings: probe.Hardened(settings, lifespan=hangs)
sys.exit(probe.command.main(["serve", "--port", sys.argv[1]]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a worker is not a fork there")
def test_a_stop_does_not_wait_for_a_lifespan_that_never_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HANGS, str(free_port())]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(command, env=environment(**PRODUCTION), stdout=log)  # noqa: S603 - our own command line
    try:
        until(lambda: "hangs" in (tmp_path / "log").read_text(), 20)
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    finally:
        running.kill()


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_bodies_that_drip_after_their_answer_do_not_delay_a_stop(tmp_path: Path, framing: str) -> None:
    running = Server(tmp_path / "log", APP_BODY_TIMEOUT="20s")
    head = f"POST /nowhere HTTP/1.1\r\nHost: {HOST}\r\n{framing}\r\n\r\n"
    try:
        running.wait()
        dripping = [running.connect() for _ in range(50)]
        for connection in dripping:
            connection.sendall(head.encode())
            assert read(connection).status == 415
        running.process.send_signal(signal.SIGTERM)
        for _ in range(100):
            for connection in dripping:
                with suppress(OSError):
                    connection.sendall(b"1\r\n1\r\n")
            if running.process.poll() is not None:
                break
            time.sleep(0.1)
        assert running.process.poll() == 0, "it waits for what was answered"
    finally:
        running.stop()
        for connection in dripping:
            connection.close()


def test_what_goes_on_is_cut_before_the_worker_is_killed(tmp_path: Path) -> None:
    running = Server(tmp_path / "log", APP_REQUEST_TIMEOUT="1s")
    try:
        running.wait()
        with running.connect() as connection:
            connection.sendall(f"GET /large/stream HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            connection.recv(1000)
            running.process.send_signal(signal.SIGTERM)
            while running.process.poll() is None:  # it reads, slowly
                with suppress(OSError):
                    connection.recv(1000)
                time.sleep(0.1)
        assert [line["event"] for line in running.lines][-2:] == ["service_stops", "stop"]
    finally:
        running.stop()


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _established(port: int) -> list[str]:
    """Connections of the server's side that are open, or still have something to send."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[3] for row in rows if row[1].endswith(f":{port:04X}") and row[3] not in ("0A", "06")]
