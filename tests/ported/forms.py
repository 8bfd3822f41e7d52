"""Forms are bodies: what JSON gets, urlencoded and multipart get."""

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.security import OAuth2PasswordRequestForm
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, Field, Tag
from svc.hardening import (
    ApiModel,
    Hardened,
    HardeningSettings,
    InsecureConfigurationError,
    QueryModel,
    policy,
    public,
)

URLENCODED = {"content-type": "application/x-www-form-urlencoded"}


class SignUp(QueryModel):
    email: str
    age: int = 18
    tags: Annotated[list[str], Field(max_length=3, default_factory=list)]


class Exact(ApiModel):
    email: str


class Photo(QueryModel):
    title: str
    file: UploadFile


class Seen(ApiModel):
    text: str


Text = Annotated[str, Form(max_length=100)]


def made() -> Hardened:
    return Hardened(
        HardeningSettings(
            allowed_hosts=("testserver",),
            trusted_proxies="none",
            cors_origins=("https://app.example.com",),
            rate_limit="900000/1s",
        )
    )


def application() -> Hardened:
    app = made()

    @app.post("/model")
    @public
    async def model(form: Annotated[SignUp, Form()]) -> Seen:
        return Seen(text=f"{form.email} {form.age} {form.tags}")

    @app.post("/exact")
    @public
    async def exact(form: Annotated[Exact, Form()]) -> Seen:
        return Seen(text=form.email)

    @app.post("/fields")
    @public
    async def fields(
        email: Text,
        tags: Annotated[list[Annotated[str, Field(max_length=9)]], Form(max_length=3, default_factory=list)],
    ) -> Seen:
        return Seen(text=f"{email} {tags}")

    @app.post("/number")
    @public
    async def number(email: Annotated[int, Form()], ratio: Annotated[float, Form()] = 0) -> Seen:
        return Seen(text=f"{email} {ratio}")

    @app.post("/token")
    @public
    def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Seen:
        return Seen(text=f"{form.username} {form.password} {form.scopes}")

    @app.post("/file")
    @public
    async def file(file: UploadFile, email: Text = "") -> Seen:
        return Seen(text=f"{file.filename} {len(await file.read())}")

    @app.post("/optional")
    @public
    async def optional(email: Text, file: UploadFile | None = None) -> Seen:
        return Seen(text=f"{email} {file and file.filename}")

    @app.post("/files")
    @public
    async def files(files: list[UploadFile]) -> Seen:
        return Seen(text=" ".join(each.filename or "" for each in files))

    @app.post("/bytes")
    @public
    async def whole(file: Annotated[bytes, File()]) -> Seen:
        return Seen(text=str(len(file)))

    @app.post("/photo")
    @public
    async def photo(form: Annotated[Photo, Form()]) -> Seen:
        return Seen(text=f"{form.title} {form.file.filename}")

    @app.post("/raw")
    @policy(public=True, content_types=[*URLENCODED.values(), "multipart/form-data"])
    async def raw(request: Request) -> Seen:
        async with request.form() as form:
            return Seen(text=str(list(form.multi_items())))

    @app.post("/json")
    @public
    async def json(body: Exact) -> Seen:
        return Seen(text=body.email)

    return app


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(application())


Post = Callable[..., Any]


def part(
    value: str | bytes = "x",
    name: str = 'name="email"',
    more: str = "",
    disposition: str = "Content-Disposition: form-data; ",
) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return f"--b\r\n{disposition}{name}\r\n{more}\r\n".encode() + content + b"\r\n"


def multipart(client: TestClient, path: str, *parts: bytes, end: bytes = b"--b--\r\n", kind: str = "") -> Any:
    kind = kind or "multipart/form-data; boundary=b"
    return client.post(path, content=b"".join(parts) + end, headers={"content-type": kind})


