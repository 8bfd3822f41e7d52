# Owned by the template: an update rewrites this file.
"""Where limits are counted: in this process, or in Redis for several."""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, TypeAlias

from ..settings import HardeningSettings, Quota
from ..startup.settings import Finding, InsecureConfigurationError
from .memory import MemoryStore

Claim: TypeAlias = tuple[str, Quota]
"""One request to be counted on a key, which is never that of another kind of claim, against a quota."""


class StoreAwayError(Exception):
    """The store gives no answer, and nothing may be decided without it: 503."""


class Store(Protocol):
    """What counts. All that a request claims is decided in one call, so that a store elsewhere is asked once."""

    async def take(self, claims: Sequence[Claim]) -> list[float]:
        """Count a request on each claim in turn, up to and with the first that refuses it.

        What refuses is not counted, nor is what comes after it; what came before it is.

        Returns:
            For each claim that was decided, the seconds of its window that are left to spend: 0 or more lets the
            request through, less refuses it, and it may come again after as many seconds.

        Raises:
            StoreAwayError: There is no answer, and `APP_STORE_OUTAGE` is `closed`.
        """

    def decide(self, claims: Sequence[Claim]) -> list[float] | None:
        """What `take` does, from a store that need not wait; `None` from one that must, and then nothing is counted."""

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


def check(settings: HardeningSettings) -> Iterator[Finding]:
    """A service that is made for Redis, and counts in one process because nobody said where."""
    unsaid = "store_url" not in settings.model_fields_set and settings.is_production
    redis = find_spec(f"{__package__}.redis")
    if unsaid and redis is not None and redis.origin:  # a folder without modules may be left of it
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
        store: Store = import_module(".redis.limits", __package__).RedisStore(settings)
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


_FORMS = (
    "Write redis://host:6379/0, rediss:// for TLS, unix:///path, redis+sentinel://host,host/master/0 or "
    "redis+cluster://host,host, with user:password@ before the host, percent-encoded."
)
