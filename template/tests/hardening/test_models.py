# Owned by the template: an update rewrites this file.
"""Models: `hardening/models.py`. A value is taken for what it is, by every route, however it was included."""

import json
from typing import Any

import pytest

from .asgi_client import request
from .assertions import assert_problem
from .probe import shared

ROUTES = ["/everything", "/nested/deeper/everything", "/mounted/everything"]
BIG = 2**63
WRONG: list[tuple[str, Any]] = [
    ("integer", "1"),
    ("integer", True),
    ("integer", 1.0),
    ("integer", 1.5),
    ("integer", [1]),
    ("integer", BIG),
    ("integer", -BIG - 1),
    ("integer", 10**400),
    ("number", "1.5"),
    ("number", True),
    ("number", "NaN"),
    ("number", "Infinity"),
    ("flag", 1),
    ("flag", 0),
    ("flag", "true"),
    ("flag", "on"),
    ("text", 1),
    ("text", True),
    ("text", ["a"]),
    ("text", "x" * 10_001),
    ("short", "a"),
    ("short", "abcde"),
    ("short", "a1"),
    ("short", "ab\n"),
    ("moment", 1767225600),
    ("moment", "1767225600"),
    ("moment", "yesterday"),
    ("moment", True),
    ("day", 20000),
    ("day", "2026-01-31T12:00:00Z"),
    ("day", "2026-02-31"),
    ("clock", 3600),
    ("clock", True),
    ("span", 60),
    ("span", "60"),
    ("ident", 1),
    ("ident", "canary"),
    ("colour", "green"),
    ("colour", "RED"),
    ("colour", ["red"]),
    ("level", "1"),
    ("level", True),
    ("level", 1.0),
    ("level", 3),
    ("kind", True),
    ("kind", "1"),
    ("kind", "c"),
    ("price", 1.5),
    ("price", True),
    ("price", "NaN"),
    ("price", "Infinity"),
    ("price", "1e999999999999"),
    ("price", "1" * 65),
    ("blob", 1),
    ("blob", "x" * 10_001),
    ("tags", "a"),
    ("tags", {"a": 1}),
    ("tags", [1]),
    ("tags", ["x" * 10_001]),
    ("tags", ["a"] * 1001),
    ("labels", [str(n) for n in range(1001)]),
    ("pair", [1]),
    ("pair", [1, "a", 2]),
    ("pair", ["1", "a"]),
    ("row", [1] * 1001),
    ("row", [True]),
    ("table", {"a": "1"}),
    ("table", {"x" * 10_001: 1}),
    ("table", {str(n): n for n in range(1001)}),
    ("table", [["a", 1]]),
    ("either", True),
    ("either", 1.5),
    ("item", {"name": "x", "canary": 1}),
    ("item", {"name": 1}),
    ("item", "x"),
    ("items", [{"name": "x"}, {"name": "x", "amount": "1"}]),
    ("items", [{"name": "x", "canary": 1}]),
    ("box", {"content": "1"}),
    ("box", {"content": 1, "canary": 1}),
    ("child", {"integer": "1"}),
    ("child", {"child": {"child": {"flag": 1}}}),
    ("canary", 1),
    ("__class__", {"canary": 1}),
]
RIGHT: list[tuple[str, Any]] = [
    ("text", ""),
    ("text", "naïve \U0001f40d ' OR 1=1 -- SELECT * FROM users; <script>"),
    ("text", "x" * 10_000),
    ("short", "abc"),
    ("integer", BIG - 1),
    ("integer", -BIG),
    ("number", 1),
    ("number", -1.5e300),
    ("flag", False),
    ("moment", "2026-01-31T12:00:00Z"),
    ("moment", "2026-01-31T12:00:00+02:00"),
    ("day", "2026-01-31"),
    ("clock", "12:30:00"),
    ("span", "PT1H"),
    ("ident", "3f2b8c1e-9d4a-4b6f-8a51-0c2d7e9f1a34"),
    ("colour", "red"),
    ("level", 2),
    ("kind", "a"),
    ("kind", 1),
    ("price", "12345678901234567890.12"),
    ("price", "0.10"),
    ("blob", "aGVsbG8="),
    ("tags", []),
    ("tags", ["a"] * 1000),
    ("labels", ["a"]),
    ("pair", [1, "a"]),
    ("row", [1, 2, 3]),
    ("table", {"a": 1}),
    ("either", 1),
    ("either", "1"),
    ("items", [{"name": "x", "amount": 2}]),
    ("box", {"content": 1}),
    ("anything", {"a": [1, "x", None, True]}),
    ("pin", "1234"),
]


def short(value: Any) -> str:
    return json.dumps(value)[:30]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=short)
def test_a_value_that_is_not_what_it_should_be_is_422(name: str, value: Any) -> None:
    for route in ROUTES:
        problem = assert_problem(request(shared(), "POST", route, json={name: value}), 422)
        assert problem["errors"]


@pytest.mark.parametrize(("name", "value"), RIGHT, ids=short)
def test_an_honest_value_arrives_as_it_was_sent(name: str, value: Any) -> None:
    for route in ROUTES:
        answer = request(shared(), "POST", route, json={name: value})
        assert answer.status == 200, answer.body[:500]
        assert answer.json[name] == value


def test_the_whole_at_once_arrives_as_well() -> None:
    value = dict(RIGHT) | {"child": dict(RIGHT)}

    answer = request(shared(), "POST", "/everything", json=value)

    assert answer.status == 200
    assert {name: answer.json["child"][name] for name in value["child"]} == value["child"]


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/list", [{"name": "x", "canary": 1}]),
        ("/list", [{"name": "x", "amount": "1"}]),
        ("/list", {"name": "x"}),
        ("/box", {"content": {"name": "x", "canary": 1}}),
        ("/box", {"content": {"name": "x"}, "canary": 1}),
        ("/union", {"name": "x", "password": "y", "amount": 1}),
        ("/union", {"name": "x", "amount": True}),
        ("/items", {"item": {"name": "x"}}),
        ("/items", [{"name": "x"}]),
        ("/items", "canary"),
        ("/items", 1),
        ("/items", None),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/nested/deeper", "/mounted"])
def test_lists_generics_and_unions_are_as_strict(prefix: str, target: str, body: Any) -> None:
    assert_problem(request(shared(), "POST", prefix + target, body=json.dumps(body).encode()), 422)


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/list", [{"name": "x", "amount": 1}]),
        ("/box", {"content": {"name": "x", "amount": 1}}),
        ("/union", {"name": "x", "amount": 1}),
        ("/union", {"name": "x", "password": "y"}),
    ],
)
def test_lists_generics_and_unions_take_what_is_right(target: str, body: Any) -> None:
    assert request(shared(), "POST", target, json=body).json == body


def test_a_list_as_a_body_ends_where_it_says() -> None:
    assert_problem(request(shared(), "POST", "/list", json=[{"name": "x"}] * 1001), 422)
