"""Into which class a test of FastAPI's falls that passes there and fails here: by the first answer that differs."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Answer = dict[str, Any]
PROBLEM = "application/problem+json"
PAGES = ("/docs", "/redoc", "/openapi.json")
BOUNDS = {"additionalProperties", "maxItems", "maxLength", "maxProperties", "maximum", "minimum"}
OURS = {"InputError", "Problem"}
THEIRS = {"HTTPValidationError", "ValidationError"}
KINDS = {"extra_forbidden", "finite_number", "repeated"}
NO_LOOP = "no running event loop"
RESPONSES = {"+401", "+403", "+422", "+429", "+default"}


def document(answer: Answer) -> Any:
    """The OpenAPI document that an answer is, or `None`."""
    if answer["status"] != 200 or not answer["type"].startswith("application/json"):
        return None
    try:
        found = json.loads(answer["body"])
    except ValueError:
        return None
    return found if isinstance(found, dict) and "openapi" in found else None


def differences(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where two documents differ; the last part says how: `+name`, `-name`, or `~` for another value."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            if name in before and name in after:
                yield from differences(before[name], after[name], (*path, name))
            else:
                yield (*path, f"{'-' if name in before else '+'}{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from differences(one, other, (*path, "[]"))
    elif before != after:
        yield (*path, "~")


def is_said(difference: tuple[str, ...]) -> bool:
    """Whether hardening has to say it: problems, refusals, the headers of quotas, bounds that hold."""
    *path, last = difference
    if path and path[-1] == "responses":
        return last in RESPONSES
    if "responses" in path:
        return last in ("~", "+headers", f"+{PROBLEM}") or last.startswith("-application/")
    if path and path[-1] == "schemas":
        return last[1:] in (OURS if last.startswith("+") else THEIRS)
    return last.startswith("+") and last[1:] in BOUNDS | {"components", "schemas"}


def _documents(before: Answer, after: Answer) -> bool:
    one, other = document(before), document(after)
    return one is not None and other is not None and all(map(is_said, differences(one, other)))


def _kinds(answer: Answer) -> set[str]:
    """The kinds of mistakes that a 422 names."""
    if answer["status"] != 422 or answer["type"] != PROBLEM:
        return set()
    return {each["type"] for each in json.loads(answer["body"]).get("errors", ())}


def _is_problem(answer: Answer, *statuses: int) -> bool:
    return answer["status"] in statuses and answer["type"] == PROBLEM


Rule = Callable[[Answer, Answer], bool]
RULES: dict[str, tuple[str, Rule]] = {
    "problem": (
        "an error of the same status is a problem document (RFC 9457)",
        lambda a, b: a["status"] == b["status"] >= 400 and b["type"] == PROBLEM,
    ),
    "document": (
        "the OpenAPI document has the problems, refusals, headers of quotas and bounds that hold",
        _documents,
    ),
    "value": (
        "422: a name that the query or the form does not declare, or one that stands twice; an infinite number",
        lambda a, b: bool(_kinds(b)) and _kinds(b) <= KINDS,
    ),
    "slash": (
        "404: no redirect to a path with another slash at its end",
        lambda a, b: a["status"] == 307 and _is_problem(b, 404),
    ),
    "media type": ("415: a body of a type that the signature does not say", lambda a, b: _is_problem(b, 415)),
    "request": (
        "400, 403 or 413 before a route is asked: no JSON, a name twice in a form, a host or an origin that no setting "
        "lists, more than APP_MAX_BODY_BYTES",
        lambda a, b: a["method"] != "WEBSOCKET" and _is_problem(b, 400, 403, 413),
    ),
    "denial": (
        "a WebSocket that is refused gets an HTTP response with a problem document",
        lambda a, b: a["method"] == "WEBSOCKET" and a["status"] >= 400 and _is_problem(b, 403),
    ),
    "pages": (
        "the pages of the documentation are the template's",
        lambda a, b: a["path"] in PAGES and b["status"] == 200,
    ),
    "late": (
        "a stream that fails before its first byte is a 500, since nothing has been sent yet",
        lambda a, b: a["status"] == 200 and bool(a.get("raised")) and _is_problem(b, 500),
    ),
    "event loop": ("asyncio alone: trio is not served", lambda a, b: NO_LOOP in b.get("raised", "") + b["body"]),
    "raised": (
        "what a route raises is logged, and raised on to Starlette's TestClient alone",
        lambda a, b: bool(a.get("raised")) and not b.get("raised"),
    ),
}
CLASSES = {name: words for name, (words, _) in RULES.items()}


def class_of(before: Sequence[Answer], after: Sequence[Answer], error: str) -> str:
    """The class of a failure, or what differs where it is in none.

    Args:
        before: What FastAPI alone answered in the test, in order.
        after: What `Hardened` did.
        error: How the test failed.
    """
    pairs = [
        (one, other)
        for one, other in zip(before, after, strict=False)
        if any(one.get(name) != other.get(name) for name in ("status", "type", "body", "raised"))
    ]
    for one, other in pairs:
        for name, (_, rule) in RULES.items():
            if rule(one, other):
                return name
    if NO_LOOP in error:
        return "event loop"
    first = [
        f"{one['method']} {one['status']} {one['type']} > {other['status']} {other['type']}" for one, other in pairs[:1]
    ]
    return f"{first or 'the same answers'}: {error.partition(chr(10))[0][:80]}"
