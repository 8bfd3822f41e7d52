# Owned by the template: an update rewrites this file.
"""Whether the process lives, and whether it can work: a status and nothing else, cheap however often it is asked."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from ..core.log import log
from ..core.problems import MEDIA_TYPE, document

Probe = Callable[[], Awaitable[bool]]
LIVE, READY = "/health/live", "/health/ready"
_OK = b'{"status":"ok"}'


class Health:
    """Answers `/health/live` and `/health/ready`; the probes run at most once a second, one check at a time."""

    def __init__(self, probes: Sequence[Probe] = ()) -> None:
        self._probes = probes
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
                results = await asyncio.gather(*(self._ask(probe) for probe in self._probes))
                self._ready, self._checked = all(results), time.monotonic()
        return self._ready

    @staticmethod
    async def _ask(probe: Probe) -> bool:
        try:
            async with asyncio.timeout(1.0):
                if await probe():
                    return True
                reason = "returned False"
        except Exception as error:  # noqa: BLE001 - whatever a probe raises, the answer is no
            reason = type(error).__name__
        log("warning", "not_ready", probe=getattr(probe, "__qualname__", "probe"), reason=reason)
        return False
