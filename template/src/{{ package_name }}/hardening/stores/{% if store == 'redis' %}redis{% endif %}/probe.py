# Owned by the template: an update rewrites this file.
"""What a new connection is asked before requests use it: may it write, does Redis forget, and who else writes there?"""

import time
from contextlib import suppress
from hashlib import sha256
from urllib.parse import urlsplit

from ...core.log import log
from ...settings import HardeningSettings
from .calls import Call, Command, Script
from .wire import Wire

NEAR = 0.02
"""Seconds within which an answer is no wait: a route may ask hundreds of times."""
_EVICTION = "A full Redis forgets who is being refused. Set maxmemory-policy noeviction, or give it one of its own."
_SHARED = (
    "Another service of this package name, or this one with other hosts or another database, keeps its limits and "
    "sessions here: whoever is signed in there may be signed in here. Give each a database number or a Redis of its own."
)
_EMPTIED = (
    "Redis was emptied, or started again without its data. Who was signed in is not any more, and every quota is whole."
)
_FAR = "A request waits 100 ms for Redis in all: one that asks often, such as a sign-in, is a 503. Put Redis nearer."
_KEPT = 60.0
"""Seconds that Redis keeps what a probe has written."""
# TIME, which all that counts asks. A second key, which nobody has: while a slot moves to another node of a cluster, this
# one has some keys still and not all.
_PROBE = Script(
    """
redis.call('TIME')
local found = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return found
""",
    is_repeatable=True,
)


class Probe:
    """Asks by writing, as requests do: a server that is full or a replica answers whoever only reads.

    What it writes tells deployments apart: the hosts that they answer for, and where their databases are.

    Args:
        prefix: What the keys of the service begin with.
        settings: Those of the service.
    """

    def __init__(self, prefix: str, settings: HardeningSettings) -> None:
        self.key = f"{{{prefix}}}:probe"
        urls = [urlsplit(str(value)) for name, value in settings if name.endswith("_url") and name != "store_url"]
        places = [(url.hostname, url.path) for url in urls]
        self.deployment = sha256(repr((sorted(settings.allowed_hosts), places)).encode()).hexdigest()[:16]
        self._is_shared = self._is_far = False
        self._written = -_KEPT

    def call(self) -> Call:
        """The question, for who sends it."""
        return _ProbeCall(self)

    def compare(self, found: bytes | None) -> None:
        """Say once who else is there, and that what was written a moment ago is not.

        Raises:
            TypeError: It is nothing that a probe finds.
        """
        if not isinstance(found, bytes | None):
            raise TypeError("no answer to a probe")
        now = time.monotonic()
        if found is None and now < self._written + _KEPT / 2:  # half: a clock of Redis may be set
            log("error", "store_emptied", hint=_EMPTIED)
        self._written = now
        if found is not None and found != self.deployment.encode() and not self._is_shared:
            self._is_shared = True
            log("warning", "store_shared", hint=_SHARED)

    async def look_at_distance(self, wire: Wire) -> None:
        """Say once that the way to Redis is long: the least of three, since this process may be late."""
        trips = []
        for _ in range(3):
            began = time.monotonic()
            await wire.ask(self.call())
            trips.append(time.monotonic() - began)
        if min(trips) > NEAR and not self._is_far:
            self._is_far = True
            log("warning", "store_far", milliseconds=round(min(trips) * 1000), hint=_FAR)

    async def look_at_memory(self, wire: Wire) -> None:
        """Say that Redis may forget what it is told, if it says so."""
        with suppress(ValueError):
            await wire.ask(info := Command("INFO", "memory"))
            lines = info.future.result().decode().splitlines()
            memory = dict(line.split(":", 1) for line in lines if ":" in line)
            if int(memory.get("maxmemory", 0)) and memory.get("maxmemory_policy") != "noeviction":
                log("warning", "store_may_forget", policy=memory["maxmemory_policy"], hint=_EVICTION)


class _ProbeCall(Call):
    def __init__(self, probe: Probe) -> None:
        super().__init__(_PROBE, [probe.key, probe.key + ":none"], [probe.deployment, round(_KEPT)])
        self._probe = probe

    def succeed(self, answer: bytes | None) -> None:
        self._probe.compare(answer)
        super().succeed(answer)
