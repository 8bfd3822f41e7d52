# Owned by the template: an update rewrites this file.
"""CORS and cross-site requests: `hardening/steps/cors.py`. Which pages may read answers, and which may change anything."""

import pytest

from .asgi_client import HOST, request
from .assertions import assert_hardened, assert_problem
from .conftest import Lines
from .probe import happened, probe, shared

LISTED = "https://app.example.com"
STRANGERS = [
    "https://evil.example",
    "null",
    "*",
    "",
    "http://app.example.com",
    "https://app.example.com.evil.example",
    "https://app.example.com:444",
    "https://APP.example.com",
    "https://xapp.example.com",
    "https://app.example.com/",
    "https://sub.app.example.com",
    "https://appxexample.com",
    "https://app.example.com, https://evil.example",
    "https://api.example.com.evil.example",
    f"{LISTED} ",
]
PREFLIGHT = {"access-control-request-method": "PUT", "access-control-request-headers": "content-type, x-csrf"}
ITEM = {"name": "x"}


def granted(headers: list[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.startswith("access-control-")}


@pytest.mark.parametrize(
    ("target", "status"), [("/ok", 200), ("/nope", 404), ("/boom", 500), ("/http-exception/401", 401)]
)
def test_a_listed_origin_may_read_answers_and_errors_with_credentials(target: str, status: int) -> None:
    answer = request(shared(), "GET", target, {"origin": LISTED})

    assert answer.status == status
    assert answer["access-control-allow-origin"] == LISTED
    assert answer["access-control-allow-credentials"] == "true"
    assert "origin" in answer["vary"]


@pytest.mark.costly
@pytest.mark.parametrize(("scheme", "env", "status"), [
    ("https", "production", 201), ("http", "production", 403), ("ftp", "production", 403), ("http", "development", 201),
    ("ftp", "development", 403),
])  # fmt: skip
def test_without_fetch_metadata_an_origin_without_tls_is_not_the_service_itself(
    scheme: str, env: str, status: int
) -> None:
    answer = request(probe(env=env), "POST", "/items", {"origin": f"{scheme}://{HOST}"}, b'{"name":"x"}')
    assert answer.status == status


def test_a_page_of_this_machine_needs_no_tls() -> None:
    headers = {"host": "[::1]:8000", "origin": "http://[::1]:8000"}
    assert request(shared(), "POST", "/items", headers, b'{"name":"x"}').status == 201


@pytest.mark.parametrize("origin", STRANGERS)
def test_any_other_origin_gets_no_cors_header_at_all(origin: str) -> None:
    answer = request(shared(), "GET", "/ok", {"origin": origin})

    assert answer.status == 200
    assert granted(answer.headers) == {}
    assert "origin" in answer["vary"]


def test_a_route_cannot_grant_more_than_the_list() -> None:
    for headers in ({}, {"origin": "https://evil.example"}):
        assert granted(request(shared(), "GET", "/own-headers", headers).headers) == {}
    assert request(shared(), "GET", "/own-headers", {"origin": LISTED})["access-control-allow-origin"] == LISTED


@pytest.mark.costly
def test_without_a_list_no_answer_speaks_of_cors() -> None:
    answer = request(probe(cors_origins=()), "GET", "/ok", {"origin": LISTED})

    assert granted(answer.headers) == {}
    assert "vary" not in answer


@pytest.mark.parametrize("target", ["/items", "/mounted/items", "/nested/deeper/items", "/nope"])
def test_a_preflight_of_a_listed_origin_is_granted(target: str) -> None:
    answer = request(shared(), "OPTIONS", target, {"origin": LISTED, **PREFLIGHT})

    assert answer.status == 204
    assert answer.body == b""
    assert answer["access-control-allow-origin"] == LISTED
    assert "PUT" in answer["access-control-allow-methods"].split(", ")
    assert answer["access-control-allow-headers"] == "content-type, x-csrf"
    assert {"origin", "access-control-request-headers"} <= {each.strip() for each in answer["vary"].split(",")}
    assert_hardened(answer)


def test_a_preflight_cannot_write_header_lines_of_its_own() -> None:
    asked = {**PREFLIGHT, "access-control-request-headers": "x-a\r\nset-cookie: canary=1"}

    answer = request(shared(), "OPTIONS", "/items", {"origin": LISTED, **asked})

    assert "canary" not in str(answer.headers)


@pytest.mark.parametrize("origin", STRANGERS)
def test_a_preflight_of_any_other_origin_is_refused(origin: str) -> None:
    answer = request(shared(), "OPTIONS", "/items", {"origin": origin, **PREFLIGHT})

    assert_problem(answer, 403, origin or "canary")
    assert granted(answer.headers) == {}


UNSAFE = [("POST", "/items"), ("POST", "/raw"), ("POST", "/nothing"), ("PUT", "/items/1"), ("DELETE", "/items/1")]


@pytest.mark.parametrize(("method", "target"), UNSAFE)
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "canary"},
        {"sec-fetch-site": "cross-site", "origin": "https://api.example.com"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://api.example.com:444"},
    ],
    ids=str,
)
def test_a_change_from_another_site_is_refused(
    method: str, target: str, headers: dict[str, str], logged: Lines
) -> None:
    body = None if target == "/nothing" or method == "DELETE" else b'{"name":"x"}'

    for prefix in ("", "/nested/deeper", "/mounted"):
        answer = request(shared(), method, prefix + target, {**headers, "cookie": "session=canary"}, body)

        assert_problem(answer, 403)
        assert happened == []
        assert [(line["event"], line["level"]) for line in logged()] == [("origin_refused", "warning")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin", "origin": "https://api.example.com"},
        {"origin": "https://api.example.com"},
        {"origin": "https://api.example.com:8443", "host": "api.example.com:8443"},
        {"origin": LISTED},
        {"origin": LISTED, "sec-fetch-site": "cross-site"},
    ],
    ids=str,
)
def test_a_change_from_this_site_or_a_listed_one_is_served(headers: dict[str, str]) -> None:
    assert request(shared(), "POST", "/items", headers, json=ITEM).status == 201


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_is_open_to_links_from_other_sites(method: str) -> None:
    assert request(shared(), method, "/ok", {"sec-fetch-site": "cross-site"}).status == 200


def test_two_origins_are_one_too_many() -> None:
    answer = request(shared(), "POST", "/items", [("origin", LISTED), ("origin", "https://evil.example")], json=ITEM)

    assert_problem(answer, 400)
    assert happened == []
