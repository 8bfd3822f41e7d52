# Owned by the template: an update rewrites this file.
"""The perimeter: `hardening/asgi/perimeter.py` and the exchanges beside it. Whoever answers, the response leaves complete."""

import asyncio
import time
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from .asgi_client import Answer, Leave, Stall, exchange, get_and_stay, handshake, in_loop, request, run, together
from .assertions import assert_hardened, assert_problem
from .conftest import Lines
from .probe import happened, probe, shared

ITEM = b'{"name":"x"}'
KINDS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "a route": (200, "GET", "/ok", {}),
    "a created resource": (201, "POST", "/items", {"body": ITEM}),
    "no content": (204, "DELETE", "/items/1", {}),
    "a redirect": (307, "GET", "/moved", {}),
    "not modified": (304, "GET", "/unchanged", {}),
    "a body that is no JSON": (400, "POST", "/items", {"body": b"{"}),
    "a refused host": (400, "GET", "/ok", {"headers": {"host": "evil.example"}}),
    "a foreign origin": (403, "POST", "/items", {"body": ITEM, "headers": {"origin": "https://evil.example"}}),
    "an unknown path": (404, "GET", "/nope", {}),
    "a wrong method": (405, "PATCH", "/ok", {}),
    "a slow body": (408, "POST", "/slow-body", {"body": [b"{", Stall]}),
    "a body too large": (413, "POST", "/small", {"body": b" " * 101}),
    "a path too long": (414, "GET", "/" + "a" * 9000, {}),
    "a wrong content type": (415, "POST", "/items", {"body": ITEM, "headers": {"content-type": "text/plain"}}),
    "a wrong value": (422, "POST", "/items", {"body": b"{}"}),
    "an exception": (500, "GET", "/boom", {}),
    "an answer that breaks its model": (500, "GET", "/wrong-answer", {}),
    "a time-out": (503, "GET", "/slow", {}),
    "an error that a route raises": (418, "GET", "/problem/418", {}),
    "a preflight": (
        204,
        "OPTIONS",
        "/items",
        {"headers": {"origin": "https://app.example.com", "access-control-request-method": "POST"}},
    ),
    "a refused preflight": (
        403,
        "OPTIONS",
        "/items",
        {"headers": {"origin": "https://evil.example", "access-control-request-method": "POST"}},
    ),
    "a stream": (200, "GET", "/stream", {}),
    "a background task": (200, "GET", "/background", {}),
    "HEAD": (200, "HEAD", "/ok", {}),
    "HEAD of a route that takes posts alone": (405, "HEAD", "/items", {}),
    "an included router": (200, "GET", "/nested/deeper/ok", {}),
    "an exception in an included router": (500, "GET", "/nested/deeper/boom", {}),
    "a mounted application": (200, "GET", "/mounted/ok", {}),
    "an exception in a mounted application": (500, "GET", "/mounted/boom", {}),
    "an unknown path of a mounted application": (404, "GET", "/mounted/nope", {}),
    "a mounted application that is not hardened": (200, "GET", "/mounted-raw/x", {}),
    "a static file": (200, "GET", "/static/file.txt", {}),
    "a missing static file": (404, "GET", "/static/nope", {}),
    "liveness": (200, "GET", "/health/live", {}),
    "readiness": (200, "GET", "/health/ready", {}),
}


@pytest.mark.parametrize(("status", "method", "target", "more"), KINDS.values(), ids=KINDS)
def test_every_kind_of_response_leaves_complete(status: int, method: str, target: str, more: dict[str, Any]) -> None:
    answer = request(shared(), method, target, **more)

    assert answer.status == status
    assert_hardened(answer)
    assert answer.is_complete
    if status >= 400:
        assert answer["content-type"] == "application/problem+json"


def test_a_trailing_slash_redirects_nowhere() -> None:
    answer = request(shared(), "GET", "/ok/", {"host": "api.example.com"})

    assert_problem(answer, 404)
    assert "location" not in answer


def test_a_stream_is_not_buffered() -> None:
    seen: list[str] = []

    async def send(message: Message) -> None:
        seen.append(f"{len(happened)} made, {message.get('body', b'').decode().strip() or 'headers'}")

    run(get_and_stay(shared(), "/stream", send))

    assert seen[:4] == ["1 made, headers", "1 made, part 0", "2 made, part 1", "3 made, part 2"]


def test_a_stream_that_breaks_is_cut_not_ended(logged: Lines) -> None:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    with pytest.raises(Exception, match="canary in the middle"):
        run(get_and_stay(shared(), "/stream-breaks", send))

    answer = Answer.of(messages)
    assert answer.body == b"part\n"
    assert not answer.is_complete
    assert [line["event"] for line in logged()] == ["unhandled_error"]


