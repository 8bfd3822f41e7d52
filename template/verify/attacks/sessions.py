# Owned by the template: an update rewrites this file.
"""Sessions and credentials: an id that was planted, kept or tossed in, and a password that is guessed."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ..common.answer import Answer
from ..common.raw_http import HANDSHAKE, connect, raw
from ..harness.arena import NOT_TRIED, Arena, Attacks, Seen, expect
from ..harness.routes import DiscoveredRoute
from ..harness.service import Service
from ..probe import COOKIE, PASSWORD
from .cookies import unsafe

attacks = Attacks(
    "HARDENING.md, Sessions and Credentials: `hardening/steps/sessions.py`, `credentials.py`, `hardening/stores/`."
)
PLANTED = "A" * 43


def sign_in(probe: Service, name: str, cookies: str = "", path: str = "/session", guess: str = PASSWORD) -> Answer:
    body = json.dumps({"name": name, "password": guess}).encode()
    return probe.ask("POST", path, [("Cookie", cookies)] if cookies else [], body)


def cookie_set_by(answer: Answer, name: str = COOKIE) -> str:
    """The value of a cookie that an answer sets; empty if it sets none."""
    values = [value.partition("=")[2].partition(";")[0] for value in answer.all("set-cookie") if value.startswith(name)]
    return values[-1] if values else ""


def ask(probe: Service, *cookies: str, method: str = "GET", path: str = "/session") -> Answer:
    return probe.ask(method, path, [("Cookie", each) for each in cookies])


@attacks("sessions.fixation", "nobody is signed in under an id that an attacker knows (fixation)")
def fixation(arena: Arena) -> Seen:
    probe = arena.probe_service
    own = cookie_set_by(sign_in(probe, "mallory"))
    seen = {
        "an id that the service did not make": ask(probe, f"{COOKIE}={PLANTED}"),
        "that id after someone has signed in with it": _after_sign_in(probe, PLANTED),
        "the attacker's own session after someone has signed in with it": _after_sign_in(probe, own),
    }
    answered = expect(seen, 401)
    return Seen(f"{len(seen)} planted ids: {answered.text}", answered.faults)


def _after_sign_in(probe: Service, planted: str) -> Answer:
    sign_in(probe, "alice", f"{COOKIE}={planted}")
    return ask(probe, f"{COOKIE}={planted}")


@attacks("sessions.replay", "the cookie of a session that has ended is worth nothing (replay)")
def replay(arena: Arena) -> Seen:
    probe = arena.probe_service
    signed_out, everywhere, renewed = (f"{COOKIE}={cookie_set_by(sign_in(probe, name))}" for name in ("a", "b", "c"))
    alive = {name: ask(probe, each) for name, each in (("a", signed_out), ("b", everywhere), ("c", renewed))}
    out = ask(probe, signed_out, method="DELETE")
    ask(probe, everywhere, method="DELETE", path="/session/all")
    ask(probe, renewed, method="POST", path="/session/renewed")
    seen = {
        "after sign-out": ask(probe, signed_out),
        "after sign-out everywhere": ask(probe, everywhere),
        "after its id was renewed": ask(probe, renewed),
    }
    answered = expect(seen, 401)
    faults = [*expect(alive, 200).faults, *answered.faults]
    faults += (
        [] if cookie_set_by(out) == "" and "max-age=0" in str(out.all("set-cookie")).lower() else ["the cookie stays"]
    )
    faults += [] if out.all("clear-site-data") == ['"cache", "storage"'] else ["the browser keeps what it stored"]
    return Seen(f"{answered.text}; the cookie expires, the browser forgets", faults)


@attacks("sessions.tossing", "cookies that were tossed in are not taken: doubled, without prefix, oversized")
def tossed(arena: Arena) -> Seen:
    probe = arena.probe_service
    answer = sign_in(probe, "alice")
    session = cookie_set_by(answer)
    seen = {
        "two of its name": ask(probe, f"{COOKIE}={session}; {COOKIE}={PLANTED}"),
        "two lines": ask(probe, f"{COOKIE}={PLANTED}", f"{COOKIE}={session}"),
        "without its prefix": ask(probe, f"session={session}"),
        "with its prefix in small letters": ask(probe, f"__host-session={session}"),
        "in quotes": ask(probe, f'{COOKIE}="{session}"'),
        "oversized": ask(probe, f"{COOKIE}={session * 100}"),
    }
    answered = expect(seen, 401)
    alone = expect({"the cookie alone": ask(probe, f"{COOKIE}={session}")}, 200)
    return Seen(f"{len(seen)} tossed cookies: {answered.text}", [*answered.faults, *unsafe(answer), *alone.faults])


@attacks("sessions.guessing", "few passwords are tried at once, and no owner is locked out")
def guesses(arena: Arena) -> Seen:
    probe = arena.probe_service
    owner = cookie_set_by(sign_in(probe, "verify", path="/sign-in"), "__Host-device")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sign_in(probe, "verify", path="/sign-in", guess="wrong"), range(50)))
    looked_at = sum(answer.status == 401 for answer in answers)
    refused = sign_in(probe, "verify", path="/sign-in")
    known = sign_in(probe, "verify", f"__Host-device={owner}", path="/sign-in")
    faults = [] if looked_at == 5 else [f"{looked_at} guesses were looked at where 5 may be"]
    faults += expect({"a stranger": refused}, 429).faults + expect({"the owner, on a known device": known}, 201).faults
    return Seen(f"{looked_at} of {len(answers)} guesses were looked at, then 429; the owner's device signs in", faults)


@attacks("sessions.sockets", "a socket ends with its session, and is bounded as a request is")
def sockets(arena: Arena) -> Seen:
    probe = arena.probe_service
    cookie = f"{COOKIE}={cookie_set_by(sign_in(probe, 'socket'))}"
    faults, seen = [], []
    refused = expect({"no session": _opened(probe, "")[1]}, 401)
    kinds = {"signed out": 3000, "a message of 2 MB": 1009, "half a message": 3008}
    for name, code in kinds.items():
        connection, answer = _opened(probe, cookie)
        with connection:
            if answer.status != 101:
                faults.append(f"{name}: the handshake is answered {answer.status}")
                continue
            if name == "signed out":
                ask(probe, cookie, method="DELETE", path="/session")
                began = time.monotonic()
            else:
                size = 2_000_000 if "2 MB" in name else 100_000
                began = time.monotonic()
                with suppress(OSError):
                    connection.sendall(b"\x82\xff" + size.to_bytes(8, "big") + bytes(4) + bytes(size - 1))
            closed = _close_code(connection)
            seen.append(f"{name}: {closed or 'cut'} after {time.monotonic() - began:.1f} s")
            faults += [] if closed in (0, code) else [f"{name}: closed with {closed} where {code} is right"]
            faults += [f"{name}: still open"] if closed is None else []
        if name == "signed out":
            cookie = f"{COOKIE}={cookie_set_by(sign_in(probe, 'socket'))}"
    return Seen(f"{'; '.join(seen)}; no session: {refused.text}", [*faults, *refused.faults])


@attacks("sessions.own-guards", "your guards let in nobody who shows no credential")
def own_guards(arena: Arena) -> Seen:
    def look(route: DiscoveredRoute) -> tuple[str, str]:
        status = arena.ask(route.method, route.target).status
        if 200 <= status < 300:
            return f"{status}", f"answered {status}"
        return f"{status}" if status in (401, 403) else f"{NOT_TRIED}answered {status}", ""

    asked = (each for each in arena.routes if each.is_guarded and not each.is_public and each.is_safe)
    return arena.each(asked, look)


def _opened(probe: Service, cookie: str) -> tuple[socket.socket, Answer]:
    """A connection with a handshake, and what that was answered."""
    connection = connect(probe.port, 6.0)
    connection.sendall(raw("GET", "/ws/session", [*HANDSHAKE, ("Cookie", cookie or "a=b")]))
    head = b""
    while not head.endswith(b"\r\n\r\n") and (part := connection.recv(1)):
        head += part
    return connection, Answer(int(head[9:12] or b"0"))


def _close_code(connection: socket.socket) -> int | None:
    """The code of the close that comes first; 0 if the connection was cut, `None` if it stays open."""
    try:
        said = connection.recv(65_536)
    except TimeoutError:
        return None
    except OSError:
        return 0
    return int.from_bytes(said[2:4], "big") if said[:1] == b"\x88" else 0
