# Owned by the template: an update rewrites this file.
"""WebSockets on the real server, by a client that speaks the protocol. Its bounds are a second here."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from verify.common.raw_http import HANDSHAKE, raw

from .asgi_client import HOST, Answer
from .assertions import assert_problem
from .live import Server, server, until

pytestmark = pytest.mark.slow

MEBIBYTE = 1_048_576


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose bounds can be waited for."""
    bounds = {"APP_SOCKET_IDLE": "3s", "APP_BODY_TIMEOUT": "1s", "APP_REQUEST_TIMEOUT": "1s"}
    with server(tmp_path_factory.mktemp("sockets") / "log", **bounds) as live:
        yield live


@contextmanager
def opened(live: Server, target: str = "/ws", source: str = "127.0.0.1") -> Iterator[ClientConnection]:
    """A socket that was let in."""
    connection = live.connect() if live.uds else socket.create_connection(("127.0.0.1", live.port), 10, (source, 0))
    options: dict[str, Any] = {"compression": None, "ping_interval": None, "max_size": None, "close_timeout": 1}
    with connection, connect(f"ws://{HOST}{target}", sock=connection, **options) as client:
        yield client


def close_code(client: ClientConnection, seconds: float = 8.0) -> int | None:
    """The code with which the server closes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            client.recv(seconds)
        except ConnectionClosed:
            break
    return client.close_code


def unfinished(client: ClientConnection, size: int) -> None:
    """Send so many bytes of a message that does not end."""
    for at in range(0, size, MEBIBYTE // 4):
        opcode = Opcode.CONT if at else Opcode.BINARY
        client.socket.sendall(Frame(opcode, bytes(MEBIBYTE // 4), fin=False).serialize(mask=True))


def rss(live: Server) -> int:
    """Bytes of memory that the worker has."""
    return max(int(Path(f"/proc/{each}/statm").read_text().split()[1]) * 4096 for each in live.workers)


def test_a_silent_socket_is_closed(running: Server) -> None:
    with opened(running) as client:
        began = time.monotonic()

        assert close_code(client) == 3008
        assert 2.5 < time.monotonic() - began < 7


def test_sockets_that_a_proxy_opens_by_a_unix_socket_have_the_same_bounds(tmp_path: Path) -> None:
    path = str(tmp_path / "service.sock")
    with (
        server(tmp_path / "log", "--uds", path, APP_TRUSTED_PROXIES="unix", APP_SOCKET_IDLE="3s") as live,
        opened(live) as one,
        opened(live) as other,
    ):
        for client in (one, other, one):
            client.send("a" * MEBIBYTE)
            assert len(client.recv(8)) == MEBIBYTE
        other.send("a" * (MEBIBYTE + 1))
        assert close_code(other) == 1009
        assert "server.W003" in [line.get("id") for line in live.lines], "half a message has no bound there"
        one.send("b")
        assert one.recv(8) == "B"
        assert close_code(one) == 3008


@pytest.mark.parametrize(("target", "status"), [("/ws/slow", 503), ("/ws/silent", 403), ("/nope", 403)])
def test_a_refused_handshake_leaves_complete(running: Server, target: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(running, target):
        pass

    response = refused.value.response
    headers = [(name.lower(), value) for name, value in response.headers.raw_items()]
    assert_problem(Answer(response.status_code, headers, bytes(response.body)), status)


def test_a_problem_in_an_open_socket_is_a_close_code(running: Server) -> None:
    with opened(running, "/ws/problem") as client:
        assert close_code(client) == 3003
        assert client.close_reason == "Not for you"


def test_a_message_that_is_too_large_is_refused(running: Server) -> None:
    with opened(running) as client:
        client.send("a" * MEBIBYTE)
        assert len(client.recv(8)) == MEBIBYTE
        client.send("a" * (MEBIBYTE + 1))
        assert close_code(client) == 1009


def test_messages_that_are_too_large_are_refused_before_they_have_come(running: Server) -> None:
    before = rss(running)
    with ExitStack() as stack:
        clients = [stack.enter_context(opened(running)) for _ in range(5)]
        for client in clients:
            with suppress(OSError):  # cut off
                unfinished(client, 60 * MEBIBYTE)
        grown = rss(running) - before
        codes = [close_code(client) for client in clients]

    assert set(codes) <= {1009, 1006}
    assert grown < 80 * MEBIBYTE


def test_a_message_that_does_not_end_is_cut_off(running: Server) -> None:
    with opened(running) as client:
        began = time.monotonic()
        unfinished(client, MEBIBYTE // 2)

        assert close_code(client) == 3008
        assert time.monotonic() - began < 2.9


def test_a_client_that_does_not_read_is_cut_off(running: Server) -> None:
    with running.connect() as client:
        client.sendall(raw("GET", "/ws/flood", HANDSHAKE))
        assert client.recv(12) == b"HTTP/1.1 101"
        port = client.getsockname()[1]

        assert until(lambda: not _is_established(running.port, port), 6)


def _is_established(server_port: int, client_port: int) -> bool:
    """Whether the server's end of a connection is open (proc(5), /proc/net/tcp)."""
    ends = f":{server_port:04X} 0100007F:{client_port:04X} 01 "
    return ends in Path("/proc/net/tcp").read_text()


def test_sockets_of_many_clients_keep_no_request_out(tmp_path: Path) -> None:
    with server(tmp_path / "log", APP_MAX_CONCURRENCY="64") as live, ExitStack() as stack:
        refused = 0
        for number in range(60):
            try:
                stack.enter_context(opened(live, source=f"127.0.0.{2 + number // 10}"))
            except InvalidStatus as error:
                refused += error.response.status_code in (429, 503)
        began = time.monotonic()

        assert refused == 28
        assert [live.get("/ok").status for _ in range(5)] == [200] * 5
        assert time.monotonic() - began < 2
        stopped = time.monotonic()
        assert live.stop() == 0
        assert time.monotonic() - stopped < 10


def test_a_stop_closes_the_sockets(tmp_path: Path) -> None:
    with server(tmp_path / "log") as live, opened(live) as idle, opened(live, "/ws/busy") as busy:
        began = time.monotonic()
        assert live.stop() == 0

        assert time.monotonic() - began < 4
        assert {close_code(idle), close_code(busy)} == {1013}