def test_honest_forms_need_no_second_word(client: TestClient) -> None:
    assert made().findings() == []
    for path in ("/model", "/exact", "/fields"):
        assert client.post(path, data={"email": "a@b.c"}).status_code == 200, path
        assert client.post(path, files={"email": (None, "ä")}).json()["text"].startswith("ä"), path
    assert client.post("/model", data={"email": "ä+ü", "tags": ["a", "b"]}).json()["text"] == "ä+ü 18 ['a', 'b']"
    assert client.post("/fields", data={"email": "line\nline", "tags": ["a", "b"]}).status_code == 200
    signed_in = client.post("/token", data={"grant_type": "password", "username": "a", "password": "b", "scope": "x y"})
    assert signed_in.json()["text"] == "a b ['x', 'y']"
    assert client.post("/file", files={"file": ("ä.png", b"\0\xff" * 100_000)}).json()["text"] == "ä.png 200000"
    assert (
        client.post("/files", files=[("files", ("a", b"1")), ("files", ("b/c.txt", b"2"))]).json()["text"]
        == "a b/c.txt"
    )
    assert client.post("/bytes", files={"file": ("a", b"1" * 20_000)}).json()["text"] == "20000"
    assert client.post("/photo", data={"title": "t"}, files={"file": ("a", b"1")}).json()["text"] == "t a"
    dotnet = part(name="name=email", more="Content-Type: text/plain; charset=utf-8\r\n")
    assert multipart(client, "/fields", dotnet).status_code == 200
    both = part(name="name=file; filename=a.txt; filename*=utf-8''a.txt", more="Content-Transfer-Encoding: binary\r\n")
    assert multipart(client, "/file", both).status_code == 200
    assert client.post("/raw", data={"a": ["1", "2"]}).json()["text"] == "[('a', '1'), ('a', '2')]"


@pytest.mark.parametrize(
    "boundary",
    [
        "----WebKitFormBoundary7MA4YWxkTrZu0gW",
        "----geckoformboundary8f2c",
        "Boundary-B1946AC9",
        "boundary",
        '"Boundary=1"',
        "----------------------------123",
        '"===============42=="',
        "uuid:1",
        '"a\'()+_,-./:=?b"',
    ],
)
def test_the_boundary_of_each_client_is_taken(client: TestClient, boundary: str) -> None:
    bare = boundary.strip('"').encode()
    for kind in (f"multipart/form-data; boundary={boundary}", f"Multipart/Form-Data;charset=utf-8;Boundary={boundary}"):
        body = part("ä").replace(b"--b", b"--" + bare)
        answer = multipart(client, "/fields", body, end=b"--" + bare + b"--\r\n", kind=kind)
        assert (answer.status_code, answer.json()["text"][:1]) == (200, "ä"), kind


def test_the_application_has_no_finding() -> None:
    assert [str(each) for each in application().findings() if each.level == "error"] == []
    assert [each.id for each in application().findings()] == ["routes.W001"]  # of /token, which counts no attempts


@pytest.mark.parametrize("path", ["/model", "/exact", "/fields", "/number"])
def test_a_form_is_read_in_one_way(client: TestClient, path: str) -> None:
    bodies = [
        b"email=1&email=2",
        b"email=1&%65mail=2",
        b"email=%00",
        b"email=%ff",
        b"email=\xc3\xa4",
        b"email=%ed%a0%80",
    ]
    for body in bodies:
        assert client.post(path, content=body, headers=URLENCODED).status_code == 400, body
    for parts in (
        [part("1"), part("2")],
        [part("\0")],
        [part(b"\xff")],
        [part(name='name="email"; name="other"')],
        [part(name='name="email"; Name="other"')],
        [part(more='Content-Disposition: form-data; name="other"\r\n')],
        [part(more="Content-Transfer-Encoding: base64\r\n")],
        [part(more="Content-Type: text/plain; charset=utf-16\r\n")],
        [part(name="name=email", more="Content-Type: text/plain; charset=latin1\r\n")],
        [part(name='name="email\0"')],
    ):
        assert multipart(client, path, *parts).status_code == 400, parts
    assert multipart(client, path, part(), end=b"").status_code == 400
    assert multipart(client, path, part(), kind="multipart/form-data").status_code == 400
    assert multipart(client, path, part(), kind="multipart/form-data; boundary=a; boundary=b").status_code in (400, 415)
    for two in ("boundary=a; Boundary=b", 'boundary="b; boundary=c"', "boundary*=b; boundary=a", "xboundary=b"):
        assert multipart(client, path, part(), kind=f"multipart/form-data; {two}").status_code == 400, two
    assert multipart(client, path, part(), kind="multipart/form-data; boundary=b; charset=utf-7").status_code in (
        400,
        415,
    )


