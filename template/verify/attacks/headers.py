# Owned by the template: an update rewrites this file.
"""Headers: an answer that a browser would take for a page, a frame or a script, and a name to look up exploits for."""

from ..common.answer import Answer
from ..common.expected import FEATURES, HEADERS, POLICY, REVEALING
from ..common.raw_http import HANDSHAKE, raw, send
from ..harness.arena import EVIL, Arena, Attacks, Seen, statuses
from ..harness.routes import DiscoveredRoute
from ..harness.service import ORIGIN

attacks = Attacks("HARDENING.md, Headers: `hardening/steps/headers.py` has the set; every response gets it.")
JSON = ("Content-Type", "application/json")
PREFLIGHT = ("Access-Control-Request-Method", "PUT")
KINDS = {
    "a route": raw("GET", "/ok"),
    "HEAD": raw("HEAD", "/ok"),
    "an included router": raw("GET", "/nested/deeper/ok"),
    "a mounted application": raw("GET", "/mounted/ok"),
    "an application that is not hardened": raw("GET", "/mounted-raw/x"),
    "a static file": raw("GET", "/static/file.txt"),
    "a stream": raw("GET", "/stream"),
    "a cookie": raw("GET", "/cookies/starlette"),
    "no content": raw("POST", "/nothing"),
    "a redirect": raw("GET", "/moved"),
    "not modified": raw("GET", "/unchanged"),
    "an unknown path": raw("GET", "/nope"),
    "a wrong method": raw("PATCH", "/ok"),
    "a missing credential": raw("GET", "/private"),
    "a wrong content type": raw("POST", "/items", [("Content-Type", "text/plain")], b"x"),
    "malformed JSON": raw("POST", "/items", [JSON], b"{"),
    "an unknown field": raw("POST", "/items", [JSON], b'{"x":1}'),
    "a body too large": raw("POST", "/items", [JSON, ("Content-Length", "999999999")]),
    "a wrong host": raw("GET", "/ok", [("Host", "evil.example")]),
    "another site": raw("POST", "/nothing", [("Origin", EVIL)]),
    "a preflight": raw("OPTIONS", "/ok", [("Origin", ORIGIN), PREFLIGHT]),
    "a refused preflight": raw("OPTIONS", "/ok", [("Origin", EVIL), PREFLIGHT]),
    "a WebSocket of another site": raw("GET", "/ws", [*HANDSHAKE, ("Origin", EVIL)]),
    "an exception": raw("GET", "/boom"),
    "a wrong answer": raw("GET", "/wrong-answer"),
    "health": raw("GET", "/health/live"),
}


def lacking(answer: Answer, exact: bool = True) -> list[str]:
    """The names of what an answer lacks.

    Args:
        answer: Any response.
        exact: The values must be those of an API; otherwise a route may have chosen its own.
    """
    faults = [
        name
        for name, value in HEADERS.items()
        if (answer.all(name) != [value] if exact else len(answer.all(name)) != 1)
    ]
    (policy, *more) = [*answer.all("content-security-policy"), ""]
    if not policy or len(more) != 1 or (exact and not set(policy.split("; ")) >= POLICY):
        faults.append("content-security-policy")
    denied = {f"{name}=()" for name in FEATURES.split()}
    (features, *more) = [*answer.all("permissions-policy"), ""]
    if not features or len(more) != 1 or (exact and not set(features.split(", ")) >= denied):
        faults.append("permissions-policy")
    return faults


def telling(answer: Answer) -> list[str]:
    """The headers of an answer that name the software behind it."""
    named = [f"{name}: {value}" for name, value in answer.headers if name.lower() in REVEALING]
    return [*named, *(f"server: {value}" for value in answer.all("server") if value)]


def complete(answers: dict[str, Answer]) -> Seen:
    """Each answer, by its name, must have every header, and none that names the software."""
    faults = [
        f"{name} ({answer.status}) lacks {', '.join(lacks)}"
        for name, answer in answers.items()
        if answer.status != 101 and (lacks := [*lacking(answer), *telling(answer)])
    ]
    return Seen(f"each with all: {statuses(answers.values())}", faults)


@attacks("headers.complete", "every kind of answer has the security headers")
def every_kind(arena: Arena) -> Seen:
    answers = {name: send(arena.probe_service.port, data) for name, data in KINDS.items()}
    for _ in range(3):
        answers["too many requests"] = arena.probe("GET", "/mounted/scarce")
    seen = complete(answers)
    return Seen(f"{len(answers)} kinds of answers, {seen.text}", seen.faults)


@attacks("headers.software", "no answer names the software or its version")
def software(arena: Arena) -> Seen:
    targets = ("/ok", "/own-headers", "/mounted-raw/x", "/nope", "/boom")
    answers = {target: arena.probe("GET", target) for target in targets}
    answers["the service's own /health/live"] = arena.ask("GET", "/health/live")
    faults = [f"{target}: {', '.join(names)}" for target, answer in answers.items() if (names := telling(answer))]
    return Seen(f"nothing in {len(answers)} answers names it", faults)


@attacks("headers.own-routes", "every answer of your routes has the security headers")
def own_routes(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        # What is not safe is asked with a host that is refused, so that it never runs.
        answer = arena.ask(route.method, route.target, [] if route.is_safe else [("Host", "evil.example")])
        lacks = [*lacking(answer, exact=False), *telling(answer)]
        return f"{answer.status} with all", f"{answer.status} lacks {', '.join(lacks)}" if lacks else ""

    return arena.each(arena.routes, ask)


@attacks("headers.own-refusals", "unknown paths and methods are answered with the security headers")
def own_refusals(arena: Arena) -> Seen:
    answers = {
        "an unknown path": arena.ask("GET", "/verify-nothing"),
        "an unknown method": arena.ask("VERIFY", "/health/live"),
        "a wrong host": arena.ask("GET", "/", [("Host", "evil.example")]),
        "a refused preflight": arena.ask("OPTIONS", "/", [("Origin", EVIL), PREFLIGHT]),
    }
    return complete(answers)
