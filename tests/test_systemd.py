"""The unit that HARDENING.md shows, judged by systemd's own tool."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import IN_CI

HARDENING = Path(__file__).parent.parent / "template" / "HARDENING.md"
LEAST_EXPOSED = "15"
"""Tenths of a point: what `systemd-analyze` calls OK ends at 4.0, and the unit has 1.4."""


def unit() -> str:
    """The one unit file of the page."""
    (found,) = re.findall(r"```ini\n(\[Unit\].*?)```", HARDENING.read_text(), re.DOTALL)
    return str(found)


def exposure(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What the tool says of a unit that is not installed."""
    if (tool := shutil.which("systemd-analyze")) is None:
        assert not IN_CI, "systemd-analyze is not installed: apt-get install systemd"
        pytest.skip("systemd-analyze is not installed")
    (folder / "service.service").write_text(text)
    command = [tool, "security", "--offline=true", f"--threshold={LEAST_EXPOSED}", str(folder / "service.service")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.world
def test_the_unit_is_sandboxed(tmp_path: Path) -> None:
    judged = exposure(unit(), tmp_path)
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "Overall exposure level" in judged.stdout


@pytest.mark.world
@pytest.mark.parametrize(
    "line", ["DynamicUser=yes", "CapabilityBoundingSet=", "PrivateUsers=yes", "RestrictNamespaces=yes"]
)
def test_a_unit_that_lacks_a_part_of_it_is_rated_worse(line: str, tmp_path: Path) -> None:
    def rating(text: str) -> float:
        (value,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", exposure(text, tmp_path).stdout)
        return float(value)

    assert rating(unit().replace(f"{line}\n", "")) > rating(unit())
