"""The memory of a worker under clients that stay within their quotas and hold all that they may: bodies, WebSockets
with half a message, answers that they do not read, idle connections. Emitted compose.yaml gives the container 512 MB.
"""

import asyncio
import http.client
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from verify.common.ports import free_port

from .conftest import Emit

pytestmark = pytest.mark.world

HOST = "api.example.com"
SETTINGS = {"APP_ALLOWED_HOSTS": HOST, "APP_TRUSTED_PROXIES": "none", "APP_STORE_URL": "memory://"}
SECONDS = 11.0
MEBIBYTE = 1_048_576
HEALTHCHECK = 3.0
"""Seconds that the emitted Dockerfile gives a look at /health/live."""
MOST = 450_000_000
# Of how many clients, what each does: bodies, sockets, unread answers, idle connections; 100 requests at most.
CLIENTS = {6: (40, 30, 20, 40), 60: (12, 8, 6, 20), 600: (2, 1, 1, 2)}

POST = (
    f"POST /items HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {MEBIBYTE}\r\n\r\n"
).encode()
UPGRADE = (
    f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()
FRAME = b"\x82\xff" + (16 * MEBIBYTE).to_bytes(8, "big") + bytes(4)
LARGE = f"GET /large/whole HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
SMALL = f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


class Service:
    """The probe application with the defaults of production."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.log = folder / f"{port}.log"
        command = [str(folder / ".venv/bin/python"), "-m", "verify.probe", "serve", "--port", str(port)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("APP_", "VIRTUAL_ENV"))}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command, cwd=folder, env={**kept, **SETTINGS}, stdout=output, stderr=output)

    def status(self, path: str, source: str = "127.0.0.1") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, HEALTHCHECK, (source, 0))
        try:
            connection.request("GET", path, headers={"Host": HOST})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    @property
    def peak(self) -> int:
        """The most memory that its worker ever had, in bytes."""
        main = self.process.pid
        workers = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        lines = [Path(f"/proc/{each}/status").read_text() for each in workers]
        return max(int(text.partition("VmHWM:")[2].split()[0]) * 1024 for text in lines)


@contextmanager
def served(folder: Path) -> Iterator[Service]:
    service = Service(folder, free_port())
    try:
        end = time.monotonic() + 20
        while service.status("/health/ready") != 200:
            assert time.monotonic() < end, service.log.read_text()[-2000:]
            time.sleep(0.1)
        yield service
    finally:
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(60)


@pytest.fixture(scope="module")
def folder(emit: Emit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An emitted service that can run."""
    folder = tmp_path_factory.mktemp("memory") / "service"
    shutil.copytree(emit(example="minimal"), folder)
    subprocess.run(["uv", "sync", "--quiet"], cwd=folder, check=True)
    return folder


async def hold(port: int, source: str, first: bytes, rest: int, until: float) -> str:
    """Send something and stay; return the status that came, if one did."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), limit=65_536)
    except OSError:
        return "none"
    try:
        writer.write(first)
        part = b"[" + b"1," * 32_000
        for _ in range(0, rest, len(part)):
            writer.write(part)
            await asyncio.wait_for(writer.drain(), max(0.1, until - time.monotonic()))
        if first is not SMALL:
            await asyncio.sleep(max(0.0, until - time.monotonic()))
        answer = await asyncio.wait_for(reader.read(12), 0.5 if first is not SMALL else 20)
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        return answer[9:].decode() or "closed"
    except TimeoutError:
        return "held"
    except OSError:
        return "cut"
    finally:
        writer.transport.abort()


async def attack(port: int, clients: int) -> dict[str, Counter[str]]:
    """All of it at once; what came of each kind."""
    bodies, sockets, unread, idle = CLIENTS[clients]
    until = time.monotonic() + SECONDS
    kinds = {
        "bodies": (bodies, POST, MEBIBYTE - 70_000),
        "sockets": (sockets, UPGRADE + FRAME, MEBIBYTE - 70_000),
        "unread": (unread, LARGE, 0),
        "idle": (idle, SMALL, 0),
    }
    sources = [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(clients)]
    work = {
        name: [hold(port, source, first, rest, until) for source in sources for _ in range(number)]
        for name, (number, first, rest) in kinds.items()
    }
    found = await asyncio.gather(*(asyncio.gather(*each) for each in work.values()))
    return {name: Counter(each) for name, each in zip(work, found, strict=True)}


@pytest.mark.parametrize("clients", CLIENTS)
def test_a_worker_stays_within_its_memory_and_alive(folder: Path, clients: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    looks: list[tuple[int, float]] = []
    over = threading.Event()

    def look(service: Service) -> None:
        while not over.wait(0.5):
            began = time.monotonic()
            looks.append((service.status("/health/live"), time.monotonic() - began))

    try:
        with served(folder) as service:
            before = service.peak
            looker = threading.Thread(target=look, args=(service,))
            looker.start()
            found = asyncio.run(attack(service.port, clients))
            over.set()
            looker.join()
            peak = service.peak
            with suppress(OSError):
                assert service.status("/ok", "127.9.9.9") == 200
    finally:
        over.set()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    longest = max(seconds for _, seconds in looks)
    print(f"{clients} clients: {before / 1e6:.0f} -> {peak / 1e6:.0f} MB, health in {longest:.2f} s at most, {found}")

    assert peak < MOST
    assert {status for status, _ in looks} == {200}
    assert longest < HEALTHCHECK
    assert len(looks) > 10
