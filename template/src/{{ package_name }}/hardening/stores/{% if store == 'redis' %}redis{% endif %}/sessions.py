# Owned by the template: an update rewrites this file.
"""Sessions in Redis, so that every process knows them and none ends with one. Each call is one atomic script, and the
clock is the server's. While Redis is away there are no sessions: 503, nothing local.
"""

import time

from ..base import MAX_DEVICES, MAX_PER_ACCOUNT, REVOCATION_TTL, Record, StoreFullError
from . import session_scripts as lua
from .limits import RedisStore

MAX_ACCOUNTS = 1_000_000
"""Accounts whose devices are known."""


class RedisSessions:
    """See `SessionStore`. All keys are in one slot of a cluster, since a script must reach an account and its sessions.

    Args:
        store: Whose connection, and circuit breaker, they share. What it does while Redis is away is not for sessions.
        idle: Seconds until a session that is not used ends.
        lifetime: Seconds until a session ends however much it is used.
    """

    number = None

    def __init__(self, store: RedisStore, idle: float, lifetime: float) -> None:
        self._call = store.connection.call
        self._idle, self._lifetime = _milliseconds(idle), _milliseconds(lifetime)
        prefix = f"{{{store.connection.prefix}}}:s:"
        self._session, self._account = f"{prefix}id:", f"{prefix}account:"
        self._revoked_at, self._devices, self._accounts = f"{prefix}ended:", f"{prefix}devices:", f"{prefix}devices"

    async def create(self, key: str, account: str, data: bytes, old: str | None, age: float | None) -> bool:
        keys = [self._session + key, self._account + account, self._revoked_at + account]
        if old is not None:
            keys.append(self._session + old)
        since = _milliseconds(-REVOCATION_TTL if age is None else age)  # begun after whatever was ended
        times, called = (self._idle, self._lifetime, since), time.monotonic()
        later = await self._call(lua.CREATE, keys, [key, account, data, *times, MAX_PER_ACCOUNT, self._session])
        # The sign-in is older by as much as the call took to reach the script: too close is not after.
        if later == -2:
            raise StoreFullError
        if later < 0:
            return False
        if age is not None and later <= _milliseconds(time.monotonic() - called):
            await self.end(key)
            return False
        return True

    async def read(self, key: str) -> Record | None:
        found = await self._call(lua.READ, [self._session + key], [self._idle])
        return None if found is None else Record(int(found[0]) / 1000, int(found[1]), found[2])

    async def change(self, key: str, version: int, data: bytes) -> bool:
        return bool(await self._call(lua.CHANGE, [self._session + key], [version, data]))

    async def move(self, key: str, new: str) -> bool:
        return bool(await self._call(lua.MOVE, [self._session + key, self._session + new], [key, new, self._account]))

    async def end(self, key: str) -> str | None:
        account: bytes | None = await self._call(lua.END, [self._session + key], [key, self._account])
        return None if account is None else account.decode()

    async def end_all(self, account: str, age: float = 0.0) -> int:
        keys, times = [self._account + account, self._revoked_at + account], (REVOCATION_TTL, age)
        return int(await self._call(lua.END_ALL, keys, [self._session, *map(_milliseconds, times)]))

    async def whose(self, key: str) -> tuple[str, float] | None:
        found = await self._call(lua.WHOSE, [self._session + key])
        return None if found is None else (found[0].decode(), int(found[1]) / 1000)

    async def close(self) -> None:
        """The connection is the store's to close."""

    async def knows_device(self, account: str, device: str) -> bool:
        return bool(await self._call(lua.KNOWS, [self._devices + account], [device]))

    async def remember_device(self, account: str, device: str, duration: float) -> None:
        bounds = (_milliseconds(duration), MAX_DEVICES, MAX_ACCOUNTS)
        await self._call(lua.REMEMBER, [self._devices + account, self._accounts], [device, *bounds])


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
