# Owned by the template: an update rewrites this file.
"""Ends of sessions that have not reached the store. A route commits a new password and then ends the sessions of
the account; if the store is away in between, the password is changed and whoever stole a session would keep it. What
was asked for is remembered here, holds in this process at once, and is carried out when the store is back.
ASVS v5.0.0-7.4.1, 7.4.3.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context

from ..core.log import log
from .base import Record, SessionStore, StoreUnavailableError

MAX_PENDING = 10_000
"""Accounts, and as many single sessions, whose end is remembered; each takes less than 1 kB."""
FIRST, LONGEST = 0.1, 5.0
"""Seconds between two tries: the first pause, and the longest. An open circuit breaker makes a try cost nothing."""
CLOSING = 1.0
"""Seconds for a last try when the process ends."""
_MAX_NAMED = 20


class RevokingSessions:
    """A `SessionStore` in front of one that may be away: what it could not end stays ended for this process.

    Before a session is used or begun, what is pending for its account is carried out; if that fails, neither is. So
    nothing is compared here with the clock of the store, which decides which sessions began before they were ended.

    At the bound the account cannot be remembered, so every session that began before is ended when it is next used.
    Single sessions that nobody may know (anyone can send a cookie) have a bound of their own; beyond it a sign-out is
    not remembered, as its 503 shows.

    Args:
        store: Where sessions are kept.
        lifetime: Seconds until a session ends however much it is used.
        capacity: Accounts, and as many single sessions, to remember.
    """

    number = None

    def __init__(
        self,
        store: SessionStore,
        lifetime: float,
        capacity: int = MAX_PENDING,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._lifetime, self._capacity, self._now = store, lifetime, capacity, now
        # When it was asked for. The oldest try is first.
        self._accounts: dict[str, float] = {}
        self._keys: dict[str, float] = {}
        self._full_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def create(self, key: str, account: str, data: bytes, old: str | None, age: float | None) -> bool:
        if account in self._accounts:
            began = self._now()
            await self._end_account(account)
            age = None if age is None else age + self._now() - began
        return await self._store.create(key, account, data, old, age)

    async def read(self, key: str) -> Record | None:
        return None if await self._is_revoked(key) else await self._store.read(key)

    async def change(self, key: str, version: int, data: bytes) -> bool:
        return not await self._is_revoked(key) and await self._store.change(key, version, data)

    async def move(self, key: str, new: str) -> bool:
        return not await self._is_revoked(key) and await self._store.move(key, new)

    async def whose(self, key: str) -> tuple[str, float] | None:
        return None if await self._is_revoked(key) else await self._store.whose(key)

    async def end(self, key: str) -> str | None:
        asked = self._now()
        try:
            account = await self._store.end(key)
        except BaseException:
            self._remember(self._keys, key, asked)
            raise
        self._keys.pop(key, None)
        return account

    async def end_all(self, account: str, age: float = 0.0) -> int:
        asked = self._now() - age
        try:
            number = await self._store.end_all(account, age)
        except BaseException:  # a request that is cancelled while it waits has asked for it too
            self._remember(self._accounts, account, asked)
            raise
        if self._accounts.get(account, asked) <= asked:
            self._accounts.pop(account, None)
        return number

    async def knows_device(self, account: str, device: str) -> bool:
        return await self._store.knows_device(account, device)

    async def remember_device(self, account: str, device: str, duration: float) -> None:
        await self._store.remember_device(account, device, duration)

    async def close(self) -> None:
        """Try once more, and say what could not be carried out. It is still refused, should this process go on."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self._try_all()
        if self._accounts or self._keys:
            accounts = [_name(account) for account in list(self._accounts)[:_MAX_NAMED]]
            log("error", "revocations_lost", number=len(self._accounts), accounts=accounts, sessions=len(self._keys))
        await self._store.close()

    async def _is_revoked(self, key: str) -> bool:
        """Whether the session was ended here; what is pending for its account is carried out first.

        Raises:
            StoreUnavailableError: It still cannot.
        """
        if not (self._accounts or self._keys or self._full_at is not None):
            return False
        if key in self._keys:
            await self._end_key(key)
            return True
        if (found := await self._store.whose(key)) is None:
            return True
        account, age = found
        if account in self._accounts:
            await self._end_account(account)
        if self._full_at is not None:
            if self._now() - self._full_at > self._lifetime:
                self._full_at = None
            elif self._now() - age <= self._full_at:
                await self._store.end(key)
                return True
        return False

    def _remember(self, pending: dict[str, float], name: str, asked: float) -> None:
        is_account = pending is self._accounts
        if name not in pending and len(pending) >= self._capacity:
            if is_account:
                self._full_at = asked
            log("error", "revocations_full", ended="each session when it is next used" if is_account else "nothing")
            return
        if name not in pending:
            log_fields = {"account": _name(name)} if is_account else {}
            log("error" if is_account else "warning", "revocation_pending", **log_fields)
        pending[name] = max(asked, pending.get(name, asked))
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._work(), context=Context())  # no part of the request

    async def _work(self) -> None:
        pause = FIRST
        while self._accounts or self._keys:
            await asyncio.sleep(pause)
            pause = FIRST if await self._try_all() else min(2 * pause, LONGEST)

    async def _try_all(self) -> bool:
        """Carry out what is pending, accounts first; return whether all of it could be."""
        for pending, end in ((self._accounts, self._end_account), (self._keys, self._end_key)):
            for name in list(pending):
                try:
                    await end(name)
                except StoreUnavailableError:
                    if name in pending:  # not first the next time, should it be what fails
                        pending[name] = pending.pop(name)
                    return False
        return True

    async def _end_account(self, account: str) -> None:
        if (asked := self._accounts.get(account)) is None:
            return
        number = await self._store.end_all(account, self._now() - asked)
        if self._accounts.get(account) == asked:  # not asked for again meanwhile, nor carried out by another request
            del self._accounts[account]
            seconds = round(self._now() - asked, 1)
            log("info", "sessions_ended", account=_name(account), number=number, seconds=seconds)

    async def _end_key(self, key: str) -> None:
        account = await self._store.end(key)
        asked = self._keys.pop(key, None)
        if account is not None and asked is not None:
            log("info", "session_ended", account=_name(account), seconds=round(self._now() - asked, 1))


def _name(account: str) -> str:
    return account.partition(":")[2]
