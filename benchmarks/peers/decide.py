"""Decisions of the limiter alone, without requests: `decide.py known|newcomer KEYS PLACES`, `decide.py redis COUNT`."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Iterable
from importlib import import_module
from typing import Any

PACKAGE = os.environ["SERVICE_PACKAGE"]
memory = import_module(f"{PACKAGE}.hardening.stores.memory")
stores = import_module(f"{PACKAGE}.hardening.stores")
settings = import_module(f"{PACKAGE}.hardening.settings")
BATCH, BATCHES = 1_000, 200


def known(keys: int, places: int) -> list[float]:
    """Microseconds a decision, a batch each, on keys that have come before, in random order."""
    quota = settings.Quota(100_000, 900.0)  # never used up: a refusal would be quicker
    return _timed(keys, places, quota, (random.choices(range(keys), k=BATCH) for _ in range(BATCHES)))


def newcomer(keys: int, places: int) -> list[float]:
    """Microseconds a decision, a batch each, on keys that come for the first time and find each place taken."""
    quota = settings.Quota(100, 900.0)
    batches = (range(keys + batch * BATCH, keys + (batch + 1) * BATCH) for batch in range(BATCHES))
    return _timed(keys, places, quota, batches)


def _timed(keys: int, places: int, quota: Any, batches: Iterable[Iterable[int]]) -> list[float]:
    counter = memory.MemoryStore(max_keys=places)
    for number in range(keys):
        counter.acquire_nowait([_claim(number, quota)])
    times = []
    for batch in batches:
        claims = [[_claim(number, quota)] for number in batch]
        began = time.perf_counter()
        for claim in claims:
            counter.acquire_nowait(claim)
        times.append((time.perf_counter() - began) / BATCH * 1e6)
    return times


def _claim(number: int, quota: Any) -> Any:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", quota


async def redis(count: int) -> list[float]:
    """Microseconds a decision, one after another, on one key each."""
    service = import_module(f"{PACKAGE}.settings").Settings()
    counter = stores.open_store(service)
    await counter.open()
    for _ in range(100):
        if await counter.is_ready():
            break
        await asyncio.sleep(0.05)
    claims = [[_claim(number, service.rate_limit)] for number in range(count)]
    for claim in claims[:20]:
        await counter.acquire(claim)
    times = []
    for claim in claims[20:]:
        began = time.perf_counter()
        (spare,) = await counter.acquire(claim)
        times.append((time.perf_counter() - began) * 1e6)
        assert spare >= 0  # noqa: S101
    await counter.close()
    return times


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    if kind == "redis":
        print(json.dumps(asyncio.run(redis(*map(int, numbers)))))
    else:
        print(json.dumps({"known": known, "newcomer": newcomer}[kind](*map(int, numbers))))
