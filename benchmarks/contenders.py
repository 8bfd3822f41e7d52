"""The contenders: what is started, with which settings, and which of the jobs it does."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from .processes import Process
from .stacks import PACKAGE, PEERS, python

CHECKED = "100/900"
"""The quota that is checked, requests/seconds: that of the checklist."""
TIMED = "999999/1"
"""The quota while time is taken, which no load reaches: each contender counts and none refuses."""
JOBS = ("headers", "limit", "validation", "errors", "cors", "cookies")
BARE = "bare FastAPI, same server"
EXPRESS = "Express with helmet, express-rate-limit, cors, joi"
FASTIFY = "Fastify with its plugins"
USUAL = "FastAPI with secure, slowapi, CORS, TrustedHost"
UNHARDENED = ("validation", "errors", "cookies")
"""What FastAPI does by itself, given models and routes that ask for it."""


@dataclass(frozen=True)
class Contender:
    """A server and how to start it."""

    name: str
    command: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    jobs: tuple[str, ...] = JOBS
    """Which of the jobs it does; a request for each must say so before anything is timed."""
    connections: int | None = None
    """How many at once, where those of the load are too many to be answered within a run."""

    def process(self, quota: str, cores: str = "") -> Process:
        """Its server, not started yet, with a quota."""
        variables = {"QUOTA": quota, "APP_RATE_LIMIT": f"{quota}s", **self.variables}
        return Process(self.name, self.command, self.folder, variables, cores)

    def but(self, name: str, **variables: str) -> "Contender":
        """The same with other settings."""
        return replace(self, name=name, variables={**self.variables, **variables})


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
    return Contender(BARE, command, folder, ours.variables, jobs=UNHARDENED)


def uvicorn(name: str, environment: Path, target: str, *flags: str, jobs: tuple[str, ...] = JOBS) -> Contender:
    """An application on uvicorn with its fast parser and loop; no line a request, to the contender's benefit."""
    chosen = flags or ("--http", "httptools", "--loop", "uvloop", "--no-access-log")
    command = (python(environment), "-m", "uvicorn", target, "--port", "{port}", *chosen)
    return Contender(name, command, PEERS, jobs=jobs)


def on_servers(environment: Path, service: Path, logged: bool = False) -> list[Contender]:
    """Bare and hardened on each server that could carry them.

    Args:
        environment: Where the servers are installed.
        service: The emitted service.
        logged: Whether each writes its own line for a request.
    """
    interpreter = python(environment)
    granian = (interpreter, "-m", "granian", "--interface", "asgi", "--http", "1", "--factory", "--port", "{port}")
    granian = (*granian, *(("--access-log",) if logged else ()))
    uvicorn = (interpreter, "-m", "uvicorn", "--factory", "--port", "{port}", "--loop", "uvloop")
    uvicorn = (*uvicorn, *(() if logged else ("--no-access-log",)))
    hypercorn = (interpreter, "-m", "hypercorn", "-k", "uvloop", "--bind", "127.0.0.1:{port}")
    commands = {
        "granian, asyncio": (*granian, "--loop", "asyncio"),
        "granian, uvloop": (*granian, "--loop", "uvloop"),
        "uvicorn, httptools, uvloop": (*uvicorn, "--http", "httptools"),
        "uvicorn, zttp, uvloop": (*uvicorn, "--http", "zttp"),
        "hypercorn, uvloop": (*hypercorn, *(("--access-logfile", "-") if logged else ())),
    }
    variables = {**hardened(service).variables, "PYTHONPATH": f"{PEERS}:{service / 'src'}"}
    return [
        Contender(f"{app}, {server}", (*command, target), PEERS, variables, jobs)
        for server, command in commands.items()
        for app, module, jobs in (("bare", "bare", UNHARDENED), ("hardened", f"{PACKAGE}.__main__", JOBS))
        for target in (f"{module}:build{'()' if 'hypercorn' in server else ''}",)
    ]


def javascript(name: str, folder: Path, script: str) -> Contender:
    """A Node application in production."""
    return Contender(name, ("node", script), folder, {"NODE_ENV": "production"})
