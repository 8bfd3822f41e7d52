# Owned by the template: an update rewrites this file.
"""Errors: `hardening/steps/errors.py`. The client learns that something failed, the log learns what."""

import pytest

from .asgi_client import request
from .assertions import assert_hardened, assert_problem
from .conftest import Lines
from .probe import probe, shared

PREFIXES = ["", "/nested/deeper", "/mounted"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_exception_tells_nothing_and_logs_everything_once(prefix: str, logged: Lines) -> None:
    problem = assert_problem(request(shared(), "GET", f"{prefix}/boom"), 500)

    assert problem["title"] == "Internal Server Error"
    (line,) = logged()
    assert (line["event"], line["level"], line["status"]) == ("unhandled_error", "error", 500)
    assert line["request_id"] == problem["request_id"]
    assert "RuntimeError: canary" in line["exception"]
    assert "in boom" in line["exception"]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_an_answer_that_breaks_its_model_leaves_neither_by_http_nor_in_the_log(prefix: str, logged: Lines) -> None:
    assert_problem(request(shared(), "GET", f"{prefix}/wrong-answer"), 500)

    (line,) = logged()
    assert line["event"] == "unhandled_error"
    assert "ResponseValidationError" in line["exception"]
    assert "string_type" in line["exception"]
    assert line["exception"].count("canary") == line["exception"].count('"extra": "canary"')  # the source line


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "POST"])
def test_a_405_names_every_method_of_the_path_whichever_route_has_it(prefix: str, method: str) -> None:
    answer = request(shared(), method, f"{prefix}/items/1")
    assert (answer.status, answer.all("allow")) == (405, ["DELETE, PUT"])

    assert request(shared(), "DELETE", f"{prefix}/ok").all("allow") == ["GET, HEAD"]


def test_after_an_exception_the_next_request_is_served() -> None:
    request(shared(), "GET", "/boom")

    assert request(shared(), "GET", "/ok").status == 200


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 451, 500, 503])
def test_the_detail_of_a_framework_exception_stays_inside(status: int) -> None:
    problem = assert_problem(request(shared(), "GET", f"/http-exception/{status}"), status)

    assert problem["type"] == "about:blank"


def test_words_that_are_meant_for_the_client_reach_it() -> None:
    answer = request(shared(), "GET", "/problem/409")

    problem = assert_problem(answer, 409)
    assert problem["title"] == problem["detail"] == "Words for the client"
    assert problem["type"] == "https://example.com/problems/probe"
    assert answer["x-own"] == "yes"


def test_an_unguarded_caller_is_told_how_to_sign_in() -> None:
    answer = request(shared(), "GET", "/private")

    assert_problem(answer, 401)
    assert answer["www-authenticate"] == "Bearer"
    assert request(shared(), "GET", "/private", {"authorization": "Bearer probe"}).status == 200


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("target", ["/nope-canary", "/docs", "/redoc", "/openapi.json", "/.git/config", "/metrics"])
def test_what_is_not_there_is_a_404_without_its_name(prefix: str, target: str) -> None:
    assert_problem(request(shared(), "GET", prefix + target), 404)


def test_an_error_without_a_body_stays_without() -> None:
    answer = request(shared(), "GET", "/http-exception/304")

    assert (answer.status, answer.body) == (304, b"")
    assert_hardened(answer)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_wrong_value_is_told_by_place_and_kind_only(prefix: str) -> None:
    wrong = {"integer": "canary", "short": "CANARY", "tags": [1], "pair": [1], "items": [{"name": 7, "canary": 1}]}

    problem = assert_problem(request(shared(), "POST", f"{prefix}/everything", json=wrong), 422)

    told = {tuple(error["loc"]): error["type"] for error in problem["errors"]}
    assert told[("body", "integer")] == "int_type"
    assert told[("body", "tags", 0)] == "string_type"
    assert told[("body", "items", 0, "name")] == "string_type"
    assert told[("body", "items", 0)] == "extra_forbidden"
    assert all(error.keys() == {"loc", "type", "msg"} and error["msg"] for error in problem["errors"])


def test_the_words_of_a_validator_do_not_carry_the_input_out() -> None:
    problem = assert_problem(request(shared(), "POST", "/everything", json={"pin": "canary"}), 422)

    assert problem["errors"] == [{"loc": ["body", "pin"], "type": "value_error", "msg": "Is not valid."}]


def test_names_that_the_client_chose_are_not_told_back() -> None:
    wrong = {"canary": 1, "table": {"canary": "canary"}, "item": {"name": "x", "canary": 1}}

    problem = assert_problem(request(shared(), "POST", "/everything", json=wrong), 422)

    assert len(problem["errors"]) == 3


def test_a_thousand_mistakes_cost_twenty_lines() -> None:
    answer = request(shared(), "POST", "/list", json=[{"canary": n} for n in range(1000)])

    assert len(assert_problem(answer, 422)["errors"]) == 20
    assert len(answer.body) < 4000


def test_bounds_are_told_in_our_own_words() -> None:
    problem = assert_problem(request(shared(), "POST", "/items", json={"name": "x" * 41}), 422)

    assert problem["errors"][0]["msg"] == "Is too long: at most 40 characters."


def test_development_tells_the_exception_and_keeps_the_perimeter_on() -> None:
    answer = request(probe(env="development"), "GET", "/boom")

    assert answer.status == 500
    debug = answer.json["debug"]
    assert "RuntimeError: canary" in debug["detail"]
    assert "in boom" in "".join(debug["traceback"])
    assert_hardened(answer)
    assert request(probe(env="development"), "GET", "/http-exception/404").json["debug"]["detail"] == "canary detail"
