"""How git and Copier are run: an argument list, no shell, a bounded time, and an environment in which nothing asks."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .words import masked

TIMEOUT = 120.0
"""Seconds that one git command may take."""
GRACE = 3.0
"""Seconds that a process has to end by itself once it was asked to."""

# What a token may be called here. Nothing that is started sees them: git gets the one that it needs by `credentials`.
TOKENS = ("GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN")
_DROPPED = (
    "GIT_AUTHOR_",
    "GIT_COMMITTER_",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "VIRTUAL_ENV",
)
# Nothing asks a question, and no hook, monitor or agent that a repository names is run.
_QUIET = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "GCM_INTERACTIVE": "never",
    "LC_ALL": "C",
}
AUTHOR = ("hardening", "hardening@localhost")
_CONFIG = (
    ("user.name", AUTHOR[0]),
    ("user.email", AUTHOR[1]),
    ("commit.gpgSign", "false"),
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.quotePath", "off"),
    ("gc.auto", "0"),
)
_HELPER = '!f() { test "$1" = get && printf \'username=%s\\npassword=%s\\n\' "$FLEET_USER" "$FLEET_TOKEN"; }; f'


class StoppedError(Exception):
    """Somebody asked this run to end."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did; `code` is `None` if its time was over."""

    code: int | None
    out: bytes
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "replace")

    def last(self, lines: int = 2) -> str:
        """The last lines that it wrote, without credentials, for a message."""
        said = self.err if self.err.strip() else self.text
        found = [line.strip() for line in said.splitlines() if line.strip()][-lines:]
        return masked(" | ".join(found)) if self.code is not None else "it took too long"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token for the git server at one address, such as `https://github.com/`."""

    base: str
    user: str
    token: str


def settings(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Variables that give git these settings, after those that the environment has already."""
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    found = {"GIT_CONFIG_COUNT": str(count + len(pairs))}
    for number, (name, value) in enumerate(pairs, count):
        found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def environment(extra: Sequence[tuple[str, str]] = (), credentials: Credentials | None = None) -> dict[str, str]:
    """This process's environment without its tokens, with git kept quiet and these settings of git."""
    kept = {name: value for name, value in os.environ.items() if name not in TOKENS and not name.startswith(_DROPPED)}
    pairs = [*_CONFIG, *extra]
    if credentials:
        # git hands it to this server alone, and it stands in no argument, address or file.
        helper = f"credential.{credentials.base}.helper"
        pairs += [(helper, ""), (helper, _HELPER)]
        kept |= {"FLEET_USER": credentials.user, "FLEET_TOKEN": credentials.token}
    return {**kept, **_QUIET, **settings(pairs)}


class Programs:
    """What runs at the moment; `stop` ends all of it, and lets nothing more begin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self.stopped = threading.Event()

    def stop(self) -> None:
        self.stopped.set()
        with self._lock:
            for process in self._running:
                _signal(process, signal.SIGTERM)

    def git(self, *arguments: str | Path, folder: Path, credentials: Credentials | None = None) -> Ran:
        """Run git in a folder."""
        return self.run(["git", *arguments], folder, TIMEOUT, environment(credentials=credentials))

    def run(self, command: Sequence[str | Path], folder: Path, timeout: float, variables: Mapping[str, str]) -> Ran:
        """Run a command to its end; none of its processes is left behind.

        Raises:
            StoppedError: `stop` was called before it ended.
            OSError: It cannot be started.
        """
        with self._started([str(each) for each in command], folder, variables) as process:
            code: int | None = None
            try:
                out, err = process.communicate(timeout=timeout)
                code = process.returncode
            except subprocess.TimeoutExpired:
                _signal(process, signal.SIGTERM)
                try:
                    out, err = process.communicate(timeout=GRACE)
                except subprocess.TimeoutExpired:
                    _kill(process)
                    out, err = b"", b""
        if self.stopped.is_set():
            raise StoppedError
        return Ran(code, out, err.decode("utf-8", "replace"))

    @contextmanager
    def _started(
        self, command: list[str], folder: Path, variables: Mapping[str, str]
    ) -> Iterator["subprocess.Popen[bytes]"]:
        group: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with self._lock:
            if self.stopped.is_set():
                raise StoppedError
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                **group,
            )
            self._running.add(process)
        try:
            yield process
        finally:
            _kill(process)
            process.wait()
            with self._lock:
                self._running.discard(process)


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(OSError):
        if sys.platform != "win32":
            os.killpg(process.pid, number)
        else:
            process.terminate()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)  # whoever is left in the group
        elif process.poll() is None:
            process.kill()
