# Owned by the template: an update rewrites this file.
"""Where `serve` listens: what the command line says, else `APP_HOST` and `APP_PORT`, else a platform's `PORT`; and under
which path a proxy shows it (`APP_ROOT_PATH`).

None of them is a setting: they belong to one start of the server, not to the service.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from ..settings import PREFIX

HOST, PORT, ROOT_PATH, PLATFORM_PORT = f"{PREFIX}HOST", f"{PREFIX}PORT", f"{PREFIX}ROOT_PATH", "PORT"


def port_number(text: str) -> int:
    """Read a port.

    Raises:
        ValueError: It is not a number from 1 to 65535.
    """
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise ValueError(f"{text} is not a port; say a number from 1 to 65535")
    return int(text)


def root_path(text: str) -> str:
    """Read the path in front of every path of the service, as ASGI's `root_path` has it: no `/` at its end.

    Raises:
        ValueError: It is no path.
    """
    path = f"/{text.strip('/')}".rstrip("/")
    if not re.fullmatch(r"(/[^/?#%\s]+)*", path):
        raise ValueError(f"{text} is not a path in front of the service; say one such as /api")
    return path


@dataclass(frozen=True)
class Address:
    """A host and a port, or a Unix socket, and where each of them was said; the path in front, `""` if there is none."""

    host: str = "127.0.0.1"
    port: int = 8000
    uds: Path | None = None
    host_from: str = "default"
    port_from: str = "default"
    root_path: str = ""

    @classmethod
    def of(cls, host: str | None, port: int | None, uds: Path | None, prefix: str | None = None) -> "Address":
        """The address of this start.

        Args:
            host: What the command line says; `PORT` alone opens no other address than the default.
            port: What the command line says.
            uds: Path of a Unix socket, instead of both.
            prefix: The path under which a proxy shows the service, as the command line says; else `APP_ROOT_PATH`.

        Raises:
            ValueError: `PORT` is no port, or the prefix no path. An `APP_PORT` that is none is passed over: Kubernetes
                sets it to `tcp://...` for a Service called `app`.
        """
        address = cls(uds=uds, root_path=root_path(os.environ.get(ROOT_PATH, "") if prefix is None else prefix))
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
