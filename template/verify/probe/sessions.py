# Owned by the template: an update rewrites this file.
"""Routes that sign in, read, change and sign out, in front of the real sessions.

They are not among those of `app.py`, since the start-up check has a word to say on sessions in memory.
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, WebSocket
from pydantic import Field

from orders_api.hardening import (
    ApiModel,
    Hardened,
    Problem,
    Session,
    Sessions,
    policy,
    public,
    sign_in_attempt,
)

from . import PASSWORD
from .app import SignIn, happened

router = APIRouter()


class SignedIn(ApiModel):
    account: Annotated[str, Field(max_length=255)]
    visits: int = 0
    note: Annotated[str, Field(max_length=5000)] = ""


sessions = Sessions(SignedIn, account="account")
Caller = Annotated[Session[SignedIn], Depends(sessions)]


@router.post("/session", status_code=201)
@public
async def sign_in(request: Request, given: SignIn) -> SignedIn:
    if given.password != PASSWORD:
        raise Problem(401, "Wrong", headers={"www-authenticate": "Cookie"})
    return (await sessions.create(request, SignedIn(account=given.name))).data


@router.post("/sign-in", status_code=201)
@public
async def sign_in_with_a_bound(request: Request, given: SignIn) -> SignedIn:
    attempt = await sign_in_attempt(request, account=given.name)
    happened.append("looked at a password")
    await asyncio.sleep(0)
    if given.password != PASSWORD:
        raise Problem(401, "Wrong", headers={"www-authenticate": "Cookie"})
    await attempt.succeeded()
    return (await sessions.create(request, SignedIn(account=given.name))).data


@router.post("/register", status_code=201)
@policy(public=True, quota="credentials")
async def register(given: SignIn) -> SignedIn:
    return SignedIn(account=given.name)


@router.get("/session")
async def who(session: Caller) -> SignedIn:
    return session.data


@router.post("/session/visits")
async def visit(request: Request, session: Caller) -> SignedIn:
    return (await sessions.change(request, lambda data: data.model_copy(update={"visits": data.visits + 1}))).data


@router.post("/session/note/{length}")
async def write_note(request: Request, session: Caller, length: int) -> SignedIn:
    return (await sessions.change(request, lambda data: data.model_copy(update={"note": "x" * length}))).data


@router.post("/session/renewed", status_code=204)
async def renew(request: Request, session: Caller) -> None:
    await sessions.renew(request)


@router.delete("/session", status_code=204)
@public
async def sign_out(request: Request) -> None:
    await sessions.end(request)


@router.delete("/session/all", status_code=204)
async def sign_out_everywhere(request: Request, session: Caller) -> None:
    await sessions.end_all(request, session.data.account)


@router.put("/session/password", status_code=204)
async def change_password(request: Request, session: Caller) -> None:
    await sessions.end_all(request, session.data.account)
    await sessions.create(request, session.data)


@router.post("/session/fails/{status}", status_code=201)
@public
async def sign_in_and_fail(request: Request, status: int) -> None:
    await sessions.create(request, SignedIn(account="alice"))
    raise Problem(status, "Not after all")


@router.post("/session/own-response")
@public
async def sign_in_with_a_response_of_its_own(request: Request) -> Response:
    await sessions.create(request, SignedIn(account="alice"))
    response = Response("mine")
    response.set_cookie("theme", "dark")
    return response


@router.get("/session/maybe")
@public
async def maybe(request: Request) -> SignedIn:
    session = await sessions.read(request)
    return session.data if session is not None else SignedIn(account="nobody")


@router.websocket("/session/ws")
async def socket(websocket: WebSocket, session: Caller) -> None:
    await websocket.accept()
    await websocket.send_text(session.data.account)
    await websocket.close()


def add_to(app: Hardened) -> Hardened:
    """Give an application the routes."""
    app.include_router(router)
    return app


def add_process(app: Hardened, number: int) -> None:
    """Give an application a route that changes a session as another process would: what is shared is the store."""
    elsewhere = Sessions(SignedIn, account="account")

    @app.post(f"/process/{number}")
    @public
    async def visit_elsewhere(request: Request) -> SignedIn:
        return (await elsewhere.change(request, lambda data: data.model_copy(update={"visits": data.visits + 1}))).data
