"""The programs that the hooks run: an argument list and no shell, a bounded time, and nothing of the caller's shell."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from verify.runner.environment import clean

LIMIT = 900.0  # seconds that one command may take

# What uv says when something of the machine is in its way, and what to say instead; the first that fits.
KNOWN_UV_ERRORS = [
    (r"no space left on device|not enough space on the disk|disk quota exceeded", "The disk is full. Free some space"),
    (
        r"read-only file system|permission denied|access is denied",
        "A folder cannot be written to. Make it writable (uv names it above)",
    ),
    (
        r"toml parse error|failed to parse: `?\S*pyproject.toml",
        "This pyproject.toml is no valid TOML; uv names the line above. Correct it",
    ),
    (
        r"no interpreter found|python requirement|python downloads are|querying python|failed to download.*cpython-3",
        "There is no Python here that the service can run on. Get one with `uv python install 3.13`",
    ),
    (r"40[13] (unauthorized|forbidden)", "The package index refused access. Check its address and credentials"),
    (
        r"invalid peer certificate|certificate verify failed",
        "The package index showed a certificate that is not trusted here. Name your certificates in SSL_CERT_FILE",
    ),
    (
        r"network (was|connectivity is) disabled|error sending request|failed to (fetch|download)|tcp connect error"
        r"|dns error|could not connect|timed out",
        "The package index could not be reached. Go online, or name an index that can be reached in UV_DEFAULT_INDEX",
    ),
]


class CannotGoOnError(Exception):
    """Something that must be there is not; the text is a sentence and its remedy."""


class Programs:
    """What runs in one folder, one program at a time.

    Args:
        folder: The service.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.child: subprocess.Popen[str] | None = None
        self.environment = clean()

    def find_uv(self) -> list[str]:
        """The uv on PATH, or else the one that is installed beside Copier. One that does not answer is none."""
        for found in self.candidates():
            if Path(found).is_relative_to(self.folder):
                continue  # on Windows the current folder is searched first, and it may hold anything
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                self.ask([found, "--version"])
                # `verify` and the service's own tools look for it by name.
                self.environment["PATH"] = os.pathsep.join([self.environment.get("PATH", ""), str(Path(found).parent)])
                return [found]
        raise CannotGoOnError(
            "uv was found neither on PATH nor beside Copier, so nothing was locked, installed or checked. "
            "Install it (https://docs.astral.sh/uv/), then go on with the commands below."
        )

    def candidates(self) -> Iterator[str]:
        on_path = shutil.which("uv")
        if on_path:
            yield str(Path(on_path).absolute())
        with contextlib.suppress(ImportError, AttributeError, OSError):
            yield importlib.import_module("uv").find_uv_bin()

    def ask(self, command: Sequence[str]) -> str:
        """What a program prints that answers at once."""
        return self.read(command).decode("utf-8", "replace")

    def read(self, command: Sequence[str], *, differs: int = 0) -> bytes:
        """The same, byte for byte.

        Args:
            command: The program and its arguments.
            differs: An exit code that means no failure beside 0, such as the 1 of a comparison.
        """
        ended = subprocess.run(  # noqa: S603 - a list of our own words, and no shell
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        if ended.returncode != differs:
            ended.check_returncode()
        return ended.stdout

    def run(self, command: list[str], stage: str = "") -> tuple[int, str]:
        """Run a command: quietly if it has the name of a stage, else with its own lines."""
        output = subprocess.PIPE if stage else None
        environment = {**self.environment, "NO_COLOR": "1"} if stage else self.environment
        self.child = subprocess.Popen(  # noqa: S603 - a list of our own words, and no shell
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if stage else None,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            # In short pieces: on Ctrl-C it waits for the rest of one, and Copier for 0.25 s in all.
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, _ = self.child.communicate(timeout=0.1)
                return self.child.returncode, said or ""
        self.end_child()
        raise CannotGoOnError(
            f"{stage or 'verify'} took more than {LIMIT / 60:.0f} minutes and was stopped. "
            "Go on by hand with the commands below."
        )

    def end_child(self, *, signalled: bool = False) -> None:
        """End what still runs; what got the same Ctrl-C gets some time to clean up."""
        child = self.child
        if child is None or child.poll() is not None:
            return
        try:
            if not signalled:
                child.terminate()
            for wait in (5, 2):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(wait)
                    return
                child.terminate()
        finally:
            if child.poll() is None:
                child.kill()


def explain(said: str, stage: str) -> str:
    """A sentence and its remedy for what uv printed when it failed."""
    for pattern, what in KNOWN_UV_ERRORS:
        if re.search(pattern, " ".join(said.split()), re.IGNORECASE):
            return f"{what}, then go on by hand with the commands below."
    command = "uv lock" if stage == "lock" else "uv sync --locked"
    return f"`{command}` failed. Run it in the folder to see all of what it says, then go on with the commands below."
