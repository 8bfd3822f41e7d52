# Owned by the template: an update rewrites this file.
"""A server other than `serve`: which one it is, what it leaves unbounded, and whether several of its workers each count.

The perimeter works under any of them. What a server does before it has a request, or does to it, is the server's.
"""

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from ..core.findings import Finding
from ..settings import HardeningSettings

SERVED_BY = "HARDENING_SERVE_PID"
"""The variable in which `serve` names its process to the workers that it starts."""
NOT_BOUNDED = (
    "the time for a header, silent and idle connections, their number, what is read after an early answer, the name in "
    "`Server`, and who may set the client's address by X-Forwarded-For"
)
"""What holds under `serve` alone."""
LEFT_TO_PROXY = (
    "how many connections one address may have, and the headers of what the server answers itself: to a header that is "
    "none or too large, and to a broken WebSocket handshake, where it says its name"
)
"""What no server here bounds: HARDENING.md, Stand behind a proxy, has the lines."""

_KNOWN = re.compile(r"[\\/](uvicorn|hypercorn|granian|gunicorn|daphne)[\\/]")
_locks: dict[Path, int] = {}  # held for as long as the process lives, and which process holds them


def other_server() -> str:
    """The server that runs the task at work; empty if that is `serve`, a test client or one that is not known."""
    task = asyncio.current_task()
    code = getattr(task.get_coro(), "cr_code", None) if task else None
    found = _KNOWN.search(code.co_filename) if code else None
    return "" if found is None or os.environ.get(SERVED_BY) == str(os.getppid()) else found[1]


def server_findings(settings: HardeningSettings) -> Iterator[Finding]:
    """What the server that runs this does not do. To be asked where it serves, once in a process."""
    if not (name := other_server()):
        return
    yield Finding(
        "server.W001",
        f"{name} serves this, and not `serve`: nothing here bounds {NOT_BOUNDED}.",
        f"Start it with `serve`, or bound them in {name} and in the proxy in front; see HARDENING.md, Server.",
    )
    if settings.is_production and settings.store_url.startswith("memory:") and not _is_first(settings):
        yield Finding(
            "store.W003",
            f"{name} has several workers, and with APP_STORE_URL=memory:// each of them grants the whole quota.",
            "Set APP_STORE_URL to a Redis that they share, or run one worker.",
        )


def _is_first(settings: HardeningSettings) -> bool:
    """Whether no other process of the same parent serves the same: each holds a lock that ends with it."""
    if sys.platform == "win32":
        return True
    import fcntl

    what = f"{os.getuid()} {os.getppid()} {__file__} {settings.model_dump_json()}"
    path = Path(tempfile.gettempdir(), f"hardening-{sha256(what.encode()).hexdigest()[:32]}.lock")
    if _locks.get(path) == os.getpid():
        return True
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # nowhere to write to: then nobody can tell
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _locks[path] = os.getpid()
    return True
