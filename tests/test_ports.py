"""A port that one process has been given goes to no other, though nothing listens on it yet."""

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from verify.common.ports import free_port

from .conftest import REPOSITORY

ASK = "import sys; from verify.common.ports import free_port; print(free_port(), flush=True); sys.stdin.read()"


@pytest.fixture
def taken() -> Iterator[int]:
    """What another process has been given, which does not listen yet."""
    command = [sys.executable, "-c", ASK]
    with subprocess.Popen(command, cwd=REPOSITORY / "template", stdin=-1, stdout=-1, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        yield int(other.stdout.readline())
        other.stdin.close()


def test_a_port_that_another_process_has_been_given_is_given_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    offered = [taken, taken]  # as chance may have it
    choice = secrets.choice
    monkeypatch.setattr(secrets, "choice", lambda ports: offered.pop() if offered else choice(ports))

    assert free_port() != taken
    assert offered == []


@pytest.mark.skipif(sys.platform != "linux", reason="Linux says which ports it gives to connections that go out")
def test_no_connection_that_goes_out_takes_a_port_before_its_server_listens() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    assert all(free_port() < lowest for _ in range(100))
