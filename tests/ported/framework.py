"""What FastAPI's own pages show, and a service should not have to know of."""

from typing import Annotated, Any

from fastapi import Body, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from svc.hardening import ApiModel, Hardened, HardeningSettings, public


class User(ApiModel):
    name: str


def made(**options: Any) -> Hardened:
    settings = HardeningSettings(allowed_hosts=("testserver",), trusted_proxies="none", docs=True)
    return Hardened(settings, **options)


def test_a_function_for_ids_need_not_know_the_pages_of_the_documentation() -> None:
    def by_tag(route: APIRoute) -> str:
        return f"{route.tags[0]}-{route.name}"

    app = made(generate_unique_id_function=by_tag)

    @app.get("/x", tags=["items"])
    @public
    def x() -> None: ...

    assert TestClient(app).get("/openapi.json").json()["paths"]["/x"]["get"]["operationId"] == "items-x"


def test_one_model_may_be_embedded_under_its_name() -> None:
    app = made()

    @app.post("/a")
    @public
    def a(user: Annotated[User, Body(embed=True)]) -> str:
        return user.name

    @app.post("/b")
    @public
    def b(user: Annotated[User, Body(embed=True, alias="theUser")]) -> str:
        return user.name

    client = TestClient(app)
    assert [each.id for each in app.findings() if each.level == "error"] == []
    assert client.post("/a", json={"user": {"name": "n"}}).json() == "n"
    assert client.post("/b", json={"theUser": {"name": "n"}}).json() == "n"
    for body in ({"user": {"name": "n"}, "is_admin": True}, {"user": {"name": "n", "x": 1}}, {"name": "n"}, [], 7):
        assert client.post("/a", json=body).status_code == 422, body

    @app.post("/c")
    @public
    def c(user: User, other: User) -> None: ...

    assert "routes.E004" in [each.id for each in app.findings()]


def test_a_route_for_head_is_called() -> None:
    app = made()

    @app.head("/only")
    @public
    def only(response: Response) -> None:
        response.headers["x-total"] = "7"

    @app.get("/both")
    @public
    def both() -> str:
        return "get"

    @app.head("/both")
    @public
    def head(response: Response) -> None:
        response.headers["x-total"] = "8"

    @app.get("/get")
    @public
    def get() -> str:
        return "get"

    client = TestClient(app)
    assert (client.head("/only").status_code, client.head("/only").headers["x-total"]) == (200, "7")
    assert client.head("/both").headers["x-total"] == "8"
    assert client.get("/both").json() == "get"
    assert (client.head("/get").status_code, client.head("/get").content) == (200, b"")
    assert client.get("/only").status_code == 405


def test_the_document_says_what_is_sent_and_the_page_fits_a_phone() -> None:
    app = made()

    @app.get("/x")
    @public
    def x() -> User:
        return User(name="a")

    client = TestClient(app)
    assert 'name="viewport"' in client.get("/docs").text
    responses = client.get("/openapi.json").json()["paths"]["/x"]["get"]["responses"]
    sent = client.get("/x").headers
    for name in ("RateLimit", "RateLimit-Policy", "X-Request-Id"):
        assert name in sent
        assert all(name in response["headers"] for response in responses.values())
