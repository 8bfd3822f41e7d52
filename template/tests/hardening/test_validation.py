# Owned by the template: an update rewrites this file.
"""Validation: `hardening/steps/validation.py`. One reading of a request, or none: 4xx, nothing told back, no route run."""

import time
from functools import cache
from typing import Any

import pytest
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from verify.common.hostile_json import JSON

from .asgi_client import Part, Stall, request
from .assertions import assert_problem
from .conftest import Lines
from .probe import assemble, happened, made, probe, shared

PREFIXES = ["", "/nested/deeper", "/mounted"]
ITEM = b'{"name":"canary"}'


@pytest.mark.costly
@pytest.mark.parametrize("body", JSON.values(), ids=JSON)
def test_json_that_parsers_read_differently_is_refused_by_every_route(body: bytes) -> None:
    for prefix in PREFIXES:
        for target in ("/everything", "/items", "/raw"):
            assert_problem(request(shared(), "POST", prefix + target, body=body), 400)
    assert happened == []


def test_such_json_is_refused_in_other_json_types_and_in_chunks_too() -> None:
    body = b'{"name":"canary","name":"other"}'
    chunks = [body[:12], body[12:20], body[20:]]

    assert_problem(request(shared(), "POST", "/patch", {"content-type": "application/merge-patch+json"}, body), 400)
    assert_problem(request(shared(), "POST", "/items", {"content-type": "application/vnd.api+json"}, body), 400)
    assert_problem(request(shared(), "POST", "/items", body=chunks), 400)


@pytest.mark.parametrize(
    "value",
    [
        b'{"name":"\\ud83d\\ude00"}',
        '{"name":"\U0001f600 naïve"}'.encode(),
        b'{"name":"a \\\\ud800 in words"}',
        b'{"name":"{[{["}',
        b' {"name" : "x"}\r\n',
        b'{"name":"a\\nb\\u001f"}',
    ],
)
def test_honest_json_of_every_kind_is_taken(value: bytes) -> None:
    assert request(shared(), "POST", "/items", body=value).status == 201


@pytest.mark.parametrize(
    "value", [b"[" * 63 + b"]" * 63, b'"' + b"[" * 5000 + b'"', b"[" + b"[1]," * 500 + b"{}]", b"1" * 300, b"1e300"]
)
def test_what_only_looks_deep_or_large_is_taken(value: bytes) -> None:
    assert request(shared(), "POST", "/everything", body=b'{"anything":' + value + b"}").status == 200


def test_a_character_may_be_cut_by_the_edge_of_a_chunk() -> None:
    body = '{"name":"ä"}'.encode()

    answer = request(shared(), "POST", "/items", body=[body[:10], body[10:]])

    assert (answer.status, answer.json["name"]) == (201, "ä")


def unsafe_routes() -> list[tuple[str, str]]:
    """Every route of the probe that may change something."""
    routes = [
        (method, route.path.replace("{item_id}", "1"))
        for route in shared().table()
        for method in sorted(route.methods or ())
        if method not in ("GET", "HEAD", "OPTIONS")
    ]
    assert len(routes) > 30
    return routes


@pytest.mark.costly
@pytest.mark.parametrize(
    "content_type",
    [
        "no",
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=canary",
        "text/json",
        "application/jsonx",
        "application/xml",
        "application/json, text/plain",
        "text/plain; application/json",
        "*/*",
    ],
)
def test_no_route_takes_a_body_of_another_content_type(content_type: str, logged: Lines) -> None:
    for method, target in unsafe_routes():
        assert_problem(request(shared(), method, target, {"content-type": content_type}, ITEM), 415)

    assert happened == []
    assert {line["event"] for line in logged()} == {"content_type_refused"}


def test_a_body_in_chunks_has_a_content_type_as_well() -> None:
    assert_problem(request(shared(), "POST", "/raw", {"content-type": "text/plain"}, [b"can", b"ary"]), 415)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity", "gzip, gzip", "canary"])
@pytest.mark.parametrize("target", ["/items", "/raw", "/upload", "/mounted/items"])
def test_no_route_takes_a_compressed_body(target: str, coding: str) -> None:
    kind = "application/octet-stream" if target == "/upload" else "application/json"

    answer = request(shared(), "POST", target, {"content-encoding": coding, "content-type": kind}, ITEM)

    assert_problem(answer, 415)
    assert happened == []


@pytest.mark.parametrize(
    ("target", "content_type"),
    [
        ("/items", "application/json"),
        ("/items", "Application/JSON; charset=utf-8"),
        ("/items", "application/vnd.api+json"),
        ("/patch", "application/merge-patch+json"),
        ("/upload", "application/octet-stream"),
    ],
)
def test_a_content_type_that_a_route_takes_is_taken(target: str, content_type: str) -> None:
    answer = request(shared(), "POST", target, {"content-type": content_type}, b'{"name":"x"}')

    assert answer.status in (200, 201)


def test_a_route_without_a_body_needs_no_content_type() -> None:
    assert request(shared(), "POST", "/nothing").status == 204
    assert request(shared(), "POST", "/nothing", {"content-length": "0"}).status == 204


