# Owned by the template: an update rewrites this file.
"""The server: `hardening/server.py`, attacked over real sockets. Its deadlines are half a second here, see `live`."""

import http.client
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from verify.common.raw_http import HANDSHAKE, raw, until_closed

from .asgi_client import HOST
from .assertions import assert_hardened, assert_problem
from .live import Server, read, server

pytestmark = pytest.mark.slow

HEAD = f"Host: {HOST}\r\nContent-Type: application/json\r\n"
ITEM = '{"name":"x"}'


def post(target: str, headers: str, body: str, host: str = HEAD) -> str:
    return f"POST {target} HTTP/1.1\r\n{host}{headers}\r\n{body}"


def seconds_until_closed(connection: socket.socket) -> tuple[float, bytes]:
    began = time.monotonic()
    received = until_closed(connection)
    return time.monotonic() - began, received


@pytest.mark.parametrize(
    ("target", "status"),
    [("/ok", 200), ("/nope", 404), ("/boom", 500), ("/moved", 307), ("/unchanged", 304), ("/static/file.txt", 200),
     ("/mounted/ok", 200), ("/mounted-raw/x", 200), ("/stream", 200), ("/slow", 503), ("/health/live", 200)],
)  # fmt: skip
def test_what_leaves_the_socket_is_complete(live: Server, target: str, status: int) -> None:
    answer = live.get(target)

    assert answer.status == status
    assert_hardened(answer)
    assert answer["server"] == ""
    assert len(answer.all("date")) == 1


def test_a_server_that_stops_has_a_line_for_each_request_it_answered(tmp_path: Path) -> None:
    with server(tmp_path / "log") as running:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(running.get, [f"/nope/{number}" for number in range(200)]))
        assert running.stop() == 0
        paths = [line["path"] for line in running.lines if "path" in line]

    assert len(answers) == 200
    assert sorted(paths) == sorted(f"/nope/{number}" for number in range(200))


def test_the_loop_is_uvloop_where_it_is_installed(live: Server) -> None:
    assert live.get("/loop").body == (b"uvloop" if find_spec("uvloop") else b"asyncio.unix_events")


