"""How servers meet slow, endless and ambiguous clients, by bytes on real sockets. A bound that takes a server longer
than `PATIENCE` counts as none. How long an answer took does not matter here, so all are asked at once.
"""

import re
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from .bench import Bench, Section
from .contenders import TIMED, Contender, bare, hardened, on_servers
from .load import USER
from .processes import HOST

PATIENCE = 40.0
MEGABYTE = "a" * 1_000_000
HOST_LINE = f"Host: {HOST}\r\n"
NEW_USER = f"POST /users HTTP/1.1\r\n{HOST_LINE}Content-Type: application/json\r\n"
CHUNKED = f"{NEW_USER}Transfer-Encoding: chunked\r\n"
SECOND = f"GET /ping HTTP/1.1\r\n{HOST_LINE}\r\n"
CHUNKS = f"{len(USER):x}\r\n{USER}\r\n0\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


@dataclass(frozen=True)
class Target:
    """A server on loopback, the file that it logs to, and for how many seconds it is waited for."""

    port: int
    log: Path
    patience: float = PATIENCE

    def say(self, *parts: str, drip: str = "", pause: float = 2.0) -> tuple[bytes, float | None]:
        """Send text on a connection of its own, and read.

        Args:
            *parts: Sent at once.
            drip: Sent each second after them.
            pause: Seconds without a byte that end an answer; with 0 it is read until the connection is closed.

        Returns:
            What came, and the seconds until the connection was closed; `None` if it was not.
        """
        received, began = b"", time.monotonic()
        with socket.create_connection(("127.0.0.1", self.port), timeout=self.patience) as connection:
            try:
                for each in parts:
                    connection.sendall(each.encode("latin-1"))
                while (left := began + self.patience - time.monotonic()) > 0:
                    connection.settimeout(min(left, pause if pause and received else 1.0 if drip else left))
                    try:
                        part = connection.recv(65536)
                    except TimeoutError:
                        if pause and received:
                            break
                        connection.sendall(drip.encode())
                        continue
                    if not part:
                        return received, time.monotonic() - began
                    received += part
            except ConnectionError:  # it was closed while we were sending
                with suppress(OSError):
                    received += connection.recv(65536)
                return received, time.monotonic() - began
        return received, None


def _answers(*parts: str) -> Callable[[Target], str]:
    """The status of each answer; more than one, and a request was smuggled."""

    def ask(target: Target) -> str:
        received, seconds = target.say(*(part.replace("{MB}", MEGABYTE) for part in parts))
        statuses = [status.decode() for status in _STATUS.findall(received)]
        return ", ".join(statuses) or ("no answer" if seconds is None else "closed")

    return ask


def _closed(*parts: str, drip: str = "") -> Callable[[Target], str]:
    """After how long it gives up on a client, and with which answer."""

    def ask(target: Target) -> str:
        received, seconds = target.say(*parts, drip=drip, pause=0)
        if seconds is None:
            return f"open after {target.patience:g} s"
        status = _STATUS.search(received)
        return f"{status[1].decode() if status else 'closed'} after {seconds:.0f} s"

    return ask


def _client(target: Target) -> str:
    received, _ = target.say(f"GET /client HTTP/1.1\r\n{HOST_LINE}X-Forwarded-For: 198.51.100.7\r\n\r\n")
    return "believed" if b"198.51.100.7" in received else "ignored" if b"127.0.0.1" in received else "no answer"


def _name(target: Target) -> str:
    received, _ = target.say(SECOND)
    found = re.search(rb"(?im)^server: *(.*?)\r$", received)
    return (found[1].decode("latin-1") or "empty") if found else "none"


def _log(target: Target) -> str:
    target.say(f"GET /forged%0aline%1b[2J HTTP/1.1\r\n{HOST_LINE}\r\n")
    time.sleep(min(1.0, target.patience))
    written = target.log.read_bytes()
    if b"forged" not in written:
        return "no line"
    return "raw" if b"\x1b[2J" in written or re.search(rb"(?m)^line", written) else "escaped"


ROWS: dict[str, tuple[Callable[[Target], str], str]] = {
    # what is asked, and a pattern of what is right
    "one header of 60 MB": (_answers(f"GET /ping HTTP/1.1\r\n{HOST_LINE}X-A: ", *["{MB}"] * 60, "\r\n\r\n"), "4|c"),
    "half a header, then silence": (_closed(f"GET /ping HTTP/1.1\r\n{HOST_LINE}X-A: "), "4|c"),
    "connect, send nothing": (_closed(), "4|c"),
    "a body that stalls": (_closed(f"{NEW_USER}Content-Length: 48\r\n\r\n", '{"na'), "4|c"),
    "a body that drips": (_closed(f"{CHUNKED}\r\n", drip="1\r\n \r\n"), "4|c"),
    "Content-Length and Transfer-Encoding": (
        _answers(f"{CHUNKED}Content-Length: 4\r\n\r\n", CHUNKS + SECOND),
        "...$|c",
    ),
    "bare LF lines": (_answers(SECOND.replace("\r", "")), "[24]..$|c"),  # RFC 9112, section 2.2: may be taken
    "bad chunk size": (_answers(f"{CHUNKED}\r\nzz\r\n{USER}\r\n0\r\n\r\n"), "4|c"),
    "chunk extension of 1 MB": (_answers(f"{CHUNKED}\r\n", CHUNKS.replace("\r\n", ";a={MB}\r\n", 1)), "4|c"),
    "no Host": (_answers(SECOND.replace(HOST_LINE, "")), "4|c"),
    "two Hosts": (_answers(SECOND.replace(HOST_LINE, f"{HOST_LINE}Host: evil.example\r\n")), "4|c"),
    "X-Forwarded-For from loopback": (_client, "ignored"),
    "name in `Server`": (_name, "none|empty"),
    "log of a path with %0a and %1b": (_log, "escaped|no line"),
}


def asked(targets: Mapping[str, Target]) -> dict[str, dict[str, str]]:
    """Every row's answer of every target; one that is not right is bold."""
    with ThreadPoolExecutor(len(ROWS) * len(targets)) as pool:
        told = {
            (row, name): pool.submit(ask, target) for name, target in targets.items() for row, (ask, _) in ROWS.items()
        }
        return {
            row: {name: _judged(told[row, name].result(), right) for name in targets}
            for row, (_, right) in ROWS.items()
        }


def _judged(text: str, right: str) -> str:
    return text if re.match(right, text) else f"**{text}**"


def safety(bench: Bench) -> Section:
    """What each server does with clients that mean no good, bare FastAPI on it; and the hardened service."""
    ours = hardened(bench.service)
    subjects: list[Contender] = [
        *(each for each in on_servers(bench.python_peers, bench.service, logged=True) if each.name.startswith("bare")),
        replace(bare(bench.service), name="bare, as `serve` starts it"),
        ours,
    ]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        targets = {}
        for number, each in enumerate(subjects):
            process = replace(each.process(TIMED), log=folder / str(number))
            stack.enter_context(process).wait()
            targets[each.name] = Target(process.port, folder / str(number), 3.0 if bench.quick else PATIENCE)
        return {"rows": asked(targets), "how": f"a bound over {PATIENCE:g} s counts as none"}
