# Owned by the template: an update rewrites this file.
"""Whether the process lives, and whether it can work: a status and nothing else, cheap however often it is asked."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

from ..core.log import log
from ..core.problems import MEDIA_TYPE, document

Probe = Callable[[], Awaitable[bool]]
LIVE, READY = "/health/live", "/health/ready"
_OK = b'{"status":"ok"}'


class Health:
    """Answers `/health/live` and `/health/ready`; the probes run at most once a second, one check at a time."""

    def __init__(self, probes: Sequence[Probe] = ()) -> None:
        self._probes = probes
        self._asked: dict[int, asyncio.Future[bool]] = {}
        self._lock = asyncio.Lock()
        self._checked = float("-inf")
        self._ready = True

    async def answer(self, path: str, request_id: str) -> tuple[int, str, bytes]:
        """The status, media type and body for one of the two paths."""
        if path == LIVE or await self._is_ready():
            return 200, "application/json", _OK
        return 503, MEDIA_TYPE, document(503, request_id)

    async def _is_ready(self) -> bool:
        if not self._probes:
            return True
        async with self._lock:
            if time.monotonic() - self._checked >= 1.0:
                results = await asyncio.gather(*map(self._ask, count(), self._probes))
                self._ready, self._checked = all(results), time.monotonic()
        return self._ready

    async def _ask(self, number: int, probe: Probe) -> bool:
        """Ask for a second. A probe that cleans up for longer, as database drivers do, is asked again when that has ended."""
        try:
            if (asked := self._asked.get(number)) is None or asked.done():
                asked = self._asked[number] = asyncio.ensure_future(probe())
                asked.add_done_callback(lambda it: it.cancelled() or it.exception())  # nobody may be left to hear of it
                try:
                    await asyncio.wait({asked}, timeout=1.0)
                finally:
                    asked.cancel()
            if not asked.done() or asked.cancelled():
                raise TimeoutError
            if asked.result():
                return True
            reason = "returned False"
        except Exception as error:  # noqa: BLE001 - whatever a probe raises, the answer is no
            reason = type(error).__name__
        log("warning", "not_ready", probe=getattr(probe, "__qualname__", "probe"), reason=reason)
        return False
