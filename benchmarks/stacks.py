"""The contenders, each made in a scratch folder of the user's cache and configured as its own documentation says."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from copier import run_copy

from .processes import Process

REPOSITORY = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
PACKAGE = "bench_service"
RELEASE = "v999.0.0"
CHECKED = "100/900"
"""The quota that is checked, requests/seconds: that of the checklist."""
TIMED = "999999/1"
"""The quota while time is taken, which no load reaches: each contender counts and none refuses."""
JOBS = ("headers", "limit", "validation", "errors", "cors", "cookies")

_PYTHON_PEERS = (
    "uvicorn", "httptools", "uvloop", "zttp", "hypercorn[uvloop]", "granian", "pydantic-settings", "secure", "slowapi",
)  # fmt: skip
_SHOWN = ("fastapi", "starlette", "pydantic", "granian", "uvicorn", "httptools", "uvloop", "zttp", "hypercorn",
          "secure", "slowapi", "fastapi-guard", "redis")  # fmt: skip


@dataclass(frozen=True)
class Contender:
    """A server and how to start it."""

    name: str
    command: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    jobs: tuple[str, ...] = JOBS
    """Which of the jobs it does; a request for each must say so before anything is timed."""

    def process(self, quota: str, cores: str = "") -> Process:
        """Its server, not started yet, with a quota."""
        variables = {"QUOTA": quota, "APP_RATE_LIMIT": f"{quota}s", **self.variables}
        return Process(self.name, self.command, self.folder, variables, cores)

    def but(self, name: str, **variables: str) -> "Contender":
        """The same with other settings."""
        return replace(self, name=name, variables={**self.variables, **variables})


def scratch() -> Path:
    """The folder for all that is installed, outside the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "hardened-fastapi" / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def call(*words: str | Path, folder: Path | None = None) -> str:
    """Run a tool and return what it printed.

    Raises:
        RuntimeError: It failed; with what it said.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIRTUAL_ENV", "GIT_", "APP_"))}
    author = {
        f"GIT_{role}_{what}": "benchmarks@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    if shutil.which(str(words[0])) is None:
        raise RuntimeError(f"{words[0]} is not installed")
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env={**kept, **author}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def template() -> Path:
    """The working tree as a release of its own, newer than any other."""
    folder = scratch() / "template"
    shutil.rmtree(folder, ignore_errors=True)
    names = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=REPOSITORY)
    for name in names.split("\0"):
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    call("git", "init", "--quiet", folder=folder)
    call("git", "add", "--all", folder=folder)
    call("git", "commit", "--quiet", "--message", "the working tree", folder=folder)
    call("git", "tag", RELEASE, folder=folder)
    return folder


def emit(source: Path, folder: Path, **answers: str) -> Path:
    """Emit a service without its hook."""
    shutil.rmtree(folder, ignore_errors=True)
    data = {"package_name": PACKAGE, "example": "minimal", **answers}
    run_copy(str(source), folder, data=data, defaults=True, quiet=True, unsafe=True, skip_tasks=True)
    return folder


def service(source: Path, name: str = "service", **answers: str) -> Path:
    """Emit a service, install what production needs of it, and put the routes of the comparison into it."""
    folder = emit(source, scratch() / name, **answers)
    call("uv", "sync", "--quiet", "--no-dev", "--python", sys.executable, folder=folder)
    shutil.copy2(PEERS / "hardened.py", folder / "src" / PACKAGE / "app.py")
    return folder


def python(folder: Path) -> str:
    """The interpreter of an environment."""
    return str(folder / "bin" / "python")


def environment(name: str, like: Path, *packages: str) -> Path:
    """An environment with these packages, and the versions of the service's for what both have."""
    folder = scratch() / name
    frozen = call("uv", "pip", "freeze", "--python", python(like / ".venv"))
    constraints = scratch() / "constraints.txt"
    constraints.write_text("".join(f"{line}\n" for line in frozen.splitlines() if "==" in line))
    call("uv", "venv", "--quiet", "--clear", "--python", sys.executable, folder)
    chosen = ("--quiet", "--python", python(folder), "--constraints", constraints)
    call("uv", "pip", "install", *chosen, "fastapi", *packages)
    return folder


def node() -> Path:
    """The Node contenders with their packages."""
    folder = scratch() / "node"
    shutil.copytree(PEERS / "node", folder, dirs_exist_ok=True)
    call("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", folder=folder)
    return folder


def hardened(folder: Path, name: str = "hardened") -> Contender:
    """The emitted service as production starts it."""
    variables = {
        "PYTHONPATH": str(PEERS),
        "SERVICE_PACKAGE": PACKAGE,
        "APP_ALLOWED_HOSTS": "api.example.com",
        "APP_TRUSTED_PROXIES": "none",
        "APP_CORS_ORIGINS": "https://app.example.com",
    }
    return Contender(name, (python(folder / ".venv"), "-m", PACKAGE, "serve", "--port", "{port}"), folder, variables)


def bare(folder: Path) -> Contender:
    """FastAPI alone on the same server, started by the same code with the same flags."""
    ours = hardened(folder)
    command = (python(folder / ".venv"), str(PEERS / "serve_bare.py"))
    return Contender(
        "bare FastAPI, same server", command, folder, ours.variables, jobs=("validation", "errors", "cookies")
    )


def uvicorn(name: str, environment: Path, target: str, *flags: str, jobs: tuple[str, ...] = JOBS) -> Contender:
    """An application on uvicorn with its fast parser and loop; no line a request, to the contender's benefit."""
    chosen = flags or ("--http", "httptools", "--loop", "uvloop", "--no-access-log")
    command = (python(environment), "-m", "uvicorn", target, "--port", "{port}", *chosen)
    return Contender(name, command, PEERS, jobs=jobs)


def javascript(name: str, folder: Path, script: str) -> Contender:
    """A Node application in production."""
    return Contender(name, ("node", script), folder, {"NODE_ENV": "production"})


def peers_environment(like: Path) -> Path:
    """The environment of the Python contenders."""
    return environment("peers", like, *_PYTHON_PEERS)


def versions(*environments: Path) -> dict[str, str]:
    """What was measured: interpreters, servers, libraries."""
    found = {"Python": platform.python_version()}
    for each in environments:
        listed = json.loads(call("uv", "pip", "list", "--format", "json", "--python", python(each)))
        found |= {package["name"]: package["version"] for package in listed if package["name"] in _SHOWN}
    return found


def node_versions() -> dict[str, str]:
    """Node and its packages, as `package.json` names them."""
    declared: dict[str, str] = json.loads((PEERS / "node" / "package.json").read_text())["dependencies"]
    return {"Node": call("node", "--version").strip().removeprefix("v"), **declared}


def tools() -> dict[str, str]:
    """What measures and emits."""
    wrk = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    words = (wrk.stdout + wrk.stderr).split()
    return {"wrk": words[1], "Copier": version("copier"), "uv": call("uv", "--version").split()[1]}


def machine() -> dict[str, str]:
    """What it ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return {"processor": model, "cores": str(cores), "memory": f"{memory:.0f} GB", "kernel": platform.release()}
