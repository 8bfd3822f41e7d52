# Owned by the template: an update rewrites this file.
"""Answers that leave before the body was read: `hardening/asgi/drain.py`, over real sockets and real distances.

It leans on what Granian does and no document promises: it goes on delivering the body after the answer. A release that
ends that fails here.
"""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from verify.common.raw_http import until_closed

from .asgi_client import HOST, Answer
from .live import Server, read, server

pytestmark = pytest.mark.slow

JSON = "Content-Type: application/json\r\n"
HEAD = f"Host: {HOST}\r\n{JSON}"
TEXT = "Content-Type: text/plain\r\n"
KB = 1000
EARLY: dict[str, tuple[str, str, int]] = {
    "a host": ("/ok", f"{JSON}Host: evil.example\r\n", 400),
    "a guard": ("/private", HEAD, 401),
    "an origin": ("/items", f"{HEAD}Origin: https://evil.example\r\n", 403),
    "no path": ("/nope", HEAD, 404),
    "a method": ("/ok", HEAD, 405),
    "a type": ("/items", f"{TEXT}Host: {HOST}\r\n", 415),
    "a query": ("/items?x=1", HEAD, 422),
    "the size": ("/small", HEAD, 413),
    "a route": ("/unread/200", HEAD, 200),
    "a route's 408": ("/unread/408", HEAD, 408),
    "a route's 429": ("/unread/429", HEAD, 429),
    "a route that raises": ("/unread/500", HEAD, 500),
    "a route's 503": ("/unread/503", HEAD, 503),
    "a route that is too slow": ("/unread-slow", HEAD, 503),
    "a stream": ("/unread-stream", HEAD, 200),
    "a mounted stream": ("/mounted-raw/parts", HEAD, 200),
    "a mounted application": ("/mounted-raw/x", HEAD, 200),
}
NEXT = f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("early") / "log", APP_MAX_BODY_BYTES="4000000") as running:
        yield running


def message(
    target: str, headers: str, size: int, framing: str = "length", version: str = "1.1", chunk: int = 20_000
) -> list[bytes]:
    """The head with 20 kB of its body, and the rest in pieces."""
    body = b"a" * size
    if framing == "length":
        head, pieces = f"Content-Length: {size}\r\n", [body[at : at + 46_667] for at in range(20_000, size, 46_667)]
        first = body[:20_000]
    else:
        head, chunks = "Transfer-Encoding: chunked\r\n", [body[at : at + chunk] for at in range(0, size, chunk)]
        parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
        first, pieces = parts[0], [*parts[1:], b"0\r\n\r\n"]
    return [f"POST {target} HTTP/{version}\r\n{headers}{head}\r\n".encode() + first, *pieces]


def slowly(connection: socket.socket, parts: list[bytes], pause: float = 0.1) -> Answer:
    """Send as over a real line, the answer unread until all is sent: whoever cannot send to the end has lost it."""
    connection.sendall(parts[0])
    time.sleep(pause)
    for part in parts[1:]:
        connection.sendall(part)
        time.sleep(0.002)
    return read(connection, "POST")


def assert_goes_on(connection: socket.socket, answer: Answer) -> None:
    """The next request is answered, or the connection was said to close and does."""
    if "close" in answer.all("connection"):
        connection.settimeout(4)
        assert until_closed(connection) == b""
    else:
        connection.sendall(NEXT)
        assert read(connection).status == 200


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(("target", "headers", "status"), EARLY.values(), ids=EARLY)
def test_an_early_answer_arrives_and_the_connection_goes_on(
    early: Server, target: str, headers: str, status: int, framing: str
) -> None:
    for size in (100 * KB, 900 * KB, 2000 * KB):
        with early.connect() as connection:
            answer = slowly(connection, message(target, headers, size, framing))
            assert answer.status == status
            assert_goes_on(connection, answer)


@pytest.mark.parametrize(("size", "chunk"), [(100 * KB, 50), (2000 * KB, 1000)])
def test_a_body_in_small_chunks_is_read_to_its_end(early: Server, size: int, chunk: int) -> None:
    first, *rest = message("/nope", HEAD, size, "chunked", chunk=chunk)
    pieces = b"".join(rest)
    with early.connect() as connection:
        answer = slowly(connection, [first, *(pieces[at : at + 50_000] for at in range(0, len(pieces), 50_000))])
        assert answer.status == 404
        assert_goes_on(connection, answer)


def test_who_goes_on_after_a_408_reads_it(live: Server) -> None:
    with live.connect() as connection:
        answer = slowly(connection, message("/items", HEAD, 900 * KB), pause=1.0)
        assert answer.status == 408
        assert_goes_on(connection, answer)


@pytest.mark.parametrize("target", ["/nope", "/items", "/unread/200"])
def test_a_small_body_that_comes_after_its_headers_spoils_no_connection(early: Server, target: str) -> None:
    """As `http.client` and Node send it. Ten times: it is a race."""
    with early.connect() as connection:
        for _ in range(10):
            head = f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\n{TEXT if target == '/items' else JSON}Content-Length: 10\r\n\r\n"
            connection.sendall(head.encode())
            time.sleep(0.003)
            connection.sendall(b"0123456789")
            assert read(connection, "POST").status in (200, 404, 415)