MEGABYTE = 1_048_576
SIZES: dict[str, tuple[int, str, dict[str, str], bytes | list[Part]]] = {
    "a length over the limit": (413, "/items", {"content-length": str(MEGABYTE + 1)}, b""),
    "chunks over the limit": (413, "/items", {}, [b" " * 600_000, b" " * 600_000]),
    "chunks over the limit, and no end": (413, "/items", {}, [b" " * 600_000, b" " * 600_000, Stall]),
    "a raw body over the limit": (413, "/raw", {}, b" " * (MEGABYTE + 1)),
    "raw chunks over the limit": (413, "/raw", {}, [b" " * 600_000, b" " * 600_000]),
    "over a limit of its own": (413, "/small", {}, b" " * 101),
    "chunks over a limit of its own": (413, "/small", {}, [b" " * 60, b" " * 60]),
    "over a raised limit": (413, "/upload", {"content-type": "application/octet-stream"}, b" " * 4_000_001),
    "within a raised limit": (200, "/upload", {"content-type": "application/octet-stream"}, b" " * 4_000_000),
    "chunks within a raised limit": (
        200,
        "/upload",
        {"content-type": "application/octet-stream"},
        [b" " * 2_000_000, b" " * 2_000_000],
    ),
    "within the limit": (201, "/items", {}, b'{"name":"x"}' + b" " * (MEGABYTE - 12)),
    "chunks within the limit": (201, "/items", {}, [b'{"name":"x"}', b" " * (MEGABYTE - 12)]),
    "within a limit of its own": (200, "/small", {}, b'{"name":"x"}'),
    "a length that is no number": (413, "/items", {"content-length": "9" * 30}, b""),
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(("status", "target", "headers", "body"), SIZES.values(), ids=SIZES)
def test_a_body_has_the_size_that_its_route_takes(
    prefix: str, status: int, target: str, headers: dict[str, str], body: bytes | list[Part]
) -> None:
    answer = request(shared(), "POST", prefix + target, headers, body)

    assert answer.status == status
    if status == 413:
        assert_problem(answer, 413)
        assert happened == []


def test_the_limit_of_the_setting_holds() -> None:
    app = probe(max_body_bytes=20)

    assert_problem(request(app, "POST", "/items", body=b'{"name":"canary-xxxx"}'), 413)
    assert request(app, "POST", "/items", body=b'{"name":"x"}').status == 201


@cache
def impatient() -> ASGIApp:
    return assemble(made(body_timeout="100ms"))


@pytest.mark.costly
@pytest.mark.parametrize("target", ["/items", "/raw", "/mounted/items", "/mounted/raw", "/nested/deeper/items"])
@pytest.mark.parametrize("body", [[Stall], [b'{"name":', Stall], [b'{"name":', b'"canary', Stall]], ids=len)
def test_a_body_that_stalls_is_408_within_its_time(target: str, body: list[Part], logged: Lines) -> None:
    began = time.monotonic()

    answer = request(impatient(), "POST", target, body=body)

    assert_problem(answer, 408)
    assert answer["connection"] == "close"
    assert 0.09 < time.monotonic() - began < 5
    assert happened == []
    (line,) = logged()
    assert (line["event"], line["status"]) == ("body_timed_out", 408)
    assert "exception" not in line


@pytest.mark.costly
@pytest.mark.parametrize("target", ["/raw", "/items"])
def test_it_is_behind_a_middleware_that_reads_in_a_task_of_its_own_too(target: str) -> None:
    async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    app = probe(body_timeout="100ms")
    app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)

    assert_problem(request(app, "POST", target, {"content-type": "application/json"}, [b"{", Stall]), 408)


@pytest.mark.costly
def test_a_route_may_give_more_time_for_its_body() -> None:
    began = time.monotonic()

    answer = request(probe(body_timeout="50ms"), "POST", "/slow-body", body=[b"{", Stall])

    assert_problem(answer, 408)
    assert 0.39 < time.monotonic() - began < 5


HOSTS: list[list[tuple[str, str]]] = [
    [("host", "no")],
    [("host", "")],
    [("host", "evil.example")],
    [("host", "api.example.com.evil.example")],
    [("host", "evil.example#api.example.com")],
    [("host", "evil.example:api.example.com")],
    [("host", "user@api.example.com")],
    [("host", "api.example.com@evil.example")],
    [("host", "api.example.com/canary")],
    [("host", "api.example.com:canary")],
    [("host", "api.example.com:999999")],
    [("host", "api.example.com:")],
    [("host", "api.example.com.")],
    [("host", "sub.api.example.com")],
    [("host", " api.example.com")],
    [("host", "api.example.com, evil.example")],
    [("host", "127.0.0.1")],
    [("host", "[::2]")],
    [("host", "[::1")],
    [("host", "api.example.com"), ("host", "api.example.com")],
    [("host", "api.example.com"), ("host", "evil.example")],
    [("host", "evil.example"), ("host", "api.example.com")],
]


