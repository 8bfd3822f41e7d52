# Owned by the template: an update rewrites this file.
"""Starts Granian with bounds: on headers, on the time to send them, on stopping. HTTP/1 only, no name, no access log
of its own. What the server has no bound for (bodies, requests at work) the perimeter bounds. The event loop is uvloop
where it is installed, by Granian's own choice, and else that of asyncio.
"""

import multiprocessing
import os
import socket
import sys
from contextlib import suppress
from hashlib import sha256
from math import ceil
from pathlib import Path

# Granian's allocator reads this once, as it is loaded: what is free goes back, or a worker keeps the peak of every kind.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from .asgi import connections as kept
from .asgi.other_servers import SERVED_BY
from .core.framework import SERVER_LOGGERS, stop_at_hangup
from .core.log import Log, log
from .settings import HardeningSettings
from .signals import die_while_starting, keep_ignored_signals
from .startup.address import Address

MAX_HEADER_BYTES = 65_536
MAX_DESCRIPTORS = 65_535
LAST_SECONDS = 5
"""For a worker to end in, after what was still at work was cut at `APP_REQUEST_TIMEOUT`."""
MAX_CONNECTIONS = 4_096
"""Of one worker: each takes 18 kB, and while its header comes as much as that may have."""


def connections() -> int:
    """As many as fit into the memory and the process may open, a margin left for files; that limit is raised."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(64, min(wanted - 128, MAX_CONNECTIONS))


_held: list[socket.socket] = []


def _let_go() -> None:
    while _held:
        _held.pop().close()


def why_cannot_listen(address: Address) -> str:
    """Why the address cannot be listened on, or nothing; then no other `serve` may until this one is told to stop.

    Granian would share a port with another service in silence, and take the path of a Unix socket away from one.
    """
    try:
        if address.uds is not None:
            why, path = _why_cannot_bind(address.uds), address.uds.resolve()
            folder = path.parent.stat()  # containers of one pod share the names of such sockets, and no files
            place = f"{folder.st_dev} {folder.st_ino} {path.name}"
        else:
            family, _, _, _, bound = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(bound)
            why, place = "", repr(bound)
        if not why and sys.platform == "linux":  # its workers listen later: until then only this tells another start
            _held.append(socket.socket(socket.AF_UNIX))
            with suppress(PermissionError):  # a profile of AppArmor, as that of a snap, may allow no such name
                _held[-1].bind(f"\0serve {sha256(place.encode()).hexdigest()}")
    except OSError as error:
        return error.strerror or str(error)
    return why


def _why_cannot_bind(path: Path) -> str:
    """Why a Unix socket cannot stand at the path; one that a service left behind when it was killed is removed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if path.exists():
            if not path.is_socket():
                return "a file that is not a socket is there"
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                return "another service listens there"
        probe.bind(str(path))
    path.unlink()
    return ""


def idle_timeout(settings: HardeningSettings, address: Address, most: int) -> float:
    """Granian's one time-out, in seconds, for headers and idle connections: `asgi/connections.py` keeps what is shorter.

    On a Unix socket it is the proxy's to bound what arrives: nobody else may connect.
    """
    if address.uds is not None:
        return max(settings.header_timeout, settings.keepalive_timeout)
    if not kept.can_look():
        hint = "This system does not tell enough of a connection: idle ones end after APP_HEADER_TIMEOUT."
        log("warning", "keepalive_short", hint=hint)
        return settings.header_timeout
    kept.served = (address.port, most)
    return max(settings.header_timeout, settings.keepalive_timeout)


def serve(
    target: str, settings: HardeningSettings, address: Address, workers: int, reload: bool, websockets: bool = True
) -> None:
    """Serve until SIGTERM, SIGINT, SIGHUP or SIGQUIT, then answer what was accepted, within the request time-out.

    What of these but SIGTERM was ignored at the start stays ignored.

    Args:
        target: `module:factory` of the application.
        settings: Bounds are taken from here.
        address: Where to listen; a Unix socket is open to the service's user and group.
        workers: Processes.
        reload: Start again when a file of the package changes.
        websockets: Whether there may be one; else a broken handshake is a request like any other, and none of Granian's.
    """
    os.environ[SERVED_BY] = str(os.getpid())
    keep_ignored_signals()
    die_while_starting()
    if reload:
        # A fork would go on with the modules that this process has imported, and never see what was edited.
        multiprocessing.set_start_method("spawn", force=True)
    elif sys.platform == "linux":
        # A worker that shares what this process has imported is up at once. Python 3.14 would have it import again.
        multiprocessing.set_start_method("fork", force=True)
        os.register_at_fork(after_in_child=_let_go)  # a worker may outlive this process, and no longer listen
    most = connections()
    seconds = settings.header_timeout if reload else idle_timeout(settings, address, most)
    config = Log.dictconfig(settings.log_level)
    config["loggers"] = {name: {"level": level} for name, level in SERVER_LOGGERS.items()}
    server = Granian(
        target,
        address=str(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0][4][0]),
        port=address.port,
        uds=address.uds,
        uds_permissions=0o660,
        url_path_prefix=address.root_path or None,
        interface=Interfaces.ASGI,
        workers=workers,
        http=HTTPModes.http1,
        websockets=websockets or reload,
        http1_settings=HTTP1Settings(header_read_timeout=ceil(seconds * 1000), max_buffer_size=MAX_HEADER_BYTES),
        backpressure=most,
        backlog=2048,
        workers_kill_timeout=ceil(settings.request_timeout) + LAST_SECONDS,
        respawn_failed_workers=True,
        log_level=LogLevels.warning,
        log_dictconfig=config,
        factory=True,
        reload=reload,
        reload_paths=[Path(__file__).parent.parent],  # not the folder that a database may stand in
        reload_ignore_worker_failure=reload,
    )
    # Who starts while this one still answers may have the port, but not the path: Granian removes that as it ends.
    stop_at_hangup(server, _let_go if address.uds is None else lambda: None)
    server.serve()