@pytest.mark.parametrize("path", ["/model", "/exact", "/fields", "/token", "/file"])
def test_unknown_fields_are_refused(client: TestClient, path: str) -> None:
    if path != "/file":
        answer = client.post(path, data={"email": "a", "username": "a", "password": "b", "is_admin": "1"})
        assert (answer.status_code, answer.json()["errors"][0]["type"]) == (422, "extra_forbidden")
    assert multipart(client, path, part(name='name="is_admin"')).status_code == 422
    assert multipart(client, path, part(name='name="other"; filename="a"')).status_code == 422


def test_the_login_form_of_the_framework_is_guarded(client: TestClient) -> None:
    twice = b"username=x&username=admin&password=bad&password=right"
    assert client.post("/token", content=twice, headers=URLENCODED).status_code == 400
    assert client.post("/token", data={"username": "x" * 900_000, "password": "b"}).status_code == 422


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\0b", "..", "a/../b", "a\x1b[2J", "x" * 300, "..\\\\boot.ini", "/etc/passwd"]
)
def test_file_names_that_are_paths_or_endless_are_refused(client: TestClient, name: str) -> None:
    assert multipart(client, "/file", part(name=f'name="file"; filename="{name}"')).status_code == 400


def test_numbers_of_a_form_are_bounded(client: TestClient) -> None:
    for data in ({"email": "9" * 30}, {"email": "1", "ratio": "nan"}, {"email": "1", "ratio": "inf"}):
        assert client.post("/number", data=data).status_code == 422


def test_a_raw_form_is_read_in_one_way_too(client: TestClient) -> None:
    for body in (b"a=%00", b"a=%ff", b"a=\xe4"):
        assert client.post("/raw", content=body, headers=URLENCODED).status_code == 400
    for parts in ([part("\0")], [part(b"\xff")], [part(name='name="a"; name="b"')]):
        assert multipart(client, "/raw", *parts).status_code == 400
    assert multipart(client, "/raw", part(b"\xff\0", 'name="a"; filename="x"')).status_code == 200


def test_a_form_that_arrives_in_pieces_is_checked_as_well(client: TestClient) -> None:
    pieces = iter([b"ema", b"il=1&em", b"ail=2"])
    assert client.post("/fields", content=pieces, headers=URLENCODED).status_code == 400
    whole = part("1") + part("2") + b"--b--\r\n"
    pieces = iter([whole[at : at + 1] for at in range(len(whole))])
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert client.post("/fields", content=pieces, headers=kind).status_code == 400
    pieces = iter([part("ä")[:-3], part("ä")[-3:], b"--b--\r\n"])
    assert client.post("/fields", content=pieces, headers=kind).status_code == 200


def test_a_415_names_what_is_taken(client: TestClient) -> None:
    form = client.post("/fields", json={"email": "a"})
    assert form.status_code == 415
    assert set(form.headers["accept"].split(", ")) == {"application/x-www-form-urlencoded", "multipart/form-data"}
    assert "application/x-www-form-urlencoded" in form.json()["detail"]
    assert client.post("/file", data={"email": "a"}).headers["accept"] == "multipart/form-data"
    assert client.post("/json", data={"email": "a"}).headers["accept"] == "application/json"
    assert (
        client.post(
            "/json", content=b"x", headers={"content-encoding": "gzip", "content-type": "application/json"}
        ).headers["accept-encoding"]
        == "identity"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "https://other.testserver"},
    ],
)
def test_a_form_of_another_site_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    for path in ("/model", "/fields", "/token"):
        assert client.post(path, data={"email": "a"}, headers=headers).status_code == 403
    assert client.post("/fields", data={"email": "a"}, headers={"origin": "https://testserver"}).status_code == 200
    assert client.post("/fields", data={"email": "a"}, headers={"origin": "https://app.example.com"}).status_code == 200


