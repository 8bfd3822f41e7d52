"""A service that counts and keeps its sessions in a real Valkey."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .clusters import valkey
from .conftest import Emit
from .test_postgresql import ACCOUNTS

pytestmark = pytest.mark.world

FILES = ("limit_stores", "session_stores", "redis_sessions", "redis_store")


def test_what_holds_of_redis_holds_of_valkey(installed: Emit, tmp_path: Path) -> None:
    """Scripts, expiry, sessions, Sentinel: the service's own tests, not of TLS, which this Valkey does not speak."""
    whole = installed(**ACCOUNTS)
    folder = shutil.copytree(whole, tmp_path / "service", ignore=shutil.ignore_patterns(".venv"))
    (tmp_path / "valkey-server").symlink_to(valkey())
    command: list[str | Path] = [whole / ".venv/bin/python", "-m", "pytest", "-q", "-c", "tests/hardening/pytest.ini"]
    command += [
        "-m",
        "",
        "-k",
        "redis and not tls and not workers",
        *(f"tests/hardening/test_{name}.py" for name in FILES),
    ]
    given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(folder / "src")}

    done = subprocess.run(command, cwd=folder, env={**os.environ, **given}, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
