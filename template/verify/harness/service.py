# Owned by the template: an update rewrites this file.
"""A service started as production would start it, on a free port of loopback, in an empty folder: no `.env` that lies
about, no setting of this machine and no file of the project reaches it.
"""

import ast
import json
import os
import re
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from ..common import raw_http
from ..common.answer import HOST, Answer
from ..common.ports import free_port
from ..runner import processes
from ..runner.environment import is_kept

START = 20.0
READY = 6.0
# What a program needs of the machine that it runs on; all else stays outside.
_MACHINE = """
    COMSPEC HOME LANG LD_LIBRARY_PATH LOCALAPPDATA LOGNAME PATH PATHEXT PROGRAMDATA SYSTEMDRIVE SYSTEMROOT TEMP TMP
    TMPDIR TZ USER USERPROFILE WINDIR
"""
ORIGIN = "https://app.example.com"
PROBE_MODULE = "verify.probe"
# The service itself, with its own defaults. Verify is its proxy, so that each attack can come from a client of its own.
OWN = {"APP_ALLOWED_HOSTS": HOST, "APP_TRUSTED_PROXIES": "127.0.0.1"}
# Of the template's settings, what a table may say as well: an address that the attacks can reach, a quota that they can use up.
HANDED_ON = {"APP_DATABASE_URL", "APP_RATE_LIMIT", "APP_STORE_URL"}
# The probe application, with deadlines that can be waited for.
PROBE = {
    "PYTHONPATH": str(Path(__file__).resolve().parent.parent.parent),
    "APP_ALLOWED_HOSTS": HOST,
    "APP_TRUSTED_PROXIES": "none",
    "APP_CORS_ORIGINS": ORIGIN,
    "APP_RATE_LIMIT": "900000/1s",
    "APP_HEADER_TIMEOUT": "1s",
    "APP_BODY_TIMEOUT": "1s",
    "APP_MAX_CONCURRENCY": "64",  # of which one client may hold 16
}


_STORES = re.compile(r"(postgres(ql)?|mysql|mariadb|mssql|oracle|mongodb|rediss?|valkeys?)(\+\w+)*")
_HERE = re.compile(r"localhost|127\.[\d.]+|::1|")


class NotStartedError(Exception):
    """The service did not come up; the message holds its last lines."""


