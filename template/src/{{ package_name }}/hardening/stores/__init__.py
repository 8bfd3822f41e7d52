# Owned by the template: an update rewrites this file.
"""Where counts and sessions are kept: in this process, or in Redis for several."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from ..core.findings import Finding, InsecureConfigurationError
from ..settings import HardeningSettings
from .base import SessionStore, Store
from .memory import MemoryStore
from .memory_sessions import MemorySessions
from .revocations import RevokingSessions

_FORMS = (
    "Write redis://host:6379/0, rediss:// for TLS, unix:///path, redis+sentinel://host,host/master/0 or "
    "redis+cluster://host,host, with user:password@ before the host, percent-encoded."
)


def store_findings(settings: HardeningSettings) -> Iterator[Finding]:
    """A service that is made for Redis, and counts in one process because nobody has set where."""
    is_unset = "store_url" not in settings.model_fields_set and settings.is_production
    redis = find_spec(f"{__package__}.redis")
    if is_unset and redis is not None and redis.origin:  # a folder without modules may be left of it
        yield Finding(
            "store.W001",
            "APP_STORE_URL is not set: each process counts for itself.",
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


def open_sessions(settings: HardeningSettings, store: Store) -> SessionStore:
    """Keep sessions where limits are counted, and apart from them."""
    times = settings.session_idle, settings.session_lifetime
    if isinstance(store, MemoryStore):
        return MemorySessions(*times)
    sessions: SessionStore = import_module(".redis.sessions", __package__).RedisSessions(store, *times)
    return RevokingSessions(sessions, settings.session_lifetime)
