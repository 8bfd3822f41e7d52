"""An emitted service under other servers: each says what it leaves unbounded, and that others count too."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .runs import PACKAGE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

APPLICATION = f"""
from {PACKAGE}.app import create_app
from {PACKAGE}.hardening import load
from {PACKAGE}.settings import Settings
app = create_app(load(Settings))
"""
SERVERS = {
    "uvicorn": ("uvicorn", "served:app --workers 2 --port 0"),
    "gunicorn": ("gunicorn<26,uvicorn-worker", "served:app -w 2 -k uvicorn_worker.UvicornWorker -b 127.0.0.1:0"),
    "hypercorn": ("hypercorn", "served:app -w 2 -b 127.0.0.1:0"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_another_server_and_its_workers_are_found_out(python: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    (tmp_path / "served.py").write_text(APPLICATION)
    needed, arguments = SERVERS[name]
    added = [word for each in needed.split(",") for word in ("--with", each)]
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("APP_", "VIRTUAL_ENV"))},
        "APP_ALLOWED_HOSTS": "api.example.com",
        "APP_TRUSTED_PROXIES": "none",
        "APP_STORE_URL": "memory://",
        "PYTHONPATH": str(tmp_path),
    }
    command = ["uv", "run", "--quiet", "--no-sync", "--project", str(python[0]), *added, name, *arguments.split()]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=log, stderr=log, start_new_session=True)
        try:
            until = time.monotonic() + 90
            while "store.W003" not in (tmp_path / "log").read_text() and time.monotonic() < until:
                time.sleep(0.2)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(20)
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    found = {each["id"]: each["message"] for each in map(json.loads, lines) if each["event"] == "check"}
    assert "serves this, and not `serve`" in found["server.W001"]
    assert "several workers" in found["store.W003"]