def environment(**variables: str) -> dict[str, str]:
    """What the machine needs, and these."""
    names = _MACHINE.split()
    kept = {name: value for name, value in os.environ.items() if name.upper() in names or name.startswith("LC_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **variables}


def declared_environment(project: Path) -> dict[str, str]:
    """Made-up values for settings of the team's own, from `[tool.hardening.verify.environment]` in pyproject.toml.

    What verify sets itself stays as verify sets it, and what the template declares stays as settings.py has it.
    """
    return {name: value for name, value in _table(project).items() if name not in hidden_names(project)}


def hidden_names(project: Path) -> list[str]:
    """What in that table would hide what production has: the template's settings, where settings.py can do without, and
    variables that steer tests, the interpreter or uv.
    """
    try:
        declared = re.findall(r"^#? ?(APP_\w+)=", (project / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
        trees = [ast.parse(path.read_text(encoding="utf-8")) for path in project.glob("src/*/settings.py")]
    except (OSError, ValueError, SyntaxError):
        declared, trees = [], []
    fields = [x for tree in trees for x in ast.walk(tree) if isinstance(x, ast.AnnAssign)]
    names = [(f"APP_{ast.unparse(each.target)}".upper(), each.value is None) for each in fields]
    required = {name for name, is_open in names if is_open} - {name for name, is_open in names if not is_open}
    kept = {*HANDED_ON, *OWN, "APP_ENV", *required}
    hidden = {name for name in _table(project) if name.upper() in declared and name.upper() not in kept}
    steering = {name for name in _table(project) if not (name.upper().startswith("APP_") or is_kept(name))}
    return sorted(hidden | steering)


def lasting_stores(project: Path, package: str, given: Mapping[str, str]) -> list[str]:
    """Where the code names a database of another machine, or a file that outlasts the attacks, and nothing given replaces it."""
    known = {each.upper() for each in given}
    found: dict[str, None] = {}
    root = project / "src" / package
    for path in sorted(each for each in root.rglob("*.py") if each.relative_to(root).parts[0] != "hardening"):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):
            continue
        for line, name, names in _named_stores(tree):
            if not known & {each.upper() for each in names}:
                place = f"{name.upper()} of {path.name}" if name else f"{path.name}:{line}"
                found[f"APP_{name}".upper() if name and path.name == "settings.py" else place] = None
    return list(found)


def _named_stores(tree: ast.Module) -> Iterator[tuple[int, str, set[str]]]:
    """Each lasting store in a module: its line, the field that has it, and the variables that may replace it."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    constants = {
        target.id
        for each in tree.body
        if isinstance(each, ast.Assign) and _is_lasting(each.value)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    used = {x.id for x in ast.walk(tree) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Load)} & constants
    for node in ast.walk(tree):
        if not _is_lasting(node) and not (
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in used
        ):
            continue
        top: ast.AST = node
        names: set[str] = set()
        while not isinstance(parents[top], ast.stmt):
            above = parents[top]
            if isinstance(above, ast.arguments):
                every = [*above.posonlyargs, *above.args]
                pairs = [*zip(reversed(every), reversed(above.defaults), strict=False)]
                pairs += zip(above.kwonlyargs, above.kw_defaults, strict=True)  # type: ignore[arg-type]
                names |= {argument.arg for argument, default in pairs if default is top}
            top = above
        statement, field = parents[top], ""
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        assigned = {each.id for each in targets if isinstance(each, ast.Name)}
        if top is node and (isinstance(statement, ast.Expr) or assigned & used):
            continue  # a text that explains; or a constant, which is looked at where it is used
        if not isinstance(top, ast.arguments):
            names |= {x.value for x in ast.walk(top) if isinstance(x, ast.Constant) and isinstance(x.value, str)}
        if isinstance(kind := parents.get(statement), ast.ClassDef):
            field = next(iter(assigned), "")
            names |= {f"{prefix}{each}" for each in assigned for prefix in ("", "APP_", _prefix(kind))}
        yield getattr(node, "lineno", 0), field, names


def _prefix(settings: ast.ClassDef) -> str:
    """`env_prefix` of a class of Pydantic's settings."""
    said = [x.value for x in ast.walk(settings) if isinstance(x, ast.keyword) and x.arg == "env_prefix"]
    return next((str(each.value) for each in said if isinstance(each, ast.Constant)), "")


def _is_lasting(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    scheme, _, rest = node.value.partition("://")
    if scheme.startswith("sqlite"):
        return rest.startswith("//")
    try:
        hosts = (urlsplit(f"//{each}").hostname or "" for each in rest.partition("/")[0].rpartition("@")[2].split(","))
        return bool(_STORES.fullmatch(scheme)) and not all(map(_HERE.fullmatch, hosts))
    except ValueError:
        return True


def _table(project: Path) -> dict[str, str]:
    try:
        tables = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        values = tables["tool"]["hardening"]["verify"]["environment"]
        return {str(name): str(value) for name, value in values.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


class Service:
    """A process that serves. Leaving its `with` block ends it, whatever happened."""

    def __init__(self, name: str, module: str, folder: Path, variables: Mapping[str, str]) -> None:
        self.name, self.module, self.variables = name, module, variables
        self.port = free_port()
        self.log = folder / f"{name}.log"
        work = folder / name
        work.mkdir()
        command = [sys.executable, "-m", module, "serve", "--port", str(self.port)]
        self.began = time.monotonic()
        with self.log.open("wb") as output:
            self.process = processes.start(command, work, environment(**variables), output)

    def __enter__(self) -> "Service":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        processes.end(self.process)

    @property
    def ready(self) -> bool:
        return self._says_yes("/health/ready")

    def _says_yes(self, path: str) -> bool:
        try:
            return raw_http.send(self.port, raw_http.raw("GET", path), 2).status == 200
        except OSError:
            return False

    def wait(self) -> bool:
        """Wait until it is ready; false if it only lives, since a probe of its own says that it cannot work.

        Raises:
            NotStartedError: It ended, or took too long.
        """
        lives_since = 0.0
        while time.monotonic() < self.began + START:
            if self.ready:
                return True
            if not lives_since and self._says_yes("/health/live"):
                lives_since = time.monotonic()
            if lives_since and time.monotonic() > lives_since + READY:
                return False
            if (code := self.process.poll()) is not None:
                raise NotStartedError(f"it ended with exit code {code}; its last lines:\n{self.last_lines}")
            time.sleep(0.02)
        raise NotStartedError(f"it was not ready after {START:g} s; its last lines:\n{self.last_lines}")

    @property
    def not_ready(self) -> list[str]:
        """Which readiness probes the log names, and what each raised."""
        found = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
                if event["event"] == "not_ready":
                    found.append(f"{event['probe']}: {event['reason']}")
            except (ValueError, KeyError, TypeError):
                continue
        return list(dict.fromkeys(found))

    @property
    def last_lines(self) -> str:
        return processes.last_lines(self.log)

    def ask(self, method: str, target: str, headers: raw_http.Pairs = (), body: bytes | None = None) -> Answer:
        """Send one request on a connection of its own."""
        return raw_http.send(self.port, raw_http.raw(method, target, headers, body))

    @property
    def is_listening(self) -> bool:
        try:
            raw_http.connect(self.port, 1).close()
        except OSError:
            return False
        return True
