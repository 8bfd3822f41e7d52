"""Sync code is first class, pages have bounds, and what grows is seen coming."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, Form, Query, Request
from fastapi.security import OAuth2PasswordRequestForm
from fastapi.testclient import TestClient
from pydantic import Field
from starlette.middleware.sessions import SessionMiddleware
from svc.hardening import (
    ApiModel,
    Hardened,
    HardeningSettings,
    Page,
    Problem,
    Session,
    Sessions,
    policy,
    public,
    run_async,
    sign_in_attempt,
)


class Login(ApiModel):
    name: str
    password: str


class SignedIn(ApiModel):
    account: str


class Items(ApiModel):
    data: list[int]


class Sent(ApiModel):
    data: list[int]


class Bounded(ApiModel):
    data: Annotated[list[int], Field(max_length=5000)]
    words: Annotated[list[str] | None, Field(max_length=7)] = None


def made() -> Hardened:
    return Hardened(HardeningSettings(allowed_hosts=("testserver",), trusted_proxies="none", rate_limit="900000/1s"))


def ids(app: Hardened) -> list[str]:
    return [each.id for each in app.findings() if each.id.startswith("routes.")]


def test_a_def_route_signs_in_and_keeps_a_session() -> None:
    app, sessions = made(), Sessions(SignedIn, account="account")

    @app.post("/login")
    @public
    def login(request: Request, given: Login) -> None:
        attempt = run_async(sign_in_attempt, request, account=given.name)
        if given.password != given.name * 2:
            raise Problem(401, detail="Wrong")
        run_async(attempt.succeeded)
        run_async(sessions.create, request, SignedIn(account=given.name))

    @app.get("/me")
    def me(session: Annotated[Session[SignedIn], Depends(sessions)]) -> str:
        return session.data.account

    client = TestClient(app, base_url="https://testserver")
    assert ids(app) == []
    statuses = [client.post("/login", json={"name": "a", "password": "wrong"}).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert client.post("/login", json={"name": "b", "password": "bb"}).status_code == 200
    assert client.get("/me").json() == "b"


def test_a_bridge_keeps_what_belongs_to_the_attempt() -> None:
    from svc.hardening.steps.credentials import Guess

    app = made()

    async def guess() -> bool:
        return Guess()._attempt is not None

    @app.post("/login")
    @public
    def login(request: Request, given: Login) -> bool:
        run_async(sign_in_attempt, request, account=given.name)
        return run_async(guess)

    assert TestClient(app).post("/login", json={"name": "a", "password": "b"}).json() is True


def counted(request: Request, name: str) -> Any:
    return run_async(sign_in_attempt, request, name)


def test_a_public_route_that_takes_a_password_and_counts_nothing_is_found() -> None:
    class Nested(ApiModel):
        user: Login

    def json(given: Login) -> None: ...
    def nested(given: Nested) -> None: ...
    def form(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> None: ...
    def field(passwd: Annotated[str, Form(max_length=9)]) -> None: ...
    def other(title: Annotated[str, Form(max_length=9)]) -> None: ...
    def direct(request: Request, given: Login) -> None:
        run_async(sign_in_attempt, request, given.name)

    def through(request: Request, given: Login) -> None:
        counted(request, given.name)

    for endpoint, found in (
        (json, ["routes.W001"]),
        (nested, ["routes.W001"]),
        (form, ["routes.W001"]),
        (field, ["routes.W001"]),
        (other, []),
        (direct, []),
        (through, []),
    ):
        app = made()
        app.post("/x")(public(endpoint))
        assert ids(app) == found, endpoint
    app = made()
    app.post("/x")(policy(public=True, quota="credentials")(json))
    assert ids(app) == []


def test_pages_have_bounds() -> None:
    app = made()

    @app.get("/page")
    @public
    def page(page: Annotated[Page, Query()]) -> str:
        return f"{page.limit} {page.offset}"

    @app.get("/bare")
    @public
    def bare(skip: int = 0, limit: int | None = None, n: int = 0) -> None: ...

    @app.get("/bounded")
    @public
    def bounded(skip: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(gt=0, le=9)] = 5) -> None: ...

    assert ids(app) == ["routes.W002", "routes.W002"]
    client = TestClient(app)
    assert client.get("/page").json() == "100 0"
    assert client.get("/page?limit=1000&offset=5").json() == "1000 5"
    for query in ("limit=-1", "limit=0", "offset=-1", "limit=1001", "offset=9223372036854775807", "limit=a"):
        assert client.get(f"/page?{query}").status_code == 422


def test_a_response_that_ends_at_a_thousand_items_is_said_at_start() -> None:
    app = made()

    @app.get("/a")
    @public
    def a() -> Items:
        return Items(data=[])

    @app.get("/b")
    @public
    def b() -> list[Items]:
        return []

    @app.get("/c")
    @public
    def c() -> Bounded:
        return Bounded(data=list(range(1001)))

    @app.post("/d")
    @public
    def d(sent: Sent) -> Sent:
        return sent

    assert ids(app) == ["routes.W003"]
    assert len(TestClient(app).get("/c").json()["data"]) == 1001


def test_a_cookie_that_is_mended_is_one_line_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    app = made()
    app.add_middleware(SessionMiddleware, secret_key="x" * 32)

    @app.get("/x")
    @public
    def x(request: Request) -> None:
        request.session["n"] = request.session.get("n", 0) + 1

    client = TestClient(app, base_url="https://testserver")
    for _ in range(5):
        assert "Secure" in client.get("/x").headers["set-cookie"]
    assert capsys.readouterr().out.count("cookie_mended") == 1
