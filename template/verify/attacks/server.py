# Owned by the template: an update rewrites this file.
"""Server: clients that are slow, silent or many, messages that two parsers cut differently, and a start without settings."""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

from ..common.answer import HOST
from ..common.raw_http import HANDSHAKE, connect, raw, receive, send, until_closed
from ..harness.arena import AGAIN, Arena, Attacks, Seen, expect, statuses
from ..harness.service import OWN, PROBE, PROBE_MODULE, Service
from ..result import UnverifiedError
from ..runner import processes

attacks = Attacks("HARDENING.md, Server: `hardening/server.py` sets its bounds, the perimeter the rest.")
last = Attacks(attacks.remedy)
"""Made when all other attacks are over: they use the service up, or end it."""
SLACK = 4.0
HEAD = f"POST /raw HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
HALF_A_HEADER = f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ".encode()
HALF_A_BODY = f"{HEAD}Content-Length: 100000\r\n\r\n[".encode()
UNREAD = raw("GET", "/large/stream")
WHOLE = 300 * 65_536
INNER = f"GET /whoami HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
FRAMINGS = {
    "both, the chunked one empty": f"{HEAD}Content-Length: {len(INNER) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}",
    "both, the length short": f"{HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}",
    "two lengths": f"{HEAD}Content-Length: 2\r\nContent-Length: {len(INNER) + 2}\r\n\r\n[]{INNER}",
    "a coding that is no coding": f"{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{INNER}",
    "chunked twice": f"{HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n{INNER}",
    "chunked, not last": f"{HEAD}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{INNER}",
    "a length with a sign": f"{HEAD}Content-Length: +2\r\n\r\n[]{INNER}",
    "a space before the colon": f"{HEAD}Content-Length : 2\r\n\r\n[]{INNER}",
    "a bad chunk size": f"{HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n{INNER}",
    "a negative chunk size": f"{HEAD}Transfer-Encoding: chunked\r\n\r\n-1\r\n{INNER}",
}


def _each(ask: Callable[[str, bytes], tuple[str, str]], messages: dict[str, bytes]) -> Seen:
    """Send all of them at once; `ask` says what was seen of one, and the fault if there is one."""
    with ThreadPoolExecutor(len(messages)) as pool:
        results = list(pool.map(ask, messages, messages.values()))
    return Seen("; ".join(seen for seen, _ in results), [fault for _, fault in results if fault])


@attacks("server.slow", "connections that say nothing, or only half, are closed in time")
def slow(arena: Arena) -> Seen:
    def wait(name: str, data: bytes) -> tuple[str, str]:
        began = time.monotonic()
        with connect(arena.probe_service.port, 1 + SLACK) as connection:
            connection.sendall(data)
            if data is UNREAD:
                time.sleep(2)
                size = len(until_closed(connection))
                return f"{name}: cut", f"{name}: all of it is there after 2 s" if size >= WHOLE else ""
            try:
                status = receive(connection, "POST").status
            except TimeoutError:
                return name, f"{name}: still waited for after {1 + SLACK:g} s"
        took = time.monotonic() - began
        fault = f"{name}: answered {status}" if 200 <= status < 400 else ""
        return f"{name}: {status or 'closed'} after {took:.1f} s", fault

    silences = {
        "nothing": b"",
        "half a header": HALF_A_HEADER,
        "half a body": HALF_A_BODY,
        "a route that hangs": raw("GET", "/slow"),
    }
    if sys.platform == "linux":  # elsewhere the proxy cuts it
        silences["a stream that nobody reads"] = UNREAD
    return _each(wait, silences)


@attacks("server.dripping", "a header or a body that comes byte by byte is cut off", thorough=True)
def dripping(arena: Arena) -> Seen:
    def drip(name: str, data: bytes) -> tuple[str, str]:
        began = time.monotonic()
        with connect(arena.probe_service.port, 0.1) as connection:
            connection.sendall(data)
            while time.monotonic() < began + 1 + SLACK:
                try:
                    connection.sendall(b"1")
                    if not connection.recv(4096):
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            else:
                return name, f"{name}: still open after {1 + SLACK:g} s"
        return f"{name}: ended after {time.monotonic() - began:.1f} s", ""

    return _each(drip, {"a header": HALF_A_HEADER, "a body": HALF_A_BODY})


@attacks("server.framing", "no message can be cut in two ways (request smuggling)")
def framings(arena: Arena) -> Seen:
    seen, faults = [], []
    for name, data in FRAMINGS.items():
        try:
            with connect(arena.probe_service.port, 1 + SLACK) as connection:
                connection.sendall(data.encode())
                said = until_closed(connection)
        except TimeoutError:
            faults.append(f"{name}: the connection stays open")
            continue
        answers = said.count(b"HTTP/1.1 ")
        seen.append(said[9:12].decode("latin-1") or "closed")
        if answers > 1 or b"forwarded" in said:
            faults.append(f"{name}: {answers} answers to one message")
        elif said[9:10] == b"5":
            faults.append(f"{name}: {seen[-1]}")
    return Seen(
        f"{len(FRAMINGS)} messages: {', '.join(sorted(set(seen)))}, each at most one answer, then closed", faults
    )


