# Owned by the template: an update rewrites this file.
"""Requests byte by byte, as no honest client would send them, and what comes back."""

import http.client
import socket
import time
from collections.abc import Iterable
from contextlib import suppress

from .answer import HOST, Answer

TIMEOUT = 5.0
BODY_TIMEOUT = 1.0
MOST = 262_144
Pairs = Iterable[tuple[str, str]]
HANDSHAKE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dmVyaWZ5IHZlcmlmeSB2ZQ=="),
]
"""The headers that ask for a WebSocket."""


def raw(method: str, target: str, headers: Pairs = (), body: bytes | None = None) -> bytes:
    """A request as bytes. `host` and `connection` are added unless given; the value `no` leaves a header out."""
    pairs = list(headers)
    names = {name.lower() for name, _ in pairs}
    if "connection" not in names:
        pairs.insert(0, ("Connection", "close"))
    if "host" not in names:
        pairs.insert(0, ("Host", HOST))
    if body is not None:
        if "content-type" not in names:
            pairs.append(("Content-Type", "application/json"))
        if not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs if value != "no"), "", ""]
    return "\r\n".join(lines).encode("latin-1") + (body or b"")


def connect(port: int, timeout: float = TIMEOUT) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def send(port: int, data: bytes, timeout: float = TIMEOUT) -> Answer:
    """Send bytes on a connection of their own and read one response; status 0 if there was none."""
    with connect(port, timeout) as connection:
        with suppress(ConnectionError):  # refused before it was all sent; the answer may be there nevertheless
            connection.sendall(data)
        return receive(connection, data[:8].partition(b" ")[0].decode("latin-1"))


def receive(connection: socket.socket, method: str = "GET") -> Answer:
    """Read one response, of a body that never ends only the beginning; status 0 if the connection was closed.

    Raises:
        TimeoutError: Its head did not come in time.
    """
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
    except (http.client.BadStatusLine, ConnectionError):
        return Answer()
    body = b""
    end = time.monotonic() + BODY_TIMEOUT
    try:
        while len(body) < MOST and (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            if not (part := response.read1(65_536)):
                break
            body += part
    except (TimeoutError, http.client.HTTPException, ConnectionError):
        pass  # a stream, or an answer that was cut: its head and what came of it are what counts
    return Answer(response.status, response.getheaders(), body)


def until_closed(connection: socket.socket) -> bytes:
    """Everything that comes until the server closes the connection.

    Raises:
        TimeoutError: It stays open.
    """
    parts: list[bytes] = []
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)
