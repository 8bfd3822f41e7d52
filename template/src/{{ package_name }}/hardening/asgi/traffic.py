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
_RECEIVED = struct.Struct("=B127xQ")  # state, bytes_received
_CLOSED = 7  # TCP_CLOSE


class Connection(NamedTuple):
    """One of the server's."""

    descriptor: int
    inode: int

    def opened(self) -> socket.socket:
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
        with self.opened() as connection:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.size)
            state, received = _RECEIVED.unpack(info)
            if state == _CLOSED:
                raise OSError("the client has reset it")
            return int(received) - _unread(connection.fileno())

    def waiting(self) -> int:
        """How many bytes have come that the server has not read; none if it is gone."""
        try:
            return _unread(self.descriptor) if os.fstat(self.descriptor).st_ino == self.inode else 0
        except OSError:
            return 0

    def cut(self) -> None:
        """End it, whatever is unread on either side."""
        with suppress(OSError), self.opened() as connection:
            connection.shutdown(socket.SHUT_RDWR)


class Connections:
    """Finds connections by their peers; what it has seen once it need not ask the kernel again."""

    def __init__(self) -> None:
        self._seen: dict[int, Peer | None] = {}

    def find(self, peers: Collection[Peer]) -> dict[Peer, Connection]:
        """The connections of these peers, as far as they are there."""
        found: dict[Peer, Connection] = {}
        if not peers or sys.platform != "linux":
            return found
        wanted = {(canonical(peer[0]), int(peer[1])): peer for peer in peers}
        seen, self._seen = self._seen, {}
        for entry in os.listdir(_FD):  # noqa: PTH208 - there may be thousands
            with suppress(OSError):
                inode = os.stat(f"{_FD}/{entry}").st_ino  # noqa: PTH116
                peer = seen[inode] if inode in seen else _peer(Connection(int(entry), inode))
                self._seen[inode] = peer
                if peer in wanted:
                    found[wanted[peer]] = Connection(int(entry), inode)
        return found


def _peer(connection: Connection) -> Peer | None:
    """The other end of a connection; `None` if it is none."""
    try:
        with connection.opened() as opened:
            name = opened.getpeername()
    except OSError:
        return None
    return (canonical(name[0]), name[1]) if isinstance(name, tuple) else None


def _unread(descriptor: int) -> int:
    from fcntl import ioctl
    from termios import FIONREAD

    return int.from_bytes(ioctl(descriptor, FIONREAD, bytes(4)), sys.byteorder)
