"""JSON in a field of a form or of the query, and a body that a route class unpacks."""

import gzip
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import Form, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import BaseModel, Json
from svc.hardening import ApiModel, Hardened, HardeningSettings, QueryModel, policy, public

Text = Annotated[str, Form(max_length=100)]


class Exact(ApiModel):
    email: str


class Plain(BaseModel):
    email: str


class Order(QueryModel):
    order: Json[Exact]
    email: str = ""


def made() -> Hardened:
    return Hardened(HardeningSettings(allowed_hosts=("testserver",), trusted_proxies="none", rate_limit="900000/1s"))


def application() -> Hardened:
    app = made()

    @app.post("/model")
    @public
    async def model(form: Annotated[Order, Form()]) -> str:
        return form.order.email

    @app.post("/beside")
    @public
    async def beside(order: Annotated[Json[Exact], Form()], email: Text) -> str:
        return order.email

    @app.get("/query")
    @public
    async def query(order: Annotated[Json[Exact], Query()]) -> str:
        return order.email

    return app


@pytest.mark.parametrize("path", ["/model", "/beside", "/query"])
def test_json_in_a_field_is_read_as_a_body_is(path: str) -> None:
    app = application()
    client = TestClient(app)
    assert app.findings() == []

    def sent(text: str) -> Any:
        if path == "/query":
            return client.get(path, params={"order": text})
        return client.post(path, data={"order": text, "email": "x"})

    answer = sent('{"email": "ä"}')
    assert (answer.status_code, answer.json()) == (200, "ä")
    twice = '{"email": "a", "email": "b"}'
    for text in (twice, '{"email": "\\u0000"}', '{"email": "\\ud800"}', '{"a": NaN}', '{"a": 1e999}', "{", "[" * 99):
        answer = sent(text)
        assert (answer.status_code, answer.json()["errors"][0]["msg"]) == (422, "Is not valid JSON."), text
    for text in ('{"email": "a", "admin": 1}', '{"email": 1}', "[]", '"a"'):
        assert sent(text).status_code == 422, text


def test_json_of_any_shape_in_a_field_is_a_finding() -> None:
    app = made()

    @app.post("/any")
    @public
    async def anything(order: Annotated[Json, Form()], email: Text) -> None: ...

    @app.post("/loose")
    @public
    async def loose(order: Annotated[Json[Plain], Form()], email: Text) -> None: ...

    @app.get("/query")
    @public
    async def query(order: Annotated[Json[Plain], Query()]) -> None: ...

    assert [(str(each).split(":")[0], each.message.split(":")[0]) for each in app.findings()] == [
        ("routes.E004", "POST /any"),
        ("routes.E002", "POST /loose"),
        ("routes.E002", "GET /query"),
    ]


class Unpacked(Request):
    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            body = await super().body()
            self._body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
        return self._body


class UnpackingRoute(APIRoute):
    """As FastAPI's own pages show it."""

    def get_route_handler(self) -> Callable[..., Any]:
        handle = super().get_route_handler()

        async def unpack(request: Request) -> Response:
            return await handle(Unpacked(request.scope, request.receive))

        return unpack


def test_a_route_may_unpack_what_its_policy_names() -> None:
    app = made()
    app.router.route_class = UnpackingRoute

    @app.post("/packed", max_body_size=1000)
    @policy(public=True, content_encodings=["gzip"])
    async def packed(order: Exact) -> str:
        return order.email

    @app.post("/plain")
    @public
    async def plain(order: Exact) -> str:
        return order.email

    client = TestClient(app)
    kind, body = {"content-type": "application/json"}, gzip.compress(b'{"email": "a"}')
    assert app.findings() == []
    for encoding in ("gzip", "GZIP"):
        assert client.post("/plain", content=body, headers={**kind, "content-encoding": encoding}).status_code == 415
    answer = client.post("/packed", content=body, headers={**kind, "content-encoding": "gzip"})
    assert (answer.status_code, answer.text) == (200, '"a"')
    assert client.post("/packed", content=body, headers={**kind, "content-encoding": "br"}).status_code == 415
    assert client.post("/packed", content=b"x" * 1001, headers={**kind, "content-encoding": "gzip"}).status_code == 413
    assert client.post("/packed", content=body, headers={"content-encoding": "gzip"}).status_code == 415
    assert client.post("/packed", content=b'{"email": "a", "email": "b"}', headers=kind).status_code == 400
    assert client.post("/packed", json={"email": "a"}).status_code == 200
