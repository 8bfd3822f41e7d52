"""Traces where an SDK of OpenTelemetry is set up, as people set it up, and what structlog says beside `logging`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Emit
from .proxies import HOST

pytestmark = pytest.mark.world

SETTINGS = {
    "APP_ALLOWED_HOSTS": HOST,
    "APP_TRUSTED_PROXIES": "10.0.0.1",
    "APP_STORE_URL": "memory://",
    "OTEL_SERVICE_NAME": "orders",
    "PYTHONPATH": ".",
}
SDK = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

memory = InMemorySpanExporter()


def set_up():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    trace.set_tracer_provider(provider)
"""
APPLICATION = """
import asyncio, json, logging
from contextlib import asynccontextmanager
from orders_api.hardening import Hardened, HardeningSettings, load, public
from orders_api.hardening.core.log import log
from tests.hardening.asgi_client import exchange, run

@asynccontextmanager
async def lifespan(app):
    if WHEN == "lifespan":
        set_up()
    yield

if WHEN == "first":
    set_up()
log.configure("info", readable=False)
app = Hardened(load(HardeningSettings), lifespan=lifespan)

@app.get("/ok")
@public
async def ok() -> None:
    logging.getLogger("team").warning("at work")

@app.get("/fails")
@public
async def fails() -> None:
    raise RuntimeError("canary")

async def main():
    messages = asyncio.Queue()
    started = asyncio.Event()
    await messages.put({"type": "lifespan.startup"})
    async def send(message):
        started.set()
    living = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, messages.get, send))
    await started.wait()
    ids = []
    for path in ("/ok", "/fails", "/nope"):
        before = len(memory.get_finished_spans())
        answer = await exchange(app, "GET", path)
        spans = memory.get_finished_spans()[before:]
        told = answer.json.get("trace_id") if answer.status >= 400 else None
        ids.append([path, sorted({f"{span.context.trace_id:032x}" for span in spans}), told])
    print(json.dumps({"event": "result", "ids": ids}), flush=True)
    await messages.put({"type": "lifespan.shutdown"})
    await living

run(main())
"""
STRUCTLOG = """
import logging
import structlog
from orders_api.hardening.core.log import log, request_id

log.configure("info", readable=False, secrets=["canary-secret"])
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.processors.format_exc_info,
        structlog.stdlib.render_to_log_kwargs,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
request_id.set("f" * 32)
structlog.get_logger("team").warning("paid", order=7, password="canary-secret")
logging.getLogger("team").warning("paid", extra={"order": 7, "password": "canary-secret"})
structlog.get_logger("team").debug("not said")
"""


def printed(service: Path, program: str, *packages: str) -> list[dict[str, Any]]:
    """The lines that a program prints, which has these packages beside those of the service."""
    chosen = [part for package in packages for part in ("--with", package)]
    command = ["uv", "run", "--quiet", "--python", f"{sys.version_info.major}.{sys.version_info.minor}", *chosen]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "APP_", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [*command, "python", "-c", program],
        cwd=service, env={**kept, **SETTINGS}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def service(emit: Emit) -> Path:
    return emit(project_name="Orders API", package_name="orders_api", example="minimal", checks="off")


@pytest.mark.parametrize("when", ["first", "lifespan"])
def test_a_line_a_problem_and_a_span_have_the_same_trace(service: Path, when: str) -> None:
    *lines, result = printed(service, f"WHEN = {when!r}\n{SDK}{APPLICATION}", "opentelemetry-sdk")

    said = {path: [line["trace_id"] for line in lines if line.get("path") == path] for path, *_ in result["ids"]}
    for path, spans, told in result["ids"]:
        assert len(spans) == 1, path
        assert said[path] == spans
        assert told in (None, spans[0])
    assert [told is not None for *_, told in result["ids"]] == [False, True, True]
    (at_work,) = (line for line in lines if line["event"] == "at work")
    assert at_work["trace_id"] == said["/ok"][0]


def test_structlog_and_logging_write_the_same_line(service: Path) -> None:
    by_structlog, by_logging = printed(service, STRUCTLOG, "structlog")

    assert {**by_structlog, "time": ""} == {**by_logging, "time": ""}
    assert by_logging["order"] == 7
    assert by_logging["request_id"] == "f" * 32
    assert "canary" not in str(by_structlog)
