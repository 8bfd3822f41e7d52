# Owned by the template: an update rewrites this file.
"""Sessions in one process: apart from what limits are counted on, so that no flood of clients pushes a session out."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from .base import MAX_DEVICES, MAX_PER_ACCOUNT, REVOCATION_TTL, Record, StoreFullError

MAX_SESSIONS = 100_000


@dataclass(slots=True)
class _Entry:
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
        capacity: How many there may be.
        now: A clock that is never set back.
    """

    def __init__(
        self, idle: float, lifetime: float, capacity: int = MAX_SESSIONS, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.now = now
        self._idle, self._lifetime, self._capacity = idle, lifetime, capacity
        self._sessions: OrderedDict[str, _Entry] = OrderedDict()
        self._accounts: dict[str, OrderedDict[str, None]] = {}
        self._revoked_at: OrderedDict[str, float] = OrderedDict()
        self._devices: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()

    @property
    def number(self) -> int:
        return len(self._sessions)

    async def create(self, key: str, account: str, data: bytes, old: str | None, age: float | None) -> bool:
        now = self.now()
        self._sweep(now)
        if age is not None and self._revoked_at.get(account, float("-inf")) > now - age:
            return False
        if old is not None:
            self._drop(old)
        own = self._accounts.get(account, OrderedDict[str, None]())
        if len(own) >= MAX_PER_ACCOUNT or (own and len(self._sessions) >= self._capacity):
            self._drop(next(iter(own)))
        if len(self._sessions) >= self._capacity:
            raise StoreFullError
        began = now - max(age or 0.0, 0.0)
        self._sessions[key] = _Entry(account, Record(time.time(), 0, data), began, now, now + self._lifetime)
        self._accounts.setdefault(account, OrderedDict())[key] = None
        return True

    async def read(self, key: str) -> Record | None:
        if (entry := self._find(key)) is None:
            return None
        entry.last = self.now()
        self._sessions.move_to_end(key)
        return entry.record

    async def change(self, key: str, version: int, data: bytes) -> bool:
        entry = self._find(key)
        if entry is None or entry.record.version != version:
            return False
        entry.record = Record(entry.record.created, version + 1, data)
        return True

    async def move(self, key: str, new: str) -> bool:
        if (entry := self._find(key)) is None:
            return False
        self._drop(key)
        entry.last = self.now()
        self._sessions[new] = entry
        self._accounts.setdefault(entry.account, OrderedDict())[new] = None
        return True

    async def end(self, key: str) -> str | None:
        if (entry := self._find(key)) is None:
            return None
        self._drop(key)
        return entry.account

    async def end_all(self, account: str, age: float = 0.0) -> int:
        now = self.now()
        self._sweep(now)
        asked = now - age
        self._revoked_at[account] = max(asked, self._revoked_at.get(account, asked))
        self._revoked_at.move_to_end(account)
        keys = [key for key in self._accounts.get(account, ()) if self._sessions[key].began <= asked]
        for key in keys:
            self._drop(key)
        return len(keys)

    async def whose(self, key: str) -> tuple[str, float] | None:
        entry = self._find(key)
        return None if entry is None else (entry.account, self.now() - entry.began)

    async def close(self) -> None: ...

    async def knows_device(self, account: str, device: str) -> bool:
        devices = self._devices.get(account)
        return devices is not None and devices.get(device, 0.0) > self.now()

    async def remember_device(self, account: str, device: str, duration: float) -> None:
        devices = self._devices.setdefault(account, OrderedDict())
        devices[device] = self.now() + duration
        for each, limit in ((devices, MAX_DEVICES), (self._devices, self._capacity)):
            each.move_to_end(device if each is devices else account)
            if len(each) > limit:
                each.popitem(last=False)

    def _find(self, key: str) -> _Entry | None:
        entry = self._sessions.get(key)
        if entry is not None and self._is_over(entry, self.now()):
            self._drop(key)
            return None
        return entry

    def _is_over(self, entry: _Entry, now: float) -> bool:
        return now >= entry.end or now >= entry.last + self._idle

    def _drop(self, key: str) -> None:
        if (entry := self._sessions.pop(key, None)) is not None:
            own = self._accounts[entry.account]
            del own[key]
            if not own:
                del self._accounts[entry.account]

    def _sweep(self, now: float) -> None:
        """Forget what is over, as far as it stands in front: each session is looked at once."""
        while self._sessions:
            key, entry = next(iter(self._sessions.items()))
            if not self._is_over(entry, now):
                break
            self._drop(key)
        while self._revoked_at:
            account, revoked_at = next(iter(self._revoked_at.items()))
            if now < revoked_at + REVOCATION_TTL:
                break
            del self._revoked_at[account]
