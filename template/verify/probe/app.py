# Owned by the template: an update rewrites this file.
"""An application of the template's own behind the real perimeter, with one route for each kind of answer.

The attacks are made on it, so that they keep their worth whatever becomes of your routes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Cookie, Depends, HTTPException, Query, Request, Response, WebSocket
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from pydantic import Field, field_validator
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from orders_api.hardening import (
    ApiModel,
    Hardened,
    HardeningSettings,
    Problem,
    QueryModel,
    guard,
    policy,
    public,
    set_cookie,
)

T = TypeVar("T")

router = APIRouter()
happened: list[str] = []
"""What routes did, in order, so that a test can see whether they ran."""


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Box(ApiModel, Generic[T]):
    content: T


class Item(ApiModel):
    name: Annotated[str, Field(max_length=40)]
    amount: int = 1


class Everything(ApiModel):
    """One field of each type that JSON carries, natively or as text."""

    text: str | None = None
    short: Annotated[str | None, Field(min_length=2, max_length=4, pattern="^[a-z]+$")] = None
    integer: int | None = None
    number: float | None = None
    flag: bool | None = None
    moment: datetime | None = None
    day: date | None = None
    clock: time | None = None
    span: timedelta | None = None
    ident: UUID | None = None
    colour: Colour | None = None
    level: Level | None = None
    kind: Literal["a", "b", 1] | None = None
    price: Decimal | None = None
    blob: bytes | None = None
    tags: list[str] | None = None
    labels: set[str] | None = None
    pair: tuple[int, str] | None = None
    row: tuple[int, ...] | None = None
    table: dict[str, int] | None = None
    either: int | str | None = None
    item: Item | None = None
    items: list[Item] | None = None
    box: Box[int] | None = None
    child: "Everything | None" = None
    anything: Any = None
    pin: str | None = None

    @field_validator("pin")
    @classmethod
    def _digits(cls, value: str) -> str:
        if not value.isdigit():
            raise ValueError(f"{value!r} is not a PIN")
        return value


class Search(QueryModel):
    page: Annotated[int, Field(ge=1, le=1000)] = 1
    tag: Annotated[list[str], Field(max_length=3, default_factory=list)]
    exact: bool = False


class SignIn(ApiModel):
    name: Annotated[str, Field(max_length=40)]
    password: Annotated[str, Field(max_length=40)]


class Caller(ApiModel):
    client: str
    scheme: str
    forwarded: list[str]


@router.get("/ok")
@public
async def ok() -> Item:
    happened.append("ok")
    return Item(name="probe")


@router.post("/items", status_code=201)
@public
async def create(item: Item) -> Item:
    happened.append("create")
    return item


@router.put("/items/{item_id}")
@public
async def replace(item_id: int, item: Item) -> Item:
    return item


@router.delete("/items/{item_id}", status_code=204)
@public
async def remove(item_id: int) -> None:
    happened.append("remove")


@router.get("/named/{name}")
@public
async def named(name: Annotated[str, Field(max_length=9000)]) -> PlainTextResponse:
    return PlainTextResponse(str(len(name)))


@router.post("/everything")
@public
async def everything(value: Everything) -> Everything:
    return value


@router.post("/list")
@public
async def in_a_list(value: Annotated[list[Item], Field(max_length=1000)]) -> list[Item]:
    return value


@router.post("/box")
@public
async def boxed(value: Box[Item]) -> Box[Item]:
    return value


@router.post("/union")
@public
async def one_of_two(value: Item | SignIn) -> Item | SignIn:
    return value


@router.get("/search")
@public
async def search(query: Annotated[Search, Query()]) -> Search:
    return query


@router.get("/find")
@public
async def find(q: Annotated[str, Query(max_length=20)] = "", n: int = 1) -> Search:
    return Search(page=n, tag=[q])


@router.post("/raw")
@public
async def raw_body(request: Request) -> PlainTextResponse:
    body = await request.body()
    happened.append("raw")
    return PlainTextResponse(str(len(body)))


@router.post("/nothing", status_code=204)
@public
async def no_body() -> None:
    happened.append("nothing")


@router.post("/upload", max_body_size=4_000_000)
@policy(public=True, content_types=["application/octet-stream"])
async def upload(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@router.post("/small", max_body_size=100)
@public
async def small(item: Item) -> Item:
    return item


@router.post("/slow-body")
@policy(public=True, body_timeout="400ms")
async def slow_body(item: Item) -> Item:
    return item


@router.post("/patch")
@policy(public=True, content_types=["application/merge-patch+json"])
async def merge(item: Item) -> Item:
    return item


@router.get("/moved")
@public
async def moved() -> RedirectResponse:
    return RedirectResponse("/ok")


@router.get("/unchanged", status_code=304)
@public
async def unchanged() -> None:
    return None


@router.get("/boom")
@public
async def boom() -> None:
    raise RuntimeError("canary password=hunter2-secret")


@router.get("/problem/{status}")
@public
async def problem(status: int) -> None:
    raise Problem(status, "Words for the client", "https://example.com/problems/probe", {"x-own": "yes"})


@router.get("/http-exception/{status}")
@public
async def http_exception(status: int) -> None:
    raise HTTPException(status, "canary detail")


@router.get("/wrong-answer")
@public
async def wrong_answer() -> Item:
    return {"name": 7, "extra": "canary"}  # type: ignore[return-value]


@router.get("/stream")
@public
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            happened.append(f"part {number}")
            yield b"part %d\n" % number
            await asyncio.sleep(0)

    return StreamingResponse(parts(), media_type="text/plain")


@router.get("/stream-slowly")
@public
async def stream_slowly() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"part\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(parts(), media_type="text/plain")


@router.get("/stream-breaks")
@public
async def stream_breaks() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"part\n"
        raise RuntimeError("canary in the middle")

    return StreamingResponse(parts(), media_type="text/plain")


@router.get("/background")
@public
async def background(tasks: BackgroundTasks) -> Item:
    async def later() -> None:
        await asyncio.sleep(0.05)
        happened.append("background")

    tasks.add_task(later)
    return Item(name="later")


@router.get("/own-headers")
@public
async def own_headers() -> Response:
    headers = {
        "Cache-Control": "max-age=60",
        "Content-Security-Policy": "default-src 'self'",
        "Server": "canary/1.0",
        "X-Powered-By": "canary",
        "X-Request-ID": "chosen",
        "Vary": "accept",
        "X-Own": "yes",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Credentials": "true",
    }
    return PlainTextResponse("mine", headers=headers)


@router.get("/cookies/starlette")
@public
async def starlette_cookie() -> Response:
    response = Response()
    response.set_cookie("plain", "1")
    response.set_cookie("chosen", "2", secure=True, httponly=True, samesite="none", path="/x", domain="example.com")
    return response


@router.get("/cookies/raw")
@public
async def raw_cookie() -> Response:
    response = Response()
    response.raw_headers.append((b"Set-Cookie", b"bare=1"))
    response.raw_headers.append((b"set-cookie", b"__Host-prefixed=2; SECURE ;httponly"))
    return response


@router.get("/cookies/ours")
@public
async def our_cookie() -> Response:
    response = Response()
    set_cookie(response, "mine", "1")
    set_cookie(response, "lax", "2", max_age=60, same_site="lax")
    return response


@router.get("/cookies/script")
@policy(public=True, script_cookies=["theme"])
async def script_cookie() -> Response:
    response = Response()
    response.set_cookie("theme", "dark")
    response.set_cookie("other", "1")
    return response


@router.get("/cookies/read")
@public
async def read_cookies(theme: Annotated[str, Cookie(max_length=20)] = "") -> PlainTextResponse:
    return PlainTextResponse(theme)


@router.get("/scarce")
@policy(public=True, quota="2/1h")
async def scarce() -> Item:
    return Item(name="scarce")


@router.get("/slow")
@policy(public=True, request_timeout="200ms")
async def slow() -> Item:
    try:
        await asyncio.sleep(5)
    finally:
        happened.append("slow ended")
    return Item(name="slow")


@router.get("/sleep/{milliseconds}")
@public
async def sleep(milliseconds: Annotated[int, Field(ge=0, le=5000)]) -> Item:
    await asyncio.sleep(milliseconds / 1000)
    return Item(name="slept")


@guard
async def signed_in(request: Request) -> None:
    if request.headers.get("authorization") != "Bearer probe":
        raise Problem(401, "Sign in first", headers={"www-authenticate": "Bearer"})


@router.get("/private", dependencies=[Depends(signed_in)])
async def private() -> Item:
    return Item(name="private")


@router.get("/whoami")
@public
async def whoami(request: Request) -> Caller:
    client = request.client.host if request.client else ""
    forwarded = [name for name in request.headers if name.startswith(("x-forwarded", "forwarded", "x-real"))]
    return Caller(client=client, scheme=request.url.scheme, forwarded=forwarded)


@router.get("/loop")
@public
async def loop() -> PlainTextResponse:
    return PlainTextResponse(type(asyncio.get_running_loop()).__module__)


@router.websocket("/ws")
@public
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text.upper())


@router.websocket("/ws-closes")
@public
async def socket_closes(websocket: WebSocket) -> None:
    await websocket.close(code=1008)


@router.websocket("/ws-boom")
@public
async def socket_boom(websocket: WebSocket) -> None:
    raise RuntimeError("canary")


async def raw_application(scope: Scope, receive: Receive, send: Send) -> None:
    """A mounted application that knows nothing of the hardening."""
    headers = [(b"Content-Type", b"text/plain"), (b"Server", b"canary"), (b"Set-Cookie", b"mounted=1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"raw"})


def assemble(settings: HardeningSettings, ready: Sequence[Callable[[], Awaitable[bool]]] = ()) -> Hardened:
    """The probe with each route four times over: at the root, included twice over, and mounted."""
    app = at_the_root(settings, ready)
    nested, deeper, inner = APIRouter(prefix="/nested"), APIRouter(prefix="/deeper"), Hardened(settings)
    deeper.include_router(router)
    nested.include_router(deeper)
    app.include_router(nested)
    inner.include_router(router)
    app.mount("/mounted", inner)
    return app


def at_the_root(settings: HardeningSettings, ready: Sequence[Callable[[], Awaitable[bool]]] = ()) -> Hardened:
    """The probe with each route once: quicker to build."""
    app = Hardened(settings, ready=ready, insecure_mounts={"/mounted-raw": "the tests look at what leaves it"})
    app.include_router(router)
    app.mount("/mounted-raw", raw_application)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    return app
