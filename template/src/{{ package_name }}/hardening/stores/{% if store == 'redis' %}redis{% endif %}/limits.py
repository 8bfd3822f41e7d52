# Owned by the template: an update rewrites this file.
"""One count for all processes, in Redis or Valkey. A service whose limits end when their store does has none: while it
is away each process counts for itself, or nothing is served.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ...core.findings import Finding
from ...settings import HardeningSettings
from ..base import Claim, StoreUnavailableError
from ..memory import MemoryStore
from .address import Address
from .connection import RedisConnection, Script

# Times are seconds of the server's clock since 2025-06-15, to keep microseconds in a double. A stored time more than one
# window ahead is stale (the clock was set back, or the quota changed) and is clamped.
_NOW = """
local time = redis.call('TIME')
local now = time[1] - 1750000000 + time[2] / 1000000
"""
_ACQUIRE = Script(
    _NOW
    + """
local decisions = {}
for i, key in ipairs(KEYS) do
    local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
    local arrival = tonumber(redis.call('GET', key) or 0)
    arrival = math.min(math.max(arrival, now), now + window) + interval
    local remaining = window - (arrival - now)
    if remaining < -interval * 1e-3 then
        decisions[i] = math.floor(remaining * 1e9)
        break
    end
    redis.call('SET', key, arrival, 'PX', math.max(math.ceil((arrival - now) * 1000), 1))
    decisions[i] = math.floor(math.max(remaining, 0) * 1e9)
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
        self.connection = RedisConnection(self._address, "refused" if self._is_closed else "local")
        # In a cluster the keys of one script must be in one slot, and an account has none in common with an address.
        self._prefix = f"{{{self.connection.prefix}}}:l:"
        self._local = MemoryStore()

    def acquire_nowait(self, claims: Sequence[Claim]) -> None:
        """Redis must be waited for."""

    async def acquire(self, claims: Sequence[Claim]) -> list[float]:
        """See `Store.acquire`."""
        try:
            answer = await self.connection.call(_ACQUIRE, *self._arguments(claims))
            try:
                decisions = _read(answer, len(claims))
            except (TypeError, ValueError) as error:
                self.connection.trip(error)
                raise StoreUnavailableError from None
            self._local.sync_from(claims, decisions)
            return decisions
        except StoreUnavailableError:
            if self._is_closed:
                raise
            return self._local.acquire_nowait(claims)

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

    async def is_ready(self) -> bool:
        """Whether requests are decided: always, unless they are refused while Redis is away."""
        return await self.connection.ping() or not self._is_closed

    def _arguments(self, claims: Sequence[Claim]) -> tuple[list[str], list[float]]:
        numbers = [number for _, quota in claims for number in (quota.window / quota.limit, quota.window)]
        return [self._prefix + key for key, _ in claims], numbers


def _read(answer: Any, claims: int) -> list[float]:
    """What the script answered, in nanoseconds.

    Raises:
        TypeError, ValueError: It is nothing that the script answers.
    """
    decisions = [remaining / 1e9 for remaining in answer]
    if not decisions or (len(decisions) != claims and decisions[-1] >= 0):
        raise ValueError("not as many decisions as claims")
    return decisions