class Plain(BaseModel):
    email: str


class Tolerant(QueryModel, extra="ignore"):
    email: str


def findings_of(endpoint: Any) -> set[str]:
    app = made()
    router = APIRouter()
    router.post("/x")(endpoint)
    app.include_router(router)
    return {each.id for each in app.findings()}


def test_what_is_not_safe_in_a_form_is_found_at_start() -> None:
    @public
    async def plain(form: Annotated[Plain, Form()]) -> None: ...

    @public
    async def optional(form: Annotated[Plain | None, Form()] = None) -> None: ...

    @public
    async def tolerant(form: Annotated[Tolerant, Form()]) -> None: ...

    @public
    async def bare(email: Annotated[str, Form()]) -> None: ...

    @public
    async def many(email: Annotated[list[Annotated[str, Field(max_length=5)]], Form()]) -> None: ...

    @public
    async def beside(form: Annotated[SignUp, Form()], file: UploadFile) -> None: ...

    @public
    async def anything(form: Annotated[Any, Form()]) -> None: ...

    @policy(public=True, content_types=["text/plain"])
    async def other(email: Text) -> None: ...

    assert findings_of(plain) == {"routes.E002"}
    assert findings_of(optional) == {"routes.E002"}
    assert findings_of(tolerant) == {"routes.E002"}
    assert findings_of(bare) == {"routes.E006"}
    assert findings_of(many) == {"routes.E006"}
    assert findings_of(beside) == {"routes.E004"}
    assert findings_of(anything) == {"routes.E004"}
    assert findings_of(other) == {"routes.E007"}


class Person(ApiModel):
    kind: Literal["person"] = "person"
    name: Annotated[str, Field(max_length=99)]


class Company(ApiModel):
    kind: Literal["company"] = "company"
    company: Annotated[str, Field(max_length=99)]
    tags: Annotated[list[Annotated[str, Field(max_length=9)]], Field(max_length=3, default_factory=list)]


class ByName(ApiModel):
    model_config = ConfigDict(validate_by_alias=False)
    email: Annotated[str, Field(alias="mail", max_length=99)]


def test_a_field_that_is_taken_by_its_name_alone_is_declared_by_it() -> None:
    app = made()

    @app.post("/x")
    @public
    async def named(form: Annotated[ByName, Form()]) -> Seen:
        return Seen(text=form.email)

    assert TestClient(app).post("/x", data={"email": "a"}).json()["text"] == "a"


EITHER = {
    "plain": Annotated[Person | Company, Form()],
    "discriminated": Annotated[Person | Company, Form(discriminator="kind")],
    "optional": Annotated[Person | Company | None, Form()],
    "tagged": Annotated[Annotated[Person, Tag("person")] | Annotated[Company, Tag("company")], Form()],
}


@pytest.mark.parametrize("annotation", EITHER.values(), ids=EITHER)
def test_a_form_may_be_one_of_several_models(annotation: Any) -> None:
    app = made()

    @app.post("/x")
    @public
    async def either(form: annotation) -> Seen:
        return Seen(text=repr(form))

    client = TestClient(app)
    assert [each.id for each in app.findings() if each.id.startswith("routes.")] == []
    assert client.post("/x", data={"kind": "person", "name": "a"}).json()["text"] == "Person(kind='person', name='a')"
    company = client.post("/x", data={"kind": "company", "company": "a", "tags": ["b", "c"]})
    assert company.json()["text"] == "Company(kind='company', company='a', tags=['b', 'c'])"
    assert client.post("/x", data={"kind": "person", "name": "a", "more": "b"}).status_code == 422
    assert client.post("/x", data={"kind": "person", "name": "a", "company": "b"}).status_code == 422


