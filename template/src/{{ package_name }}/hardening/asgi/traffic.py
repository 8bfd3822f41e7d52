# Owned by the template: an update rewrites this file.
"""What the kernel knows of a connection, and the server does not tell: how much of what came has been read. Linux only
(`TCP_INFO`, tcp(7)); elsewhere nothing is found.
"""

import os
import socket
import struct
import sys
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

from ..steps.client import canonical

Peer = tuple[str, int]
_FD = "/proc/self/fd"
_RECEIVED = struct.Struct("=128xQ")  # bytes_received


class Connection(NamedTuple):
    """One of the server's."""

    descriptor: int
    inode: int

    def _open(self) -> socket.socket:
        """A socket under a descriptor of its own: the server may close its one, and use the number again, meanwhile.

        Raises:
            OSError: It is gone.
        """
        copy = os.dup(self.descriptor)
        try:
            if os.fstat(copy).st_ino != self.inode:
                raise OSError("the connection is gone")
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, copy)
        except OSError:
            os.close(copy)
            raise

    def read(self) -> int:
        """How many bytes the server has read.

        Raises:
            OSError: It is gone.
        """
        from fcntl import ioctl
        from termios import FIONREAD

        with self._open() as connection:
            (received,) = _RECEIVED.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.size))
            return int(received) - int.from_bytes(ioctl(connection.fileno(), FIONREAD, bytes(4)), sys.byteorder)

    def cut(self) -> None:
        """End it, whatever is unread on either side."""
        with suppress(OSError), self._open() as connection:
            connection.shutdown(socket.SHUT_RDWR)


def find(peers: Collection[Peer]) -> dict[Peer, Connection]:
    """The connections of these peers, as far as they are there."""
    found: dict[Peer, Connection] = {}
    if not peers or sys.platform != "linux":
        return found
    wanted = {(canonical(peer[0]), int(peer[1])): peer for peer in peers}
    for entry in os.listdir(_FD):  # noqa: PTH208 - there may be thousands
        with suppress(OSError):
            inode = os.stat(f"{_FD}/{entry}").st_ino  # noqa: PTH116
            with Connection(int(entry), inode)._open() as connection:
                name = connection.getpeername()
            if isinstance(name, tuple) and (peer := wanted.get((canonical(name[0]), name[1]))):
                found[peer] = Connection(int(entry), inode)
    return found
