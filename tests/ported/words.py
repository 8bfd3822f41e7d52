"""Words for clients: old clients stay as they are, development and production answer alike."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer
from fastapi.testclient import TestClient
from svc.hardening import Hardened, HardeningSettings, Problem, guard, public


def client_of(env: str = "production", **options: Any) -> TestClient:
    settings = HardeningSettings(env=env, allowed_hosts=("testserver",), trusted_proxies="none", rate_limit="900000/1s")
    app = Hardened(settings, **options)

    @app.get("/problem/{kind}")
    @public
    def problem(kind: int) -> None:
        raise (
            Problem(409, "Sold out"),
            Problem(409, detail="Sold out"),
            Problem(409, "Sold out", "https://example.com/sold", detail="Article 7 is sold out"),
            Problem(409),
        )[kind]

    @app.get("/http/{status}")
    @public
    def http(status: int) -> None:
        raise HTTPException(status, detail="The row is gone, password=hunter2")

    @app.get("/dict")
    @public
    def other() -> None:
        raise HTTPException(400, detail={"code": 7})

    @app.get("/plain")
    @public
    def plain() -> None:
        raise HTTPException(404)

    @app.get("/boom")
    @public
    def boom() -> None:
        raise RuntimeError("inside")

    @guard
    def user(token: Annotated[str, Depends(OAuth2PasswordBearer("/token"))]) -> str:
        return token

    @app.get("/me")
    def me(name: Annotated[str, Depends(user)]) -> None: ...

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize("env", ["production", "development"])
def test_a_problem_says_its_words_where_old_and_new_clients_look(env: str) -> None:
    client = client_of(env)
    seen = [client.get(f"/problem/{kind}").json() for kind in range(4)]
    words = [(each["title"], each.get("detail"), each["type"]) for each in seen]
    assert words == [
        ("Sold out", "Sold out", "about:blank"),
        ("Conflict", "Sold out", "about:blank"),
        ("Sold out", "Article 7 is sold out", "https://example.com/sold"),
        ("Conflict", None, "about:blank"),
    ]


def test_development_answers_as_production_and_adds_one_member() -> None:
    production, development = client_of(), client_of("development")
    for path in ("/http/404", "/http/503", "/dict", "/plain", "/boom", "/me", "/nowhere", "/problem/0"):
        asked, there = (each.get(path).json() for each in (production, development))
        assert set(there) - set(asked) <= {"debug"}, path
        there.pop("debug", None)
        assert {**there, "request_id": ""} == {**asked, "request_id": ""}, path
    assert "hunter2" in development.get("/http/404").json()["debug"]["detail"]


@pytest.mark.parametrize("env", ["production", "development"])
def test_words_that_do_not_reach_the_client_are_logged_once_for_a_route(
    env: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = client_of(env)
    for path in (
        "/http/404",
        "/http/403",
        "/http/404",
        "/dict",
        "/plain",
        "/problem/0",
        "/problem/1",
        "/nowhere",
        "/boom",
    ):
        client.get(path)
    lines = [line for line in capsys.readouterr().out.splitlines() if "detail_withheld" in line]
    assert len(lines) == 2
    assert "/http/{status}" in lines[0]
    assert "The row is gone" in lines[0]
    assert "hunter2" not in lines[0]


def test_a_team_may_vouch_for_its_words_and_check_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    client = client_of(insecure_details="the frontend reads them")
    assert client.get("/http/404").json()["detail"].startswith("The row is gone")
    assert client.get("/me").json()["detail"] == "Not authenticated"
    assert client.get("/http/404").json()["title"] == "Not Found"
    for path in ("/http/500", "/http/503", "/dict", "/boom"):
        assert "detail" not in client.get(path).json(), path
    assert "detail_withheld" in capsys.readouterr().out
    app: Any = client.app
    assert [each.id for each in app.findings()] == ["errors.W002"]
