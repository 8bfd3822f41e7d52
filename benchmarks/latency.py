"""How long a client waits: under more connections, and while somebody attacks."""

import re
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from statistics import quantiles

from .bench import Bench, Section
from .contenders import bare, hardened
from .figures import ratios, summary
from .load import Load, LoadError, command
from .processes import HOST, Process
from .throughput import SMALL, TOO_LARGE

CONNECTIONS = (32, 256, 1024)
HONEST = 8
"""Connections of the honest clients, each from an address of its own, each with one request at a time."""
SLOW = 200
QUOTA = "20000/900"
"""What the flooding client uses up before it is watched; no honest client comes near it within a run."""
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_REQUEST = f"GET /ping HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
_address = count(2)


def connections(bench: Bench) -> Section:
    """Percentiles under few and many connections, beside bare FastAPI."""
    contenders = [hardened(bench.service), bare(bench.service)]
    loads = {f"{number} connections": Load(connections=number) for number in CONNECTIONS}
    return bench.compare(contenders, [(contenders[0].name, contenders[1].name)], loads)


def under_attack(bench: Bench) -> Section:
    """An honest client's latency at rest and beside each attack, in turn within each round."""
    ours = hardened(bench.service).but("hardened", APP_MAX_BODY_BYTES=str(SMALL))
    with bench.running([ours]) as plain, bench.running([ours], QUOTA) as limited:
        generous, strict = plain["hardened"], limited["hardened"]
        _use_up(strict, bench)
        flood_413 = Load("POST", "/users", TOO_LARGE, refused=True)
        attacks: dict[str, tuple[Process, Callable[[], object]]] = {
            f"{SLOW} slow headers": (generous, lambda: _dripping(generous.port, b"")),
            f"{SLOW} slow bodies": (generous, lambda: _dripping(generous.port, b"Content-Length: 1000\r\n")),
            "flood of 413": (generous, lambda: _flood(generous.port, flood_413, bench)),
            "flood of 429": (strict, lambda: _flood(strict.port, Load(refused=True), bench)),
        }
        samples: dict[str, list[dict[str, float]]] = {
            name: [] for each in attacks for name in (f"at rest, {each}", each)
        }
        for number in range(bench.plan.rounds):
            for name, (server, attack) in attacks.items():
                samples[f"at rest, {name}"].append(honest(server.port, bench.plan.seconds))
                with attack():  # type: ignore[attr-defined]
                    time.sleep(0.5)
                    samples[name].append(honest(server.port, bench.plan.seconds))
                time.sleep(0.5)
            bench.told(f"  round {number + 1} of {bench.plan.rounds}")
    compared = {
        f"{name} / at rest": {key: ratios(samples, name, f"at rest, {name}", key) for key in ("p50", "p99")}
        for name in attacks
    }
    return {"measured": summary(samples), "ratios": compared}


def honest(port: int, seconds: float) -> dict[str, float]:
    """Ask over a few kept connections, one request at a time on each, and say how long the answers took.

    Raises:
        LoadError: A connection broke, or an answer was not 200.
    """
    waits: list[float] = []
    sent: dict[socket.socket, float] = {}
    received: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for _ in range(HONEST):
            client = socket.socket()
            number = next(_address)
            client.bind((f"127.0.{number // 250 % 250 + 1}.{number % 250 + 1}", 0))
            client.connect(("127.0.0.1", port))
            selector.register(client, selectors.EVENT_READ)
            received[client] = b""
            sent[client] = time.perf_counter()
            client.sendall(_REQUEST)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for key, _ in selector.select(1):
                client = key.fileobj  # type: ignore[assignment]
                received[client] += client.recv(65_536)
                if not _is_whole(received[client]):
                    continue
                now = time.perf_counter()
                waits.append((now - sent[client]) * 1000)
                received[client] = b""
                sent[client] = now
                client.sendall(_REQUEST)
        for client in sent:
            client.close()
    if len(waits) < 100:
        raise LoadError(f"the honest clients had {len(waits)} answers in {seconds:g} s")
    cuts = quantiles(waits, n=1000)
    return {"rate": len(waits) / seconds, "p50": cuts[499], "p99": cuts[989], "p999": cuts[998]}


def _is_whole(data: bytes) -> bool:
    head, _, body = data.partition(b"\r\n\r\n")
    if data and not data.startswith(b"HTTP/1.1 200"):
        raise LoadError(f"an honest client was answered {data[:40]!r}")
    if not data:
        raise LoadError("an honest client's connection was closed")
    length = _LENGTH.search(head)
    return length is not None and len(body) == int(length[1])


@contextmanager
def _flood(port: int, load: Load, bench: Bench) -> Iterator[None]:
    """wrk as fast as it can, from another address than the honest clients."""
    flood = subprocess.Popen(
        ["nice", "-n", "19", *command(port, load, bench.plan.seconds + 2, bench.plan.load)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        flood.terminate()
        flood.wait(10)


@contextmanager
def _dripping(port: int, more: bytes) -> Iterator[None]:
    """Clients that send a byte every half second and come again when they are thrown out."""
    head = f"POST /users HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n".encode() + more
    head += b"\r\n" if more else b"X-Slow: "
    over = threading.Event()
    clients = [_connected(port, head) for _ in range(SLOW)]

    def drip() -> None:
        while not over.wait(0.5):
            for index, client in enumerate(clients):
                try:
                    client.sendall(b"1")
                except OSError:
                    client.close()
                    clients[index] = _connected(port, head)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for client in clients:
            client.close()


def _connected(port: int, head: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(head)
    return client


def _use_up(server: Process, bench: Bench) -> None:
    """Let the flooding client's address run into its quota."""
    flood = command(server.port, Load(), 1, bench.plan.load)
    for _ in range(60):
        subprocess.run(flood, capture_output=True, check=False)
        if server.ask("GET", "/ping")[0] == 429:
            return
    raise LoadError(f"a quota of {QUOTA} was not used up in 60 s")
