"""The limiter alone, in memory and in Redis; and what a second worker brings, which needs a count that both share."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from .bench import KINDS, Bench, Section
from .check import check
from .contenders import Contender, hardened
from .figures import spread
from .load import LoadError
from .processes import environment, free_port
from .stacks import PEERS, python, service

KEYS = (1_000, 10_000, 100_000, 1_000_000)
DECISIONS = 2_000
ALONE = {f"{kind}, one connection": replace(load, connections=1) for kind, load in KINDS.items()}
"""Who asks alone waits for nobody: requests that come together are decided in one call, and none waits for another."""
CAP = 100_000
"""Keys that the store of a service remembers; those beyond share counters."""


def decisions(bench: Bench) -> Section:
    """A decision in memory on a known key and on a newcomer's, among few and very many; and one in Redis."""
    ours = hardened(bench.service)
    core = bench.plan.server
    measured: Section = {}
    for keys in KEYS if not bench.quick else KEYS[:3]:
        places = str(min(keys, CAP))
        measured[f"known, {keys:,} keys"] = spread(_decide(ours, core, "known", str(keys), places))
        measured[f"newcomer to {keys:,} keys"] = spread(_decide(ours, core, "newcomer", str(keys), places))
        if keys > CAP:
            measured[f"known, {keys:,} keys, were there a place for each"] = spread(
                _decide(ours, core, "known", str(keys), str(2 * keys))
            )
    with redis_server(bench.plan.load) as port:
        theirs = in_redis(bench, port)
        measured["Redis, on the other core"] = spread(_decide(theirs, core, "redis", str(DECISIONS)))
        with _monitored(port) as commands:
            _decide(theirs, core, "redis", "220")
    sent = [line for line in commands if " lua]" not in line and "10.0." in line]
    return {"measured": measured, "round_trips": len(sent) / 220, "how": "200 batches of 1,000 decisions"}


def workers(bench: Bench) -> Section:
    """The service on Redis beside memory, and two workers beside one."""
    cores = bench.plan.cores
    apart = len(cores) >= 4
    load, database = (str(cores[2]), str(cores[3])) if apart else (_all(cores), _all(cores))
    with redis_server(database) as port:
        theirs = in_redis(bench, port)
        contenders = [
            (hardened(bench.service, "memory, 1 worker"), cores[:1]),
            (replace(theirs, name="Redis, 1 worker"), cores[:1]),
            (replace(theirs, name="Redis, 2 workers", command=(*theirs.command, "--workers", "2")), cores[:2]),
        ]
        for contender, _ in contenders:
            check(contender)
            _flush(port)
        pinned = [
            replace(each, command=("taskset", "--cpu-list", _all(own), *each.command)) for each, own in contenders
        ]
        pairs = [("Redis, 1 worker", "memory, 1 worker"), ("Redis, 2 workers", "Redis, 1 worker")]
        plan = replace(bench.plan, server=_all(cores), load=load)
        try:
            section = replace(bench, plan=plan).timed(pinned, pairs)
            section["alone"] = replace(bench, plan=plan).timed(pinned[:2], pairs[:1], ALONE)
        except LoadError as error:
            raise LoadError(
                f"{error} A 503 means that Redis took longer than 0.1 s: see what else is at work."
            ) from None
    where = "a core each for load and Redis" if apart else "load and Redis on the same two cores"
    return section | {"where": f"One core for one worker, two for two; {where}."}


def in_redis(bench: Bench, port: int) -> Contender:
    """The service emitted for Redis; an answer without Redis is an error here, and not a quick decision."""
    folder = service(bench.template, "service-redis", store="redis")
    where = {"APP_STORE_URL": f"redis://127.0.0.1:{port}/0", "APP_STORE_OUTAGE": "closed"}
    return hardened(folder).but("hardened, Redis", **where)


def _all(cores: tuple[int, ...]) -> str:
    return ",".join(map(str, cores))


def _decide(contender: Contender, core: str, *words: str) -> list[float]:
    variables = {**contender.variables, "APP_RATE_LIMIT": "100/15m"}
    done = subprocess.run(
        ["taskset", "--cpu-list", core, python(contender.folder / ".venv"), str(PEERS / "decide.py"), *words],
        cwd=contender.folder, env=environment(variables), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise LoadError(f"decide.py {' '.join(words)} failed:\n{done.stderr}")
    times: list[float] = json.loads(done.stdout.splitlines()[-1])
    return times


@contextmanager
def redis_server(core: str) -> Iterator[int]:
    """A Redis or Valkey of its own on loopback, which keeps nothing on disk."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise LoadError("neither redis-server nor valkey-server is installed")
    port = free_port()
    quiet = ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", str(port)]
    # Where it shares a core with the load, it goes first, as far as this user may say so: it is not what is measured.
    first = ["nice", "-n", "-10", "taskset", "--cpu-list", core]
    server = subprocess.Popen([*first, program, *quiet], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with suppress(OSError):
                _flush(port)
                break
            time.sleep(0.02)
        yield port
    finally:
        server.terminate()
        server.wait(10)


def _flush(port: int) -> None:
    """Forget every count."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"FLUSHALL\r\n")
        client.recv(64)


@contextmanager
def _monitored(port: int) -> Iterator[list[str]]:
    """Every command that Redis is given meanwhile; what a script does by itself is marked as `lua`."""
    lines: list[str] = []
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"MONITOR\r\n")

        def listen(stream: Any) -> None:
            with suppress(OSError, ValueError):
                lines.extend(line.decode("latin-1") for line in stream)

        thread = threading.Thread(target=listen, args=(client.makefile("rb"),))
        thread.start()
        yield lines
        time.sleep(0.3)
        client.shutdown(socket.SHUT_RDWR)
        thread.join()
