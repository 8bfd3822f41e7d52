# Owned by the template: an update rewrites this file.
"""Validation: what two parsers read differently, what nobody declared, and what never ends."""

import json
from contextlib import suppress
from time import monotonic
from urllib.parse import unquote_to_bytes

from ..common.answer import HOST, Answer
from ..common.hostile_json import JSON
from ..common.raw_http import raw, send
from ..harness.arena import NOT_TRIED, Arena, Attacks, Seen, expect
from ..harness.routes import DiscoveredRoute

attacks = Attacks("HARDENING.md, Validation: `hardening/steps/validation.py`, and models that inherit `ApiModel`.")
URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
LARGE = ("Content-Length", "3000000000")
QUICK = (
    "NaN", "1e999", "a name twice", "a name twice, once escaped", "a lone high surrogate", "a NUL", "UTF-16",
    "a byte order mark", "depth 65", "depth 10,000", "a number of 5,000 digits", "half of it", "more after it",
)  # fmt: skip
"""One of each kind of the hostile JSON."""


@attacks("validation.json", "JSON that parsers read differently is refused")
def hostile_json(arena: Arena) -> Seen:
    return expect({name: arena.probe("POST", "/pin", body=JSON[name]) for name in QUICK}, 400)


@attacks("validation.json-corpus", "every hostile JSON that is known is refused by every kind of route", thorough=True)
def whole_corpus(arena: Arena) -> Seen:
    targets = [
        f"{prefix}{target}" for prefix in ("", "/nested/deeper", "/mounted") for target in ("/pin", "/items", "/raw")
    ]
    answers = {
        f"{name} to {target}": arena.probe("POST", target, body=body)
        for name, body in JSON.items()
        for target in targets
    }
    return expect(answers, 400)


@attacks("validation.types", "fields that nobody declared and values of another type are refused")
def types(arena: Arena) -> Seen:
    bodies = {
        "an unknown field": b'{"name":"x","is_admin":true}',
        "a number in quotes": b'{"name":"x","amount":"1"}',
        "true for a number": b'{"name":"x","amount":true}',
        "a fraction": b'{"name":"x","amount":1.5}',
        "a number for a text": b'{"name":1}',
        "a text without end": b'{"name":"' + b"x" * 100_000 + b'"}',
        "a list for an object": b'[{"name":"x"}]',
        "null": b"null",
    }
    return expect({name: arena.probe("POST", "/items", body=body) for name, body in bodies.items()}, 422)


