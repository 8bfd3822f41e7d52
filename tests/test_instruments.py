"""The SDKs that operators install see the same of a service as of FastAPI alone, and each request that is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Emit

pytestmark = pytest.mark.world

SEEN = Path(__file__).parent / "instruments" / "seen.py"
OTEL = ("opentelemetry-sdk", "opentelemetry-instrumentation-fastapi")
PACKAGES = {
    "sentry": ("sentry-sdk",),
    "otel_app": OTEL,
    "otel_all": OTEL,
    "native": OTEL[:1],
    "by_hand": OTEL,
    "logfire": ("logfire[fastapi]",),
    "elastic": ("elastic-apm",),
}


@pytest.fixture(scope="module")
def service(emit: Emit) -> Path:
    return emit(checks="off", store="memory")


def seen(service: Path, sdk: str, kind: str) -> dict[str, Any]:
    """What an SDK sees of each request, in a process of its own."""
    chosen = [part for package in PACKAGES[sdk] for part in ("--with", package)]
    package = next((service / "src").iterdir()).name
    command = ["uv", "run", "--quiet", "--python", f"{sys.version_info.major}.{sys.version_info.minor}", *chosen]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [*command, "python", str(SEEN), sdk, kind, package],
        cwd=service, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("sdk", PACKAGES)
def test_an_sdk_sees_what_it_sees_of_fastapi_alone(service: Path, sdk: str) -> None:
    alone, ours = (seen(service, sdk, kind) for kind in ("bare", "hardened"))

    assert sum(len(events) for _, events in alone["answers"].values()) > len(alone["answers"]) - 2
    assert ours["answers"] == alone["answers"]


@pytest.mark.parametrize("sdk", PACKAGES)
def test_each_refused_request_is_seen_once_with_its_status(service: Path, sdk: str) -> None:
    for target, (status, events) in seen(service, sdk, "hardened")["refused"].items():
        if sdk == "sentry":  # takes no OPTIONS, and says the status in gRPC's words
            transactions = [event for event in events if event[0] == "transaction"]
            assert len(transactions) == ("OPTIONS" not in target), target
        elif sdk == "elastic":
            assert [event[2] for event in events] == [f"HTTP {status // 100}xx"], target
        else:
            assert [event["status"] for event in events if event["kind"] == "SERVER"] == [status], target
