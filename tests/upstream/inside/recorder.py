"""A plugin of pytest for the environment of an emitted service: puts `Hardened` in place of `FastAPI`.

`UPSTREAM_PACKAGE` is the service's package, or empty for FastAPI alone. What each test was answered is written to the
file `UPSTREAM_RECORD`.
"""

import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastapi
import fastapi.applications
import pytest
from starlette.types import Message, Receive, Scope, Send

HOSTS = ["testserver", "localhost", "test", "example.com"]
LONGEST = 400_000
"""Bytes of a body that are kept."""
OUTER = "upstream.outer"
answers: list[dict[str, Any]] = []


class Watched(fastapi.FastAPI):
    """An application whose answers are kept, in the order in which they begin."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or OUTER in scope:
            await super().__call__(scope, receive, send)
            return
        scope[OUTER] = True
        if scope.get("client", ("",))[0] == "testclient":  # which is no address
            scope["client"] = ("127.0.0.1", 50000)
        if not any(name == b"host" for name, _ in scope.get("headers", ())):  # a server has none without it
            scope = {**scope, "headers": [(b"host", b"testserver"), *scope.get("headers", ())]}
        answer = {
            "method": scope.get("method", "WEBSOCKET"),
            "path": scope["path"],
            "status": 0,
            "type": "",
            "body": "",
        }
        answers.append(answer)

        async def keep(message: Message) -> None:
            kind = message["type"]
            if kind.endswith("http.response.start"):
                fields = {name.decode().lower(): value.decode("latin-1") for name, value in message.get("headers", ())}
                answer.update(
                    status=message["status"], type=fields.get("content-type", ""), allow=fields.get("allow", "")
                )
            elif kind.endswith("http.response.body"):
                answer["body"] = (answer["body"] + message.get("body", b"").decode("latin-1"))[:LONGEST]
            elif kind in ("websocket.accept", "websocket.close") and not answer["status"]:
                answer["status"] = 101 if kind == "websocket.accept" else message.get("code", 1000)
            await send(message)

        try:
            await super().__call__(scope, receive, keep)
        except BaseException as error:
            answer["raised"] = f"{type(error).__name__}: {error}"[:200]
            raise

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        kept = {"method": "openapi()", "path": "", "status": 200, "type": "application/json"}
        answers.append({**kept, "body": json.dumps(document)[:LONGEST]})
        return document


def hardened(package: str) -> type:
    """`Hardened` with the arguments of `FastAPI`: in development, with the documentation where FastAPI has it."""
    hardening: Any = importlib.import_module(f"{package}.hardening")
    settings = {"env": "development", "rate_limit": "900000/1s", "allowed_hosts": HOSTS, "trusted_proxies": "127.0.0.1"}

    class Application(Watched, hardening.Hardened):  # type: ignore[misc] # the package is known when it runs
        def __init__(self, **given: Any) -> None:
            pages = {"docs_url": "/docs", "redoc_url": "/redoc", "openapi_url": "/openapi.json"}
            docs = {"docs": given.get("openapi_url", "/") is not None}
            super().__init__(hardening.HardeningSettings.model_validate({**settings, **docs}), **{**pages, **given})

    return Application


def pytest_configure() -> None:
    package = os.environ.get("UPSTREAM_PACKAGE", "")
    application = hardened(package) if package else Watched
    application.__name__ = "FastAPI"
    fastapi.FastAPI = fastapi.applications.FastAPI = application


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: Any = yield
    if call.when == "setup":
        item.stash[first] = len(answers)
    if call.when == "call" or report.failed:
        error = "" if call.excinfo is None else call.excinfo.exconly()[:2000]
        line = {"test": item.nodeid, "when": call.when, "outcome": report.outcome, "error": error}
        with Path(os.environ["UPSTREAM_RECORD"]).open("a") as file:
            file.write(json.dumps({**line, "answers": answers[item.stash[first] :]}) + "\n")
    return report


first = pytest.StashKey[int]()
