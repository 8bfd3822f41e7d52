# Owned by the template: an update rewrites this file.
"""Where `serve` listens: what the command line says, else `APP_HOST` and `APP_PORT`, else a platform's `PORT`.

None of them is a setting: they belong to one start of the server, not to the service.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from ..settings import PREFIX

HOST, PORT, PLATFORM_PORT = f"{PREFIX}HOST", f"{PREFIX}PORT", "PORT"


def port_number(text: str) -> int:
    """Read a port.

    Raises:
        ValueError: It is not a number from 1 to 65535.
    """
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ValueError(f"{text} is not a port; say a number from 1 to 65535")
    return int(text)


@dataclass(frozen=True)
class Address:
    """A host and a port, or a Unix socket, and where each of them was said."""

    host: str = "127.0.0.1"
    port: int = 8000
    uds: Path | None = None
    host_from: str = "default"
    port_from: str = "default"

    @classmethod
    def of(cls, host: str | None, port: int | None, uds: Path | None) -> "Address":
        """The address of this start.

        Args:
            host: What the command line says; `PORT` alone opens no other address than the default.
            port: What the command line says.
            uds: Path of a Unix socket, instead of both.

        Raises:
            ValueError: `PORT` is no port. An `APP_PORT` that is none is passed over: Kubernetes sets it to
                `tcp://...` for a Service called `app`.
        """
        address = cls(uds=uds)
        if uds is not None:
            return replace(address, host_from="--uds", port_from="--uds")
        if named := host or os.environ.get(HOST):
            address = replace(address, host=named, host_from="--host" if host else HOST)
        if port is not None:
            return replace(address, port=port, port_from="--port")
        for name in (PORT, PLATFORM_PORT):
            try:
                if text := os.environ.get(name):
                    return replace(address, port=port_number(text), port_from=name)
            except ValueError as error:
                if name == PLATFORM_PORT:
                    raise ValueError(f"{name}: {error}") from None
        return address

    @property
    def source(self) -> str:
        """Where host and port were said, for the log."""
        return self.host_from if self.host_from == self.port_from else f"{self.host_from}, {self.port_from}"

    def __str__(self) -> str:
        if self.uds is not None:
            return f"unix:{self.uds}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
