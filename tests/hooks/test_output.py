"""What the hook prints, on a terminal and elsewhere, and what it asks of the Python that runs it."""

import ast
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import REPOSITORY
from .runs import (
    HOOK,
    HOOKS,
    POSIX,
    hook,
)


@POSIX
@pytest.mark.parametrize("plain", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_gets_progress_and_colours_if_it_wants_them(project: Path, plain: dict[str, str]) -> None:
    master, terminal = pty.openpty()
    arguments = [
        "--package=bare",
        "--checks=warn",
        f"--destination={project}",
        "--source=/template",
        "--version=v1.0.0",
    ]
    process = subprocess.Popen(
        [sys.executable, HOOK, *arguments], cwd=project, env={**os.environ, "TERM": "xterm", **plain}, stdout=terminal
    )
    os.close(terminal)
    printed = b""
    while True:
        try:
            printed += os.read(master, 4096) or b""
        except OSError:  # the other side has closed it
            break
    os.close(master)

    assert process.wait() == 0
    assert (b"\x1b[" in printed) == (not plain)
    assert (b"lock           |" in printed or b"lock           /" in printed) == ("TERM" not in plain)
    assert (b"lock ...\r\n" in printed) == ("TERM" in plain)


def test_elsewhere_there_are_plain_lines(project: Path) -> None:
    result = hook(project)

    assert "\x1b" not in result.stdout
    assert "\r" not in result.stdout
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [
        ["lock", "..."],
        ["lock", "done"],
        ["install", "..."],
        ["install", "done"],
    ]


def test_the_summary_tells_where_the_time_went(project: Path) -> None:
    lines = hook(project).stdout.splitlines()
    table = lines[next(number for number, line in enumerate(lines) if line.startswith("stage")) :]

    assert [line.split()[0] for line in table[1:6]] == ["lock", "install", "audit", "tests", "all"]
    assert all(re.search(r"\d\.\d s$", line) for line in table[1:6])
    assert len([line for line in table if line.startswith("    ")]) == 3


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.name)
def test_hooks_are_written_for_copiers_oldest_python(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    imported = {
        name.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }

    own = {each.stem for each in HOOKS} | {"verify"}
    assert {str(name).split(".")[0] for name in imported} <= sys.stdlib_module_names | own
    assert "shell" not in {
        keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords
    }


def test_hooks_ask_for_nothing_that_copiers_oldest_python_lacks() -> None:
    # No such interpreter is at hand everywhere; the type checker knows what each version has.
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version=3.10", "--no-incremental", *map(str, HOOKS)]

    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
