# Owned by the template: an update rewrites this file.
"""Cuts connections whose client does not read its answer, whatever kind of answer that is. Granian has no time-out for
writing, and hands out no socket; Linux has one (`TCP_USER_TIMEOUT`), which connections take over from their listener.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from math import ceil
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")
_INTERVAL, _PATIENCE = 0.02, 120.0


def cut_unread(seconds: float) -> None:
    """End connections of this process's listener that have taken nothing of what was sent to them for so long.

    The listener is not there yet when this is called; a thread waits for it. Other systems than Linux have no such
    option: there a proxy in front has to do it.
    """
    if hasattr(socket, "TCP_USER_TIMEOUT") and _DESCRIPTORS.is_dir():
        threading.Thread(target=_wait_for_listener, args=(ceil(seconds * 1000),), daemon=True).start()


def _wait_for_listener(milliseconds: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        time.sleep(_INTERVAL)
        ports = {_port(each) for each in _sockets() if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)}
        if ports:
            for each in _sockets():  # and what it has accepted meanwhile
                if _port(each) in ports:
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
            return


def _sockets() -> Iterator[socket.socket]:
    """The TCP sockets of this process."""
    for descriptor in list(_DESCRIPTORS.iterdir()):
        try:
            if str(descriptor.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(descriptor.name))) as each:
                    if each.family in (socket.AF_INET, socket.AF_INET6) and each.type == socket.SOCK_STREAM:
                        yield each
        except OSError:  # closed meanwhile
            continue


def _port(each: socket.socket) -> int:
    return int(each.getsockname()[1])
