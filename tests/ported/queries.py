"""What is declared anywhere is declared, and the log says what was refused."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Query, Request
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBasic, OAuth2PasswordBearer, OpenIdConnect
from fastapi.testclient import TestClient
from svc.hardening import Hardened, HardeningSettings, guard, policy, public

Word = Annotated[str, Query(max_length=9)]


class TenantKey(APIKeyQuery):
    """A subclass, as teams write them."""


def made() -> Hardened:
    return Hardened(HardeningSettings(allowed_hosts=("testserver",), trusted_proxies="none", rate_limit="900000/1s"))


@pytest.mark.parametrize("scheme", [APIKeyQuery(name="api_key"), TenantKey(name="api_key", auto_error=False)])
def test_a_key_in_the_query_is_declared_by_its_scheme(scheme: APIKeyQuery) -> None:
    app = made()

    @guard
    def caller(key: Annotated[str, Depends(scheme)]) -> str:
        return key

    router = APIRouter(dependencies=[Depends(caller)])

    @router.get("/mine")
    def mine(key: Annotated[str, Depends(caller)]) -> str:
        return key

    app.include_router(router, prefix="/v1")
    client = TestClient(app)
    assert app.findings() == []
    assert client.get("/v1/mine?api_key=a").json() == "a"
    assert client.get("/v1/mine?api_key=a&api_key=b").status_code == 422
    assert client.get("/v1/mine?api_key=a&other=b").status_code == 422


def test_other_schemes_declare_no_query() -> None:
    app = made()
    schemes: list[Any] = [
        APIKeyHeader(name="k", auto_error=False),
        APIKeyCookie(name="k", auto_error=False),
        HTTPBasic(auto_error=False),
        OAuth2PasswordBearer("/token", auto_error=False),
        OpenIdConnect(openIdConnectUrl="/x", auto_error=False),
    ]

    @app.get("/x", dependencies=[Depends(each) for each in schemes])
    @public
    def x() -> None: ...

    assert TestClient(app).get("/x?k=1").status_code == 422
    assert TestClient(app).get("/x").status_code == 200


def test_a_dependency_that_overrides_another_declares_its_own() -> None:
    app = made()

    def inner() -> str:
        return "inner"

    def outer(text: Annotated[str, Depends(inner)]) -> str:
        return text

    def deep(page: Word) -> str:
        return page

    def other(q: Word, page: Annotated[str, Depends(inner)]) -> str:
        return q + page

    router = APIRouter(prefix="/v1")

    @router.get("/x")
    @public
    def x(text: Annotated[str, Depends(outer)]) -> str:
        return text

    app.include_router(router)
    client = TestClient(app)
    assert client.get("/v1/x").json() == "inner"
    assert client.get("/v1/x?q=1").status_code == 422
    app.dependency_overrides[outer] = other
    assert client.get("/v1/x?q=1").json() == "1inner"
    app.dependency_overrides[inner] = deep
    assert client.get("/v1/x?q=1&page=2").json() == "12"
    assert client.get("/v1/x?q=1&q=2&page=2").status_code == 422
    assert client.get("/v1/x?q=1&page=2&z=3").status_code == 422
    app.dependency_overrides.clear()
    assert client.get("/v1/x?q=1").status_code == 422


def test_a_route_may_read_the_query_itself_and_check_lists_it() -> None:
    app = made()

    @app.get("/callback")
    @policy(public=True, unchecked_query=True)
    def callback(request: Request) -> dict[str, str]:
        return dict(request.query_params)

    client = TestClient(app)
    assert client.get("/callback?code=a&state=b&iss=c&scope=x%20y").json()["iss"] == "c"
    assert client.get("/callback?code=%ff").status_code == 422
    assert client.get("/callback?code=%00").status_code == 422
    (route,) = app.table()
    assert route.policy.unchecked_query


@pytest.fixture
def last(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    return lambda: json.loads(capsys.readouterr().out.splitlines()[-1])


def test_the_log_says_what_was_refused(last: Any) -> None:
    app = made()

    @app.post("/x")
    @public
    def x(q: Word = "") -> None: ...

    client = TestClient(app)
    client.post("/x", headers={"host": "app"})
    assert last()["host"] == "app"
    client.post("/x", headers={"origin": "https://shop.example"})
    assert last()["origin"] == "https://shop.example"
    client.post("/x", headers={"sec-fetch-site": "cross-site"})
    assert last()["sec_fetch_site"] == "cross-site"
    client.post("/x", content=b"a", headers={"content-type": "text/json; charset=x"})
    assert last()["content_type"] == "text/json; charset=x"
    client.post("/x?utm_source=secret")
    line = last()
    assert (line["name"], "secret" in json.dumps(line)) == ("utm_source", False)
    client.post("/x?q=a&q=b")
    assert last()["name"] == "q"
    client.post("/x", headers=[("origin", "https://a.example"), ("origin", "https://b.example")])
    assert last()["header"] == "origin"
    client.post("/x", headers={"host": "a" * 5000})
    assert len(last()["host"]) == 100
    client.post("/x", headers={"origin": "https://user:hunter2@evil.example"})
    assert "hunter2" not in json.dumps(last())
    client.post("/x", content=b"\xef\xbb\xbf{}", headers={"content-type": "application/json"})


def test_a_control_character_is_called_what_it_is() -> None:
    app = made()

    @app.get("/x")
    @public
    def x(q: Word = "") -> None: ...

    for query in ("q=a%0Ab", "q=%09"):
        (error,) = TestClient(app).get(f"/x?{query}").json()["errors"]
        assert (error["type"], error["msg"]) == ("control_character", "Has a control character.")
    (error,) = TestClient(app).get("/x?q=%ff").json()["errors"]
    assert error["msg"] == "Is not a query string in UTF-8."


def test_a_byte_order_mark_is_called_what_it_is(last: Any) -> None:
    app = made()

    @app.post("/x")
    @public
    async def x(request: Request) -> None:
        await request.body()

    TestClient(app).post("/x", content=b"\xef\xbb\xbf{}", headers={"content-type": "application/json"})
    assert last()["reason"] == "a byte order mark"
