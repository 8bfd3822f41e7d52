"""Load from `wrk`, and what a request cost the server meanwhile."""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from .figures import Key, Samples
from .processes import Process

SCRIPT = Path(__file__).parent / "load.lua"
FEWEST = 5
"""Answers of a run that says anything; fewer, and the server hardly had a turn."""
USER = '{"username":"alice","email":"alice@example.com"}'


@dataclass(frozen=True)
class Load:
    """One kind of request, sent over and over."""

    method: str = "GET"
    path: str = "/ping"
    body: str = ""
    headers: tuple[str, ...] = ()
    connections: int = 32
    refused: bool = False
    """Whether every answer is to be an error; otherwise none may be."""


GET = Load()
POST = Load("POST", "/users", USER)


@dataclass(frozen=True)
class Plan:
    """How long and where: rounds of so many seconds, the server on one core, the load on another."""

    rounds: int
    seconds: int
    server: str
    load: str
    cores: tuple[int, ...]
    """All that may be used."""


class LoadError(Exception):
    """A run that proves nothing: answers were broken, or not of the kind that was asked for."""


def parse(output: str) -> dict[str, float]:
    """What `load.lua` wrote at the end of wrk's output.

    Raises:
        LoadError: It wrote nothing.
    """
    for line in output.splitlines():
        if line.startswith("RESULT "):
            found: dict[str, float] = json.loads(line.removeprefix("RESULT "))
            return found
    raise LoadError(f"wrk said no result:\n{output}")


def command(port: int, load: Load, seconds: int, core: str) -> list[str]:
    """wrk with one thread, on its core."""
    if shutil.which("wrk") is None:
        raise LoadError("wrk is not installed; it is a package of most systems: apt install wrk, brew install wrk")
    flags = ["-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT)]
    words = [f"http://127.0.0.1:{port}{load.path}", "--", load.method, load.body, *load.headers]
    return ["taskset", "--cpu-list", core, "wrk", *flags, *words]


def run(server: Process, load: Load, seconds: int, core: str) -> dict[str, float]:
    """Load one server and say what it did.

    Returns:
        `requests` in all, `rate` in requests a second, `cpu` in microseconds a request, `busy`, the cores that the
        server kept at work, percentiles of latency in milliseconds; `last` of the clients where they are distinct.

    Raises:
        LoadError: An answer was broken, or not of the kind that `load` expects.
    """
    before = server.cpu()
    done = subprocess.run(
        command(server.port, load, seconds, core), capture_output=True, text=True, check=False, timeout=seconds + 60
    )
    used = server.cpu() - before
    found = parse(done.stdout + done.stderr)
    requests = found["requests"]
    wrong = requests - found["refused"] if load.refused else found["refused"]
    if requests < FEWEST or found["broken"] or wrong:
        raise LoadError(
            f"{server.name}, {load.method} {load.path}: {requests:.0f} answers in {seconds:g} s, {found['broken']:.0f} "
            f"more broke off, {wrong:.0f} were of the wrong kind; the machine's load is {os.getloadavg()[0]:.1f}. "
            f"{_now(server, load)}"
        )
    return {
        "requests": requests,
        "rate": requests / found["seconds"],
        "cpu": used / requests * 1e6,
        "busy": used / found["seconds"],
        "last": found["last"],
        "p50": found["p50"],
        "p99": found["p99"],
        "p999": found["p999"],
    }


def _now(server: Process, load: Load) -> str:
    """What it answers when it is asked once more, which is not counted."""
    try:
        status, _, body = server.ask(load.method, load.path, {"Content-Type": "application/json"}, load.body.encode())
        ready = server.ask("GET", "/health/ready")[0]
    except (OSError, HTTPException) as error:
        return f"Now it does not answer: {error!r}."
    return f"Now it answers {status} {body[:200]!r}, and {ready} on /health/ready."


def rounds(plan: Plan, runs: Mapping[Key, tuple[Process, Load]], told: Callable[[str], None] = print) -> Samples[Key]:
    """Measure each run once a round, in a new random order each time, after a warm-up of all."""
    for server, load in runs.values():
        run(server, load, 1, plan.load)
    samples: dict[Key, list[dict[str, float]]] = {name: [] for name in runs}
    for number in range(plan.rounds):
        for name in random.sample(list(runs), len(runs)):
            samples[name].append(run(*runs[name], plan.seconds, plan.load))
        told(f"  round {number + 1} of {plan.rounds}")
    return samples
