"""Copier's command, as people type it, in a process forked from one that has Copier in memory: it starts in no time."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import forkserver, get_context
from pathlib import Path

from copier._cli import CopierApp
from plumbum import colors
from plumbum.colorlib.styles import get_color_repr
from plumbum.machines.local import LocalEnv, LocalMachine

from .releases import quick_copier

COPIER = [sys.executable, "-m", "copier"]
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


def in_one_text(
    command: Sequence[str | Path], folder: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a person sees it: what it prints on either output is one text.

    Args:
        command: A command; Copier's is run in a fork, unless a variable is for Python as it starts.
        folder: Where.
        variables: What is set in its environment beside our own.
    """
    if list(command[:3]) == COPIER and not any(name.startswith(("PYTHON", "LC_", "LANG")) for name in variables):
        return _forked([*map(str, command)], folder or Path.cwd(), {**os.environ, **variables})
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def end_forks() -> None:
    """End the process that others are forked from, if one was."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def _forked(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile() as output:
        process = _FORKS.Process(target=_run, args=(command[3:], folder, environment, output.name))
        process.start()
        process.join()
        text = Path(output.name).read_text()
    assert process.exitcode is not None
    return subprocess.CompletedProcess(command, process.exitcode, text)


def _run(arguments: list[str], folder: Path, environment: dict[str, str], output: str) -> None:
    """What the process does; what it has from when Copier was imported is made anew."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    LocalMachine.env = LocalEnv()
    tempfile.tempdir = None
    descriptor = os.open(output, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    colors.use_color = get_color_repr()
    with quick_copier():
        _, code = CopierApp.run(["__main__.py", *arguments], exit=False)
    sys.stdout.flush()
    sys.exit(code)