def test_without_uvloop_the_loop_of_asyncio_does_as_well(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError\n")
    shadowed = {"PYTHONPATH": str(tmp_path), "APP_BODY_TIMEOUT": "500ms", "APP_REQUEST_TIMEOUT": "5s"}
    with server(tmp_path / "log", **shadowed) as running, ThreadPoolExecutor() as pool:
        assert running.get("/loop").body == b"asyncio.unix_events"
        assert running.get("/slow").status == 503
        assert running.send(STALLS[0], "POST").status == 408

        at_work = pool.submit(running.get, "/sleep/500")
        time.sleep(0.2)
        assert running.stop() == 0
        assert at_work.result().status == 200


def test_nothing_listens_but_http_1(live: Server) -> None:
    with live.connect() as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert b"\x00\x00" not in until_closed(connection)[:9]


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that keeps idle connections open, and works on eight requests at once."""
    with server(
        tmp_path_factory.mktemp("patient") / "log", APP_HEADER_TIMEOUT="20s", APP_MAX_CONCURRENCY="8"
    ) as running:
        yield running


def test_five_hundred_idle_or_half_open_connections_do_not_stop_the_next_request(patient: Server) -> None:
    with ExitStack() as stack:
        for number in range(500):
            connection = stack.enter_context(patient.connect())
            if number % 3 == 1:
                connection.sendall(b"GET /ok HT")
            elif number % 3 == 2:
                connection.sendall(f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\nX-A: ".encode())

        began = time.monotonic()
        answers = [patient.get("/ok") for _ in range(5)]

    assert [answer.status for answer in answers] == [200] * 5
    assert time.monotonic() - began < 3


def test_a_connection_that_says_nothing_is_closed(live: Server) -> None:
    with live.connect() as connection:
        elapsed, _ = seconds_until_closed(connection)

    assert elapsed < 4


@pytest.mark.parametrize("sent", ["GET /ok HTTP/1.1\r\nHost: api.exa", "G", f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\n"])
def test_headers_that_do_not_end_are_cut_off(live: Server, sent: str) -> None:
    with live.connect() as connection:
        connection.sendall(sent.encode())
        elapsed, received = seconds_until_closed(connection)

    assert elapsed < 4
    assert b" 200 " not in received


def test_headers_that_drip_are_cut_off(live: Server) -> None:
    began = time.monotonic()
    with live.connect() as connection, suppress(OSError):
        connection.sendall(f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\nX-A: ".encode())
        while time.monotonic() - began < 6:
            connection.sendall(b"a")
            time.sleep(0.1)

    assert time.monotonic() - began < 4


STALLS = [
    post("/items", "Content-Length: 20\r\n", '{"na'),
    post("/mounted/raw", "Transfer-Encoding: chunked\r\n", '4\r\n{"na\r\n'),
]


@pytest.mark.parametrize("sent", STALLS)
def test_a_body_that_stalls_is_408(live: Server, sent: str) -> None:
    began = time.monotonic()

    answer = live.send(sent, "POST")

    assert_problem(answer, 408)
    assert answer["connection"] == "close"
    assert time.monotonic() - began < 4


def test_a_connection_whose_body_stalls_does_not_stay_open(live: Server) -> None:
    for _ in range(4):  # closing it is a race, which has to be won each time
        with live.connect() as connection:
            connection.sendall(STALLS[0].encode())
            assert read(connection, "POST").status == 408
            connection.settimeout(3)
            assert until_closed(connection) == b""


def test_a_body_that_drips_is_408(live: Server) -> None:
    began = time.monotonic()
    with live.connect() as connection:
        connection.sendall(post("/items", "Transfer-Encoding: chunked\r\n", "").encode())
        connection.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < 6:
            try:
                connection.sendall(b"1\r\n \r\n")
                answer = connection.recv(65536)
            except TimeoutError:
                continue

    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert time.monotonic() - began < 4


SMUGGLED = f"GET /cookies/ours HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
FRAMINGS: dict[str, str] = {
    "both framings": post("/items", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + SMUGGLED),
    "both framings, reversed": post(
        "/items", f"Transfer-Encoding: chunked\r\nContent-Length: {5 + len(SMUGGLED)}\r\n", "0\r\n\r\n" + SMUGGLED
    ),
    "two lengths": post("/items", f"Content-Length: 12\r\nContent-Length: {12 + len(SMUGGLED)}\r\n", ITEM + SMUGGLED),
    "a length with a sign": post("/items", "Content-Length: +12\r\n", ITEM + SMUGGLED),
    "a length in two values": post("/items", "Content-Length: 12, 12\r\n", ITEM + SMUGGLED),
    "a negative length": post("/items", "Content-Length: -1\r\n", ITEM + SMUGGLED),
    "a coding before chunked": post("/items", "Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n" + SMUGGLED),
    "a coding that is not chunked": post("/items", "Transfer-Encoding: xchunked\r\n", ITEM + SMUGGLED),
    "chunked twice": post(
        "/items", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + SMUGGLED
    ),
    "a space before the colon": post("/items", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n" + SMUGGLED),
    "a folded line": post("/items", "Transfer-Encoding:\r\n chunked\r\nContent-Length: 12\r\n", ITEM + SMUGGLED),
    "a bad chunk size": post("/items", "Transfer-Encoding: chunked\r\n", "zz\r\n" + ITEM + "\r\n0\r\n\r\n" + SMUGGLED),
    "a negative chunk size": post("/items", "Transfer-Encoding: chunked\r\n", "-1\r\n\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk that is too long": post("/items", "Transfer-Encoding: chunked\r\n", "4\r\nabcdef\r\n0\r\n\r\n" + SMUGGLED),
    "a chunk size of 20 digits": post("/items", "Transfer-Encoding: chunked\r\n", "1" * 20 + "\r\nx\r\n" + SMUGGLED),
}


@pytest.mark.parametrize("sent", FRAMINGS.values(), ids=FRAMINGS)
def test_an_ambiguous_framing_never_yields_a_second_request(live: Server, sent: str) -> None:
    with live.connect() as connection:
        connection.sendall(sent.encode())
        connection.shutdown(socket.SHUT_WR)
        received = until_closed(connection)

    first = received.partition(b"\r\n")[0]
    assert first == b"" or first.startswith(b"HTTP/1.1 4")
    assert b"__Host-mine" not in received, "the smuggled request was answered"
    assert live.get("/ok").status == 200


def test_a_connection_serves_request_after_request(live: Server) -> None:
    with live.connect() as connection:
        for _ in range(3):
            connection.sendall(post("/items", f"Content-Length: {len(ITEM)}\r\n", ITEM).encode())
            assert read(connection, "POST").status == 201


BARE: dict[str, str] = {
    "a header of 200 kB": f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\nX-A: {'a' * 200_000}\r\n\r\n",
    "5,000 headers": f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\n" + "X-A: a\r\n" * 5000 + "\r\n",
    "a request line of 200 kB": f"GET /{'a' * 200_000} HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "no HTTP": "canary\r\n\r\n",
    "a NUL in a header": f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\nX-A: a\0b\r\n\r\n",
    "a name with a space": f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\nX A: a\r\n\r\n",
}


@pytest.mark.parametrize("sent", BARE.values(), ids=BARE)
def test_what_the_server_refuses_itself_is_a_bare_4xx_and_closed(live: Server, sent: str) -> None:
    with live.connect() as connection:
        with suppress(OSError):  # it closes as soon as it has read enough
            connection.sendall(sent.encode())
        received = until_closed(connection)

    assert received == b"" or received.startswith(b"HTTP/1.1 4")
    assert b"granian" not in received.lower()
    assert b"canary" not in received
    assert live.get("/ok").status == 200


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("", 400),
        ("Host: evil.example\r\n", 400),
        (f"Host: {HOST}\r\nHost: {HOST}\r\n", 400),
        (f"Host: {HOST}\r\nHost: evil.example\r\n", 400),
        (f"Host: {HOST}\r\n", 200),
    ],
)
def test_a_missing_wrong_or_double_host_is_refused(live: Server, lines: str, status: int) -> None:
    answer = live.send(f"GET /ok HTTP/1.1\r\n{lines}Connection: close\r\n\r\n")

    assert answer.status == status
    assert_hardened(answer)


@pytest.mark.parametrize(
    "path", ["/%00", "/%0a", "/%0d%0aset-cookie:canary=1", "/%1b", "/" + "a" * 30_000, "/ok?canary=%0a", "/ok?canary=1"]
)
def test_a_hostile_target_is_a_problem_document(live: Server, path: str) -> None:
    answer = live.get(path)

    assert answer.status in (400, 414, 422)
    assert_problem(answer, answer.status)


def test_a_stream_arrives_part_by_part(live: Server) -> None:
    answer = live.get("/stream")

    assert answer.body == b"part 0\npart 1\npart 2\n"
    assert answer["transfer-encoding"] == "chunked"


def test_a_stream_that_breaks_is_not_taken_for_whole(live: Server) -> None:
    with pytest.raises((OSError, http.client.IncompleteRead)):
        live.get("/stream-breaks")


@pytest.mark.parametrize("target", ["/ok", "/nope", "/stream", "/boom"])
def test_head_sends_no_body(live: Server, target: str) -> None:
    with live.connect() as connection:
        connection.sendall(f"HEAD {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        received = until_closed(connection)

    assert received.endswith(b"\r\n\r\n")
    assert received.count(b"\r\n\r\n") == 1


def test_a_client_that_leaves_mid_body_costs_one_quiet_line(live: Server) -> None:
    with live.connect() as connection:
        connection.sendall(post("/nested/deeper/items", "Content-Length: 1000\r\n", "{").encode())

    line = live.line("/nested/deeper/items")
    assert (line["event"], line["level"]) == ("client_left", "info")


def test_a_websocket_is_served_to_this_site_and_refused_to_others(live: Server) -> None:
    assert_problem(live.send(raw("GET", "/ws", [*HANDSHAKE, ("Origin", "https://evil.example")])), 403)
    with pytest.raises(InvalidStatus):
        connect(f"ws://127.0.0.1:{live.port}/ws", open_timeout=5)  # an address is not among the allowed hosts
    with connect(f"ws://{HOST}/ws", sock=live.connect(), open_timeout=5) as websocket:
        websocket.send("hello")
        assert websocket.recv(timeout=5) == "HELLO"


def test_a_stranger_cannot_forward_an_address_to_the_log(live: Server) -> None:
    live.get("/whoami", **{"X-Forwarded-For": "198.51.100.77"})

    assert live.line("/whoami")["client"] == "127.0.0.1"


def test_every_line_of_the_server_is_json(live: Server) -> None:
    live.get("/named/%e2%80%aecanary")

    lines = live.lines
    assert lines[0]["event"] == "start"
    assert all({"time", "level", "event"} <= line.keys() for line in lines)


def test_requests_at_work_are_capped_and_the_rest_is_told_so(patient: Server) -> None:
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda _: patient.get("/sleep/500").status, range(20)))

    assert statuses.count(200) == 8
    assert statuses.count(503) == 12
    assert patient.get("/ok").status == 200


def test_a_stop_under_load_loses_no_request_that_was_accepted(tmp_path: Path) -> None:
    with server(tmp_path / "log") as running, ThreadPoolExecutor(16) as pool:
        stop = threading.Event()

        def client(_: int) -> list[str]:
            """Ask again and again, until no connection is accepted any more."""
            outcomes: list[str] = []
            while True:
                try:
                    connection = running.connect()
                except OSError:
                    return outcomes
                with connection:
                    try:
                        connection.sendall(f"GET /sleep/100 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                        outcomes.append(str(read(connection).status))
                    except (OSError, http.client.HTTPException) as error:
                        outcomes.append(type(error).__name__)
                if outcomes[-1] != "200" and stop.is_set():
                    return outcomes

        clients = [pool.submit(client, number) for number in range(16)]
        time.sleep(0.5)
        began = time.monotonic()
        stop.set()
        running.process.send_signal(signal.SIGTERM)
        outcomes = [outcome for each in clients for outcome in each.result(20)]
        code = running.process.wait(15)
        elapsed = time.monotonic() - began
        served = [line for line in running.lines if line.get("path") == "/sleep/100"]

    assert outcomes.count("200") >= 32
    assert code == 0
    assert elapsed < 10
    assert all(line["status"] == 200 for line in served)
    assert len(served) == outcomes.count("200"), "a request that reached the route was not answered"
    assert running.lines[-1]["event"] == "stop"


def test_a_stop_does_not_wait_for_a_connection_that_hangs(tmp_path: Path) -> None:
    deadlines = {"APP_HEADER_TIMEOUT": "20s", "APP_REQUEST_TIMEOUT": "1s"}
    with server(tmp_path / "log", **deadlines) as running, running.connect(), running.connect() as half:
        half.sendall(b"GET /ok HTTP/1.1\r\n")
        time.sleep(0.1)
        began = time.monotonic()

        running.stop()

    assert time.monotonic() - began < 8


@contextmanager
def inherited(number: signal.Signals, action: signal.Handlers) -> Iterator[None]:
    """What a child does at a signal, whatever the shell has told these tests: one in the background ignores SIGINT."""
    before = signal.signal(number, action)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(sys.platform == "win32", reason="no shell there ignores a signal for a job in the background")
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGQUIT"])
def test_a_signal_that_the_shell_ignores_does_not_stop_it(tmp_path: Path, name: str) -> None:
    number = signal.Signals[name]
    with inherited(number, signal.SIG_IGN):
        running = Server(tmp_path / "log")
    try:
        running.wait()
        for pid in (running.process.pid, *running.workers):  # a terminal sends it to the whole group
            os.kill(pid, number)
        time.sleep(1.0)

        assert running.get("/ok").status == 200
    finally:
        assert running.stop() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal can be sent there")
@pytest.mark.parametrize("to_workers", [False, True])
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGQUIT"])
def test_it_stops_as_at_sigterm(tmp_path: Path, name: str, to_workers: bool) -> None:
    served: list[int] = []
    number = signal.Signals[name]
    with inherited(number, signal.SIG_DFL):
        running = Server(tmp_path / "log")
    try:
        running.wait()
        served = running.workers
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(running.get, "/sleep/400")
            time.sleep(0.2)
            for pid in (running.process.pid, *(served if to_workers else ())):  # a terminal sends it to the whole group
                os.kill(pid, number)

            assert answer.result(10).status == 200
        assert running.process.wait(15) == 0
        assert running.lines[-1]["event"] == "stop"
        with pytest.raises(ConnectionRefusedError):
            running.connect()
    finally:
        for pid in served:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        running.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal can be sent there")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stop_that_a_whole_group_is_told_again_and_again_cuts_nothing(tmp_path: Path, name: str) -> None:
    number = signal.Signals[name]
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        with inherited(number, signal.SIG_DFL):
            running = stack.enter_context(server(tmp_path / "log", APP_REQUEST_TIMEOUT="60s"))
        group = (running.process.pid, *running.workers)
        answer = pool.submit(running.get, "/sleep/2000")
        time.sleep(1)
        for _ in range(4):
            for pid in group:
                os.kill(pid, number)
            time.sleep(0.05)

        assert answer.result(20).status == 200
        assert running.process.wait(15) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal can be sent there")
@pytest.mark.parametrize("name", ["SIGUSR1", "SIGUSR2"])
def test_a_signal_that_says_nothing_here_changes_nothing(live: Server, name: str) -> None:
    served = live.workers
    for pid in (live.process.pid, *served):
        os.kill(pid, signal.Signals[name])
    time.sleep(0.3)

    assert live.get("/ok").status == 200
    assert live.process.poll() is None
    assert live.workers == served
