"""What arrives over plain HTTP, and what answers: the whole table of early answers, and connections that run out."""

import http.client
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .conftest import PATIENCE, Emit
from .proxies import HOST, free_port, running
from .test_proxies import SETTINGS as BEHIND_A_PROXY

pytestmark = pytest.mark.world

SETTINGS = {**BEHIND_A_PROXY, "APP_TRUSTED_PROXIES": "none", "APP_MAX_BODY_BYTES": "4000000"}
JSON, TEXT, OURS = "Content-Type: application/json\r\n", "Content-Type: text/plain\r\n", f"Host: {HOST}\r\n"
REFUSED = {
    400: ("/ok", f"Host: evil.example\r\n{JSON}"),
    401: ("/private", OURS + JSON),
    403: ("/items", f"{OURS}{JSON}Origin: https://evil.example\r\n"),
    404: ("/nope", OURS + JSON),
    405: ("/ok", OURS + JSON),
    408: ("/items", OURS + JSON),
    413: ("/small", OURS + JSON),
    415: ("/items", OURS + TEXT),
    422: ("/items?x=1", OURS + JSON),
    429: ("/items", OURS + JSON),
    500: ("/unread/500", OURS + JSON),
    503: ("/items", OURS + JSON),
}
SPECIAL = {
    408: {"APP_BODY_TIMEOUT": "1s"},
    429: {"APP_RATE_LIMIT": "1/1h"},
    503: {"APP_MAX_CONCURRENCY": "1", "APP_BODY_TIMEOUT": "300s"},
}
"""What a service is set to that answers so."""
NEXT = f"GET /health/live HTTP/1.1\r\n{OURS}\r\n".encode()
HALF = f"POST /items HTTP/1.1\r\n{OURS}{JSON}Content-Length: 10\r\n\r\n".encode()


class Cell(NamedTuple):
    """One row of the table."""

    status: int
    size: int
    framing: str
    version: str
    is_pipelined: bool
    is_far: bool


# HTTP/1.0 has no chunks: such a message is refused with a 400, and its connection closed (RFC 9112, 6.1).
FRAMINGS = (("length", "1.1"), ("chunked", "1.1"), ("length", "1.0"))
CELLS = [
    Cell(status, size, *framing, is_pipelined, is_far)
    for status, size, framing, is_pipelined, is_far in product(
        REFUSED, (100_000, 900_000, 2_000_000), FRAMINGS, (False, True), (False, True)
    )
]


@contextmanager
def served(folder: Path, log: Path, limit: str = "1024", **variables: str) -> Iterator[int]:
    """The port of the probe application, as production would serve it with so many open files."""
    port = free_port()
    command: list[str | Path] = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", folder / ".venv/bin/python"]
    command += ["-m", "verify.probe", "serve", "--port", str(port)]
    with running(command, port, log, folder, **{**SETTINGS, **variables}):
        yield port


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))


class Relay:
    """A port in front of another that hands on what it reads 50 ms later, both ways, however much that is."""

    def __init__(self, port: int, stack: ExitStack) -> None:
        self._port, self._stack = port, stack
        self._listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
        self.port: int = self._listener.getsockname()[1]
        stack.callback(self._listener.shutdown, socket.SHUT_RDWR)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near = self._stack.enter_context(self._listener.accept()[0])
                far = self._stack.enter_context(connect(self._port))
                self._hand_on(near, far)
                self._hand_on(far, near)

    def _hand_on(self, source: socket.socket, sink: socket.socket) -> None:
        under_way: deque[tuple[float, bytes]] = deque()
        there_is = threading.Semaphore(0)

        def read() -> None:
            part = b"-"
            while part:
                try:
                    part = source.recv(65_536)
                except OSError:
                    part = b""
                under_way.append((time.monotonic() + 0.05, part))
                there_is.release()

        def write() -> None:
            part = b"-"
            with suppress(OSError):
                while part:
                    there_is.acquire()
                    due, part = under_way.popleft()
                    time.sleep(max(0.0, due - time.monotonic()))
                    sink.sendall(part)
                sink.shutdown(socket.SHUT_WR)

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()


