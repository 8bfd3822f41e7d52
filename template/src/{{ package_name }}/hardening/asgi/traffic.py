# Owned by the template: an update rewrites this file.
"""What the kernel knows of a connection, and the server does not tell: what came and went, and how much of it was read.
Linux only (`TCP_INFO`, tcp(7)); elsewhere nothing is found.
"""

import os
import socket
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from ..core.log_writer import unread
from ..core.peers import canonical
from .deadlines import Peer

FD = "/proc/self/fd"
_INFO = struct.Struct("=B43xI4xI72xQ20xI")  # state, last_data_sent, last_data_recv, bytes_received, data_segs_out
_CLOSED = 7  # TCP_CLOSE


class Traffic(NamedTuple):
    """What came and went on a connection."""

    idle: int
    """Milliseconds since anything was sent or received."""
    received: int
    """Bytes."""
    answers: int
    """Segments with data that were sent."""

    @classmethod
    def of(cls, connection: socket.socket) -> "Traffic":
        """Ask the kernel.

        Raises:
            OSError: The client has reset the connection, or this kernel does not tell.
        """
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        if len(info) < _INFO.size or info[0] == _CLOSED:
            raise OSError("nothing is known of the connection")
        _, last_sent, last_received, received, answers = _INFO.unpack(info)
        return cls(min(last_sent, last_received), received, answers)


@contextmanager
def opened(descriptor: int, inode: int | None = None) -> Iterator[socket.socket]:
    """A socket under a descriptor of its own: the server may close its one, and use the number again, meanwhile.

    Raises:
        OSError: There is no such socket, or another one has its descriptor.
    """
    copy = os.dup(descriptor)
    try:
        if inode is not None and os.fstat(copy).st_ino != inode:
            raise OSError("the connection is gone")
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, copy)
    except OSError:
        os.close(copy)
        raise
    with connection:
        yield connection


class Connection(NamedTuple):
    """One of the server's."""

    descriptor: int
    inode: int

    def read(self) -> int:
        """How many bytes the server has read.

        Raises:
            OSError: It is gone.
        """
        with opened(*self) as connection:
            return Traffic.of(connection).received - unread(connection.fileno())

    def waiting(self) -> int:
        """How many bytes have come that the server has not read; none if it is gone."""
        try:
            return unread(self.descriptor) if os.fstat(self.descriptor).st_ino == self.inode else 0
        except OSError:
            return 0


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
        for entry in os.listdir(FD):  # noqa: PTH208 - there may be thousands
            with suppress(OSError):
                inode = os.stat(f"{FD}/{entry}").st_ino  # noqa: PTH116
                peer = seen[inode] if inode in seen else _peer(Connection(int(entry), inode))
                self._seen[inode] = peer
                if peer in wanted:
                    found[wanted[peer]] = Connection(int(entry), inode)
        return found


def _peer(connection: Connection) -> Peer | None:
    """The other end of a connection; `None` if it is none."""
    try:
        with opened(*connection) as socket:
            name = socket.getpeername()
    except OSError:
        return None
    return (canonical(name[0]), name[1]) if isinstance(name, tuple) else None
