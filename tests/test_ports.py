"""A port that one process has been given goes to no other, though nothing listens on it yet."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

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
    offered = iter([taken, taken, 0])  # as chance may have it

    class Socket(socket.socket):
        def bind(self, address: Any) -> None:
            host, port = address
            super().bind((host, port or next(offered)))

    monkeypatch.setattr(socket, "socket", Socket)

    assert free_port() != taken
    assert next(offered, None) is None
