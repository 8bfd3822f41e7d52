# Owned by the template: an update rewrites this file.
"""Who is signed in, kept on the server: an id that this service did not make opens nothing, and one that has ended
opens nothing again.
ASVS v5.0.0-7.2.3, 7.2.4, 7.3.1, 7.3.2, 7.4.1, 14.3.1.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from secrets import randbelow
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from fastapi import Request
from fastapi.openapi.models import APIKey
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection

from ..core.log import log
from ..core.problems import Problem
from ..stores.base import Record, StoreFullError
from .base import RequestContext, context_of
from .session_cookie import SessionCookie

MAX_BYTES = 4096
MAX_ACCOUNT = 255
_CLEAR = (b"clear-site-data", b'"cache", "storage"')
Data = TypeVar("Data", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Session(Generic[Data]):
    """A session as it was when the request read it; `created` is when the account signed in."""

    data: Data
    created: datetime = field(default_factory=lambda: datetime.now(UTC))


class Sessions(SecurityBase, Generic[Data]):
    """The sessions of a service: make one object, at the level of a module. It keeps none of them.

    As a dependency it is a guard: `session: Annotated[Session[SignedIn], Depends(sessions)]` is who calls, and
    whoever is not signed in gets a 401. A cookie leaves with the response unless that is an error.

    Args:
        model: What a session holds; at most 4,096 bytes of JSON.
        account: The field of `model` that says whose session it is.
        name: Of the cookie, without `__Host-`. Two kinds of sessions need two names.

    Raises:
        ValueError: `model` has no such field, or no cookie can have this name.
    """

    __guard__ = True

    def __init__(self, model: type[Data], *, account: str, name: str = "session") -> None:
        if account not in model.model_fields:
            raise ValueError(f"{model.__name__} has no field {account}, which would say whose session it is")
        self._cookie = SessionCookie(name)
        self.name = self.__name__ = self.scheme_name = name
        self._model, self._account = model, account
        self.model = APIKey.model_validate({"in": "cookie", "name": f"__Host-{name}"})
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.challenge = self._cookie.challenge

    async def __call__(self, connection: HTTPConnection) -> Session[Data]:
        """The session of the request.

        Raises:
            Problem: 401, there is none.
        """
        if (session := await self.read(connection)) is None:
            context = context_of(connection)
            if context.event == "request":
                context.note("session_refused", reason="no cookie")
            raise self._cookie.unknown()
        return session

    async def read(self, connection: HTTPConnection) -> Session[Data] | None:
        """The session of the request, or `None`; it is idle from now on."""
        context, key = self._cookie.read(connection)
        return None if key is None else await self._open(context, key, await context.services.sessions.read(key))

    async def create(self, request: Request, data: Data) -> Session[Data]:
        """Sign in: begin a session under a new id, and end the one that the request came with.

        Raises:
            Problem: 401, all sessions of the account were ended while this request was on its way; 503, there is no
                place for another session.
            ValueError: The data is too large, or is not the same after JSON; or the account is empty or too long.
            RuntimeError: The response has begun.
        """
        context, old = self._cookie.read_before_response(request)
        account, encoded = self._key_of(getattr(data, self._account)), self._encode(data)
        session_id, key = self._cookie.new_id()
        age = None if context.ignores_revocation else time.perf_counter() - context.started_at
        try:
            is_created = await context.services.sessions.create(key, account, encoded, old, age)
        except StoreFullError:
            context.note("sessions_full")
            raise Problem(503, "No more sessions at present", headers={"retry-after": "60"}) from None
        if not is_created:
            context.note("session_refused", reason="all sessions of the account were ended during the sign-in")
            raise self._cookie.unknown()
        self._cookie.send(context, session_id, key)
        log("info", "session_created", request_id=context.request_id, account=account.partition(":")[2])
        return Session(data)

    async def change(self, request: Request, change: Callable[[Data], Data]) -> Session[Data]:
        """Change what the session holds. Concurrent changes are made one after the other; none is lost.

        Args:
            request: The request whose session it is.
            change: Returns the new data, as `data.model_copy(update=...)` does. It may be called several times.

        Raises:
            Problem: 401, the session has ended.
            ValueError: As with `create`; or the data is another account's.
        """
        context, key = self._cookie.read(request)
        if key is None:
            raise self._cookie.unknown()
        # The lock spares those of this process the tries; what is right does not hang on it.
        async with self._locks.setdefault(key, asyncio.Lock()):
            while (record := await context.services.sessions.read(key)) is not None:
                if (session := await self._open(context, key, record)) is None:
                    break
                account = getattr(session.data, self._account)
                data = change(session.data)
                if getattr(data, self._account) != account:
                    raise ValueError("a session cannot change hands; create one for the other account")
                if await context.services.sessions.change(key, record.version, self._encode(data)):
                    return Session(data, session.created)
                await asyncio.sleep(randbelow(20_000) / 1e6)  # several processes not at once again
        raise self._cookie.unknown()

    async def renew(self, request: Request) -> None:
        """Give the session a new id, at a change of privilege; what it holds and when it ends stay.

        Raises:
            Problem: 401, the session has ended.
            RuntimeError: The response has begun.
        """
        context, key = self._cookie.read_before_response(request)
        session_id, new = self._cookie.new_id()
        if key is None or not await context.services.sessions.move(key, new):
            raise self._cookie.unknown()
        self._cookie.send(context, session_id, new)

    async def end(self, request: Request) -> None:
        """Sign out: end the session, expire its cookie, and have the browser forget what it kept."""
        context, key = self._cookie.read(request)
        if key is not None and (account := await context.services.sessions.end(key)) is not None:
            log("info", "session_ended", request_id=context.request_id, account=account.partition(":")[2])
        self._cookie.send(context, "", None)
        context.add_on_success("clear-site-data", _CLEAR)

    async def end_all(self, request: Request, account: Any) -> int:
        """End every session of an account, that of this request too if it is one, and return how many there were.

        A sign-in that is under way makes no session: it may have been made with the old password. This request may
        create one.
        """
        context = context_of(request)
        number = await context.services.sessions.end_all(self._key_of(account))
        context.ignore_revocation()
        log("info", "sessions_ended", request_id=context.request_id, account=str(account), number=number)
        return number

    def _key_of(self, account: Any) -> str:
        text = str(account)
        if account is None or not 0 < len(text) <= MAX_ACCOUNT:
            raise ValueError(f"an account has 1 to {MAX_ACCOUNT} characters")
        return f"{self.name}:{text}"

    async def _open(self, context: RequestContext, key: str, record: Record | None) -> Session[Data] | None:
        if record is None:
            context.note("session_refused", reason="it has ended, or never was")
            return None
        try:
            data = self._model.model_validate_json(record.data)
        except ValidationError:  # a release has changed the model
            context.note("session_refused", reason="what it holds does not fit the model")
            await context.services.sessions.end(key)
            return None
        context.sessions_read |= {key}
        return Session(data, datetime.fromtimestamp(record.created, UTC))

    def _encode(self, data: Data) -> bytes:
        """The data as JSON that can be read back: what cannot would end the session at the next request."""
        encoded = data.model_dump_json(by_alias=True).encode()
        if len(encoded) > MAX_BYTES:
            raise ValueError(f"a session holds at most {MAX_BYTES} bytes of JSON, and this is {len(encoded)}")
        if self._model.model_validate_json(encoded) != data:
            raise ValueError(f"{self._model.__name__} is not the same after JSON, so a session cannot hold it")
        return encoded