def pieces(cell: Cell) -> list[bytes]:
    """The head with 20 kB of its body, and the rest; then two requests more where they are pipelined."""
    target, headers = REFUSED[cell.status]
    headers += "Connection: keep-alive\r\n" if cell.version == "1.0" else ""
    parts = [b"a" * min(20_000, cell.size - at) for at in range(0, cell.size, 20_000)]
    if cell.framing == "chunked":
        headers += "Transfer-Encoding: chunked\r\n"
        parts = [*(b"%x\r\n%s\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]
    else:
        headers += f"Content-Length: {cell.size}\r\n"
    parts[0] = f"POST {target} HTTP/{cell.version}\r\n{headers}\r\n".encode() + parts[0]
    parts[-1] += NEXT * 2 * cell.is_pipelined
    return parts


def answer(stream: socket.socket, method: str = "POST") -> http.client.HTTPResponse:
    """The next answer, read to its end."""
    response = http.client.HTTPResponse(stream, method=method)
    response.begin()
    response.read()
    return response


class Unbuffered:
    """One reader for all answers of a connection: `HTTPResponse` reads ahead what is pipelined."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def makefile(self, _mode: str) -> "Unbuffered":
        return self

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def close(self) -> None:
        """Each answer closes what it reads from; the next one still needs it."""


def fault(cell: Cell, port: int) -> str:
    """What is wrong with an answer that the client only reads when it has sent all, and with what follows."""
    try:
        with connect(port) as connection:
            first, *rest = pieces(cell)
            connection.sendall(first)
            time.sleep(2.0 if cell.status == 408 else 0.1)
            for part in rest:
                connection.sendall(part)
                time.sleep(0.001)
            stream: Any = Unbuffered(connection)
            response = answer(stream)
            if (response.status, bool(response.getheader("x-request-id"))) != (cell.status, True):
                return f"answered {response.status} with {response.getheaders()}"
            # To HTTP/1.0 that asks for it, hyper adds `keep-alive` to a `close`, which goes first (RFC 9112, 9.3).
            if response.will_close or "close" in (response.getheader("connection") or ""):
                return "more came after the end" if stream.read() else ""
            if not cell.is_pipelined:
                connection.sendall(NEXT)
            followed = [answer(stream, "GET").status for _ in range(1 + cell.is_pipelined)]
            return "" if {*followed} == {200} else f"then {followed}"
    except (OSError, http.client.HTTPException) as error:
        return repr(error)


def test_every_early_answer_is_read_and_spoils_no_connection(installed: Emit, tmp_path: Path) -> None:
    """Eight at a time, so that each is under the load of seven others."""
    folder = installed(example="minimal")
    with ExitStack() as stack:
        ports = {0: stack.enter_context(served(folder, tmp_path / "log"))}
        for status, variables in SPECIAL.items():
            ports[status] = stack.enter_context(served(folder, tmp_path / f"log {status}", **variables))
        with connect(ports[429]) as connection:
            connection.sendall(NEXT.replace(b"/health/live", b"/ok"))
            assert answer(connection, "GET").status == 200
        stack.enter_context(connect(ports[503])).sendall(HALF)
        relays = {status: Relay(port, stack).port for status, port in ports.items()}
        cells = random.Random(1).sample(CELLS, len(CELLS))  # noqa: S311 - no secret
        with ThreadPoolExecutor(8) as pool:
            where = [relays if cell.is_far else ports for cell in cells]
            at = [each[cell.status if cell.status in SPECIAL else 0] for cell, each in zip(cells, where, strict=True)]
            faults = list(pool.map(fault, cells, at))

    assert len(cells) == 432
    assert {cell: each for cell, each in zip(cells, faults, strict=True) if each} == {}


@pytest.mark.parametrize("sent", [b"", NEXT[:20], NEXT], ids=["silent", "half open", "idle"])
def test_a_crowd_of_one_address_pushes_out_its_own(installed: Emit, tmp_path: Path, sent: bytes) -> None:
    """More connections than there is room for, made again as soon as they are closed."""
    stop = threading.Event()

    def crowd(port: int) -> None:
        with ExitStack() as stack:
            held: list[socket.socket] = []
            while not stop.is_set():
                while len(held) < 300:
                    held.append(stack.enter_context(connect(port, "127.0.0.2")))
                    held[-1].sendall(sent)
                    held[-1].setblocking(False)
                for connection in [*held]:
                    with suppress(BlockingIOError):
                        try:
                            is_open = bool(connection.recv(4096))
                        except ConnectionError:
                            is_open = False
                        if not is_open:
                            held.remove(connection)
                time.sleep(0.02)

    with (
        served(installed(example="minimal"), tmp_path / "log", limit="256") as port,
        ExitStack() as stack,
        ThreadPoolExecutor(1) as pool,
    ):
        kept = [stack.enter_context(connect(port)) for _ in range(16)]
        for connection in kept:
            connection.sendall(NEXT)
            assert answer(connection, "GET").status == 200
        crowding = pool.submit(crowd, port)
        time.sleep(3)
        began = time.monotonic()
        for connection in kept:
            connection.sendall(NEXT)
        statuses = [answer(connection, "GET").status for connection in kept]
        with connect(port) as connection:
            connection.sendall(NEXT)
            statuses.append(answer(connection, "GET").status)
        took = time.monotonic() - began
        stop.set()
        crowding.result(PATIENCE)

    assert statuses == [200] * 17
    assert took < 5