@pytest.mark.parametrize("hosts", HOSTS, ids=str)
def test_no_other_host_is_answered_for(hosts: list[tuple[str, str]], logged: Lines) -> None:
    for target in ("/ok", "/mounted/ok", "/nope", "/static/file.txt"):
        assert_problem(request(shared(), "GET", target, hosts), 400, "evil")
        assert [(line["event"], line["level"]) for line in logged()] == [("host_refused", "warning")]


@pytest.mark.parametrize("host", ["api.example.com", "api.example.com:8443", "API.Example.COM", "[::1]", "[::1]:8000"])
def test_its_own_names_are_answered_for(host: str) -> None:
    assert request(shared(), "GET", "/ok", {"host": host}).status == 200


def test_a_forwarded_host_changes_nothing() -> None:
    headers = {"host": "evil.example", "x-forwarded-host": "api.example.com"}

    assert_problem(request(shared(), "GET", "/ok", headers, client="10.0.0.1"), 400)


PATHS = [
    "%00", "%01", "%0a", "%0d%0a", "%0d%0aset-cookie:x=1", "%1b%5b31m", "%7f", "%c2%85", "%e2%80%a8", "%e2%80%a9",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_control_characters_in_a_path_are_refused(path: str, logged: Lines) -> None:
    for before in ("/named/canary", "/mounted/named/canary", "/static/canary", "/mounted-raw/", "/"):
        assert_problem(request(shared(), "GET", before + path), 400)
        assert [line["event"] for line in logged()] == ["path_refused"]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("target", ["/" + "a" * 65_536, "/named/" + "canary" * 2000, "/ok?" + "q=1&" * 3000])
def test_a_target_without_end_is_refused(method: str, target: str) -> None:
    assert_problem(request(shared(), method, target), 414)


def test_a_path_is_decoded_once() -> None:
    assert request(shared(), "GET", "/named/%2500").body == b"3"
    assert request(shared(), "GET", "/named/%252e%252e").body == b"6"


@pytest.mark.parametrize("up", ["../../", "..%2f..%2f", "%2e%2e/%2e%2e/", "..%5c..%5c", "//", "x/../../../"])
def test_a_static_folder_is_not_left(up: str) -> None:
    assert_problem(request(shared(), "GET", f"/static/{up}pyproject.toml"), 404)


QUERIES = [
    "canary=1",
    "page=1&canary=1",
    "page=1&page=1",
    "page=1&page=2",
    "page=1&p%61ge=2",
    "page=canary",
    "page=",
    "page=true",
    "page=0",
    "page=1001",
    "page=1e3",
    "page=" + "1" * 5000,
    "exact=canary",
    "tag=1&tag=2&tag=3&tag=4",
    "page=%00",
    "tag=canary%0a",
    "tag=canary%0D%0A",
    "tag=%1b",
    "tag=%ff",
    "tag=%ed%a0%80",
    "tag[]=1",
    "Page=1",
    "page[canary]=1",
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:40])
def test_a_query_that_is_not_declared_so_is_422(query: str) -> None:
    for prefix in PREFIXES:
        assert_problem(request(shared(), "GET", f"{prefix}/search?{query}"), 422)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    "target", ["/find?canary=1", "/find?q=canary&q=b", "/find?n=1&n=1", "/find?n=canary", "/ok?canary=1"]
)
def test_loose_parameters_are_as_strict(prefix: str, target: str) -> None:
    assert_problem(request(shared(), "GET", prefix + target), 422)


def test_unsafe_methods_have_no_unknown_parameters_either() -> None:
    assert_problem(request(shared(), "POST", "/items?canary=1", body=ITEM), 422)
    assert_problem(request(shared(), "DELETE", "/items/1?canary=1"), 422)
    assert happened == []


def test_a_declared_query_is_read() -> None:
    answer = request(shared(), "GET", "/search?page=2&tag=a&tag=b%20c&exact=true")

    assert answer.json == {"page": 2, "tag": ["a", "b c"], "exact": True}
    assert request(shared(), "HEAD", "/search?page=2").status == 200


@pytest.mark.parametrize("target", ["/items/canary", "/items/1.5", "/items/true", "/items/" + "1" * 5000])
def test_a_path_parameter_of_another_type_is_422(target: str) -> None:
    assert_problem(request(shared(), "DELETE", target), 422)
    assert happened == []


@pytest.mark.parametrize(
    "headers",
    [
        [("content-type", "application/json"), ("content-type", "text/plain")],
        [("content-type", "application/json"), ("content-length", "17"), ("content-length", "18")],
        [("content-type", "application/json"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
        [("content-type", "application/json"), ("transfer-encoding", "gzip, chunked")],
        [("content-type", "application/json"), ("transfer-encoding", "xchunked")],
        [("authorization", "Bearer a"), ("authorization", "Bearer b")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
    ],
    ids=str,
)
@pytest.mark.parametrize("target", ["/items", "/raw"])
def test_a_header_that_two_parsers_read_differently_is_refused(
    target: str, headers: list[tuple[str, Any]], logged: Lines
) -> None:
    assert_problem(request(shared(), "POST", target, headers, ITEM), 400)
    assert happened == []
    assert [line["event"] for line in logged()] == ["header_refused"]
