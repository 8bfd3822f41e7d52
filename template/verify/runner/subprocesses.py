# Owned by the template: an update rewrites this file.
"""How a tool is run: an argument list and no shell, a bounded time, and a clean environment."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .environment import clean

GRACE = 2.0
"""Seconds that a process has to end by itself once its time is over."""
PLAIN = {"NO_COLOR": "1", "COLUMNS": "200", "UV_NO_WRAP": "1"}
"""What is parsed has no colours and no width of the caller's."""
NO_UV = "Install uv (https://docs.astral.sh/uv/), so that `uv` is on the PATH."


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

    def tail(self, lines: int = 3) -> str:
        """The last lines that it wrote, for a message; those of the error output if there are any."""
        text = self.err if self.err.strip() else self.out
        return " | ".join([line.strip() for line in text.splitlines() if line.strip()][-lines:])


def run(command: Sequence[str | Path], folder: Path, timeout: float, variables: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end, in a clean environment and for so many seconds at most. No process is left behind.

    Raises:
        OSError: It cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - an argument list of our own, no shell
        [str(argument) for argument in command],
        cwd=folder,
        env={**clean(variables), **PLAIN},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **processes.OWN_GROUP,
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
