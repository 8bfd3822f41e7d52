"""Where the work goes: instructions a request, which no busy machine can blur, and a profile of the worker."""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .bench import KINDS, Bench, Section
from .contenders import Contender, bare, hardened
from .load import Load, LoadError, Plan, command, run
from .processes import Process, environment
from .stacks import PACKAGE, PEERS, python

FEW, MANY = 100, 500
_COLLECTED = re.compile(r"Collected : (\d+)")
_FRAME = re.compile(r"\((?P<file>.+):\d+\)$")
_LIBRARIES = ("fastapi", "starlette", "pydantic", "pydantic_core", "granian", "anyio")


def instructions(bench: Bench) -> Section:
    """Instructions a request of the application alone, without server and sockets, counted by callgrind."""
    if shutil.which("valgrind") is None:
        raise LoadError("valgrind is not installed; it is a package of most systems: apt install valgrind")
    ours = hardened(bench.service)
    contenders = {
        "hardened": ours,
        "hardened, APP_LOG_LEVEL=warning": ours.but("", APP_LOG_LEVEL="warning"),
        "bare FastAPI": ours,
        "hardened, behind 50 routes": ours.but("", OTHER_ROUTES="50"),
        "bare FastAPI, behind 50 routes": ours.but("", OTHER_ROUTES="50"),
    }
    for name in contenders:  # whoever comes first writes byte code, which would count as its own
        _drive(bench.plan, ours, name, "GET", 1)
    jobs = [(name, kind, count) for name in contenders for kind in KINDS for count in (FEW, MANY)]
    with ThreadPoolExecutor(2) as pool:  # counting is not timing: two at once do not disturb each other
        counts = list(pool.map(lambda job: _count(bench.plan, contenders[job[0]], *job), jobs))
    counted = dict(zip(jobs, counts, strict=True))
    measured: dict[str, dict[str, float]] = {
        name: {kind: (counted[name, kind, MANY] - counted[name, kind, FEW]) / (MANY - FEW) for kind in KINDS}
        for name in contenders
    }
    compared = {
        f"{name} / {base}": {kind: measured[name][kind] / measured[base][kind] for kind in KINDS}
        for name, base in (
            ("hardened", "bare FastAPI"),
            ("hardened, APP_LOG_LEVEL=warning", "bare FastAPI"),
            ("hardened, behind 50 routes", "bare FastAPI, behind 50 routes"),
        )
    }
    return {"measured": measured, "ratios": compared, "how": f"{MANY} requests less {FEW}"}


def _count(plan: Plan, contender: Contender, name: str, kind: str, count: int) -> int:
    said = _drive(plan, contender, name, kind, count, "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    found = _COLLECTED.search(said)
    if found is None:
        raise LoadError(f"valgrind said no count:\n{said}")
    return int(found[1])


def _drive(plan: Plan, contender: Contender, name: str, kind: str, count: int, *under: str) -> str:
    which = "bare" if name.startswith("bare") else "hardened"
    driver = [python(contender.folder / ".venv"), str(PEERS / "drive.py"), which, kind, str(count)]
    variables = {**contender.variables, "APP_RATE_LIMIT": "999999/1s", "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        ["taskset", "--cpu-list", f"{plan.server},{plan.load}", *under, *driver],
        cwd=contender.folder,
        env=environment(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LoadError(f"{' '.join([*under, *driver])} failed:\n{done.stderr}")
    return done.stderr


def profile(bench: Bench) -> Section:
    """Which module the worker's Python thread is in while it is loaded; the standard library counts for its caller."""
    seconds = max(5, bench.plan.seconds)
    contenders = [hardened(bench.service), bare(bench.service)]
    with bench.running(contenders) as servers, tempfile.TemporaryDirectory() as folder:
        shares = {
            f"{name}, {kind}": _sampled(server, load, seconds, bench.plan.load, Path(folder) / "stacks")
            for kind, load in KINDS.items()
            for name, server in servers.items()
        }
    return {"shares": shares, "how": f"{seconds:g} s each, 200 samples a second"}


def _sampled(server: Process, load: Load, seconds: int, core: str, output: Path) -> dict[str, float]:
    run(server, load, 1, core)
    wrk = subprocess.Popen(
        command(server.port, load, seconds + 3, core), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    words = ["--duration", f"{seconds:g}", "--rate", "200", "--nonblocking", "--format", "raw", "--output", str(output)]
    done = subprocess.run(
        ["uvx", "py-spy", "record", "--pid", str(server.worker()), *words], capture_output=True, text=True, check=False
    )
    wrk.terminate()
    wrk.wait(10)
    if done.returncode:
        raise LoadError(f"py-spy may not look at the worker; it needs to be root here:\n{done.stderr}")
    found = places(output.read_text())
    total = sum(found.values())
    return {name: number / total for name, number in found.most_common()}


def places(stacks: str) -> Counter[str]:
    """Samples by the innermost frame that belongs to the hardening or to a library.

    Args:
        stacks: py-spy's raw format: frames from the outside in, separated by semicolons, then the number of samples.
    """
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, number = line.rpartition(" ")
        if not frames.strip():  # a thread of the server's that runs no Python
            continue
        place = next((place for frame in reversed(frames.split(";")) if (place := _place(frame))), "event loop")
        found[place] += int(number)
    return found


def _place(frame: str) -> str:
    match = _FRAME.search(frame)
    if match is None:
        return ""
    parts = Path(match["file"]).with_suffix("").parts
    if PACKAGE in parts:
        return "/".join(parts[parts.index(PACKAGE) + 1 :])
    library = next((part for part in parts if part in _LIBRARIES), "")
    return library or ("routes" if parts[-1] == "routes" else "")