def _early(port: int, target: str, media_type: str, status: int, size: int) -> str:
    """The fault if an answer that need not wait for the body is lost while the body comes in pieces, or what follows."""
    head = f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {media_type}\r\nContent-Length: {size}\r\n\r\n"
    with connect(port, 1.0 + SLACK) as connection:
        try:
            connection.sendall(head.encode() + b"a" * 20_000)
            time.sleep(0.05)
            for at in range(20_000, size, 20_000):
                connection.sendall(b"a" * min(20_000, size - at))
                time.sleep(0.002)
            answer = receive(connection, "POST")
            if answer.status != status:
                return f"{target}: {answer.status or 'no answer'} instead of {status}"
            if "close" in answer.all("connection"):
                return ""
            connection.sendall(raw("GET", "/ok"))
            after = receive(connection).status
        except OSError as error:
            return f"{target}: {error} while {size} bytes were sent"
    return "" if after == 200 else f"{target}: the next request is answered {after or 'nothing'}"


@attacks("server.early-answers", "a refusal arrives though the body has not, and the connection goes on")
def early_answers(arena: Arena) -> Seen:
    json, text = "application/json", "text/plain"
    early = [("/nowhere", json, 404), ("/ok", json, 405), ("/items", text, 415), ("/unread/500", json, 500)]
    cases = [(*case, size) for case in early for size in (40_000, 400_000)]
    with ThreadPoolExecutor(len(cases)) as pool:
        faults = list(pool.map(lambda case: _early(arena.probe_service.port, *case), cases))
    return Seen(f"{len(cases)} bodies in pieces: 404, 405, 415, 500, then 200", [fault for fault in faults if fault])


@attacks("server.headers", "headers do not use up the memory")
def header_bombs(arena: Arena) -> Seen:
    bombs = {
        "one of 200 kB": raw("GET", "/ok", [("X-Bomb", "x" * 200_000)]),
        "5,000 of them": raw("GET", "/ok", [(f"X-{number}", "x") for number in range(5000)]),
        "a path of 20 kB": raw("GET", f"/named/{'x' * 20_000}"),
    }
    return expect({name: send(arena.probe_service.port, data) for name, data in bombs.items()}, 0, 400, 414, 431)


