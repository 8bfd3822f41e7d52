"""The positive control: an edit of an owned file cannot survive an update unseen. It conflicts, or is reported."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .edited_service import Services, conflicts, update, update_and_prove
from .releases import FOLDER, commit, git
from .team_edits import append, replace

HEADERS = "src/orders_api/hardening/headers.py"
LEAVING = "src/orders_api/hardening/leaving.py"
IN_TEMPLATE = "template/src/{{ package_name }}/hardening"


@pytest.fixture(scope="module")
def services(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Services:
    """Services of a template with two more releases: the second changes an owned file and takes another away."""
    folder = tmp_path_factory.mktemp("later") / "template"
    shutil.copytree(history, folder)
    (folder / IN_TEMPLATE / "leaving.py").write_text(
        '# Owned by the template: an update rewrites this file.\n"""Leaving."""\n'
    )
    commit(folder, "older")
    git(folder, "tag", "v1000.0.0")
    replace(folder / IN_TEMPLATE / "headers.py", r'(?m)^"""', '"""Newer. ')
    (folder / IN_TEMPLATE / "leaving.py").unlink()
    commit(folder, "newer")
    git(folder, "tag", "v1001.0.0")
    return Services(folder, tmp_path_factory.mktemp("services"))


@pytest.fixture
def edited(services: Services, tmp_path: Path) -> Callable[..., Path]:
    """A service of the older release after these edits."""

    def service(*edits: Callable[[Path], object]) -> Path:
        made = (lambda folder, _, edit=edit: edit(folder) for edit in edits)
        return services.lived_in(tmp_path / FOLDER, "v1000.0.0", {"checks": "off"}, made)

    return service


def drift(service: Path) -> str:
    """What `verify --only drift` finds."""
    command = [sys.executable, "-m", "verify", "--only", "drift", "--format", "json"]
    ended = subprocess.run(command, cwd=service, capture_output=True, text=True, check=False)
    found = json.loads(ended.stdout)["checks"]
    return "\n".join(check["name"] + check["seen"] for check in found if check["outcome"] == "insecure")


def test_an_edit_where_the_template_changes_too_conflicts_and_the_hook_stops(edited: Callable[..., Path]) -> None:
    service = edited(lambda folder: replace(folder / HEADERS, r'(?m)^"""', '"""Ours. '))

    ended = update_and_prove(service)

    assert conflicts(service) == [HEADERS]
    assert ended.returncode == 1
    assert f"Conflicts in {HEADERS}" in ended.stdout
    assert "Ours. " in (service / HEADERS).read_text()


def test_an_edit_elsewhere_stays_and_drift_names_it(edited: Callable[..., Path]) -> None:
    service = edited(lambda folder: append(folder / HEADERS, "# Ours.\n"))

    update(service)

    assert "# Ours." in (service / HEADERS).read_text()
    assert HEADERS in drift(service)


def test_an_owned_file_that_was_deleted_is_named_by_drift(edited: Callable[..., Path]) -> None:
    service = edited(lambda folder: (folder / "verify" / "sbom.py").unlink())

    update(service)

    assert "verify/sbom.py" in drift(service)


def test_an_edit_of_a_file_that_the_template_takes_away_is_named(edited: Callable[..., Path]) -> None:
    service = edited(lambda folder: append(folder / LEAVING, "ours = 1\n"))

    ended = update_and_prove(service)

    assert not (service / LEAVING).exists()
    assert f"{LEAVING} is gone" in ended.stdout
    assert "ours = 1" in git(service, *re.findall(r"git (show) (HEAD:\S+)", ended.stdout)[0])


def test_a_file_of_the_team_among_the_owned_ones_stays_and_drift_names_it(edited: Callable[..., Path]) -> None:
    ours = "src/orders_api/hardening/ours.py"
    service = edited(lambda folder: (folder / ours).write_text('"""Ours."""\n'))

    update(service)

    assert (service / ours).read_text() == '"""Ours."""\n'
    assert ours in drift(service)
