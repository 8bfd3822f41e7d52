# Owned by the template: an update rewrites this file.
"""Health: `hardening/asgi/health.py`. A status and nothing else, however often and from wherever it is asked."""

import asyncio
import time

import pytest

from .asgi_client import exchange, in_loop, request, run, together
from .assertions import assert_hardened, assert_problem
from .conftest import Lines
from .probe import at_the_root, made, probe, shared

PATHS = ["/health/live", "/health/ready"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "no", "evil.example"])
def test_a_probe_of_the_platform_needs_no_right_host(path: str, host: str) -> None:
    answer = request(shared(), "GET", path, {"host": host})

    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert_hardened(answer)


@pytest.mark.costly
@pytest.mark.parametrize("path", PATHS)
def test_a_probe_uses_up_no_quota_and_is_never_refused(path: str) -> None:
    app = probe(rate_limit="1/1h")

    assert [request(app, "GET", path).status for _ in range(5)] == [200] * 5
    assert request(app, "GET", "/ok").status == 200
    assert request(app, "GET", "/ok").status == 429
    assert request(app, "GET", path).status == 200


@pytest.mark.parametrize("path", PATHS)
def test_other_methods_are_refused(path: str) -> None:
    assert_problem(request(shared(), "POST", path), 404)


def test_a_service_that_cannot_work_is_alive_and_not_ready(logged: Lines) -> None:
    async def fails() -> bool:
        raise OSError("canary://user:password@database")

    app = at_the_root(made(), ready=[fails])

    assert_problem(request(app, "GET", "/health/ready"), 503)
    assert request(app, "GET", "/health/live").status == 200
    assert [line["event"] for line in logged()] == ["not_ready"]


@pytest.mark.slow
def test_a_service_is_ready_again_when_what_it_needs_is_back() -> None:
    state = [False]

    async def database() -> bool:
        return state[0]

    app = at_the_root(made(), ready=[database])
    assert request(app, "GET", "/health/ready").status == 503

    state[0] = True
    time.sleep(1.05)
    assert request(app, "GET", "/health/ready").status == 200


@pytest.mark.costly
def test_many_probes_at_once_make_one_look_up() -> None:
    asked: list[int] = []

    async def slow() -> bool:
        asked.append(1)
        await asyncio.sleep(0.05)
        return True

    answers = together(at_the_root(made(), ready=[slow]), *["/health/ready"] * 20)

    assert {answer.status for answer in answers} == {200}
    assert len(asked) == 1


@pytest.mark.costly
def test_a_look_up_may_stand_there_twice_and_have_no_hash() -> None:
    class Equal:
        __hash__ = None  # type: ignore[assignment]  # as of a dataclass

        async def __call__(self) -> bool:
            await asyncio.sleep(0)
            return True

    assert request(at_the_root(made(), ready=[Equal()] * 2), "GET", "/health/ready").status == 200


@pytest.mark.slow
def test_a_look_up_that_hangs_is_a_no() -> None:
    async def hangs() -> bool:
        await asyncio.sleep(30)
        return True

    began = time.monotonic()
    answer = run(exchange(at_the_root(made(), ready=[hangs]), "GET", "/health/ready"))

    assert answer.status == 503
    assert time.monotonic() - began < 10


@pytest.mark.slow
@in_loop
async def test_a_look_up_that_cleans_up_for_long_delays_no_answer_and_is_not_asked_beside_itself(logged: Lines) -> None:
    """Drivers of databases tell a server that stands still, and wait for what it says to that."""
    over, asked = asyncio.Event(), list[str]()

    async def stands_still() -> bool:
        asked.append("begun")
        try:
            if len(asked) == 1:
                await asyncio.sleep(60)
            return True
        finally:
            await over.wait()
            if len(asked) == 1:
                raise OSError("nobody is left to hear of it")

    app, found = at_the_root(made(), ready=[stands_still]), []
    for is_over in (False, False, True):
        if is_over:
            over.set()
        found.append((await asyncio.wait_for(exchange(app, "GET", "/health/ready"), 30)).status)
        await asyncio.sleep(1.05)
    assert found == [503, 503, 200]
    assert len(asked) == 2
    assert [line["reason"] for line in logged()] == ["TimeoutError"] * 2
