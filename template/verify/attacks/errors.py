# Owned by the template: an update rewrites this file.
"""Errors: a message, a path, an echo that tells what runs here and where it gives way."""

import json
import time

from ..common.answer import Answer
from ..common.expected import INSIDE
from ..common.raw_http import connect, raw, until_closed
from ..harness.arena import Arena, Attacks, Seen, statuses
from ..harness.routes import DiscoveredRoute

attacks = Attacks("HARDENING.md, Errors: `hardening/steps/errors.py` answers, the log has the rest.")
CANARY = "verify-canary"
UPSTREAM = "an HTTPException with the length of another body"
DOCUMENTATION = (b"swagger", b"redoc", b'"openapi"')
WRONG = ("longer", "longer-in-parts", "shorter", "too-long", "no-file", "no-bytes", "untold", "exit", "cancelled")
SECRET = "hunter2-secret"  # noqa: S105 - the probe raises it, so that it can be looked for


def leaks(answer: Answer, *canaries: str) -> list[str]:
    """What an answer of 400 or more tells; each of the canaries was sent or raised, and may not come back."""
    if answer.status < 400:
        return []
    text = answer.body.decode("utf-8", "replace").lower()
    faults = [f"tells {word!r}" for word in (*INSIDE, *canaries) if word.lower() in text]
    if answer.all("content-type") != ["application/problem+json"]:
        faults.append(f"is {', '.join(answer.all('content-type')) or 'of no type'}, no problem document")
        return faults
    try:
        problem = json.loads(answer.body)
        known = isinstance(problem, dict) and problem.get("status") == answer.status
    except ValueError:
        known = False
    return faults if known else [*faults, "is no problem document"]


def silent(answers: dict[str, Answer], *canaries: str) -> Seen:
    faults = [
        f"{name} ({answer.status}) {fault}" for name, answer in answers.items() for fault in leaks(answer, *canaries)
    ]
    return Seen(f"{statuses(answers.values())}: a problem document and nothing of the inside", faults)


@attacks("errors.failures", "a route that fails does not say why")
def failures(arena: Arena) -> Seen:
    answers = {
        "an exception": arena.probe("GET", "/boom"),
        "an exception that tells nothing of itself": arena.probe("GET", "/untold"),
        "an exception in a mounted application": arena.probe("GET", "/mounted/boom"),
        "a wrong answer": arena.probe("GET", "/wrong-answer"),
        UPSTREAM: arena.probe("GET", "/http-exception/404"),
        "a refusal of its own": arena.probe("GET", "/http-exception/500"),
    }
    seen = silent(answers, "canary", SECRET)
    wrong = (name for name, answer in answers.items() if answer.status != (404 if name is UPSTREAM else 500))
    faults = [f"{name}: {answers[name].status}" for name in wrong]
    after = arena.probe("GET", "/ok").status
    faults += [] if after == 200 else [f"afterwards an honest request is answered {after}"]
    return Seen(f"{seen.text}; the service lives on", [*seen.faults, *faults])


@attacks("errors.echoes", "no input is sent back in an error")
def echoes(arena: Arena) -> Seen:
    answers = {
        "a value": arena.probe("POST", "/items", body=json.dumps({"name": [CANARY]}).encode()),
        "a field's name": arena.probe("POST", "/items", body=json.dumps({"name": "x", CANARY: 1}).encode()),
        "a validator's message": arena.probe("POST", "/pin", body=json.dumps({"pin": CANARY}).encode()),
        "a path": arena.probe("GET", f"/{CANARY}"),
        "a path parameter": arena.probe("DELETE", f"/items/{CANARY}"),
        "a query": arena.probe("GET", f"/search?page={CANARY}"),
        "a query's name": arena.probe("GET", f"/search?{CANARY}=1"),
        "a method": arena.probe(CANARY.upper(), "/ok"),
    }
    seen = silent(answers, CANARY)
    large = max(len(answer.body) for answer in answers.values())
    return Seen(f"{seen.text}, at most {large} bytes", seen.faults)


@attacks("errors.streams", "a stream that breaks off does not say why")
def streams(arena: Arena) -> Seen:
    answer = arena.probe("GET", "/stream-breaks")
    leaked = b"canary" in answer.body or b"Traceback" in answer.body
    return Seen("cut off without a word", ["the answer tells the exception"] if leaked else [])


@attacks("errors.responses", "a response is as long as it says and never bare, whatever a route does")
def responses(arena: Arena) -> Seen:
    faults, answers = [], {}
    for name in WRONG:
        with connect(arena.probe_service.port) as connection:
            connection.sendall(raw("GET", f"/wrong/{name}", [("Connection", "keep-alive")]) + raw("GET", "/ok"))
            said = until_closed(connection)
        if b"poisoned" in said:
            faults.append(f"{name}: the rest of its body is read as the next response")
        answer = answers[name] = arena.probe_service.ask("GET", f"/wrong/{name}")
        if answer.status and not answer.all("x-request-id"):
            faults.append(f"{name} left bare: it has no request id")
        faults += [f"{name} {fault}" for fault in leaks(answer)]
    return Seen(f"{statuses(answers.values())}, none bare, and nothing after them", faults)


@attacks("errors.log", "a failure is in the log, and no password with it")
def logged(arena: Arena) -> Seen:
    answer = arena.probe("GET", "/boom?")
    ident = "".join(answer.all("x-request-id"))
    lines: list[str] = []
    end = time.monotonic() + 2
    while not lines and time.monotonic() < end:  # it is written when the answer has left
        whole, _, _ = arena.probe_service.log.read_text(encoding="utf-8").rpartition("\n")
        lines = [line for line in whole.splitlines() if ident and ident in line]
        time.sleep(0.01)
    faults = [] if len(lines) == 1 else [f"{len(lines)} lines have the request id, where one should"]
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            faults.append("a line is no JSON")
            continue
        faults += [] if "RuntimeError" in str(event.get("exception")) else ["the line does not say what happened"]
        faults += ["the line has the password"] if SECRET in line else []
    return Seen("one line with the request id and the exception, its password masked", faults)


@attacks("errors.documentation", "the documentation of the service is not public")
def documentation(arena: Arena) -> Seen:
    declared = {route.path for route in arena.routes}
    targets = [path for path in ("/docs", "/redoc", "/openapi.json") if path not in declared]
    answers = {target: arena.ask("GET", target) for target in targets}
    shown = [
        target
        for target, answer in answers.items()
        if answer.status < 400 and any(word in answer.body.lower() for word in DOCUMENTATION)
    ]
    return Seen(statuses(answers.values()), [f"{target} shows it" for target in shown], not answers)


@attacks("errors.own-errors", "errors of your routes expose no internals and no input")
def own_errors(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        answers = {"a wrong method": arena.ask("VERIFY", route.target)}
        if route.is_safe or route.checks_query:
            answers["an unknown parameter"] = arena.ask(route.method, f"{route.target}?{CANARY}={CANARY}")
        if route.is_safe:
            answers["the route itself"] = arena.ask(route.method, route.target)
        if route.takes_body:
            answers["an unknown field"] = arena.ask(
                route.method, route.target, body=json.dumps({CANARY: CANARY}).encode()
            )
        faults = silent(answers, CANARY).faults
        if route.method == "HEAD":  # which has no body to look into
            faults = [each for each in faults if not each.endswith(") is no problem document")]
        return statuses(answers.values()), "; ".join(faults)

    return arena.each((route for route in arena.routes if not route.is_mount), ask)