def test_background_tasks_run_after_the_answer() -> None:
    answer = request(shared(), "GET", "/background")

    assert answer.json["name"] == "later"
    assert happened == ["background"]


@pytest.mark.parametrize("target", ["/ok", "/nope", "/boom", "/static/file.txt", "/mounted/ok", "/health/live"])
def test_head_is_get_without_the_body(target: str) -> None:
    get, head = request(shared(), "GET", target), request(shared(), "HEAD", target)

    assert head.status == get.status
    assert head.body == b""
    assert head.is_complete
    assert head["content-length"] == get["content-length"]
    assert head["content-type"] == get["content-type"]
    assert_hardened(head)


def test_head_of_a_stream_does_not_run_it_to_the_end() -> None:
    head = request(shared(), "HEAD", "/stream")

    assert (head.status, head.body) == (200, b"")
    assert head.is_complete
    assert happened != ["part 0", "part 1", "part 2"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "CONNECT", "canary"])
def test_methods_that_a_route_does_not_have_are_refused_by_name(method: str) -> None:
    answer = request(shared(), method, "/ok")

    assert_problem(answer, 405)
    assert answer["allow"] == "GET, HEAD"


@pytest.mark.parametrize("target", ["/items", "/raw", "/mounted/items", "/nested/deeper/items"])
@pytest.mark.parametrize("body", [[Leave], [b'{"na', Leave]])
def test_a_client_that_leaves_costs_one_quiet_line(target: str, body: list[Any], logged: Lines) -> None:
    request(shared(), "POST", target, body=body, headers={"content-length": "20"})

    (line,) = logged()
    assert (line["event"], line["level"]) == ("client_left", "info")
    assert "exception" not in line
    assert happened == []


@pytest.mark.costly
def test_more_requests_at_once_than_the_cap_are_503_and_the_rest_is_served() -> None:
    app = probe(max_concurrency=2)

    answers = together(app, *["/sleep/50"] * 5)

    assert sorted(answer.status for answer in answers) == [200, 200, 503, 503, 503]
    for answer in answers:
        if answer.status == 503:
            assert_problem(answer, 503)
            assert answer["retry-after"] == "1"
    assert request(app, "GET", "/ok").status == 200


@pytest.mark.costly
def test_health_is_answered_when_the_cap_is_reached() -> None:
    answers = together(probe(max_concurrency=1), "/sleep/50", "/ok", "/health/live")

    assert [answer.status for answer in answers] == [200, 503, 200]


@pytest.mark.costly
@pytest.mark.parametrize("target", ["/boom", "/slow", "/stream", "/nope"])
def test_what_went_wrong_takes_no_place_for_good(target: str) -> None:
    app = probe(max_concurrency=1)
    request(app, "GET", target)

    assert request(app, "GET", "/ok").status == 200


def test_a_route_that_takes_too_long_is_stopped(logged: Lines) -> None:
    began = time.monotonic()
    answer = request(shared(), "GET", "/slow")

    assert_problem(answer, 503)
    assert time.monotonic() - began < 2
    assert happened == ["slow ended"]
    assert [line["event"] for line in logged()] == ["request_timed_out"]


@pytest.mark.costly
def test_the_time_out_of_the_setting_holds_where_a_route_says_nothing() -> None:
    app = probe(request_timeout="100ms")

    assert_problem(request(app, "GET", "/sleep/2000"), 503)
    assert request(app, "GET", "/sleep/1").status == 200


@pytest.mark.costly
def test_the_time_out_holds_though_a_test_client_uses_one_event_loop_after_another() -> None:
    app = probe(request_timeout="50ms")

    assert [asyncio.run(exchange(app, "GET", "/sleep/1000")).status for _ in range(2)] == [503, 503]


@pytest.mark.costly
def test_a_response_that_has_begun_is_not_cut_by_the_time_out() -> None:
    answer = request(probe(request_timeout="50ms", body_timeout="50ms"), "GET", "/stream-slowly")

    assert answer.body == b"part\n" * 4
    assert answer.is_complete


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers before it has read the request, and takes its time to end."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    message: Message = {"body": b"begun ", "more_body": True}
    while message["more_body"]:
        await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        message = await receive()
    await asyncio.sleep(0.3)
    await send({"type": "http.response.body", "body": message["body"]})


