# Owned by the template: an update rewrites this file.
"""The way to Redis or Valkey. What must not happen when it is away: an answer that waits for it, a service that stays
down. One failure opens a circuit breaker; from then on nobody asks but a probe in the background, until it may write.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from ...core.log import log
from ..base import StoreUnavailableError
from .address import Address, Client

TIMEOUT = 0.1
"""Seconds that a request waits for an answer, a new connection included."""
CONNECT = 1.0
"""Seconds that a probe has for its first answer, which may need a name, a connection and TLS."""
INTERVAL = 0.5
"""Seconds between probes."""
CONNECTIONS = 16
"""Most connections of one process."""
_LATE = 0.02
_EVICTION = "A full Redis forgets who is being refused. Set maxmemory-policy noeviction, or give it one of its own."

Argument = str | bytes | float


class Script:
    """A Lua script, sent by its digest; a server that does not know it gets the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


_PROBE = Script("return redis.call('SET', KEYS[1], 1, 'PX', 1000)")


class RedisConnection:
    """A bounded pool of connections, made by the first one who asks in an event loop, behind a circuit breaker.

    Args:
        address: Where Redis is.
        fallback: What the log says of the time without it.
    """

    def __init__(self, address: Address, fallback: str) -> None:
        self.prefix = (__package__ or "").partition(".")[0]
        """What the name of every key of this service begins with, plain or as `{prefix}`, the tag of a cluster's slot."""
        self._address, self._fallback = address, fallback
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: Client
        self._places: asyncio.Semaphore
        self._pending_timeouts: set[asyncio.Timeout] = set()
        self._open_since: float | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def call(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Run a script: one round trip, within `TIMEOUT`.

        Args:
            script: What to run. In a cluster its keys must be in one slot.
            keys: Whole names, which begin with `prefix`.
            arguments: What the script finds in `ARGV`.

        Raises:
            StoreUnavailableError: Redis is away, or was found to be just now.
        """
        if self._loop is not asyncio.get_running_loop():
            self._begin()
        if self._open_since is not None:
            raise StoreUnavailableError
        async with self._places:
            if self._open_since is not None:
                raise StoreUnavailableError
            client = self._client
            try:
                return await self._ask(client, TIMEOUT, script, keys, arguments)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, there is no answer
                if client is self._client:
                    self.trip(error)
                raise StoreUnavailableError from None

    def trip(self, error: Exception) -> None:
        """Open the breaker: whoever is still waiting goes on at once."""
        if self._open_since is not None:
            return
        self._open_since = time.monotonic()
        log("error", "store_away", reason=type(error).__name__, meanwhile=self._fallback)
        for timeout in self._pending_timeouts:
            if not timeout.expired():
                timeout.reschedule(0)
        self._watcher = asyncio.create_task(self._watch(self._open_since))

    async def open(self) -> None:
        """Connect before the first request. If nobody answers, go on without."""
        self._begin()
        try:
            await self._probe(self._client)
        except Exception as error:  # noqa: BLE001 - as in `call`
            self.trip(error)

    async def close(self) -> None:
        """Close every connection; it may be opened again."""
        if self._watcher is not None:
            self._watcher.cancel()
        if self._loop is not None:
            await _drop(self._client)
        self._loop = self._watcher = None

    async def ping(self) -> bool:
        """Whether Redis lets us write just now."""
        try:
            await self.call(_PROBE, [f"{self.prefix}:probe"])
        except StoreUnavailableError:
            return False
        return True

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = self._address.client(CONNECTIONS)
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._open_since = None
        self._pending_timeouts.clear()

    async def _ask(
        self, client: Client, seconds: float, script: Script, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> Any:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as timeout:
            self._pending_timeouts.add(timeout)
            timer = loop.call_at(due := loop.time() + seconds, _expire, loop, due, timeout)
            try:
                try:
                    return await client.execute_command("EVALSHA", script.digest, len(keys), *keys, *arguments)
                except NoScriptError:
                    return await client.execute_command("EVAL", script.text, len(keys), *keys, *arguments)
            finally:
                timer.cancel()
                self._pending_timeouts.discard(timeout)

    async def _probe(self, client: Client) -> None:
        """Write, as requests do: a server that is full or a replica answers whoever only reads."""
        for seconds in (CONNECT, TIMEOUT):
            await self._ask(client, seconds, _PROBE, [f"{self.prefix}:probe"], ())
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(CONNECT):
                memory = await client.info("memory")
            if int(memory.get("maxmemory", 0)) and memory.get("maxmemory_policy") != "noeviction":
                log("warning", "store_may_forget", policy=memory["maxmemory_policy"], hint=_EVICTION)

    async def _watch(self, since: float) -> None:
        """Probe with a new client each time, which looks for the address, the master and the cluster's nodes again."""
        await _drop(self._client)
        while True:
            await asyncio.sleep(INTERVAL)
            client = self._address.client(CONNECTIONS)
            try:
                await self._probe(client)
            except Exception:  # noqa: BLE001 - still away, for whatever reason
                await _drop(client)
            else:
                break
        self._client, self._open_since = client, None
        log("warning", "store_back", seconds=round(time.monotonic() - since, 1))


async def _drop(client: Client) -> None:
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    for each in filter(None, (client, manager)):
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(CONNECT):
                await each.aclose()


def _expire(loop: asyncio.AbstractEventLoop, due: float, timeout: asyncio.Timeout) -> None:
    """Time is up; but if it is this process that was late, the answer may be there, unread."""
    now = loop.time()
    if not timeout.expired():  # the breaker may have been faster
        timeout.reschedule(now + (_LATE if now > due + _LATE else 0.0))
