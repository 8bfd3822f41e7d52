# Owned by the template: an update rewrites this file.
"""A server in a process of its own, and raw sockets to attack it with."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from verify.common.ports import free_port as free_port  # tests of the team's take it from here

from .asgi_client import HOST, Answer

START = 20.0
PRODUCTION = {
    "APP_ALLOWED_HOSTS": HOST,
    "APP_TRUSTED_PROXIES": "none",
    "APP_RATE_LIMIT": "900000/1s",
    "APP_STORE_URL": "memory://",
    "PYTHONUNBUFFERED": "1",
}


def environment(**variables: str) -> dict[str, str]:
    """That of this process without what steers the service, and these."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("APP_")}
    return {**kept, **variables}


def until(holds: Callable[[], object], seconds: float, pause: float = 0.02) -> bool:
    """Wait until something holds, and return whether it does in time."""
    end = time.monotonic() + seconds
    while not (found := bool(holds())) and time.monotonic() < end:
        time.sleep(pause)
    return found


class Server:
    """The probe application as production would serve it."""

    output: int | None = None
    """A descriptor to log to in place of the file."""

    def __init__(self, log: Path, *arguments: str, **variables: str) -> None:
        self.port = free_port()
        self.uds = arguments[arguments.index("--uds") + 1] if "--uds" in arguments else ""
        self._log = log
        where = [] if self.uds else ["--port", str(self.port)]
        command = [sys.executable, "-m", "verify.probe", "serve", *where, *arguments]
        with log.open("wb") as file:
            self.process = subprocess.Popen(  # noqa: S603 - our own command line
                command,
                env=environment(**{**PRODUCTION, **variables}),
                stdout=self.output or file,
                stderr=subprocess.STDOUT,
            )

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it logged, as far as the last line is whole."""
        return [json.loads(line) for line in self._log.read_text().rpartition("\n")[0].splitlines()]

    @property
    def workers(self) -> list[int]:
        """The processes of it that answer."""
        command = ["pgrep", "-P", str(self.process.pid)]
        return [int(pid) for pid in subprocess.run(command, capture_output=True, check=True).stdout.split()]  # noqa: S603 - our own command line

    def line(self, path: str) -> dict[str, Any]:
        """Wait for the one line that the request for a path left."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines if line.get("path") == path]

        assert until(found, 5), f"no line tells of {path}"
        (line,) = found()
        return line

    def wait(self) -> None:
        """Wait until it answers `/health/ready`; fail with its last lines if it does not."""
        end = time.monotonic() + START
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.get("/health/ready").status == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self._last_lines()}")

    def _last_lines(self) -> str:
        return "\n".join(self._log.read_text().splitlines()[-20:])

    def connect(self) -> socket.socket:
        if self.uds:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(10)
            try:
                connection.connect(self.uds)
            except OSError:
                connection.close()
                raise
            return connection
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def get(self, target: str, **headers: str) -> Answer:
        """One honest GET on a connection of its own."""
        lines = [f"GET {target} HTTP/1.1", f"Host: {HOST}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return self.send("\r\n".join([*lines, "", ""]))

    def send(self, data: str | bytes, method: str = "GET") -> Answer:
        """Send raw bytes on a connection of its own and read one response."""
        with self.connect() as connection:
            connection.sendall(data.encode("latin-1") if isinstance(data, str) else data)
            return read(connection, method)

    def stop(self) -> int:
        """End it by its process id, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the server did not stop:\n{self._last_lines()}") from None


def read(connection: socket.socket, method: str = "GET") -> Answer:
    """Read one response from a connection.

    Raises:
        OSError, http.client.HTTPException: There is none, or it is cut short.
    """
    with closing(http.client.HTTPResponse(connection, method=method)) as response:
        response.begin()
        return Answer(response.status, response.getheaders(), response.read())


@contextmanager
def server(log: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    """A server that is ready, and gone afterwards."""
    running = Server(log, *arguments, **variables)
    try:
        running.wait()
        yield running
    finally:
        running.stop()
