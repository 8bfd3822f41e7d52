"""FastAPI that people write, with its real libraries, runs on an emitted service: `tests/ported/` inside it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Emit

LIBRARIES = ("python-multipart", "itsdangerous", "asgi-correlation-id", "fastapi-mcp", "mcp<2")
PORTED = Path(__file__).parent / "ported"


@pytest.fixture(scope="module")
def service(emit: Emit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service named `svc` that has the libraries, and the tests of ported code among its own."""
    service = tmp_path_factory.mktemp("ported") / "svc"
    shutil.copytree(emit(example="minimal", package_name="svc"), service)
    shutil.copytree(PORTED, service / "tests/ported")
    for command in (["uv", "add", "--quiet", *LIBRARIES], ["uv", "sync", "--quiet"]):
        subprocess.run(command, cwd=service, env=environment(), check=True)
    return service


def environment() -> dict[str, str]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "APP_"))}
    return {**kept, "UV_PYTHON": version, "UV_PROJECT_ENVIRONMENT": ".venv"}


@pytest.mark.parametrize("name", sorted(each.name for each in PORTED.glob("[a-z]*.py")))
def test_code_that_people_write_runs_on_an_emitted_service(service: Path, name: str) -> None:
    command = ["uv", "run", "--no-sync", "pytest", "-q", f"tests/ported/{name}"]
    result = subprocess.run(
        command, cwd=service, env=environment(), capture_output=True, text=True, check=False, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " skipped" not in result.stdout
