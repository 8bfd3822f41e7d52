"""An example resource, kept in memory: replace it by your own. This file is yours."""

from collections import OrderedDict
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import Field

from ..hardening import ApiModel, Problem, public

MAX_USERS = 1000

router = APIRouter(prefix="/users", tags=["users"])


class NewUser(ApiModel):
    """What a client sends."""

    username: Annotated[str, Field(min_length=3, max_length=30, pattern="^[A-Za-z0-9]+$", examples=["alice"])]
    email: Annotated[
        str, Field(max_length=254, pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]+\.[A-Za-z]{2,63}$")
    ]


class User(NewUser):
    """What a client gets."""

    id: UUID


_users: OrderedDict[UUID, User] = OrderedDict()


@router.post("", status_code=201)
@public
async def create_user(new: NewUser) -> User:
    """Keep a user. The oldest one makes room, so that the example cannot fill the memory."""
    user = User(id=uuid4(), username=new.username, email=new.email)
    _users[user.id] = user
    if len(_users) > MAX_USERS:
        _users.popitem(last=False)
    return user


@router.get("/{user_id}")
@public
async def read_user(user_id: UUID) -> User:
    """Look a user up."""
    if (user := _users.get(user_id)) is None:
        raise Problem(404, "No such user")
    return user
