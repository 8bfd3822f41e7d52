"""A plugin of pytest that turns the controls of an emitted service off, one after the other: a test must be red then.

`CONTROL_PACKAGE` is the service's package, and `CONTROLS_SEEN` the file for the first test that fails with each off.
"""

import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest


async def nothing(*_: Any, **__: Any) -> None: ...


async def no(*_: Any, **__: Any) -> bool:
    return False


async def yes(*_: Any, **__: Any) -> bool:
    return True


async def all_let_through(_: Any, claims: Any) -> list[float]:
    return [1.0 for _ in claims]


async def right(*_: Any, **__: Any) -> tuple[bool, str | None]:
    return True, None


async def in_clear(_: Any, password: Any) -> str:
    return str(password.get_secret_value())


async def none_ended(*_: Any, **__: Any) -> int:
    return 0


def let(*_: Any, **__: Any) -> None: ...


def empty(*_: Any, **__: Any) -> tuple[()]:
    return ()


def as_it_is(_: Any, __: Any, headers: Any) -> Any:
    return headers


OFF: dict[str, Any] = {
    "steps.validation.Validation._is_allowed": lambda *_: True,
    "steps.validation.Validation._refuse_query": let,
    "steps.validation.Validation._refuse_body": let,
    "steps.cors.CrossOrigin.refuse": let,
    "steps.cors.CrossOrigin.respond": as_it_is,
    "steps.cookies.Cookies.respond": as_it_is,
    "steps.rate_limit.RateLimit.refuse": let,
    "steps.client.Client.identify": lambda self, request: request.scope["client"][0],
    "steps.client.client_keys": lambda address: (address,),
    "steps.client.NETWORKS": (),
    "steps.errors.Errors.unhandled": lambda self, request_id, exc: repr(exc).encode(),
    "steps.credentials._is_known": nothing,
    "steps.passwords._COMMON": frozenset(),
    "steps.passwords.Passwords.hash": in_clear,
    "steps.passwords.Passwords.verify": right,
    "stores.memory.MemoryStore.acquire": all_let_through,
    "stores.memory.MemoryStore.acquire_nowait": lambda self, claims: [1.0 for _ in claims],
    "stores.memory_sessions.MemorySessions._is_over": lambda *_: False,
    "stores.memory_sessions.MemorySessions.end": nothing,
    "stores.memory_sessions.MemorySessions.end_all": none_ended,
    "stores.revocations.RevokingSessions._is_revoked": no,
    "asgi.response_headers.ResponseHeaders.finalize": lambda self, request, status, headers: [
        *headers,
        *request.begin_response(status),
    ],
    "asgi.places.Places.take": let,
    "asgi.places.Shares.hold": lambda *_: True,
    "asgi.deadlines.Slot.set_deadline": let,
    "asgi.body_exchange.BodyExchange._counted": lambda self, message: message,
    "asgi.health.Health._is_ready": yes,
    "asgi.sockets.Sockets._look": nothing,
    "asgi.sockets.Sockets.end_all": lambda self: 0.0,
    "asgi.unfinished.Unfinished.look": let,
    "core.json_text.check_json": json.loads,
    "core.form_text.check_of": let,
    "core.masking.mask": lambda text, secrets=(): text,
    "core.fail_fast.fail_fast": let,
    "core.route.Route.apply_default_bounds": let,
    "core.watched.Watch._changing": let,
    "policy.is_guard": lambda dependency: True,
    "startup.frameworks.framework_findings": empty,
    "startup.overrides.replaced": empty,
    "startup.routes.app_findings": empty,
    "startup.routes.route_findings": empty,
    "startup.routes.session_findings": empty,
    "startup.settings.near_misses": empty,
    "startup.steps.findings_of": empty,
}
"""Each control by the name of what decides, and what does not decide in its place."""
SEEN_IN = {
    "steps.client.client_keys": "rate_limit",
    "steps.client.NETWORKS": "rate_limit",
    "steps.credentials._is_known": "full_queue",
    "asgi.places.Places.take": "shares",
    "asgi.places.Shares.hold": "shares",
    "asgi.deadlines.Slot.set_deadline": "perimeter",
    "asgi.body_exchange.BodyExchange._counted": "shares",
    "asgi.unfinished.Unfinished.look": "sockets",
    "core.json_text.check_json": "validation",
    "core.form_text.check_of": "mounts",
    "core.masking.mask": "logging",
    "core.fail_fast.fail_fast": "advice",
    "core.watched.Watch._changing": "differential",
    "startup.frameworks.framework_findings": "whole",
    "startup.routes.app_findings": "advice",
    "startup.routes.session_findings": "settings_checks",
}
"""Where its tests are, if not in a module that is called as it: they run first, since all of them take minutes."""


def turn_off(package: str, name: str) -> None:
    """Put something that lets all through into the place of a control, wherever that is imported."""
    words = name.split(".")
    depth = next(number for number, word in enumerate(words) if word[0].isupper() or number == len(words) - 1)
    owner: Any = import_module(".".join([package, "hardening", *words[:depth]]))
    for word in words[depth:-1]:
        owner = getattr(owner, word)
    was = getattr(owner, words[-1])
    setattr(owner, words[-1], OFF[name])
    for module in filter(None, [*sys.modules.values()]):
        for attribute in [each for each, value in vars(module).items() if value is was]:
            setattr(module, attribute, OFF[name])


def first_failure(items: list[pytest.Item], name: str) -> str:
    """Run tests until one fails, those in a module that is called as the control first."""
    failed: list[str] = []

    class Notes:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

    words = {*re.split(r"[._]", name.lower())}
    stem = f"test_{SEEN_IN.get(name, '')}"
    items.sort(key=lambda item: (item.path.stem != stem, not words.intersection(item.path.stem.split("_"))))
    items[0].config.pluginmanager.register(Notes())
    for item in items:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        if failed:
            return failed[0]
    return ""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """For each control a process of its own, with what was imported and collected once."""
    found: dict[str, str] = {}
    for name in os.environ.get("CONTROLS", " ".join(OFF)).split():
        reading, writing = os.pipe()
        if not (child := os.fork()):
            with os.fdopen(writing, "w") as output:
                turn_off(os.environ["CONTROL_PACKAGE"], name)
                output.write(first_failure(session.items, name))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            found[name] = answer.read()
        os.waitpid(child, 0)
    Path(os.environ["CONTROLS_SEEN"]).write_text(json.dumps(found))
    return True
