# Owned by the template: an update rewrites this file.
"""Where sessions are kept: apart from what limits are counted on, so that no flood of clients pushes a session out."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple, Protocol

from .memory_store import MemoryStore
from .revocations import RevokingSessions
from .settings import HardeningSettings
from .store import Store

MAX_SESSIONS = 100_000
MAX_PER_ACCOUNT = 50
MAX_DEVICES = 10
# How long it is remembered that all sessions of an account were ended: longer than any sign-in takes.
REMEMBERED = 3600.0


class Record(NamedTuple):
    """A session as it is kept."""

    created: float
    """When the account signed in, in seconds of the wall clock."""
    version: int
    """Grows with each change of the data."""
    data: bytes


class FullError(Exception):
    """There is no place for another session."""


class SessionStore(Protocol):
    """Keeps sessions under the hash of their id. Each method is atomic."""

    async def create(self, key: str, account: str, data: bytes, old: str | None, age: float | None) -> bool:
        """Begin a session and end `old`; the account's oldest one makes room for one more than 50.

        Args:
            key: Hash of the new id.
            account: Whose session it is.
            data: What the session holds.
            old: Hash of the id that the request came with, if it came with one.
            age: Seconds since the sign-in began; `None` if no earlier end of all sessions stands against it.

        Returns:
            Whether it began; not if all sessions of the account were ended after the sign-in had begun.

        Raises:
            FullError: There is no place for it.
        """

    async def read(self, key: str) -> Record | None:
        """The session, which is idle from now on; `None` if it has ended or never was."""

    async def change(self, key: str, version: int, data: bytes) -> bool:
        """Replace the data if its version is still this one; return whether it was."""

    async def move(self, key: str, new: str) -> bool:
        """Give the session another id; return whether there was one."""

    async def end(self, key: str) -> str | None:
        """End the session; return whose it was, if there was one."""

    async def end_all(self, account: str, age: float = 0.0) -> int:
        """End every session of an account, and stand against sign-ins under way.

        Args:
            account: Whose sessions.
            age: Seconds since it was asked for; sessions of sign-ins that began after that stay.

        Returns:
            How many sessions it ended.
        """

    async def whose(self, key: str) -> tuple[str, float] | None:
        """Whose session it is, and how many seconds ago the sign-in began; not a use of it."""

    async def close(self) -> None:
        """Finish what is under way; the process ends."""

    async def knows_device(self, account: str, device: str) -> bool:
        """Whether the account has signed in on this device, by the hashes of both."""

    async def remember_device(self, account: str, device: str, duration: float) -> None:
        """Know the device for so many seconds; the account's oldest one makes room for one more than 10."""


@dataclass(slots=True)
class _Held:
    account: str
    record: Record
    began: float  # when the sign-in began
    last: float  # when it was last used
    end: float  # when it ends at the latest


class MemorySessions:
    """Sessions in the memory of one process, which end with it.

    They are in the order of their last use, so those that have been idle for too long are the first ones.

    Args:
        idle: Seconds until a session that is not used ends.
        lifetime: Seconds until a session ends however much it is used.
        most: How many there may be.
        now: A clock that is never set back.
    """

    def __init__(
        self, idle: float, lifetime: float, most: int = MAX_SESSIONS, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.now = now
        self._idle, self._lifetime, self._most = idle, lifetime, most
        self._sessions: OrderedDict[str, _Held] = OrderedDict()
        self._accounts: dict[str, OrderedDict[str, None]] = {}
        self._ended: OrderedDict[str, float] = OrderedDict()
        self._devices: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()

    async def create(self, key: str, account: str, data: bytes, old: str | None, age: float | None) -> bool:
        now = self.now()
        self._sweep(now)
        if age is not None and self._ended.get(account, float("-inf")) > now - age:
            return False
        if old is not None:
            self._drop(old)
        own = self._accounts.get(account, OrderedDict[str, None]())
        if len(own) >= MAX_PER_ACCOUNT or (own and len(self._sessions) >= self._most):
            self._drop(next(iter(own)))
        if len(self._sessions) >= self._most:
            raise FullError
        began = now - max(age or 0.0, 0.0)
        self._sessions[key] = _Held(account, Record(time.time(), 0, data), began, now, now + self._lifetime)
        self._accounts.setdefault(account, OrderedDict())[key] = None
        return True

    async def read(self, key: str) -> Record | None:
        held = self._find(key)
        if held is None:
            return None
        held.last = self.now()
        self._sessions.move_to_end(key)
        return held.record

    async def change(self, key: str, version: int, data: bytes) -> bool:
        held = self._find(key)
        if held is None or held.record.version != version:
            return False
        held.record = Record(held.record.created, version + 1, data)
        return True

    async def move(self, key: str, new: str) -> bool:
        held = self._find(key)
        if held is None:
            return False
        self._drop(key)
        held.last = self.now()
        self._sessions[new] = held
        self._accounts.setdefault(held.account, OrderedDict())[new] = None
        return True

    async def end(self, key: str) -> str | None:
        held = self._find(key)
        if held is None:
            return None
        self._drop(key)
        return held.account

    async def end_all(self, account: str, age: float = 0.0) -> int:
        now = self.now()
        self._sweep(now)
        asked = now - age
        self._ended[account] = max(asked, self._ended.get(account, asked))
        self._ended.move_to_end(account)
        keys = [key for key in self._accounts.get(account, ()) if self._sessions[key].began <= asked]
        for key in keys:
            self._drop(key)
        return len(keys)

    async def whose(self, key: str) -> tuple[str, float] | None:
        held = self._find(key)
        return None if held is None else (held.account, self.now() - held.began)

    async def close(self) -> None: ...

    async def knows_device(self, account: str, device: str) -> bool:
        devices = self._devices.get(account)
        return devices is not None and devices.get(device, 0.0) > self.now()

    async def remember_device(self, account: str, device: str, duration: float) -> None:
        devices = self._devices.setdefault(account, OrderedDict())
        devices[device] = self.now() + duration
        for each, most in ((devices, MAX_DEVICES), (self._devices, self._most)):
            each.move_to_end(device if each is devices else account)
            if len(each) > most:
                each.popitem(last=False)

    def _find(self, key: str) -> _Held | None:
        held = self._sessions.get(key)
        if held is not None and self._is_over(held, self.now()):
            self._drop(key)
            return None
        return held

    def _is_over(self, held: _Held, now: float) -> bool:
        return now >= held.end or now >= held.last + self._idle

    def _drop(self, key: str) -> None:
        held = self._sessions.pop(key, None)
        if held is not None:
            own = self._accounts[held.account]
            del own[key]
            if not own:
                del self._accounts[held.account]

    def _sweep(self, now: float) -> None:
        """Forget what is over, as far as it stands in front: each session is looked at once."""
        while self._sessions:
            key, held = next(iter(self._sessions.items()))
            if not self._is_over(held, now):
                break
            self._drop(key)
        while self._ended:
            account, ended = next(iter(self._ended.items()))
            if now < ended + REMEMBERED:
                break
            del self._ended[account]


def open_sessions(settings: HardeningSettings, store: Store) -> SessionStore:
    """Keep sessions where limits are counted, and apart from them."""
    times = settings.session_idle, settings.session_lifetime
    if isinstance(store, MemoryStore):
        return MemorySessions(*times)
    sessions: SessionStore = import_module(".redis_sessions", __package__).RedisSessions(store, *times)
    return RevokingSessions(sessions, settings.session_lifetime)
