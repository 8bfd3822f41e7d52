"""The hook says what was found, harms nothing, and never takes silence for proof.

Most of it runs on a bare template: the real questions, hook and answers file around an empty project, whose `verify`
ends as it is told. That it does the same around the real service is the first test.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import REPOSITORY, commit, in_one_text

HOOK = REPOSITORY / "hooks" / "post_generate.py"
SHARED = ("result", "runner/environment", "runner/files", "runner/terminal", "upkeep/changelog", "upkeep/libraries")
HOOKS = [
    *(REPOSITORY / "hooks").glob("*.py"),
    *(REPOSITORY / "template" / "verify" / f"{name}.py" for name in SHARED),
]
NEVER_RUN = ("attacks", "harness", "probe", "stages")
"""What of `verify` a service whose `verify` ends as it is told can do without."""
ANSWERS = "{{_copier_conf.answers_file}}.jinja"
UV = shutil.which("uv") or "uv"
PROJECT = """\
[project]
name = "bare"
version = "0"
requires-python = ">=3.11"
dependencies = []
"""
STAND_IN = '''\
"""Ends as VERIFY_ENDS says."""
import json, os, pathlib, sys, time

end = os.environ.get("VERIFY_ENDS", "proved")
print("audit ...", flush=True)
while end == "never":
    time.sleep(0.1)
if end == "silently":
    sys.exit(0)
if end == "traceback":
    raise OSError("verify itself is broken")
aside = end in ("accepted", "not_looked_at")
outcome = "proved" if end in ("contrary", "partly", "another") or aside else "unverified" if end == "stopped" else end
found = end if aside else outcome
check = {"step": "audit", "name": "known holes", "outcome": found, "seen": "an answer", "remedy": "Fix it."}
if end == "not_looked_at":
    check |= {"id": "tests.later", "seen": "9 tests are left to --thorough"}
folder = pathlib.Path(".hardening")
folder.mkdir(exist_ok=True)
other = {"step": "tests", "name": "the tests", "outcome": "proved", "seen": "they pass", "remedy": ""}
checks = [check] if end in ("partly", "stopped") else [check, other]
run = os.environ["VERIFY_RUN_ID"] if end != "another" else "another"
record = {"run": run, "outcome": outcome, "interrupted": end == "stopped", "stopped_at": "tests"}
record |= {"checks": checks, "seconds": {"audit": 0.5, "tests": 1.5}}
(folder / "last-verify.json").write_text(json.dumps(record))
codes = {"insecure": 1, "unverified": 2, "contrary": 1, "stopped": 247}
sys.exit(codes.get(end, 0))
'''
POSIX = pytest.mark.skipif(os.name != "posix", reason="process groups, modes and terminals of another kind")

Ended = subprocess.CompletedProcess[str]
Copy = Callable[..., Ended]


def command(template: Path | str, folder: Path | str, *options: str) -> list[str]:
    return [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", *options, str(template), str(folder)]


def hook(folder: Path, *options: str, **variables: str) -> Ended:
    """Run the hook in a folder as Copier would."""
    return hook_behind((), folder, *options, **variables)


def hook_behind(before: tuple[str, ...], folder: Path, *options: str, **variables: str) -> Ended:
    """The same, behind a command that takes another one."""
    arguments = ["--package=bare", "--checks=warn", f"--destination={folder}", "--source=/template", "--version=v1.0.0"]
    return in_one_text([*before, sys.executable, str(HOOK), *arguments, *options], folder, **variables)


def needs_libraries(folder: Path) -> None:
    """Let the project depend on something, so that uv has to ask an index."""
    project = folder / "pyproject.toml"
    project.write_text(project.read_text().replace("[]", '["granian"]'))


def said(result: Ended | str, *sentences: str) -> None:
    """Assert that all of this was said, and that nobody was shown a traceback."""
    text = result if isinstance(result, str) else result.stdout
    assert "Traceback" not in text, text
    for sentence in sentences:
        assert sentence in " ".join(text.split()), text


def recorded(folder: Path) -> dict[str, str]:
    record: dict[str, str] = json.loads((folder / ".hardening" / "hook.json").read_text(encoding="utf-8"))
    return record


def commit_something_old(folder: Path) -> None:
    folder.mkdir()
    (folder / "ours.txt").write_text("ours")
    (folder / ".gitignore").write_text("ours/\n")
    (folder / "README.md").write_text("# Ours\n")
    commit(folder, "ours")