@attacks("server.header-flood", "a header of 60 MB does not use up the memory", thorough=True)
def header_flood(arena: Arena) -> Seen:
    with connect(arena.probe_service.port, 10) as connection:
        sent = 0
        try:
            connection.sendall(f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\nX-Bomb: ".encode())
            while sent < 60_000_000:
                connection.sendall(b"x" * 1_000_000)
                sent += 1_000_000
            connection.sendall(b"\r\n\r\n")
        except OSError:
            return Seen(f"cut off after {sent // 1_000_000} MB", [])
        status = receive(connection).status
    return Seen("431", [] if status in (0, 400, 431) else [f"60 MB were taken, and answered {status}"])


@attacks("server.idle", "idle connections keep nobody out")
def idle(arena: Arena) -> Seen:
    wanted = 500 if arena.thorough else 60
    with ExitStack() as stack:
        for _ in range(wanted):
            stack.enter_context(connect(arena.probe_service.port))
        began = time.monotonic()
        status = arena.probe("GET", "/ok").status
        took = time.monotonic() - began
    faults = (
        [] if status == 200 else [f"with {wanted} idle connections an honest request is answered {status or 'nothing'}"]
    )
    faults += [f"with {wanted} idle connections an honest request takes {took:.1f} s"] if took > 2 else []
    return Seen(f"with {wanted} of them an honest request is answered {status} in {took * 1000:.0f} ms", faults)


@attacks("server.defaults", "the service does not start with nothing set", thorough=True)
def defaults(arena: Arena) -> Seen:
    real = arena.real_service
    theirs = {name: value for name, value in real.variables.items() if name not in OWN}  # what their code asks for
    with Service("defaults", real.module, real.log.parent, theirs) as service:
        end = time.monotonic() + 20
        while service.process.poll() is None and not service.ready and time.monotonic() < end:
            time.sleep(0.02)
        code = service.process.poll()
        if code is not None:
            named = [word.rstrip(":") for word in service.last_lines.split() if word.endswith(":") and ".E" in word]
            fault = [] if code == 1 and named else [f"it ended with exit code {code}: {service.last_lines}"]
            return Seen(f"it refuses to start: {', '.join(named)}", fault)
        if not service.ready:
            said = f"it neither started nor refused to; its last lines:\n{service.last_lines}"
            raise UnverifiedError(said, AGAIN)
        # Its own settings.py says what production needs, so it may start; then it must be in production.
        answers = {
            "another host": service.ask("GET", "/", [("Host", "evil.example")]),
            "the documentation": service.ask("GET", "/openapi.json"),
        }
    faults = [f"{name} is answered {answer.status}" for name, answer in answers.items() if answer.status < 400]
    return Seen(f"it starts, since its settings.py says what it needs; {statuses(answers.values())}", faults)


@last("server.overload", "requests that take long, and sockets, keep nobody out")
def overload(arena: Arena) -> Seen:
    with ExitStack() as stack:
        sockets = [stack.enter_context(connect(arena.probe_service.port)) for _ in range(12)]
        for each in sockets:
            each.sendall(raw("GET", "/ws", HANDSHAKE))
        opened = sum(each.recv(12).endswith(b"101") for each in sockets)
    with ThreadPoolExecutor(28) as pool:
        answers = list(pool.map(lambda _: arena.probe("GET", "/sleep/800"), range(28)))
    served = sum(answer.status == 200 for answer in answers)
    refused = sum(answer.status in (429, 503) and "retry-after" in answer for answer in answers)
    after = arena.probe("GET", "/ok").status
    faults = [] if refused and served <= 16 else [f"28 at once: {statuses(answers)}, where 16 are one client's share"]
    faults += [] if 0 < opened <= 8 else [f"{opened} of 12 WebSockets were opened, where 8 are one client's share"]
    faults += [] if after == 200 else [f"afterwards an honest request is answered {after}"]
    return Seen(f"28 at once: {statuses(answers)} with Retry-After; 8 of 12 WebSockets; then 200 again", faults)


@last("server.shutdown", "a stop cuts no request off and ends in time")
def stops(arena: Arena) -> Seen:
    faults: list[str] = []
    with ExitStack() as stack:
        busy = [stack.enter_context(connect(arena.probe_service.port, 10)) for _ in range(8 if arena.thorough else 2)]
        for connection in busy:
            connection.sendall(raw("GET", "/sleep/400"))
        stack.enter_context(connect(arena.probe_service.port))  # and one that stays idle
        time.sleep(0.2)
        began = time.monotonic()
        processes.terminate(arena.probe_service.process)
        processes.terminate(arena.real_service.process)
        cut = [answer for connection in busy if (answer := receive(connection)).status != 200]
        faults += [f"{len(cut)} of {len(busy)} requests at work were answered {statuses(cut)}"] if cut else []
    for service in (arena.probe_service, arena.real_service):
        code = processes.wait(service.process, 10)
        took = time.monotonic() - began
        if code is None:
            faults.append(f"{service.name} has not ended after {took:.1f} s")
            continue
        faults += [f"{service.name} ended with exit code {code} after {took:.1f} s"] if code else []
        faults += [f"{service.name}: its port is still open"] if service.is_listening else []
    return Seen(f"what was at work was answered; ended after {took:.1f} s, ports closed", faults)


@last("server.unread-log", "a log that nobody reads keeps nothing back, bodies that drip delay no stop", thorough=True)
def unread_log(arena: Arena) -> Seen:
    if not hasattr(os, "mkfifo"):
        return Seen("this system has no pipe that can stand for the log", [], is_vacuous=True)
    pipe = arena.probe_service.log.parent / "unread.log"
    os.mkfifo(pipe)
    head = f"POST /items HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\n"
    with ExitStack() as stack:
        stack.callback(os.close, os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
        variables = {**PROBE, "APP_BODY_TIMEOUT": "30s"}
        service = stack.enter_context(Service("unread", PROBE_MODULE, pipe.parent, variables))
        end = time.monotonic() + 20
        while not service.ready:
            if time.monotonic() > end:
                raise UnverifiedError("a service whose log is a pipe was not ready after 20 s", AGAIN)
            time.sleep(0.02)
        try:
            answers = [service.ask("GET", f"/verify-nothing/{'a' * 900}") for _ in range(150)]
            answers.append(service.ask("GET", "/health/live"))
        except OSError as error:
            return Seen("", [f"with 64 KiB of the log unread a request ends in {error!r}"])
        dripping = [stack.enter_context(connect(service.port)) for _ in range(50)]
        for connection in dripping:
            connection.sendall(head.encode())
        refused = [receive(connection, "POST").status for connection in dripping]
        began = time.monotonic()
        processes.terminate(service.process)
        while service.process.poll() is None and time.monotonic() < began + 15:
            for connection in dripping:
                with suppress(OSError):
                    connection.sendall(b"a")
            time.sleep(0.1)
        took, code = time.monotonic() - began, service.process.poll()
    faults = [] if code == 0 else [f"with bodies that drip it has not ended after {took:.0f} s ({code})"]
    faults += [] if {*refused} == {415} else [f"bodies of a wrong type are answered {sorted({*refused})}"]
    return Seen(f"{statuses(answers)}; then it ended after {took:.1f} s", faults)
