"""What the contenders need, in the user's cache: a service emitted from the working tree, environments of their own."""

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from copier import run_copy

REPOSITORY = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
PACKAGE = "bench_service"
RELEASE = "v999.0.0"
_PYTHON_PEERS = (
    "uvicorn", "httptools", "uvloop", "zttp", "hypercorn[uvloop]", "granian", "pydantic-settings", "secure", "slowapi",
)  # fmt: skip
_SHOWN = ("fastapi", "starlette", "pydantic", "granian", "uvicorn", "httptools", "uvloop", "zttp", "hypercorn",
          "secure", "slowapi", "fastapi-guard", "redis")  # fmt: skip


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


def service(source: Path, name: str = "service", *, routes: bool = True, **answers: str) -> Path:
    """Emit a service, install what production needs of it, and put the routes of the comparison into it if asked to."""
    folder = emit(source, scratch() / name, **answers)
    call("uv", "sync", "--quiet", "--no-dev", "--python", sys.executable, folder=folder)
    if routes:
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
