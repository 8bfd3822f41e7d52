"""What grows: memory with clients, time to start with imports, time to emit with the template."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .bench import Bench, Section
from .contenders import Contender, bare, hardened
from .figures import ratios, spread, summary
from .load import Load, LoadError, run
from .processes import Process, environment
from .stacks import PACKAGE, call, emit, python, scratch, service

CLIENTS = 1_000_000
QUICK_CLIENTS = 20_000
LONGEST = 400.0
"""Seconds within which all of them must have come."""
_FORWARDED = "X-Forwarded-For"
_REMAINING = re.compile(r"\br=(\d+)")


def memory(bench: Bench) -> Section:
    """One worker before and after very many distinct clients, named by a trusted proxy."""
    ours = hardened(bench.service).but("hardened", APP_TRUSTED_PROXIES="127.0.0.1")
    wanted = QUICK_CLIENTS if bench.quick else CLIENTS
    with bench.running([ours], "100/900") as servers:
        server = servers["hardened"]
        idle, clients, began = server.memory(), 0, time.perf_counter()
        while clients < wanted:
            if time.perf_counter() > began + LONGEST:
                raise LoadError(f"only {clients:,} clients had come after {LONGEST:.0f} s")
            many = Load(headers=(f"{_FORWARDED}=distinct:{clients}",))
            clients = int(run(server, many, max(2, bench.plan.seconds), bench.plan.load)["last"])
            bench.told(f"  {clients:,} clients, {server.memory()['rss']:.1f} MB")
        _counted(server, clients)
        after = server.memory()
    return {"clients": clients, "idle": idle, "after": after, "how": "One run"}


def _counted(server: Process, clients: int) -> None:
    """Ask as some of the last clients, and as one that never came, how much of their quota is left.

    Raises:
        LoadError: The limiter did not count each of them.
    """
    left = {number: _left(server, number) for number in (*range(clients - 550, clients - 50, 50), clients + 1)}
    if left.pop(clients + 1) != 99 or set(left.values()) != {98}:
        raise LoadError(f"clients were not counted each by itself: what is left of 100 after a second request: {left}")


def _left(server: Process, number: int) -> int:
    headers = dict(server.ask("GET", "/ping", {_FORWARDED: f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}"})[1])
    found = _REMAINING.search(headers["ratelimit"])
    return int(found[1]) if found else -1


def start(bench: Bench) -> Section:
    """From the command until it is ready, what that costs, and what is imported on the way."""
    accounts = hardened(service(bench.template, "service-accounts", routes=False, example="accounts"))
    contenders = {
        "hardened": (hardened(bench.service), "/health/ready"),
        "hardened, with accounts in SQLite": (accounts, "/health/ready"),
        "bare": (bare(bench.service), "/ping"),
    }
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(
        max(3, bench.plan.rounds) + 1
    ):  # the first fills the caches of files and byte code, and makes the file
        for name, (contender, path) in contenders.items():
            with contender.process("100/900", bench.plan.server) as server:
                samples[name].append({"seconds": server.wait(path), "cpu": server.cpu()})
    samples = {name: runs[1:] for name, runs in samples.items()}
    imports = {
        "hardened": _imports(contenders["hardened"][0], f"from {PACKAGE}.__main__ import build; build()"),
        "hardened, with accounts in SQLite": _imports(accounts, f"from {PACKAGE}.__main__ import build; build()"),
        "bare": _imports(contenders["bare"][0], "import bare"),
    }
    theirs = {name.partition(".")[0] for name in imports["bare"]}
    return {
        "measured": summary(samples),
        "ratios": {"hardened / bare": {"seconds": ratios(samples, "hardened", "bare", "seconds")}},
        "how": f"{len(samples['bare'])} starts",
        "imports": {name: len(modules) for name, modules in imports.items()},
        "added": sorted({name.partition(".")[0] for name in imports["hardened"]} - theirs),
    }


def _imports(contender: Contender, statement: str) -> set[str]:
    """The modules that a worker has loaded."""
    done = subprocess.run(
        [python(contender.folder / ".venv"), "-c", f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"],
        env=environment(contender.variables), cwd=contender.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {line for line in done.stdout.splitlines() if line and not line.startswith("{")}


def emitting(bench: Bench) -> Section:
    """`copier copy` and `copier update` without hooks, and copies of templates with more files and questions."""
    folder = scratch() / "emitting"
    shutil.rmtree(folder, ignore_errors=True)
    grown = {
        "copy": bench.template,
        "copy, 100 files more": _grown(bench.template, folder / "files", files=100),
        "copy, 50 questions more": _grown(bench.template, folder / "questions", questions=50),
    }
    old = _grown(bench.template, folder / "release")
    service = emit(old, folder / "service")
    call("git", "init", "--quiet", folder=service)
    call("git", "add", "--all", folder=service)
    call("git", "commit", "--quiet", "--message", "emitted", folder=service)
    _release(old, "v999.1.0")
    samples: dict[str, list[float]] = {name: [] for name in (*grown, "update")}
    for number in range(max(3, bench.plan.rounds)):
        for name in samples:
            target = folder / f"{number}-{name}"
            if name == "update":
                shutil.copytree(service, target)
            began = time.perf_counter()
            if name == "update":
                _copier("update", folder=target)
            else:
                _copier("copy", grown[name], target)
            samples[name].append(time.perf_counter() - began)
            shutil.rmtree(target)
        bench.told(f"  round {number + 1}")
    measured = {name: {"seconds": spread(seconds)} for name, seconds in samples.items()}
    return {"measured": measured, "how": f"{len(samples['copy'])} rounds"}


def _copier(*words: str | Path, folder: Path | None = None) -> None:
    call(sys.executable, "-m", "copier", *words, "--quiet", "--trust", "--defaults", "--skip-tasks", folder=folder)


def _grown(source: Path, target: Path, files: int = 0, questions: int = 0) -> Path:
    """A copy of the template with more to copy or to answer."""
    shutil.copytree(source, target)
    for number in range(files):
        more = target / "template" / "src" / "{{ package_name }}" / "more" / f"module_{number}.py.jinja"
        more.parent.mkdir(exist_ok=True)
        more.write_text('"""{{ project_name }}"""\n' + "VALUE = 1\n" * 100)
    with (target / "copier.yml").open("a") as config:
        for number in range(questions):
            config.write(
                f'\nquestion_{number}:\n  type: str\n  help: A question\n  default: "{{{{ project_name }}}}"\n'
            )
    _release(target, "v999.0.1")
    return target


def _release(folder: Path, version: str) -> None:
    (folder / "template" / "src" / "{{ package_name }}" / "hardening" / "released.py").write_text(f'"""{version}"""\n')
    call("git", "add", "--all", folder=folder)
    call("git", "commit", "--quiet", "--message", version, folder=folder)
    call("git", "tag", version, folder=folder)
