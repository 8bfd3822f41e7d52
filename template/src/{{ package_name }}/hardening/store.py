# Owned by the template: an update rewrites this file.
"""Where limits are counted. The count must not grow with the number of attackers, nor forget one to make room."""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from os import urandom
from time import monotonic
from typing import NamedTuple, Protocol

from .checks import Finding, InsecureConfigurationError
from .settings import HardeningSettings, Quota

MAX_KEYS = 100_000
_SHARED = 65_536


class Claim(NamedTuple):
    """One request to be counted on `key`, which is never that of another kind of claim, against `quota`."""

    key: str
    quota: Quota


class Decision(NamedTuple):
    """What a quota says to one request; `reset` and `retry_after` are in seconds."""

    allowed: bool
    remaining: int
    reset: float
    retry_after: float


class StoreAwayError(Exception):
    """The store gives no answer, and nothing may be decided without it: 503."""


class Store(Protocol):
    """What counts. All that a request claims is decided in one call, so that a store elsewhere is asked once."""

    async def take(self, claims: Sequence[Claim]) -> list[Decision]:
        """Count a request on each claim in turn, up to and with the first that refuses it.

        What refuses is not counted, nor is what comes after it; what came before it is.

        Raises:
            StoreAwayError: There is no answer, and `APP_STORE_OUTAGE` is `closed`.
        """

    async def give_back(self, claims: Sequence[Claim]) -> None:
        """Take back one request of each claim: it turned out not to be what the quota is for.

        Raises:
            StoreAwayError: As with `take`.
        """

    def findings(self) -> Iterable[Finding]:
        """What is not safe about where it counts."""

    async def open(self) -> None:
        """Get ready before the first request. A store that is away is no error."""

    async def close(self) -> None:
        """Let go of connections and tasks."""

    async def is_ready(self) -> bool:
        """Whether requests can be decided."""


class MemoryStore:
    """GCRA in one process: one dictionary look-up a claim, and at most `max_keys` clients remembered.

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

    async def take(self, claims: Sequence[Claim]) -> list[Decision]:
        return self.decide(claims)

    async def give_back(self, claims: Sequence[Claim]) -> None:
        self.refund(claims)

    def findings(self) -> Iterable[Finding]:
        return ()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def is_ready(self) -> bool:
        return True

    def decide(self, claims: Sequence[Claim]) -> list[Decision]:
        """What `take` does, without waiting for anything."""
        now = monotonic()
        decisions = []
        for key, quota in claims:
            slot = -1
            arrival = self._arrivals.get(key)
            if arrival is None:
                arrival = 0.0
                if not self._admit(key, now):
                    slot = self._slot(key)
                    arrival = self._counters(quota)[slot]
            interval = quota.window / quota.limit
            arrival = (arrival if arrival > now else now) + interval
            spare = quota.window - (arrival - now)
            if spare < -interval * 1e-3:
                decisions.append(Decision(False, 0, arrival - interval - now, -spare))
                break
            if slot < 0:
                self._arrivals[key] = arrival
            else:
                self._counters(quota)[slot] = arrival
            decisions.append(Decision(True, int(spare / interval + 1e-3), arrival - now, 0.0))
        return decisions

    def refund(self, claims: Sequence[Claim]) -> None:
        """What `give_back` does, without waiting for anything."""
        for key, quota in claims:
            interval = quota.window / quota.limit
            if key in self._arrivals:
                self._arrivals[key] -= interval
            elif quota in self._shared:
                self._shared[quota][self._slot(key)] -= interval

    def learn(self, claims: Sequence[Claim], decisions: Sequence[Decision]) -> None:
        """Know what another store has decided, so as to go on from there when it is lost."""
        now = monotonic()
        for (key, _), decision in zip(claims, decisions, strict=False):  # what comes after a refusal was not decided
            if key in self._arrivals or self._admit(key, now):
                self._arrivals[key] = now + decision.reset

    def _slot(self, key: str) -> int:
        return int.from_bytes(blake2b(key.encode(), digest_size=2, key=self._salt).digest(), "big")

    def _counters(self, quota: Quota) -> "array[float]":
        if quota not in self._shared:
            self._shared[quota] = array("d", bytes(8 * _SHARED))
        return self._shared[quota]

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


def check(settings: HardeningSettings) -> Iterator[Finding]:
    """A service that is made for Redis, and counts in one process because nobody said where."""
    unsaid = "store_url" not in settings.model_fields_set and settings.is_production
    if unsaid and find_spec(f"{__package__}.{_REDIS}") is not None:
        yield Finding(
            "store.W001",
            "APP_STORE_URL is not said: each process counts for itself.",
            "Set it to the address of Redis or Valkey, or to memory:// if there is one process and no more.",
        )


def open_store(settings: HardeningSettings) -> Store:
    """The store that `APP_STORE_URL` names; nothing is connected yet.

    Raises:
        InsecureConfigurationError: The address cannot be used. Not in development either: nothing would be counted.
    """
    if settings.store_url == "memory://":
        return MemoryStore()
    try:
        store: Store = import_module(f".{_REDIS}", __package__).RedisStore(settings)
    except ModuleNotFoundError as error:
        finding = Finding(
            "store.E002",
            f"APP_STORE_URL names a Redis, and the module {error.name} is not there.",
            "Run `uvx copier update --trust -d store=redis`, `uv run python -m verify.bounds` and `uv sync`; or set "
            "APP_STORE_URL=memory://.",
        )
        raise InsecureConfigurationError([finding]) from None
    except ValueError as error:
        message = f"APP_STORE_URL cannot be used: {error}."
        raise InsecureConfigurationError([Finding("store.E003", message, _FORMS)]) from None
    return store


_REDIS = "redis_store"
_FORMS = (
    "Write redis://host:6379/0, rediss:// for TLS, unix:///path, redis+sentinel://host,host/master/0 or "
    "redis+cluster://host,host, with user:password@ before the host, percent-encoded."
)
