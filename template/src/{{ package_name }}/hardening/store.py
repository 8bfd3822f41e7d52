# Owned by the template: an update rewrites this file.
"""Where limits are counted. The count must not grow with the number of attackers, nor forget one to make room."""

from array import array
from collections import deque
from hashlib import blake2b
from os import urandom
from time import monotonic
from typing import NamedTuple

from .settings import Quota

MAX_KEYS = 100_000
_SHARED = 65_536


class Decision(NamedTuple):
    """What a quota says to one request; `reset` and `retry_after` are in seconds."""

    allowed: bool
    remaining: int
    reset: float
    retry_after: float


class MemoryStore:
    """GCRA in one process: one dictionary look-up a decision, and at most `max_keys` clients remembered.

    Each newcomer makes the store look at two remembered keys and drop those whose quota is whole again; a key that
    is still limited is never dropped. When no place is free, newcomers share one of 65,536 counters, chosen by a
    keyed hash: they are limited together, and nobody who is being refused is pushed out.
    """

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._arrivals: dict[str, float] = {}
        self._order: deque[str] = deque()
        self._shared: dict[Quota, array[float]] = {}
        self._salt = urandom(16)

    def take(self, key: str, quota: Quota) -> Decision:
        """Count one request of `key` against `quota`, unless it is refused."""
        now = monotonic()
        slot = -1
        arrival = self._arrivals.get(key)
        if arrival is None:
            arrival = 0.0
            if not self._admit(key, now):
                slot = int.from_bytes(blake2b(key.encode(), digest_size=2, key=self._salt).digest(), "big")
                if quota not in self._shared:
                    self._shared[quota] = array("d", bytes(8 * _SHARED))
                arrival = self._shared[quota][slot]
        interval = quota.window / quota.limit
        arrival = (arrival if arrival > now else now) + interval
        spare = quota.window - (arrival - now)
        if spare < -interval * 1e-3:
            return Decision(False, 0, arrival - interval - now, -spare)
        if slot < 0:
            self._arrivals[key] = arrival
        else:
            self._shared[quota][slot] = arrival
        return Decision(True, int(spare / interval + 1e-3), arrival - now, 0.0)

    def _admit(self, key: str, now: float) -> bool:
        """Make room among keys whose quota is whole, and say whether there is a place for `key`."""
        order, arrivals = self._order, self._arrivals
        for _ in range(min(2, len(order))):
            oldest = order.popleft()
            if arrivals[oldest] <= now:
                del arrivals[oldest]
            else:
                order.append(oldest)
        if len(arrivals) >= self._max_keys:
            return False
        order.append(key)
        arrivals[key] = 0.0
        return True
