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
WRONG: dict[str, list[Any]] = {
    "integer": ["1", True, 1.0, 1.5, [1], BIG, -BIG - 1, 10**400],
    "number": ["1.5", True, "NaN", "Infinity"],
    "flag": [1, 0, "true", "on"],
    "text": [1, True, ["a"], "x" * 10_001],
    "short": ["a", "abcde", "a1", "ab\n"],
    "moment": [1767225600, "1767225600", "yesterday", True],
    "day": [20000, "2026-01-31T12:00:00Z", "2026-02-31"],
    "clock": [3600, True],
    "span": [60, "60"],
    "ident": [1, "canary"],
    "colour": ["green", "RED", ["red"]],
    "level": ["1", True, 1.0, 3],
    "kind": [True, "1", "c"],
    "price": [1.5, True, "NaN", "Infinity", "1e999999999999", "1" * 65],
    "blob": [1, "x" * 10_001],
    "tags": ["a", {"a": 1}, [1], ["x" * 10_001], ["a"] * 1001],
    "labels": [[str(n) for n in range(1001)]],
    "pair": [[1], [1, "a", 2], ["1", "a"]],
    "row": [[1] * 1001, [True]],
    "table": [{"a": "1"}, {"x" * 10_001: 1}, {str(n): n for n in range(1001)}, [["a", 1]]],
    "either": [True, 1.5],
    "item": [{"name": "x", "canary": 1}, {"name": 1}, "x"],
    "items": [[{"name": "x"}, {"name": "x", "amount": "1"}], [{"name": "x", "canary": 1}]],
    "box": [{"content": "1"}, {"content": 1, "canary": 1}],
    "child": [{"integer": "1"}, {"child": {"child": {"flag": 1}}}],
    "canary": [1],
    "__class__": [{"canary": 1}],
}
RIGHT: dict[str, list[Any]] = {
    "text": ["", "naïve \U0001f40d ' OR 1=1 -- SELECT * FROM users; <script>", "x" * 10_000],
    "short": ["abc"],
    "integer": [BIG - 1, -BIG],
    "number": [1, -1.5e300],
    "flag": [False],
    "moment": ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00+02:00"],
    "day": ["2026-01-31"],
    "clock": ["12:30:00"],
    "span": ["PT1H"],
    "ident": ["3f2b8c1e-9d4a-4b6f-8a51-0c2d7e9f1a34"],
    "colour": ["red"],
    "level": [2],
    "kind": ["a", 1],
    "price": ["12345678901234567890.12", "0.10"],
    "blob": ["aGVsbG8="],
    "tags": [[], ["a"] * 1000],
    "labels": [["a"]],
    "pair": [[1, "a"]],
    "row": [[1, 2, 3]],
    "table": [{"a": 1}],
    "either": [1, "1"],
    "items": [[{"name": "x", "amount": 2}]],
    "box": [{"content": 1}],
    "anything": [{"a": [1, "x", None, True]}],
    "pin": ["1234"],
}


def pairs(values: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(name, value) for name, several in values.items() for value in several]


def short(value: Any) -> str:
    return json.dumps(value)[:30]


@pytest.mark.parametrize(("name", "value"), pairs(WRONG), ids=short)
def test_a_value_that_is_not_what_it_should_be_is_422(name: str, value: Any) -> None:
    for route in ROUTES:
        problem = assert_problem(request(shared(), "POST", route, json={name: value}), 422)
        assert problem["errors"]


@pytest.mark.parametrize(("name", "value"), pairs(RIGHT), ids=short)
def test_an_honest_value_arrives_as_it_was_sent(name: str, value: Any) -> None:
    for route in ROUTES:
        answer = request(shared(), "POST", route, json={name: value})
        assert answer.status == 200, answer.body[:500]
        assert answer.json[name] == value


def test_the_whole_at_once_arrives_as_well() -> None:
    value = dict(pairs(RIGHT)) | {"child": dict(pairs(RIGHT))}

    answer = request(shared(), "POST", "/everything", json=value)

    assert answer.status == 200
    assert {name: answer.json["child"][name] for name in value["child"]} == value["child"]


@pytest.mark.parametrize(
    ("target", "body"),
    pairs(
        {
            "/list": [[{"name": "x", "canary": 1}], [{"name": "x", "amount": "1"}], {"name": "x"}],
            "/box": [{"content": {"name": "x", "canary": 1}}, {"content": {"name": "x"}, "canary": 1}],
            "/union": [{"name": "x", "password": "y", "amount": 1}, {"name": "x", "amount": True}],
            "/items": [{"item": {"name": "x"}}, [{"name": "x"}], "canary", 1, None],
        }
    ),
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
