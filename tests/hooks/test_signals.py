"""Ctrl-C and its kin end all that the hook has started, and keep the project."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import in_world_but
from ..default_signals import with_default_signals
from .runs import HOOK, POSIX, UV, command, recorded, said


@pytest.fixture
def stuck(tmp_path: Path) -> Callable[[str], str]:
    """A PATH with a uv that never ends one of its commands."""

    def path(subcommand: str) -> str:
        folder = tmp_path / "bin"
        folder.mkdir()
        script = f"""\
            #!/bin/sh
            if [ "$1" = {subcommand} ]; then echo waiting >&2; sleep 60; exit 9; fi
            exec '{UV}' "$@"
            """
        (folder / "uv").write_text(textwrap.dedent(script))
        (folder / "uv").chmod(0o755)
        return f"{folder}{os.pathsep}{os.environ['PATH']}"

    return path


def group(leader: int) -> list[str]:
    """The commands that still run in a process group."""
    listing = subprocess.run(["ps", "-A", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in listing.splitlines())
    return [row[-1] for row in rows if row[0] == str(leader) and not row[1].startswith("Z")]


@POSIX
@pytest.mark.parametrize(
    ("stage", "line", "checks"),
    in_world_but(
        [
            (*stage, checks)
            for stage in (("lock", "lock ..."), ("sync", "install ..."), ("verify", "audit ..."))
            for checks in ("warn", "strict")
        ],
        lambda case: (case[0], case[2]) in [("lock", "warn"), ("sync", "strict"), ("verify", "warn")],
    ),
)
def test_ctrl_c_ends_everything_and_keeps_the_project(
    bare: Path, stuck: Callable[[str], str], tmp_path: Path, stage: str, line: str, checks: str
) -> None:
    folder = tmp_path / "orders-api"
    path = os.environ["PATH"] if stage == "verify" else stuck(stage)
    with subprocess.Popen(
        with_default_signals(command(bare, folder, "-d", f"checks={checks}")),
        env={**os.environ, "PATH": path, "VERIFY_ENDS": "never"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        printed = ""
        while not printed.endswith(f"{line}\n"):
            printed += process.stdout.readline() or pytest.fail(printed)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        printed += process.stdout.read()

    assert process.returncode == 1
    shown = printed if stage != "verify" else re.sub(r"Traceback.*?KeyboardInterrupt\n", "", printed, flags=re.DOTALL)
    said(shown, "Stopped. NOT VERIFIED", "Copier keeps the project", "Execution stopped by user")
    assert (folder / "pyproject.toml").is_file()
    assert recorded(folder)["outcome"] == "unverified"
    deadline = time.monotonic() + 10
    while group(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert group(process.pid) == []


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_ends_the_child_and_keeps_the_project(project: Path, number: signal.Signals) -> None:
    arguments = ["--package=bare", "--checks=warn", f"--destination={project}", "--source=/template", "--version=v1"]
    with subprocess.Popen(
        with_default_signals([sys.executable, HOOK, *arguments]),
        cwd=project,
        env={**os.environ, "VERIFY_ENDS": "never"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        while process.stdout.readline() not in ("audit ...\n", ""):
            pass
        process.send_signal(number)
        printed = process.stdout.read()

    assert process.returncode == 0
    said(printed, "Stopped. NOT VERIFIED")
    assert group(process.pid) == []


@POSIX
def test_a_reader_that_goes_away_does_not_harm_the_project(bare: Path, tmp_path: Path) -> None:
    folder = tmp_path / "orders-api"
    reader, writer = os.pipe()
    os.close(reader)

    result = subprocess.run(
        command(bare, folder, "--quiet"), stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)

    assert result.returncode == 0, result.stderr
    assert (folder / "uv.lock").is_file()
