# Owned by the template: an update rewrites this file.
"""CORS and cross-site requests: a page of another origin that reads an answer, or makes a browser change something."""

from ..common.answer import Answer
from ..common.raw_http import HANDSHAKE
from ..harness.arena import EVIL, Arena, Attacks, Seen, expect, statuses
from ..harness.routes import DiscoveredRoute
from ..harness.service import ORIGIN
from .headers import PREFLIGHT

attacks = Attacks("HARDENING.md, CORS: `hardening/steps/cors.py` refuses; APP_CORS_ORIGINS lists who may call.")
LOOKALIKES = (
    EVIL,
    "null",
    f"{ORIGIN}.evil.example",
    "https://evilapp.example.com",
    "https://app.example.com.",
    "http://app.example.com",
    f"{ORIGIN}:444",
    f"{ORIGIN}/",
    "https://APP.example.com",
    "https://app_example.com",
    "file://",
    "*",
)
FORM = ("Content-Type", "application/x-www-form-urlencoded")
ALLOWING = "access-control-allow-"


def granted(answer: Answer) -> list[str]:
    """The CORS headers of an answer."""
    return [f"{name}: {value}" for name, value in answer.headers if name.lower().startswith(ALLOWING)]


@attacks("cors.read", "no other origin reads an answer, nor one that looks like a listed one")
def read(arena: Arena) -> Seen:
    answers = {origin: arena.probe("GET", "/ok", [("Origin", origin)]) for origin in LOOKALIKES}
    faults = [f"{origin} gets {', '.join(gets)}" for origin, answer in answers.items() if (gets := granted(answer))]
    listed = arena.probe("GET", "/ok", [("Origin", ORIGIN)])
    if listed.all("access-control-allow-origin") != [ORIGIN]:
        faults.append("the listed origin gets no access, so nothing is known of the others")
    return Seen(f"{len(answers)} origins get no CORS header, the listed one does", faults)


@attacks("cors.preflight", "no other origin gets a preflight answered")
def preflight(arena: Arena) -> Seen:
    answers = {origin: arena.probe("OPTIONS", "/items", [("Origin", origin), PREFLIGHT]) for origin in LOOKALIKES}
    faults = [f"{origin} gets {', '.join(gets)}" for origin, answer in answers.items() if (gets := granted(answer))]
    seen = expect(answers, 403)
    return Seen(f"{seen.text}, without a CORS header", [*seen.faults, *faults])


@attacks("cors.change", "no other site makes a browser change something")
def change(arena: Arena) -> Seen:
    def post(*headers: tuple[str, str]) -> Answer:
        return arena.probe("POST", "/nothing", headers)

    return expect(
        {
            "a script of another origin": post(("Origin", EVIL)),
            "a form of another site": post(("Origin", EVIL), ("Sec-Fetch-Site", "cross-site"), FORM),
            "another site without an origin": post(("Sec-Fetch-Site", "cross-site")),
            "a sibling domain": post(("Origin", "https://sibling.example.com"), ("Sec-Fetch-Site", "same-site")),
            "a sandboxed frame": post(("Origin", "null")),
            "a DELETE": arena.probe("DELETE", "/items/1", [("Origin", EVIL)]),
        },
        403,
    )


@attacks("cors.websocket", "no other site opens a WebSocket")
def websocket(arena: Arena) -> Seen:
    answers = {origin: arena.probe("GET", "/ws", [*HANDSHAKE, ("Origin", origin)]) for origin in (EVIL, "null")}
    return expect(answers, 403)


@attacks("cors.own-read", "no other origin reads an answer of your routes")
def read_own(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        answer = arena.ask("OPTIONS", route.target, [("Origin", EVIL), ("Access-Control-Request-Method", route.method)])
        gets = granted(answer)
        if route.is_safe:
            gets += granted(arena.ask(route.method, route.target, [("Origin", EVIL)]))
        fault = f"the preflight is answered {answer.status}" if answer.status < 400 else ""
        return f"preflight {answer.status}, no CORS header", f"gets {', '.join(gets)}" if gets else fault

    return arena.each(arena.routes, ask)


@attacks("cors.own-change", "no other site makes a browser change something through your routes")
def change_own(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        answers = [
            arena.ask(route.method, route.target, [("Origin", EVIL), ("Sec-Fetch-Site", "cross-site")]),
            arena.ask(route.method, route.target, [("Origin", "null")]),
        ]
        allowed = [answer for answer in answers if answer.status != 403]
        return statuses(answers[:1]), f"answered {statuses(allowed)}" if allowed else ""

    return arena.each((route for route in arena.routes if not route.is_safe and not route.is_mount), ask)


@attacks("cors.own-websocket", "no other site opens one of your WebSockets")
def websocket_own(arena: Arena) -> Seen:
    routes = [route for route in arena.routes if route.is_websocket]
    if not routes:
        return Seen("the service has no WebSocket", [], is_vacuous=True)
    return expect(
        {str(route): arena.ask("GET", route.target or route.path, [*HANDSHAKE, ("Origin", EVIL)]) for route in routes},
        403,
    )
