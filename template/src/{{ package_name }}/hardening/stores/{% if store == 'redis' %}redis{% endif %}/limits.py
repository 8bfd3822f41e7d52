# Owned by the template: an update rewrites this file.
"""One count for all processes, in Redis or Valkey. A service whose limits end when their store does has none: while it
is away each process counts for itself, or nothing is served.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from ...core.findings import Finding
from ...settings import HardeningSettings, Quota
from ..base import Claim, StoreUnavailableError
from ..memory import MemoryStore
from .address import Address
from .calls import Argument, Call, Script
from .connection import TIMEOUT, RedisConnection

# Times are seconds of the server's clock since 2025-06-15, to keep microseconds in a double. A stored time more than one
# window ahead is stale (the clock was set back, or the quota changed) and is clamped, so that the wait is as told.
_NOW = """
local time = redis.call('TIME')
local now = time[1] - 1750000000 + time[2] / 1000000
"""
# Many requests at once, in turn. ARGV: for each key a byte, twice the number of its quota, and 1 more if the request
# claims the key before it too; then the quotas.
_ACQUIRE = Script(
    _NOW
    + """
local decisions, is_refused = {}, false
local found, known, intervals, windows = redis.call('MGET', unpack(KEYS)), {}, {}, {}
for at = 2, #ARGV, 2 do
    intervals[at - 2], windows[at - 2] = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
end
for i, key in ipairs(KEYS) do
    local code = string.byte(ARGV[1], i)
    is_refused = is_refused and code % 2 == 1
    decisions[i] = 0
    if not is_refused then
        code = code - code % 2
        local interval, window = intervals[code], windows[code]
        local stored = known[key] or tonumber(found[i] or 0)
        local arrival = math.min(math.max(stored, now), now + window) + interval
        local remaining = window - (arrival - now)
        is_refused = remaining < -interval * 1e-3
        if not is_refused then
            known[key] = arrival
            remaining = math.max(remaining, 0)
        elseif stored > now + window then
            known[key] = now + window
        end
        decisions[i] = math.floor(remaining * 1e9)
    end
end
for key, arrival in pairs(known) do
    redis.call('SET', key, arrival, 'PX', math.max(math.ceil((arrival - now) * 1000), 1))
end
return decisions
"""
)
_REFUND = Script(
    _NOW
    + """
for i, key in ipairs(KEYS) do
    local arrival = tonumber(redis.call('GET', key) or 0) - tonumber(ARGV[2 * i - 1])
    if arrival > now then
        redis.call('SET', key, arrival, 'PX', math.ceil((arrival - now) * 1000))
    else
        redis.call('DEL', key)
    end
end
return 1
"""
)


_TOGETHER = 100


class _Acquisitions(Call):
    """Requests that are counted by one call of the script. More of them may be added until it is sent."""

    def __init__(self, prefix: str) -> None:
        super().__init__(_ACQUIRE)
        self._is_over = False
        self._prefix = prefix
        self._loop = asyncio.get_running_loop()
        self._requests: list[tuple[int, asyncio.Future[list[float]]]] = []
        self._names: list[str] = []
        self._codes = bytearray()
        self._quotas: dict[Quota, int] = {}

    @property
    def is_over(self) -> bool:
        return self._is_over

    def takes(self, number: int) -> bool:
        """Whether a request with so many claims may be added."""
        if self.is_sent or self.is_over or len(self._codes) + number > _TOGETHER:
            return False
        return self._loop is asyncio.get_running_loop()

    def add(self, claims: Sequence[Claim]) -> asyncio.Future[list[float]]:
        """Count one more request; its decisions."""
        follows = 0
        for key, quota in claims:
            self._names.append(self._prefix + key)
            self._codes.append(2 * self._quotas.setdefault(quota, len(self._quotas)) + follows)
            follows = 1
        future = self._loop.create_future()
        self._requests.append((len(claims), future))
        return future

    def operands(self) -> tuple[Sequence[str], Sequence[Argument]]:
        numbers = [number for each in self._quotas for number in (each.window / each.limit, each.window)]
        return self._names, [bytes(self._codes), *numbers]

    def succeed(self, answer: Any) -> None:
        if len(answer) != len(self._names):
            raise ValueError("not as many decisions as claims")
        decisions = [remaining / 1e9 for remaining in answer]
        self._is_over, start = True, 0
        for number, future in self._requests:
            own = decisions[start : start + number]
            start += number
            if not future.done():
                if number > 1:  # what comes after a refusal was not decided
                    own = own[: next((index for index, each in enumerate(own, 1) if each < 0), number)]
                future.set_result(own)

    def fail(self) -> None:
        self._is_over = True
        for _, future in self._requests:
            if not future.done():
                future.set_exception(StoreUnavailableError())


class RedisStore:
    """Counts in Redis, and without it as `APP_STORE_OUTAGE` says.

    Args:
        settings: Address, and what to do while it is away: count in this process, or refuse.

    Raises:
        ValueError: The address is none.
    """

    def __init__(self, settings: HardeningSettings) -> None:
        self._address = Address.parse(settings.store_url)
        self._is_closed = settings.store_outage == "closed"
        self.connection = RedisConnection(self._address, settings, "refused" if self._is_closed else "local")
        # In a cluster the keys of one script must be in one slot, and an account has none in common with an address.
        self._prefix = f"{{{self.connection.prefix}}}:l:"
        self._local = MemoryStore()
        self._next: _Acquisitions | None = None

    def acquire_nowait(self, claims: Sequence[Claim]) -> None:
        """Redis must be waited for."""

    async def acquire(self, claims: Sequence[Claim]) -> list[float]:
        """See `Store.acquire`."""
        try:
            patience = self.connection.patience()
            if (call := self._next) is None or not call.takes(len(claims)) or patience < TIMEOUT:
                self.connection.submit(call := _Acquisitions(self._prefix), patience)
                self._next = call if patience == TIMEOUT else None
            decisions = await self.connection.answer(call, call.add(claims))
        except StoreUnavailableError:
            if self._is_closed:
                raise
            return self._local.acquire_nowait(claims)
        self._local.sync_from(claims, decisions)
        return decisions

    async def refund(self, claims: Sequence[Claim]) -> None:
        """See `Store.refund`."""
        try:
            await self.connection.call(_REFUND, *self._arguments(claims))
        except StoreUnavailableError:
            if self._is_closed:
                raise
        self._local.refund_nowait(claims)

    def findings(self) -> Iterable[Finding]:
        """A password that leaves for a public address must be encrypted."""
        if self._address.is_exposed:
            yield Finding(
                "store.W002",
                "APP_STORE_URL sends its password in the clear to a host that is not of a private network.",
                "Write rediss://, or rediss+sentinel:// or rediss+cluster://.",
            )

    async def open(self) -> None:
        await self.connection.open()

    async def close(self) -> None:
        await self.connection.close()

    @property
    def is_away(self) -> bool:
        """Whether the circuit breaker is open."""
        return self.connection.is_open

    async def is_ready(self) -> bool:
        """Whether requests are decided: always, unless they are refused while Redis is away."""
        return await self.connection.ping() or not self._is_closed

    def _arguments(self, claims: Sequence[Claim]) -> tuple[list[str], list[float]]:
        numbers = [number for _, quota in claims for number in (quota.window / quota.limit, quota.window)]
        return [self._prefix + key for key, _ in claims], numbers
