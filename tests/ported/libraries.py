"""Libraries that look at each request, or make requests of their own."""

import json
import warnings
from typing import Annotated, Any

import httpx
import pytest
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.testclient import TestClient
from svc.hardening import ApiModel, Hardened, HardeningSettings, Problem, guard, policy, public

with warnings.catch_warnings(action="ignore"):  # what it uses of Pydantic is deprecated
    from fastapi_mcp import FastApiMCP


class Item(ApiModel):
    number: int


def made() -> Hardened:
    return Hardened(HardeningSettings(allowed_hosts=("testserver",), trusted_proxies="none", rate_limit="900000/1s"))


def test_a_correlation_id_is_one_in_the_code_in_the_response_and_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    app = made()
    app.add_middleware(CorrelationIdMiddleware)

    @app.get("/id")
    @public
    async def seen() -> str | None:
        return correlation_id.get()

    @app.get("/problem")
    @public
    async def problem() -> None:
        raise Problem(409, detail=str(correlation_id.get()))

    client = TestClient(app)
    theirs = "5f2c7c9c3a4b4d5e8f6a7b8c9d0e1f2a"
    for headers in ({}, {"x-request-id": theirs}):
        answer = client.get("/id", headers=headers)
        line = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert answer.headers.get_list("x-request-id") == [answer.json()] == [line["correlation_id"]]
        assert line["request_id"] != line["correlation_id"]
    assert answer.json() == theirs
    answer = client.get("/problem")
    assert answer.headers["x-request-id"] == answer.json()["detail"]
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["request_id"] == answer.json()["request_id"]
    for path, status in (("/nowhere", 404), ("/id?undeclared=1", 422)):
        answer = client.get(path)
        assert (answer.status_code, len(answer.headers.get_list("x-request-id"))) == (status, 1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_routes_are_tools_of_fastapi_mcp_and_keep_their_guards() -> None:
    app = made()

    @guard
    def caller(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
        if token.credentials != "right":
            raise Problem(403, detail="Not you")
        return token.credentials

    @app.get("/items/{number}", operation_id="get_item")
    @public
    def get_item(number: int) -> Item:
        return Item(number=number)

    @app.post("/items", operation_id="put_item")
    def put_item(item: Item, who: Annotated[str, Depends(caller)]) -> Item:
        return item

    inside = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver")
    FastApiMCP(app, http_client=inside).mount_http()
    assert [each.id for each in app.findings()] == ["routes.E001", "routes.E003"]
    policy(public=True, insecure_because={"routes.E003": "the library says nothing of what it answers"})(app.routes[-1])
    assert app.findings() == []

    with TestClient(app) as client:
        session = {"accept": "application/json, text/event-stream"}

        def ask(method: str, params: dict[str, Any], **headers: str) -> Any:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            return client.post("/mcp", json=body, headers={**session, **headers})

        hello = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        begun = ask("initialize", hello)
        assert begun.status_code == 200, begun.text
        session["mcp-session-id"] = begun.headers["mcp-session-id"]
        client.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=session)

        def call(name: str, arguments: dict[str, Any], **headers: str) -> str:
            answer = ask("tools/call", {"name": name, "arguments": arguments}, **headers)
            return str(answer.json()["result"]["content"][0]["text"])

        assert json.loads(call("get_item", {"number": 7})) == {"number": 7}
        assert "422" in call("get_item", {"number": 2**70})
        assert "401" in call("put_item", {"number": 7})
        assert "403" in call("put_item", {"number": 7}, authorization="Bearer wrong")
        assert "422" in call("put_item", {"number": 7, "admin": True}, authorization="Bearer right")
        assert json.loads(call("put_item", {"number": 7}, authorization="Bearer right")) == {"number": 7}
        assert client.post("/mcp", content="a=1", headers={"content-type": "text/plain"}).status_code == 415
        assert ask("tools/list", {}, origin="https://evil.example").status_code == 403
