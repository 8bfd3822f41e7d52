# Owned by the template: an update rewrites this file.
"""Ports of loopback for servers that are started side by side."""

import secrets
import socket
from collections import deque

_HELD: deque[socket.socket] = deque()
_MOST = 64
_PORTS = range(20_000, 30_000)
"""Below those that systems give to connections going out, of which one may take a port before its server listens."""


def free_port() -> int:
    """A port that nothing listens on, and that no other process which asks here is about to.

    A server takes seconds to listen, and Granian shares a port with one that was started for it meanwhile: half of the
    answers are another service's then. So the UDP port of the same number is held, until 64 others have been asked for.
    """
    while True:
        port = secrets.choice(_PORTS)
        held = socket.socket(type=socket.SOCK_DGRAM)
        try:
            held.bind(("127.0.0.1", port))
            with socket.socket() as candidate:
                candidate.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        _HELD.append(held)
        if len(_HELD) > _MOST:
            _HELD.popleft().close()
        return port
