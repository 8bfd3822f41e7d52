# Owned by the template: an update rewrites this file.
"""How a tool is run: an argument list and no shell, a bounded time, and an environment without what would steer the
result. What a shell, a CI job, Copier or git left behind reaches nothing.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import processes

GRACE = 2.0
"""Seconds that a process has to end by itself once its time is over."""

# They would change the settings of the service, the interpreter and its modules, the tests that run, the advisory service
# that is asked, the repository that is looked at.
DROPPED = ("APP_", "COPIER_", "VERSION_", "VIRTUAL_ENV", "PYTHON", "PYTEST_", "COVERAGE_", "PIP_AUDIT_", "GRANIAN_")
DROPPED_NAMES = {"STAGE", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"}
# uv has a variable for nearly every option, and most of them change what is resolved, where it is installed or what is
# left out. Kept is only where packages come from and how this machine gets at them.
KEPT_OF_UV = (
    "UV_CACHE_DIR",
    "UV_CONCURRENT_",
    "UV_CONFIG_FILE",
    "UV_CREDENTIALS_DIR",
    "UV_DEFAULT_INDEX",
    "UV_EXCLUDE_NEWER",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_HTTP_",
    "UV_INDEX",
    "UV_INSECURE_HOST",
    "UV_KEYRING_PROVIDER",
    "UV_LINK_MODE",
    "UV_LOCK_TIMEOUT",
    "UV_NATIVE_TLS",
    "UV_NO_CACHE",
    "UV_NO_CONFIG",
    "UV_NO_INDEX",
    "UV_OFFLINE",
    "UV_PYTHON",
    "UV_REQUEST_TIMEOUT",
    "UV_SYSTEM_CERTS",
)


def is_kept(name: str) -> bool:
    """Whether a variable may reach what is started."""
    upper = name.upper()
    if upper.startswith("UV_"):
        return upper.startswith(KEPT_OF_UV)
    return not upper.startswith(DROPPED) and upper not in DROPPED_NAMES


def clean(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process without what would steer the result, and these variables."""
    kept = {name: value for name, value in os.environ.items() if is_kept(name)}
    return {**kept, **(variables or {})}


def uv() -> str:
    """The uv that started us, or the one on the path.

    Raises:
        FileNotFoundError: There is none.
    """
    running = os.environ.get("UV", "")
    found = running if running and Path(running).is_file() else shutil.which("uv")
    if not found:
        raise FileNotFoundError("uv is not on the PATH")
    return found


@dataclass(frozen=True)
class Ran:
    """What a command did; `code` is `None` if it was ended because its time was over."""

    code: int | None
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    def last(self, lines: int = 3) -> str:
        """The last lines that it wrote, for a message; those of the error output if there are any."""
        text = self.err if self.err.strip() else self.out
        return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])


def run(command: Sequence[str | Path], folder: Path, timeout: float, variables: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end, in a clean environment and for so many seconds at most. No process is left behind.

    Raises:
        OSError: It cannot be started.
    """
    group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    process = subprocess.Popen(  # noqa: S603 - an argument list of our own, no shell
        [str(argument) for argument in command],
        cwd=folder,
        env=clean(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **group,
    )
    code: int | None = None
    try:
        out, err = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        processes.end(process, GRACE)
        out, err = _rest(process)
    finally:
        processes.end(process, GRACE)
    return Ran(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def _rest(process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
    try:
        return process.communicate(timeout=GRACE)
    except subprocess.TimeoutExpired:  # something left the group and keeps the pipes open
        return b"", b""
