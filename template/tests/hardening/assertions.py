# Owned by the template: an update rewrites this file.
"""What every response must have, as assertions."""

import json
from typing import Any

from verify.common.answer import Answer
from verify.common.expected import FEATURES, HEADERS, INSIDE, POLICY, REVEALING

MEMBERS = {"type", "title", "status", "request_id", "errors", "detail"}


def assert_hardened(answer: Answer, **own: str) -> None:
    """The complete header set, each header once, and nothing that names the software.

    Args:
        answer: Any response.
        **own: Headers that the route set itself, with `_` for `-`.
    """
    chosen = {name.replace("_", "-"): value for name, value in own.items()}
    for name, value in {**HEADERS, **chosen}.items():
        assert answer.all(name) == [value], f"{name} of a {answer.status}"
    if "content-security-policy" not in chosen:
        directives = answer["content-security-policy"].split("; ")
        assert set(directives) >= POLICY, f"content-security-policy of a {answer.status}"
        assert len(directives) == len({each.split()[0] for each in directives})
        assert "unsafe" not in answer["content-security-policy"]
    if "permissions-policy" not in chosen:
        denied = {f"{name}=()" for name in FEATURES.split()} | {"sync-xhr=(self)"}
        assert set(answer["permissions-policy"].split(", ")) == denied, f"permissions-policy of a {answer.status}"
    assert len(answer["x-request-id"]) == 32
    assert set(answer["x-request-id"]) <= set("0123456789abcdef")
    assert answer.all("server") in ([], [""]), "a name of the server"
    assert not REVEALING & {name.lower() for name, _ in answer.headers}


def assert_problem(answer: Answer, status: int, echo: str | bytes = "canary") -> dict[str, Any]:
    """A problem document (RFC 9457) that repeats nothing of the input and nothing of the inside; returns it."""
    assert answer.status == status, answer.body[:500]
    assert_hardened(answer)
    assert answer["content-type"] == "application/problem+json"
    assert answer["content-length"] == str(len(answer.body))
    given = echo.encode() if isinstance(echo, str) else echo
    assert given not in answer.body, "an echo"
    assert not [word for word in INSIDE if word in answer.body.decode().lower()], answer.body[:500]
    problem: dict[str, Any] = json.loads(answer.body)
    assert {"type", "title", "status", "request_id"} <= problem.keys() <= MEMBERS
    assert problem["status"] == status
    assert problem["title"]
    assert problem["request_id"] == answer["x-request-id"]
    return problem