def test_each_model_of_a_form_that_is_one_of_several_is_looked_at() -> None:
    @public
    async def either(form: Annotated[Person | Plain, Form()]) -> None: ...

    assert findings_of(either) == {"routes.E002"}


def test_a_form_that_may_have_a_file_comes_as_clients_send_it_without_one_too(client: TestClient) -> None:
    without, multipart = (
        client.post("/optional", data={"email": "a"}),
        client.post("/optional", files={"email": (None, "a")}),
    )
    with_file = client.post("/optional", data={"email": "a"}, files={"file": ("f.txt", b"x")})

    assert [each.json()["text"] for each in (without, multipart, with_file)] == ["a None", "a None", "a f.txt"]
    assert client.post("/optional", data={"email": "a", "file": "x"}).status_code == 422
    assert client.post("/file", data={"email": "a"}).status_code == 415, "it cannot be without one"


def test_an_accepted_form_takes_what_else_comes() -> None:
    app = made()

    @app.post("/x")
    @policy(public=True, insecure_because={"routes.E002": "the partner adds fields"})
    async def plain(form: Annotated[Plain, Form()]) -> Seen:
        return Seen(text=form.email)

    client = TestClient(app)
    assert app.findings() == []
    assert client.post("/x", data={"email": "a", "more": "b"}).status_code == 200
    assert client.post("/x", content=b"email=1&email=2", headers=URLENCODED).status_code == 400


def test_an_application_that_is_refused_says_so_to_the_test_client_and_does_not_stand_still() -> None:
    app = made()

    @app.get("/x")
    def undeclared() -> None: ...

    with pytest.raises(InsecureConfigurationError, match=r"routes\.E001"), TestClient(app):
        pass


def test_a_part_whose_header_is_mostly_blanks_takes_no_longer_than_another(client: TestClient) -> None:
    blanks = part(name=f'name="tags"{" " * 4000};')
    start = time.process_time()
    assert multipart(client, "/model", part(), *[blanks] * 3).status_code == 200
    assert time.process_time() - start < 0.1  # 0.3 s, and 240 of them fit into a body


@pytest.mark.parametrize("body", ["tags=1&" * 200_000, "&" * 1_000_000, "tags&" * 200_000])
def test_a_form_of_more_fields_than_any_route_takes_costs_next_to_nothing(client: TestClient, body: str) -> None:
    start = time.process_time()
    assert client.post("/model", content=body[:1_000_000], headers=URLENCODED).status_code == 400
    assert time.process_time() - start < 0.15  # 0.5 s and more, field for field, for a refusal of the framework's


def test_a_form_may_have_as_many_fields_as_a_route_grants_itself() -> None:
    app, many = made(), "&".join(["names=x"] * 2500)
    names = Annotated[list[Annotated[str, Field(max_length=9)]], Form(max_length=9000)]

    async def take(names: names) -> int:
        return len(names)

    @app.post("/raw")
    @policy(public=True, content_types=[*URLENCODED.values()])
    async def raw(request: Request) -> int:
        return len((await request.form(max_fields=3000)).multi_items())

    app.post("/few")(public(take))
    assert TestClient(app).post("/raw", content=many, headers=URLENCODED).json() == 2500
    assert TestClient(app).post("/few", content=many, headers=URLENCODED).status_code == 400
    for places in ({"on_route": 3000}, {"on_router": 3000}, {"on_include": 3000}):
        limits = {name: {"max_fields": most} for name, most in places.items()}
        app, router = made(), APIRouter(form_limits=limits.get("on_router"))  # type: ignore[arg-type]
        router.post("/many", form_limits=limits.get("on_route"))(public(take))  # type: ignore[arg-type]
        app.include_router(router, form_limits=limits.get("on_include"))  # type: ignore[arg-type]
        assert TestClient(app).post("/many", content=many, headers=URLENCODED).json() == 2500, places