def test_a_health_check_with_a_body_is_answered(early: Server) -> None:
    with early.connect() as connection:
        first, *rest = message("/health/live", HEAD, 900 * KB)
        answer = slowly(connection, [first.replace(b"POST", b"GET", 1), *rest])
        assert answer.status == 200
        assert_goes_on(connection, answer)


def test_an_early_answer_to_http_1_0_arrives(early: Server) -> None:
    with early.connect() as connection:
        parts = message("/nope", HEAD, 900 * KB, version="1.0")

        assert slowly(connection, parts).status == 404


def test_what_is_pipelined_behind_a_refused_body_is_answered(early: Server) -> None:
    with early.connect() as connection:
        parts = message("/items", f"{TEXT}Host: {HOST}\r\n", 300 * KB)
        connection.sendall(b"".join(parts) + NEXT + NEXT)

        assert [read(connection, "POST").status for _ in range(3)] == [415, 200, 200]


def test_who_asks_before_sending_is_answered_and_not_invited(early: Server) -> None:
    head = f"POST /items HTTP/1.1\r\nHost: {HOST}\r\n{TEXT}Expect: 100-continue\r\nContent-Length: 10000000\r\n\r\n"
    with early.connect() as connection:
        connection.sendall(head.encode())
        connection.settimeout(5)
        received = until_closed(connection)

    assert received.startswith(b"HTTP/1.1 415 ")
    assert b"\r\nconnection: close\r\n" in received
    assert b" 100 " not in received


def test_the_answer_does_not_wait_for_the_body(early: Server) -> None:
    with early.connect() as connection:
        began = time.monotonic()
        connection.sendall(message("/nope", HEAD, 900 * KB)[0])
        assert read(connection, "POST").status == 404
        took = time.monotonic() - began
        connection.settimeout(6)
        assert until_closed(connection) == b""

    assert took < 1


def test_a_body_without_end_is_said_to_be_too_much_and_cut(early: Server) -> None:
    sent = 0
    with early.connect() as connection:
        connection.sendall(f"POST /nope HTTP/1.1\r\n{HEAD}Content-Length: 900000000\r\n\r\n".encode())
        answer = read(connection, "POST")
        with suppress(OSError):
            while sent < 100_000_000:
                sent += connection.send(b"a" * 100_000)

    assert (answer.status, answer["connection"]) == (413, "close")
    assert sent < 60_000_000


def test_what_the_service_refuses_for_load_arrives_too(tmp_path: Path) -> None:
    bounds = {"APP_MAX_CONCURRENCY": "1", "APP_RATE_LIMIT": "3/1h"}
    with server(tmp_path / "log", **bounds) as running, running.connect() as slow:
        slow.sendall(f"GET /sleep/2000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        time.sleep(0.2)
        with running.connect() as connection:
            assert slowly(connection, message("/nope", HEAD, 900 * KB)).status == 503
            assert read(slow).status == 200
            statuses = [slowly(connection, message("/nope", HEAD, 900 * KB)).status for _ in range(5)]

    assert statuses == [404, 404, 429, 429, 429]


def test_refused_bodies_that_drip_take_nobodys_place(tmp_path: Path) -> None:
    """More of them than are read on at once, from one client: only its own are cut short."""
    with server(tmp_path / "log", APP_MAX_CONCURRENCY="8") as running, ExitStack() as stack:
        for _ in range(300):
            connection = stack.enter_context(running.connect())
            connection.sendall(f"POST /nope HTTP/1.1\r\n{HEAD}Content-Length: 900\r\n\r\na".encode())
            assert read(connection, "POST").status == 404
        with running.connect() as connection:
            answer = slowly(connection, message("/nope", HEAD, 900 * KB))
            assert answer.status == 404
            assert_goes_on(connection, answer)


@contextmanager
def relay(port: int, delay: float) -> Iterator[int]:
    """A port in front of another, which hands on what it reads after a delay, both ways."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as stack, ThreadPoolExecutor(40) as pool:

        def hand_on(source: socket.socket, sink: socket.socket) -> None:
            with suppress(OSError):
                while part := source.recv(65_536):
                    time.sleep(delay)
                    sink.sendall(part)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    near = stack.enter_context(listener.accept()[0])
                    far = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                    pool.submit(hand_on, near, far)
                    pool.submit(hand_on, far, near)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_an_early_answer_arrives_from_far_away_under_load(early: Server) -> None:
    def client(port: int) -> list[int]:
        statuses = []
        for target, headers, _ in list(EARLY.values())[:8]:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                answer = slowly(connection, message(target, headers, 200 * KB))
                statuses.append(answer.status)
                assert_goes_on(connection, answer)
        return statuses

    with relay(early.port, 0.05) as port, ThreadPoolExecutor(8) as pool:
        answered = [each.result() for each in [pool.submit(client, port) for _ in range(8)]]

    assert answered == [[status for _, _, status in list(EARLY.values())[:8]]] * 8
