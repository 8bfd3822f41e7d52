"""Servers under measurement: each on its core, its CPU time and memory read from the kernel, ended by its id."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType

HOST = "api.example.com"
START = 40.0
_TICK = os.sysconf("SC_CLK_TCK")
# Nothing of this machine's settings reaches a contender but what a program needs to run.
_MACHINE = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "USER")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """What a program needs of the machine, and these."""
    return {**{name: os.environ[name] for name in _MACHINE if name in os.environ}, **variables}


@dataclass
class Process:
    """A running server. Leaving its `with` block ends it and all its children."""

    name: str
    command: Sequence[str]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    cores: str = ""
    port: int = field(default_factory=free_port)
    log: Path = Path(os.devnull)
    """What it writes; the same place for all whose time is taken, so that none waits for a disk."""

    def __enter__(self) -> "Process":
        pinned = ["taskset", "--cpu-list", self.cores] if self.cores else []
        words = [word.replace("{port}", str(self.port)) for word in self.command]
        variables = {"PORT": str(self.port), **self.variables}
        self.began = time.perf_counter()
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*pinned, *words],
                cwd=self.folder,
                env=environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        for pid, _ in self._own():  # what its parent left behind
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(5)

    def first(self) -> subprocess.Popen[bytes]:
        """The process that was started, to be sent a signal."""
        return self._process

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that all its processes have used."""
        return sum(int(fields[11]) + int(fields[12]) for _, fields in self._own()) / _TICK

    def worker(self) -> int:
        """The process that answers: the busiest of those that the first one started, or the first one itself."""
        used = {pid: int(fields[11]) + int(fields[12]) for pid, fields in self._own()}
        first = used.pop(self._process.pid)
        return max(used or {self._process.pid: first}, key=lambda pid: used.get(pid, first))

    def memory(self) -> dict[str, float]:
        """Resident memory of the worker in MB: `rss`, and `pss`, in which a page that others share counts in part."""
        lines = Path(f"/proc/{self.worker()}/smaps_rollup").read_text().splitlines()
        found = {
            name.lower(): int(size.split()[0]) / 1024 for name, _, size in (line.partition(":") for line in lines[1:])
        }
        return {"rss": found["rss"], "pss": found["pss"]}

    def _own(self) -> Iterator[tuple[int, list[str]]]:
        """Its processes, all of the session that it leads, with the fields of `stat` after the name."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(fields[3]) == self._process.pid:
                        yield int(entry.name), fields

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send one request on a connection of its own; status, headers in lower case, body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, {"Host": HOST, **(headers or {})})
            response = connection.getresponse()
            fields = [(name.lower(), value) for name, value in response.getheaders()]
            return response.status, fields, response.read()
        finally:
            connection.close()

    def wait(self, path: str = "/ping") -> float:
        """Wait until it answers 200, and say how many seconds after its start that was.

        Raises:
            RuntimeError: It ended, or took too long.
        """
        while time.perf_counter() < self.began + START:
            with contextlib.suppress(OSError, HTTPException):
                if self.ask("GET", path)[0] == 200:
                    return time.perf_counter() - self.began
            if self._process.poll() is not None:
                break
            time.sleep(0.002)
        raise RuntimeError(f"{self.name} did not start: {' '.join(self.command)} in {self.folder}")
