"""`uv run python -m benchmarks.edges`: what servers do at the edges of a connection, written to `docs/servers.md`.

One small ASGI application on each server as its package starts it, and behind the perimeter as `serve` starts it. What
takes a server longer than `PATIENCE` counts as not done.
"""

import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from . import stacks
from .contenders import Contender, hardened
from .markdown import table
from .processes import HOST, Process

PATIENCE = 35.0
PAGE = Path(__file__).parent.parent / "docs" / "servers.md"
SERVERS = ("granian", "uvicorn", "httptools", "zttp", "h11", "websockets", "hypercorn[uvloop]", "uvloop")


@dataclass(frozen=True)
class Subject:
    """A server that runs, and how to start another."""

    process: Process
    again: Callable[[], Process]
    prefix: str

    def connect(self, receive_buffer: int = 0) -> socket.socket:
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", self.process.port))
        return connection

    def head(self, method: str, path: str, *lines: str) -> bytes:
        return "\r\n".join([f"{method} {self.prefix}{path} HTTP/1.1", f"Host: {HOST}", *lines, "", ""]).encode()


def _answer(connection: socket.socket, method: str = "POST") -> int:
    """The status of the next answer; 0 if there is none."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        response.read()
    except (OSError, http.client.HTTPException):
        return 0
    return response.status


def _early(subject: Subject, size: int, first: int, pause: float) -> str:
    arrived = kept = 0
    for _ in range(8):
        with subject.connect() as connection, suppress(OSError):
            lines = (f"Content-Length: {size}", "Content-Type: application/json")
            connection.sendall(subject.head("POST", "/early", *lines) + b"a" * first)
            time.sleep(pause)
            for at in range(first, size, 46_667):
                connection.sendall(b"a" * min(46_667, size - at))
                time.sleep(0.002)
            arrived += _answer(connection) == 404
            connection.sendall(subject.head("GET", "/ping"))
            kept += _answer(connection, "GET") == 200
    return f"{arrived} of 8, then {kept}"


def refused_large(subject: Subject) -> str:
    return _early(subject, 900_000, 20_000, 0.1)


def refused_small(subject: Subject) -> str:
    return _early(subject, 43, 0, 0.003)


def expects(subject: Subject) -> str:
    with subject.connect() as connection:
        lines = ("Content-Length: 900000", "Content-Type: application/json", "Expect: 100-continue")
        connection.sendall(subject.head("POST", "/early", *lines))
        return connection.recv(65_536)[9:12].decode() or "closed"


def _closes(connection: socket.socket) -> str:
    began = time.monotonic()
    with suppress(ConnectionError):
        try:
            while connection.recv(65_536):
                pass
        except TimeoutError:
            return f"open after {PATIENCE:g} s"
    return f"closed after {time.monotonic() - began:.0f} s"


def silent(subject: Subject) -> str:
    with subject.connect() as connection:
        return _closes(connection)


def half_a_header(subject: Subject) -> str:
    with subject.connect() as connection:
        connection.sendall(subject.head("GET", "/ping")[:30])
        return _closes(connection)


def idle(subject: Subject) -> str:
    with subject.connect() as connection:
        connection.sendall(subject.head("GET", "/ping"))
        _answer(connection, "GET")
        return _closes(connection)


def later_header(subject: Subject) -> str:
    with subject.connect() as connection:
        connection.sendall(subject.head("GET", "/ping"))
        _answer(connection, "GET")
        time.sleep(2)
        connection.sendall(subject.head("GET", "/ping")[:30])
        return _closes(connection)


def unread(subject: Subject) -> str:
    """64 MB that nobody reads for a while: cut, if not all of it is there afterwards."""
    with subject.connect(4096) as connection:
        connection.sendall(subject.head("GET", "/big"))
        time.sleep(PATIENCE)
        received = 0
        connection.settimeout(5)
        with suppress(OSError):
            while part := connection.recv(1_000_000):
                received += len(part)
                if received >= 64 * 1024 * 1024:
                    return f"waits for the reader, {PATIENCE:g} s and more"
        return f"cut, {received // 1_000_000} MB had left"


def websocket_message(subject: Subject) -> str:
    """Fragments of 1 MB that never end a message."""
    before = subject.process.memory()["rss"]
    key = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    sent = 0
    with subject.connect() as connection:
        connection.settimeout(5)
        connection.sendall(subject.head("GET", "/ws", *key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
        if b" 101 " not in connection.recv(65_536):
            return "no handshake"
        size = 1_000_000
        with suppress(OSError):
            for number in range(64):
                opcode = b"\x02" if not number else b"\x00"
                connection.sendall(opcode + b"\xff" + size.to_bytes(8, "big") + bytes(4) + bytes(size))
                sent += 1
            time.sleep(0.5)
        grown = subject.process.memory()["rss"] - before
    return f"{sent} MB taken, worker +{grown:.0f} MB" if sent == 64 else f"cut after {sent} MB, +{grown:.0f} MB"


def crowd(subject: Subject) -> str:
    """Silent connections of one address, and whether another is answered beside them."""
    with ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(subject.connect())
        with subject.connect() as connection:
            connection.sendall(subject.head("GET", "/ping"))
            status = _answer(connection, "GET")
    return f"400 are held; another is answered {status or 'nothing'}"


def largest_header(subject: Subject) -> str:
    taken = 0
    for size in (8, 16, 32, 60, 64, 72, 128, 256, 512, 1024, 4096, 16_384):
        with subject.connect() as connection, suppress(OSError):
            connection.sendall(subject.head("GET", "/ping", f"X-A: {'a' * (size * 1024 - 200)}"))
            if _answer(connection, "GET") == 200:
                taken = size
    return f"{taken} KiB"


def bare_answer(subject: Subject) -> str:
    """What answers bytes that are no HTTP."""
    with subject.connect() as connection:
        connection.sendall(b"canary\r\n\r\n")
        with suppress(OSError):
            said = connection.recv(65_536)
            names = [name for name in ("granian", "uvicorn", "hypercorn", "hyper") if name in said.decode().lower()]
            return f"{said[9:12].decode() or 'closed'}{', names itself' if names else ''}"
    return "closed"


def idle_cpu(subject: Subject) -> str:
    time.sleep(6)
    before = subject.process.cpu()
    time.sleep(10)
    return f"{(subject.process.cpu() - before) * 100:.0f} ms a second"


def _signalled(subject: Subject, number: signal.Signals, after: float, **variables: str) -> str:
    process = subject.again()
    process.variables = {**process.variables, **variables}
    with process:
        if after:
            has_workers = not process.name.startswith("uvicorn")
            while has_workers and process.worker() == process.first().pid:
                time.sleep(0.05)  # `serve` makes the application once itself, before it starts a worker that does
            time.sleep(after)
        else:
            process.wait(f"{subject.prefix}/ping")
        began = time.monotonic()
        first = process.first()
        os.kill(first.pid, number)
        while first.poll() is None and time.monotonic() < began + PATIENCE:
            time.sleep(0.05)
        took = time.monotonic() - began
        if first.returncode is not None:
            return f"ended after {took:.1f} s, {first.returncode}"
        with suppress(OSError, http.client.HTTPException):
            return f"goes on, answers {process.ask('GET', f'{subject.prefix}/ping')[0]}"
        return "goes on, answers nothing"


def term_while_it_starts(subject: Subject) -> str:
    """A worker that takes 4 s to make the application, told to stop meanwhile."""
    return _signalled(subject, signal.SIGTERM, 1.5, SLOW_START="4")


def hangup(subject: Subject) -> str:
    return _signalled(subject, signal.SIGHUP, 0)


AT_ONCE = {
    "refused body of 900 kB, in pieces: answers, then next requests": refused_large,
    "refused body of 43 bytes, 3 ms after its headers": refused_small,
    "`Expect: 100-continue`, refused": expects,
    "connect, send nothing": silent,
    "half a header": half_a_header,
    "half a header after an answer": later_header,
    "idle after an answer": idle,
    "answer of 64 MB that nobody reads": unread,
}
ALONE = {
    "unfinished WebSocket message of 64 MB": websocket_message,
    "400 silent connections of one address": crowd,
    "largest header that is taken": largest_header,
    "bytes that are no HTTP": bare_answer,
    "CPU of an idle server": idle_cpu,
    "`SIGTERM` while a worker starts": term_while_it_starts,
    "`SIGHUP`": hangup,
}


def contenders() -> tuple[list[tuple[Contender, str]], str]:
    """Each with the path that it is asked under; and the versions."""
    service = stacks.service(stacks.template(), routes=False)
    environment = stacks.environment("edges", service, *SERVERS)
    interpreter = stacks.python(environment)
    bind, uvicorn = "127.0.0.1:{port}", ("-m", "uvicorn", "--port", "{port}", "--loop", "uvloop", "edges:app", "--http")
    commands = {
        "Granian": ("-m", "granian", "--interface", "asgi", "--http", "1", "--port", "{port}", "edges:app"),
        "uvicorn, h11": (*uvicorn, "h11"),
        "uvicorn, httptools": (*uvicorn, "httptools"),
        "uvicorn, zttp": (*uvicorn, "zttp"),
        "Hypercorn": ("-m", "hypercorn", "-k", "uvloop", "--bind", bind, "edges:app"),
    }
    found = [(Contender(name, (interpreter, *words), stacks.PEERS), "") for name, words in commands.items()]
    ours = hardened(service)
    command = (stacks.python(service / ".venv"), str(stacks.PEERS / "serve_edges.py"), "serve", "--port", "{port}")
    found.append((Contender("`serve`", command, stacks.PEERS, ours.variables), "/edge"))
    names = ("granian", "uvicorn", "httptools", "zttp", "h11", "websockets", "hypercorn", "uvloop")
    versions = stacks.call("uv", "pip", "freeze", "--python", interpreter)
    return found, ", ".join(line.replace("==", " ") for line in versions.splitlines() if line.split("==")[0] in names)


def asked(contender: Contender, prefix: str) -> dict[str, str]:
    """What one of them does."""
    with contender.process("900000/1") as process:
        process.wait(f"{prefix}/ping")
        subject = Subject(process, lambda: contender.process("900000/1"), prefix)
        with ThreadPoolExecutor(len(AT_ONCE)) as pool:
            told = {row: pool.submit(ask, subject) for row, ask in AT_ONCE.items()}
            answers = {row: each.result() for row, each in told.items()}
        return answers | {row: ask(subject) for row, ask in ALONE.items()}


def main() -> int:
    """Ask all of them, and write the page."""
    found, versions = contenders()
    answers = {}
    for contender, prefix in found:
        print(contender.name, flush=True)
        answers[contender.name] = asked(contender, prefix)
        print("\n".join(f"  {row}: {told}" for row, told in answers[contender.name].items()), flush=True)
    rows = [[row, *(answers[name][row] for name in answers)] for row in (*AT_ONCE, *ALONE)]
    text = PAGE.read_text() if PAGE.exists() else "# Servers\n\n<!-- edges -->\n<!-- end -->\n"
    before, _, rest = text.partition("<!-- edges -->")
    after = rest.partition("<!-- end -->")[2]
    made = f"{table(['', *answers], rows)}\n\n{versions}. {time.strftime('%Y-%m-%d')}."
    PAGE.write_text(f"{before}<!-- edges -->\n{made}\n<!-- end -->{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
