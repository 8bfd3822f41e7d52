"""Right after an update without tasks, each command of an older service works, or says which comes first."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import in_one_text, in_world_but
from .edited_service import Services
from .releases import PRESENT, RELEASES, commit
from .test_old_services import update

OLDEST, *_, NEWEST = RELEASES
INSTALL = ["uv", "sync", "--quiet", "--locked"]


@pytest.fixture(params=in_world_but(RELEASES, lambda release: release in (OLDEST, NEWEST)))
def updated(request: pytest.FixtureRequest, services: Services, tmp_path: Path) -> Path:
    """A service of an older release with its environment, and the files of this one."""
    answers = {"example": "minimal", "store": "memory"}
    service = services.lived_in(tmp_path / "orders-api", request.param, answers, [])
    subprocess.run(["uv", "lock", "--quiet"], cwd=service, check=True)
    subprocess.run(INSTALL, cwd=service, check=True)
    commit(service, "locked")
    assert update(service).returncode == 0
    return service


def test_the_command_that_comes_first_is_said_and_works(updated: Path) -> None:
    python = str(updated / ".venv/bin/python")
    if "tomlkit" in (updated / "pyproject.toml").read_text():  # a release that needed all that owned code needs now
        done = in_one_text([python, "-m", "verify", "--only", "configuration"], updated)
        assert done.returncode == 0, done.stdout
        assert "Owned code needs" not in done.stdout
        return
    early = [in_one_text([python, "-m", *command], updated) for command in (["verify"], ["verify.update"])]

    for done in early:
        assert done.returncode == 2, done.stdout
        (line,) = done.stdout.splitlines()
        assert re.findall(r"`(.*?)`", line) == ["uv run python -m verify.bounds", "uv lock", "uv sync"]
    for command in re.findall(r"`(.*?)`", early[0].stdout):
        done = in_one_text(command.split(), updated, VIRTUAL_ENV="")
        assert done.returncode == 0, done.stdout

    proved = in_one_text([python, "-m", "verify", "--only", "configuration"], updated)
    assert proved.returncode == 0, proved.stdout
    assert "tomlkit" in (updated / "pyproject.toml").read_text()
    assert (updated / ".hardening" / "last-verify.json").is_file()


def test_a_stage_that_lacks_a_library_says_what_brings_it(services: Services, tmp_path: Path) -> None:
    service = services.lived_in(tmp_path / "orders-api", PRESENT, {"example": "minimal"}, [])
    project = service / "pyproject.toml"
    project.write_text("".join(line for line in project.read_text().splitlines(True) if "pyyaml" not in line))

    done = in_one_text([sys.executable, "-S", "-m", "verify", "--only", "owned"], service)

    assert done.returncode == 2, done.stdout
    assert "No module named" in done.stdout
    (remedy,) = re.findall(r"Remedy: (.*)", done.stdout)
    assert re.findall(r"`(.*?)`", remedy) == ["uv run python -m verify.bounds", "uv lock", "uv sync"]
