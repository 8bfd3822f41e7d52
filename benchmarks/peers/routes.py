"""The routes of the comparison, the same for every FastAPI contender. Each runs in an environment of its own."""

import os
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

EMAIL = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]+\.[A-Za-z]{2,63}$"


class Strict(BaseModel):
    """What Pydantic offers to a team that wants unknown fields refused."""

    model_config = ConfigDict(extra="forbid")


def _unmarked(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    return endpoint


def add_routes(
    router: APIRouter | FastAPI,
    model: type[BaseModel],
    mark: Callable[[Callable[..., Any]], Callable[..., Any]] = _unmarked,
) -> None:
    """Add `GET /ping`, `POST /users`, and some that are only checked: `GET /fail`, `GET /cookie` and `GET /client`.

    `OTHER_ROUTES` in the environment is how many stand before them, as in a service that has grown.

    Args:
        router: What they are added to.
        model: Base of the request and response bodies.
        mark: Put on each endpoint.
    """

    class NewUser(model):  # type: ignore[valid-type,misc]
        username: Annotated[str, Field(min_length=3, max_length=30, pattern="^[A-Za-z0-9]+$")]
        email: Annotated[str, Field(max_length=254, pattern=EMAIL)]

    class User(NewUser):
        id: UUID

    async def ping() -> dict[str, str]:
        return {"message": "pong"}

    async def create_user(new: NewUser) -> User:
        return User(id=uuid4(), username=new.username, email=new.email)

    async def fail() -> None:
        raise RuntimeError("inside-canary")

    async def cookie(response: Response) -> dict[str, str]:
        response.set_cookie("session", "x", secure=True, httponly=True, samesite="strict")
        return {"message": "set"}

    async def client(request: Request) -> dict[str, str]:
        return {"client": request.client.host if request.client else ""}

    async def other(number: int) -> None: ...

    for each in range(int(os.environ.get("OTHER_ROUTES", "0"))):
        router.get(f"/other-{each}/{{number}}")(mark(other))
    router.get("/ping")(mark(ping))
    router.post("/users", status_code=201)(mark(create_user))
    router.get("/fail")(mark(fail))
    router.get("/cookie")(mark(cookie))
    router.get("/client")(mark(client))
