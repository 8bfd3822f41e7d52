# Owned by the template: an update rewrites this file.
"""Sessions in Redis, so that every process knows them and none ends with one. Each call is one atomic script, and the
clock is the server's. While Redis is away there are no sessions: 503, nothing local.
"""

import time

from ..base import MAX_DEVICES, MAX_PER_ACCOUNT, REVOCATION_TTL, Record
from .calls import Script
from .limits import RedisStore

# Milliseconds throughout.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""


def _timed(text: str) -> Script:
    """A script that knows what time it is."""
    return Script(_NOW + text)


def _repeatable(text: str) -> Script:
    """One that may also run twice where once was asked for."""
    return Script(_NOW + text, is_repeatable=True)


# KEYS: session, sessions of the account, end of all of them, session to end. Returns how long after the last end of all
# the sign-in began.
_CREATE = _timed("""
local id, account, data, idle, lifetime, age, capacity, prefix = unpack(ARGV)
local ended = redis.call('GET', KEYS[3])
if ended and tonumber(ended) >= now - age then
    return -1
end
if KEYS[4] then
    redis.call('DEL', KEYS[4])
end
local alive = {}
for _, each in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if redis.call('EXISTS', prefix .. each) == 1 then
        alive[#alive + 1] = each
    else
        redis.call('ZREM', KEYS[2], each)
    end
end
for i = 1, #alive - capacity + 1 do
    redis.call('DEL', prefix .. alive[i])
    redis.call('ZREM', KEYS[2], alive[i])
end
redis.call('HSET', KEYS[1], 'account', account, 'began', math.min(now, now - age), 'created', now,
    'ends', now + lifetime, 'version', 0, 'data', data)
redis.call('PEXPIRE', KEYS[1], math.min(idle, lifetime))
redis.call('ZADD', KEYS[2], time[1] * 1000000 + time[2], id)
redis.call('PEXPIRE', KEYS[2], lifetime)
return ended and now - age - ended or 2 ^ 40
""")
_READ = _repeatable("""
local found = redis.call('HMGET', KEYS[1], 'created', 'version', 'data', 'ends')
if not found[4] then
    return false
end
local left = found[4] - now
if left <= 0 then
    redis.call('DEL', KEYS[1])
    return false
end
redis.call('PEXPIRE', KEYS[1], math.min(ARGV[1], left))
return {found[1], found[2], found[3]}
""")
_CHANGE = Script("""
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then
    return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'data', ARGV[2])
return 1
""")
_MOVE = Script("""
local account = redis.call('HGET', KEYS[1], 'account')
if not account then
    return 0
end
redis.call('RENAME', KEYS[1], KEYS[2])
local own = ARGV[3] .. account
redis.call('ZADD', own, redis.call('ZSCORE', own, ARGV[1]) or 0, ARGV[2])
redis.call('ZREM', own, ARGV[1])
return 1
""")
_END = Script("""
local account = redis.call('HGET', KEYS[1], 'account')
if account then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', ARGV[2] .. account, ARGV[1])
end
return account
""")
# KEYS: sessions of the account, end of all of them. It may be carried out late: a sign-in that began since it was asked
# for keeps its session. One that began later than now is of a clock that was set back. Sessions of 0.3.0 do not say
# when their sign-in began.
_END_ALL = _timed("""
local prefix, remembered, age = unpack(ARGV)
local asked, number = now - age, 0
for _, each in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local found = redis.call('HMGET', prefix .. each, 'began', 'created')
    local began = tonumber(found[1] or found[2] or 0)
    if began <= asked or began > now then
        number = number + redis.call('DEL', prefix .. each)
        redis.call('ZREM', KEYS[1], each)
    end
end
local ended = tonumber(redis.call('GET', KEYS[2]) or 0)
if ended < asked or ended > now then
    redis.call('SET', KEYS[2], asked, 'PX', remembered)
end
return number
""")
_WHOSE = _repeatable("""
local found = redis.call('HMGET', KEYS[1], 'account', 'began', 'created')
return found[1] and {found[1], now - (found[2] or found[3])}
""")
_KNOWS = _repeatable("""
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
return ends and tonumber(ends) > now and 1 or 0
""")
_REMEMBER = _timed("""
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
""")


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
        self._revoked_at, self._devices = f"{prefix}ended:", f"{prefix}devices:"

    async def create(self, key: str, account: str, data: bytes, old: str | None, age: float | None) -> bool:
        keys = [self._session + key, self._account + account, self._revoked_at + account]
        if old is not None:
            keys.append(self._session + old)
        since = _milliseconds(-REVOCATION_TTL if age is None else age)  # begun after whatever was ended
        times, called = (self._idle, self._lifetime, since), time.monotonic()
        later = await self._call(_CREATE, keys, [key, account, data, *times, MAX_PER_ACCOUNT, self._session])
        # The sign-in is older by as much as the call took to reach the script: too close is not after.
        if later < 0:
            return False
        if age is not None and later <= _milliseconds(time.monotonic() - called):
            await self.end(key)
            return False
        return True

    async def read(self, key: str) -> Record | None:
        found = await self._call(_READ, [self._session + key], [self._idle])
        return None if found is None else Record(int(found[0]) / 1000, int(found[1]), found[2])

    async def change(self, key: str, version: int, data: bytes) -> bool:
        return bool(await self._call(_CHANGE, [self._session + key], [version, data]))

    async def move(self, key: str, new: str) -> bool:
        return bool(await self._call(_MOVE, [self._session + key, self._session + new], [key, new, self._account]))

    async def end(self, key: str) -> str | None:
        account: bytes | None = await self._call(_END, [self._session + key], [key, self._account])
        return None if account is None else account.decode()

    async def end_all(self, account: str, age: float = 0.0) -> int:
        keys = [self._account + account, self._revoked_at + account]
        return int(await self._call(_END_ALL, keys, [self._session, _milliseconds(REVOCATION_TTL), _milliseconds(age)]))

    async def whose(self, key: str) -> tuple[str, float] | None:
        found = await self._call(_WHOSE, [self._session + key])
        return None if found is None else (found[0].decode(), int(found[1]) / 1000)

    async def close(self) -> None:
        """The connection is the store's to close."""

    async def knows_device(self, account: str, device: str) -> bool:
        return bool(await self._call(_KNOWS, [self._devices + account], [device]))

    async def remember_device(self, account: str, device: str, duration: float) -> None:
        await self._call(_REMEMBER, [self._devices + account], [device, _milliseconds(duration), MAX_DEVICES])


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
