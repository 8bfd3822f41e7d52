# Owned by the template: an update rewrites this file.
"""A response is what it says, and none leaves bare, whatever a route does: `hardening/asgi/http_exchange.py`."""

import http.client
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from anyio import BrokenResourceError
from starlette.types import ASGIApp, Receive, Scope, Send

from verify.common.raw_http import until_closed
from verify.probe.misbehaving import AFTER, BEFORE, RIGHT, body, length, start

from .asgi_client import HOST, Answer, Leave, handshake, request
from .assertions import assert_hardened, assert_problem
from .conftest import Lines
from .live import Server, read
from .probe import probe, shared

pytestmark = pytest.mark.slow

NEXT = f"GET /named/next HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
CANCELLED = "cancels-itself"


@pytest.mark.parametrize("name", [*BEFORE, CANCELLED])
def test_an_answer_that_is_none_is_a_whole_500(live: Server, name: str) -> None:
    with live.connect() as connection:
        connection.sendall(f"GET /wrong/{name} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert_problem(read(connection), 500)
        connection.sendall(NEXT.encode())
        received = until_closed(connection)

    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"\r\n\r\n4"), "what came before it was read as the next response"
    (line,) = [line for line in live.lines if line.get("path") == f"/wrong/{name}"]
    assert line["status"] == 500
    assert line["event"] == "unhandled_error"


@pytest.mark.parametrize("name", AFTER)
def test_half_an_answer_is_cut(live: Server, name: str) -> None:
    with live.connect() as connection:
        connection.sendall(f"GET /wrong/{name} HTTP/1.1\r\nHost: {HOST}\r\n\r\n{NEXT}".encode())
        received = until_closed(connection)

    assert received.count(b"HTTP/1.1") <= 1
    assert b"poisoned" not in received
    with pytest.raises((OSError, http.client.HTTPException)):
        live.get(f"/wrong/{name}")


@pytest.mark.skipif(sys.platform != "linux", reason="connections are found on Linux alone")
def test_half_an_answer_without_a_length_is_no_whole_one_of_http_1_0(live: Server) -> None:
    with live.connect() as connection:
        connection.sendall(f"GET /wrong/breaks HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            list(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("name", RIGHT)
def test_an_unusual_answer_is_sent(live: Server, name: str) -> None:
    answer = live.get(f"/wrong/{name}")

    assert_hardened(answer)
    if name in ("empty", "no-content"):
        assert (answer.status, answer.body) == ({"empty": 304, "no-content": 204}[name], b"")
        assert name == "empty" or "content-length" not in answer  # RFC 9110, 8.6
    else:
        assert (answer.status, answer.body) == (200, b"abc" * (1 + (name == "in-parts")))


@pytest.mark.parametrize(("name", "status"), [("longer", 200), ("same-length-twice", 200), ("odd-length", 500)])
def test_a_head_announces_the_length_that_it_does_not_have(live: Server, name: str, status: int) -> None:
    with live.connect() as connection:
        connection.sendall(f"HEAD /wrong/{name} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        answer = read(connection, "HEAD")
        assert answer.status == status
        assert_hardened(answer)
        connection.sendall(NEXT.encode())

        assert until_closed(connection).endswith(b"\r\n\r\n4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_place_of_a_file_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setitem(BEFORE, "pipe", [start(), {"type": "http.response.pathsend", "path": str(path)}])
    app = shared()
    writer = threading.Timer(3.0, lambda: os.close(os.open(path, os.O_RDWR)))
    writer.start()

    assert_problem(request(app, "GET", "/wrong/pipe"), 500)
    assert writer.is_alive(), "it was waited for"
    writer.cancel()


def test_a_websocket_that_is_neither_accepted_nor_refused_is_refused() -> None:
    assert_problem(Answer.of(handshake(shared(), "/wrong/ws")), 403)


def answering(answer: ASGIApp) -> ASGIApp:
    app = probe()
    app.mount("/mounted-raw", answer)
    app.routes.insert(0, app.routes.pop())
    return app


def test_a_head_of_an_error_keeps_the_length_that_its_route_says() -> None:
    async def tells(scope: Scope, receive: Receive, send: Send) -> None:
        for each in (start(length(300), status=404), body(b"")):  # as Starlette's answer of a file
            await send(each)

    answer = request(answering(tells), "HEAD", "/mounted-raw/x")

    assert (answer.status, answer.all("content-length")) == (404, ["300"])


@pytest.mark.parametrize("parts", [[b"denied"], [b"den", b"ied"]])
@pytest.mark.parametrize("said", [3, 300])
def test_the_answer_that_a_handshake_is_denied_with_is_as_long_as_it_says(parts: list[bytes], said: int) -> None:
    async def denies(scope: Scope, receive: Receive, send: Send) -> None:
        for each in (start(length(said), status=401), *(body(part, part != parts[-1]) for part in parts)):
            await send({**each, "type": f"websocket.{each['type']}"})

    messages = handshake(answering(denies), "/mounted-raw/x")

    answer = Answer.of(messages)
    assert (answer.status, answer.body, len(messages)) == (401, b"denied", 2)
    assert answer.all("content-length") == ["6"]
    assert_hardened(answer)


@pytest.mark.parametrize(("sent", "event"), [([Leave], "client_left"), (None, "unhandled_error")])
def test_a_stream_that_breaks_since_its_client_has_left_is_no_failure(sent: Any, event: str, logged: Lines) -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        for each in (start(), body(b"abc", True)):
            await send(each)
        raise ExceptionGroup("as FastAPI's stream of events", [BrokenResourceError()])

    with pytest.raises(ExceptionGroup):
        request(answering(breaks), "GET", "/mounted-raw/x", body=sent)

    assert [line["event"] for line in logged()] == [event]