@pytest.mark.costly
def test_a_response_that_began_before_its_request_was_read_is_not_cut_by_the_time_out() -> None:
    app = probe(request_timeout="50ms", body_timeout="100ms", max_body_bytes=20)
    app.mount("/mounted-raw", echo)
    app.routes.insert(0, app.routes.pop())

    answer = request(app, "POST", "/mounted-raw/x", {"content-type": "application/json"}, [b"{", b"}"])

    assert answer.body == b"begun {}"
    assert answer.is_complete


async def later(scope: Scope, receive: Receive, send: Send) -> None:
    """Has work to do when its answer is given."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
    await asyncio.sleep(0.3)
    happened.append("later")


@pytest.mark.costly
def test_what_goes_on_after_the_answer_is_not_cut_by_the_time_out(logged: Lines) -> None:
    app = probe(request_timeout="50ms")
    app.mount("/mounted-raw", later)
    app.routes.insert(0, app.routes.pop())

    assert request(app, "GET", "/mounted-raw/x").body == b"ok"
    assert happened == ["later"]
    assert [line["event"] for line in logged()] == ["request"]


@pytest.mark.costly
def test_a_header_that_the_server_refuses_is_answered_500(logged: Lines) -> None:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        if any(each in message.get("headers", ()) for each in ((b"x-own", b"yes"), (b"subject:", b"x"))):
            raise ValueError("not a header")
        messages.append(message)

    app = probe()

    async def colon(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"subject:", b"x")]})
        await send({"type": "http.response.body", "body": b""})

    app.mount("/mounted-raw", colon)
    app.routes.insert(0, app.routes.pop())
    for target, told in (("/own-headers", "not a header"), ("/mounted-raw/x", "b'subject:' is no header")):
        messages.clear()
        run(get_and_stay(app, target, send))

        assert_problem(Answer.of(messages), 500)
        (line,) = logged()
        assert line["event"] == "unhandled_error"
        assert told in line["exception"]


@pytest.mark.parametrize("target", ["/ws", "/mounted/ws", "/nested/deeper/ws"])
def test_a_websocket_of_this_site_is_let_in_with_the_headers(target: str) -> None:
    messages = handshake(shared(), target, {"origin": "https://app.example.com"}, ["hello"])

    assert [message["type"] for message in messages] == ["websocket.accept", "websocket.send"]
    assert messages[1]["text"] == "HELLO"
    assert (b"x-content-type-options", b"nosniff") in messages[0]["headers"]


REFUSED: dict[str, tuple[int, str, dict[str, str]]] = {
    "a foreign origin": (403, "/ws", {"origin": "https://evil.example"}),
    "a foreign site": (403, "/ws", {"sec-fetch-site": "cross-site"}),
    "a foreign origin at a mounted application": (403, "/mounted/ws", {"origin": "https://evil.example"}),
    "a wrong host": (400, "/ws", {"host": "evil.example"}),
    "a line break in the path": (400, "/ws%0a", {}),
    "an unknown path": (403, "/nope", {}),
    "a route that closes": (403, "/ws-closes", {}),
    "a route that fails": (500, "/ws-boom", {}),
}


@pytest.mark.parametrize(("status", "target", "headers"), REFUSED.values(), ids=REFUSED)
def test_a_refused_websocket_leaves_complete(status: int, target: str, headers: dict[str, str]) -> None:
    assert_problem(Answer.of(handshake(shared(), target, headers)), status)


def test_a_refused_websocket_is_closed_where_the_server_knows_no_response() -> None:
    messages = handshake(shared(), "/ws", {"origin": "https://evil.example"}, extended=False)

    assert messages == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.costly
def test_websockets_use_up_the_same_quota() -> None:
    app = probe(rate_limit="1/1h")
    request(app, "GET", "/ok")

    assert_problem(Answer.of(handshake(app, "/ws")), 429)


def test_each_websocket_is_one_line(logged: Lines) -> None:
    handshake(shared(), "/ws", texts=["a", "b"])
    handshake(shared(), "/ws-boom")

    assert [(line["event"], line["status"]) for line in logged()] == [("request", 101), ("unhandled_error", 500)]


@pytest.mark.costly
@in_loop
async def test_a_shutdown_waits_for_background_tasks() -> None:
    app = probe()
    order: list[str] = []

    waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    running: list[asyncio.Task[Answer]] = []

    async def receive() -> Message:
        if len(waiting) == 1:
            running.append(asyncio.create_task(exchange(app, "GET", "/background")))
            await asyncio.sleep(0.02)
        return waiting.pop(0)

    async def send(message: Message) -> None:
        order.append(message["type"])
        order.extend(happened)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
    await asyncio.gather(*running)
    assert order == ["lifespan.startup.complete", "lifespan.shutdown.complete", "background"]
