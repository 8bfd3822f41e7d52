"""Without tags, in the template or for the service, the hook reads what has changed by commit."""

import sys
from pathlib import Path

import pytest

from .conftest import git, in_one_text
from .mini_template import release, service_of, small_template


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template without a tag: clones of it may have been made without, and some are never released."""
    folder = small_template(tmp_path_factory.mktemp("untagged") / "template")
    git(folder, "tag", "--delete", "v1.0.0")
    return folder


def test_what_has_changed_is_read_by_commit(template: Path, tmp_path: Path) -> None:
    service = service_of(template, tmp_path / "orders-api")
    born = git(template, "rev-parse", "--short", "HEAD").strip()
    release(template, "2.0.0", "Security", "A hole is closed.")
    git(template, "tag", "--delete", "v2.0.0")
    now = git(template, "rev-parse", "--short", "HEAD").strip()

    ended = in_one_text([sys.executable, "-m", "copier", "update", "--trust", "--defaults"], service)

    assert ended.returncode == 0, ended.stdout
    assert f"What has changed for this service from {born} to {now}:\n  Security   A hole is closed." in ended.stdout
    assert "fixed long ago" not in ended.stdout


def test_from_a_commit_to_a_release_as_well(template: Path, tmp_path: Path) -> None:
    service = service_of(template, tmp_path / "orders-api")
    born = git(template, "rev-parse", "--short", "HEAD").strip()
    release(template, "3.0.0", "Added", "Something new.")

    ended = in_one_text([sys.executable, "-m", "copier", "update", "--trust", "--defaults"], service)

    assert ended.returncode == 0, ended.stdout
    assert f"What has changed for this service from {born} to v3.0.0:\n  Added      Something new." in ended.stdout
    assert "could not be read" not in ended.stdout
