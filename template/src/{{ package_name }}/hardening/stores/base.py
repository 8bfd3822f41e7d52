# Owned by the template: an update rewrites this file.
"""What a store of counts and a store of sessions promise, wherever they keep them.

Counts are GCRA: a key has a time of arrival, which each request moves on by `window / limit` from now or from where it
stands, and a request that would move it further than `window` ahead is refused.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from ..core.findings import Finding
from ..settings import Quota

MAX_PER_ACCOUNT = 50
MAX_DEVICES = 10
REVOCATION_TTL = 3600.0
"""Seconds for which it is remembered that all sessions of an account were ended: longer than any sign-in takes."""

Claim: TypeAlias = tuple[str, Quota]
"""One request to be counted on a key, which is never that of another kind of claim, against a quota."""


class StoreUnavailableError(Exception):
    """The store gives no answer, and nothing may be decided without it: 503."""


class Store(Protocol):
    """What counts. All that a request claims is decided in one call, so that a store elsewhere is asked once."""

    @property
    def is_away(self) -> bool:
        """Whether nobody answers just now."""

    async def acquire(self, claims: Sequence[Claim]) -> list[float]:
        """Count a request on each claim in turn, up to and with the first that refuses it.

        What refuses is not counted, nor is what comes after it; what came before it is.

        Returns:
            For each claim that was decided, the seconds of its window that are left to spend: 0 or more lets the
            request through, less refuses it, and it may come again after as many seconds.

        Raises:
            StoreUnavailableError: There is no answer, and `APP_STORE_OUTAGE` is `closed`.
        """

    def acquire_nowait(self, claims: Sequence[Claim]) -> list[float] | None:
        """What `acquire` does, from a store that need not wait; `None` from one that must, and then nothing is counted."""

    async def refund(self, claims: Sequence[Claim]) -> None:
        """Take back one request of each claim: it turned out not to be what the quota is for.

        Raises:
            StoreUnavailableError: As with `acquire`.
        """

    def findings(self) -> Iterable[Finding]:
        """What is not safe about where it counts."""

    async def open(self) -> None:
        """Get ready before the first request. A store that is away is no error."""

    async def close(self) -> None:
        """Let go of connections and tasks."""

    async def is_ready(self) -> bool:
        """Whether requests can be decided."""


class Record(NamedTuple):
    """A session as it is kept."""

    created: float
    """When the account signed in, in seconds of the wall clock."""
    version: int
    """Grows with each change of the data."""
    data: bytes


class StoreFullError(Exception):
    """There is no place for another session."""


class SessionStore(Protocol):
    """Keeps sessions under the hash of their id. Each method is atomic."""

    @property
    def number(self) -> int | None:
        """How many it holds, if it can say without looking."""

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
            StoreFullError: There is no place for it.
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
