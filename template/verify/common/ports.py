# Owned by the template: an update rewrites this file.
"""Ports of loopback for servers that are started side by side."""

import socket
from collections import deque

_HELD: deque[socket.socket] = deque()
_MOST = 64


def free_port() -> int:
    """A port that nothing listens on, and that no other process which asks here is about to.

    A server takes seconds to listen, and Granian shares a port with one that was started for it meanwhile: half of the
    answers are another service's then. So the UDP port of the same number is held, until 64 others have been asked for.
    """
    while True:
        with socket.socket() as candidate:
            candidate.bind(("127.0.0.1", 0))
            port = int(candidate.getsockname()[1])
        held = socket.socket(type=socket.SOCK_DGRAM)
        try:
            held.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        _HELD.append(held)
        if len(_HELD) > _MOST:
            _HELD.popleft().close()
        return port
