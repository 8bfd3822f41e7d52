# Owned by the template: an update rewrites this file.
"""The count in one process. It must not grow with the number of attackers, nor forget one to make room."""

from array import array
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from secrets import token_hex
from time import monotonic

from ..core.findings import Finding
from ..settings import Quota
from .base import Claim

MAX_KEYS = 100_000
_SHARED = 65_536


class MemoryStore:
    """GCRA in one process: one dictionary look-up a claim, and at most `max_keys` clients remembered.

    Each newcomer makes the store look at two remembered keys whose quota should be whole again, and drop those whose
    is; a key that is still limited is never dropped. When no place is free, newcomers share one of 65,536 counters,
    chosen by a keyed hash: they are limited together, and nobody who is being refused is pushed out.
    """

    is_away = False

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._arrivals: dict[str, float] = {}
        # Which keys to look at in which second: a calendar queue, and a heap of the seconds that are in it.
        self._due: dict[int, list[str]] = {}
        self._seconds: list[int] = []
        self._shared: dict[tuple[int, float], array[float]] = {}
        self._salt = token_hex(16)

    async def acquire(self, claims: Sequence[Claim]) -> list[float]:
        return self.acquire_nowait(claims)

    async def refund(self, claims: Sequence[Claim]) -> None:
        self.refund_nowait(claims)

    def findings(self) -> Iterable[Finding]:
        return ()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def is_ready(self) -> bool:
        return True

    def acquire_nowait(self, claims: Sequence[Claim]) -> list[float]:
        """See `Store.acquire`."""
        now = monotonic()
        decisions = []
        for key, quota in claims:
            interval = quota.window / quota.limit
            slot = -1
            if (arrival := self._arrivals.get(key)) is None:
                arrival = now
                if not self._remember(key, now + interval, now):
                    slot, counters = self._slot(key), self._counters(quota)
                    arrival = counters[slot]
            arrival = (arrival if arrival > now else now) + interval
            remaining = quota.window - (arrival - now)
            if remaining < -interval * 1e-3:
                decisions.append(remaining)
                break
            if slot < 0:
                self._arrivals[key] = arrival
            else:
                counters[slot] = arrival
            decisions.append(remaining if remaining > 0 else 0.0)
        return decisions

    def refund_nowait(self, claims: Sequence[Claim]) -> None:
        """What `refund` does, without waiting for anything."""
        for key, quota in claims:
            interval = quota.window / quota.limit
            if key in self._arrivals:
                self._arrivals[key] -= interval
            elif (counters := self._shared.get((quota.limit, quota.window))) is not None:
                counters[self._slot(key)] -= interval

    def sync_from(self, claims: Sequence[Claim], decisions: Sequence[float]) -> None:
        """Know what another store has decided, so as to go on from there when it is lost."""
        now = monotonic()
        for (key, quota), remaining in zip(
            claims, decisions, strict=False
        ):  # what comes after a refusal was not decided
            counted = quota.window if remaining >= 0 else quota.window - quota.window / quota.limit
            arrival = now + counted - remaining
            if key in self._arrivals or self._remember(key, arrival, now):
                self._arrivals[key] = arrival

    def _slot(self, key: str) -> int:
        # The hash of a string is SipHash, whose key PYTHONHASHSEED may have made public; the salt stays a secret.
        return hash(self._salt + key) % _SHARED

    def _counters(self, quota: Quota) -> "array[float]":
        kind = quota.limit, quota.window
        if kind not in self._shared:
            self._shared[kind] = array("d", bytes(8 * _SHARED))
        return self._shared[kind]

    def _remember(self, key: str, arrival: float, now: float) -> bool:
        """Make room among keys whose quota is whole, and say whether there is a place for `key`."""
        arrivals, seconds = self._arrivals, self._seconds
        for _ in range(2):
            if not seconds or seconds[0] > now:
                break
            due = self._due[seconds[0]]
            known = due.pop()
            if not due:
                del self._due[heappop(seconds)]
            if arrivals[known] <= now:
                del arrivals[known]
            else:  # it was used since
                self._schedule_check(known, arrivals[known], now)
        if len(arrivals) >= self._max_keys:
            return False
        arrivals[key] = arrival
        self._schedule_check(key, arrival, now)
        return True

    def _schedule_check(self, key: str, arrival: float, now: float) -> None:
        """Look at `key` when its quota is whole, or later by up to a second or 1/16 of the wait, to have few lists."""
        step = 1 << max(0, int(arrival - now).bit_length() - 5)
        second = (int(arrival) // step + 1) * step
        if second not in self._due:
            self._due[second] = []
            heappush(self._seconds, second)
        self._due[second].append(key)