@attacks("validation.content-type", "bodies of another content type are refused")
def content_types(arena: Arena) -> Seen:
    kinds = ("no", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json")
    answers = {
        f"{kind} to {target}": arena.probe("POST", target, [("Content-Type", kind)], b'{"name":"x"}')
        for kind in kinds
        for target in ("/items", "/raw", "/mounted/items")
    }
    answers["a compressed body"] = arena.probe("POST", "/items", [("Content-Encoding", "gzip")], b"\x1f\x8b")
    return expect(answers, 415)


@attacks("validation.size", "bodies larger than the bound are refused, announced or in chunks")
def sizes(arena: Arena) -> Seen:
    json = ("Content-Type", "application/json")
    chunk = b"10000\r\n" + b"[" * 0x10000 + b"\r\n"
    endless = raw("POST", "/items", [json, ("Transfer-Encoding", "chunked")]) + chunk * 40
    return expect(
        {
            "announced": arena.probe("POST", "/items", [json, LARGE]),
            "in chunks": send(arena.probe_service.port, endless),
            "more than a route takes": arena.probe("POST", "/small", [json, ("Content-Length", "101")]),
        },
        413,
    )


@attacks("validation.cost", "to refuse a megabyte of mistakes takes no longer than to take a valid one")
def costs(arena: Arena) -> Seen:
    names = {str(i): 1 for i in range(10_000, 80_000)}
    mistakes = {
        "unknown names": (names, {"names": names}),
        "unknown names in a deep union": (_deep(names), {"names": names}),
        "empty objects": ({"items": [{}] * 200_000}, {"items": [{"name": "x"}] * 60_000}),
    }
    seen, faults = [], []
    for name, values in mistakes.items():
        wrong, right = (json.dumps(value, separators=(",", ":")).encode() for value in values)
        refused = taken = float("inf")  # of three the shortest, of fewer where the first leave no doubt
        for _ in range(3):
            if not refused <= taken < float("inf") or arena.thorough:
                refused = min(refused, _seconds(arena, wrong, 422))
                taken = min(taken, _seconds(arena, right, 204))
        seen.append(f"{name} in {refused:.2f} s, valid in {taken:.2f} s")
        if not refused <= 2 * taken + 0.1 < float("inf"):
            faults.append(f"{seen[-1]}: whoever sends such bodies stops the service for all others")
    return Seen("; ".join(seen), faults)


def _deep(value: object) -> object:
    for _ in range(15):
        value = {"tables": [value]}
    return value


def _seconds(arena: Arena, body: bytes, status: int) -> float:
    """How long an answer takes; for ever if it is another one or none in time."""
    start = monotonic()
    with suppress(TimeoutError):
        if arena.probe("POST", "/table", body=body).status == status:
            return monotonic() - start
    return float("inf")


@attacks("validation.query", "query parameters that nobody declared, or that come twice, are refused")
def queries(arena: Arena) -> Seen:
    targets = ("/ok?admin=1", "/find?q=a&q=b", "/search?page=1&page=2", "/search?other=1", "/find?q=%00", "/find?q=%ff")
    return expect({target: arena.probe("GET", target) for target in targets}, 422)


@attacks("validation.host", "another Host, two of them or none are refused")
def hosts(arena: Arena) -> Seen:
    kinds = {
        "another": [("Host", "evil.example")],
        "two": [("Host", HOST), ("Host", "evil.example")],
        "none": [("Host", "no")],
        "one that looks like it": [("Host", f"{HOST}.evil.example")],
        "one that ends like it": [("Host", f"evil{HOST}")],
        "one with an account": [("Host", f"{HOST}@evil.example")],
    }
    return expect({name: arena.probe("GET", "/ok", headers) for name, headers in kinds.items()}, 400)


@attacks("validation.health", "health paths do not bypass the Host check")
def around_health(arena: Arena) -> Seen:
    foreign = [("Host", "evil.example")]
    answers = {
        "a path below them": arena.probe("GET", "/health/live/verify-nothing", foreign),
        "a path that begins like them": arena.probe("GET", "/health/liveliness", foreign),
        "their folder": arena.probe("GET", "/health", foreign),
        "a change": arena.probe("POST", "/health/live", foreign),
    }
    return expect(answers, 400)


@attacks("validation.path", "control characters in a path are refused, and nobody is redirected")
def paths(arena: Arena) -> Seen:
    controls = ("/named/a%00b", "/named/a%0d%0aSet-Cookie:x=1", "/named/a%1b[2J")
    seen = expect({target: arena.probe("GET", target) for target in controls}, 400)
    slash = arena.probe("GET", "/ok/")
    faults = [f"/ok/ is sent on to {slash.all('location')}"] if "location" in slash else []
    return Seen(f"{seen.text}; no redirect", [*seen.faults, *faults])


def refused(answer: Answer, *wanted: int) -> tuple[str, str]:
    return f"{answer.status or 'closed'}", "" if answer.status in wanted else f"answered {answer.status or 'nothing'}"


def taking_body(arena: Arena) -> list[DiscoveredRoute]:
    return [
        route for route in arena.routes if route.method in ("POST", "PUT", "PATCH", "DELETE") and not route.is_mount
    ]


def taking_json(arena: Arena) -> list[DiscoveredRoute]:
    return [route for route in taking_body(arena) if route.takes_body and "application/json" in route.content_types]


@attacks("validation.own-query", "your routes refuse query parameters that nobody declared")
def own_queries(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        return refused(arena.ask(route.method, f"{route.target}?verify_unknown=1"), 422)

    return arena.each((route for route in arena.routes if route.checks_query), ask)


@attacks("validation.own-content-type", "your routes refuse bodies of another content type")
def own_content_types(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        return refused(arena.ask(route.method, route.target, [("Content-Type", "application/x-verify")], b"x"), 415)

    return arena.each(taking_body(arena), ask)


@attacks("validation.own-json", "your routes refuse malformed JSON")
def own_malformed(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        return refused(arena.ask(route.method, route.target, body=b'{"a":1,"a":'), 400)

    return arena.each(taking_json(arena), ask)


@attacks("validation.own-fields", "your routes refuse fields that nobody declared")
def own_fields(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        if route.is_guarded and not arena.caller:
            return f"{NOT_TRIED}behind a guard, and {arena.no_caller}", ""
        answer = arena.ask(route.method, route.target, list(arena.caller.items()), b'{"verify_unknown":1}')
        if route.is_guarded and answer.status in (401, 403, 404):
            return f"{NOT_TRIED}answered {answer.status} before its body was looked at", ""
        return refused(answer, 422)

    return arena.each(taking_json(arena), ask)


@attacks(
    "validation.own-forms", "your forms refuse a field twice, a NUL, other encodings, and fields that nobody declared"
)
def own_forms(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        name = route.form_field
        wanted = {f"{name}=1&{name}=2": 400, f"{name}=%00": 400, f"{name}=%ff": 400, "verify_unknown=1": 422}
        if "routes.E002" in route.findings:
            wanted.popitem()
        seen = []
        for kind in sorted({URLENCODED, MULTIPART} & set(route.content_types)):
            for pairs, status in wanted.items():
                body = pairs.encode() if kind == URLENCODED else _multipart(pairs)
                header = kind if kind == URLENCODED else f"{kind}; boundary=verify"
                answer = arena.ask(route.method, route.target, [("Content-Type", header)], body)
                seen.append((f"{answer.status or 'closed'}", answer.status == status))
        statuses = ", ".join(sorted({each for each, _ in seen}))
        return statuses, "" if all(is_right for _, is_right in seen) else f"answered {statuses}"

    return arena.each([route for route in taking_body(arena) if route.form_field], ask)


def _multipart(pairs: str) -> bytes:
    """The fields of an urlencoded form as parts."""
    parts = [pair.encode().partition(b"=") for pair in pairs.split("&")]
    head = b'--verify\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    return b"".join(head % (name, unquote_to_bytes(value)) for name, _, value in parts) + b"--verify--\r\n"


@attacks("validation.own-size", "your routes refuse a body of 3 GB")
def own_sizes(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        kind = route.content_types[0] if route.content_types else "application/json"
        return refused(arena.ask(route.method, route.target, [("Content-Type", kind), LARGE]), 413)

    return arena.each(taking_body(arena), ask)


@attacks("validation.own-methods", "your routes refuse another Host, and methods that they do not have")
def own_methods(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        host = arena.ask(route.method, route.target, [("Host", "evil.example")])
        method = arena.ask("VERIFY", route.target)
        faults = [] if host.status == 400 else [f"another host is answered {host.status}"]
        faults += [] if method.status == 405 or route.is_mount else [f"an unknown method is answered {method.status}"]
        return f"{host.status} and {method.status}", ", ".join(faults)

    return arena.each(arena.routes, ask)
