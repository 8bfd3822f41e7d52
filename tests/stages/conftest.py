"""An emitted service that is locked, and stages that run in a copy of it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from verify import result
from verify.stages.configuration import deployed

from ..conftest import Emit
from ..releases import made_once
from .runs import DRIVER, Check, Prove, ask_for, named_twice

Change = dict[str, str | tuple[str, str] | None]


@pytest.fixture(scope="session")
def python(installed: Emit) -> tuple[Path, Path]:
    """An emitted service that is locked, and the interpreter of its environment."""
    folder = installed(example="minimal")
    return folder, folder / ".venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"


@pytest.fixture
def service(python: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the service without its environment, to change."""
    folder = tmp_path / "orders-api"
    shutil.copytree(python[0], folder, ignore=shutil.ignore_patterns(".venv", ".hardening"))
    return folder


@pytest.fixture
def prove(python: tuple[Path, Path], service: Path) -> Prove:
    """Run stages in the copy, and return their checks."""

    def checks(*stages: str, osv: str = "", prepare: str = "", **variables: str) -> list[Check]:
        environment = {**os.environ, "AUDIT_OSV_URL": osv, **variables}
        result = subprocess.run(
            [str(python[1]), "-c", DRIVER, prepare, *stages],
            cwd=service,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        found: list[Check] = json.loads(result.stdout)
        assert not named_twice(found)
        return found

    return checks


@pytest.fixture(scope="session")
def locked_at_vulnerable(python: tuple[Path, Path], shared: Path) -> Path:
    """The service with a dependency that is vulnerable, and one that brings a vulnerable one along, both locked."""

    def make(folder: Path) -> None:
        shutil.copytree(python[0], folder, ignore=shutil.ignore_patterns(".venv", ".hardening"))
        ask_for(folder, "sqlparse==0.4.3", "flask==1.1.2", "jinja2==2.11.1", "markupsafe<2.1")
        subprocess.run(["uv", "remove", "--quiet", "--no-sync", "jinja2"], cwd=folder, check=True)

    return made_once(shared / "vulnerable" / "orders-api", make)


@pytest.fixture
def vulnerable(service: Path, locked_at_vulnerable: Path) -> Path:
    """The same, to change."""
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy2(locked_at_vulnerable / name, service)
    return service


@pytest.fixture
def look(emit: Emit, tmp_path: Path) -> Callable[[Change], list[result.Check]]:
    """Change files of an emitted service, and look at what deploys it."""
    emitted, folder = emit(example="minimal"), tmp_path / "orders-api"
    folder.mkdir()
    for name in ("Dockerfile", "compose.yaml", "pyproject.toml"):
        shutil.copy(emitted / name, folder / name)

    def checks(change: Change) -> list[result.Check]:
        for name, new in change.items():
            path = folder / name
            if new is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(new, tuple):
                    assert new[0] in path.read_text(), new[0]
                    new = path.read_text().replace(*new)
                path.write_text(new)
        return list(deployed.checks(result.Options(folder, "orders_api")))

    return checks
