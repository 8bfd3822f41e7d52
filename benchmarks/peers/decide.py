"""Decisions of the limiter alone, without requests: `decide.py memory KEYS PLACES` or `decide.py redis COUNT`."""

import asyncio
import json
import os
import random
import sys
import time
from importlib import import_module
from typing import Any

PACKAGE = os.environ["SERVICE_PACKAGE"]
store = import_module(f"{PACKAGE}.hardening.store")
settings = import_module(f"{PACKAGE}.hardening.settings")
BATCH, BATCHES = 1_000, 200


async def memory(keys: int, places: int) -> list[float]:
    """Microseconds a decision, a batch each, on keys that are known already, in random order."""
    counter = store.MemoryStore(max_keys=places)
    quota = settings.Quota(100_000, 900.0)
    for number in range(keys):
        await counter.take([_claim(number, quota)])
    times = []
    for _ in range(BATCHES):
        claims = [[_claim(number, quota)] for number in random.choices(range(keys), k=BATCH)]
        began = time.perf_counter()
        for claim in claims:
            await counter.take(claim)
        times.append((time.perf_counter() - began) / BATCH * 1e6)
    return times


def _claim(number: int, quota: Any) -> Any:
    return store.Claim(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", quota)


async def redis(count: int) -> list[float]:
    """Microseconds a decision, one after another, on one key each."""
    service = import_module(f"{PACKAGE}.settings").Settings()
    counter = store.open_store(service)
    await counter.open()
    for _ in range(100):
        if await counter.is_ready():
            break
        await asyncio.sleep(0.05)
    claims = [[_claim(number, service.rate_limit)] for number in range(count)]
    for claim in claims[:20]:
        await counter.take(claim)
    times = []
    for claim in claims[20:]:
        began = time.perf_counter()
        decision: Any = (await counter.take(claim))[0]
        times.append((time.perf_counter() - began) * 1e6)
        assert decision.allowed  # noqa: S101
    await counter.close()
    return times


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    print(json.dumps(asyncio.run({"memory": memory, "redis": redis}[kind](*map(int, numbers)))))
