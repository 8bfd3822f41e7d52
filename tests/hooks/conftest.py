"""A bare template, and the ways to run its hook."""

import shutil
from pathlib import Path

import pytest

from ..conftest import REPOSITORY, commit, git, in_one_text
from .runs import ANSWERS, NEVER_RUN, PROJECT, STAND_IN, Copy, Ended, command


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template with this repository's questions, task and hook around an empty project."""
    folder = tmp_path_factory.mktemp("bare")
    shutil.copy2(REPOSITORY / "copier.yml", folder)
    for name in ("hooks", "macros"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    without = shutil.ignore_patterns("__pycache__", "*.jinja", *NEVER_RUN)
    shutil.copytree(REPOSITORY / "template" / "verify", folder / "template" / "verify", ignore=without)
    for name in (ANSWERS, ".gitignore"):
        shutil.copy2(REPOSITORY / "template" / name, folder / "template" / name)
    (folder / "template" / "pyproject.toml").write_text(PROJECT)
    (folder / "template" / "verify" / "__main__.py").write_text(STAND_IN)
    commit(folder, "bare")
    git(folder, "tag", "v1.0.0")
    return folder


@pytest.fixture
def copy(bare: Path) -> Copy:
    """Emit with Copier's own command. What it and the hook print is one text."""

    def copied(folder: Path | str, *options: str, cwd: Path | None = None, **variables: str) -> Ended:
        return in_one_text(command(bare, folder, *options), cwd, **variables)

    return copied


@pytest.fixture
def project(bare: Path, tmp_path: Path) -> Path:
    """What the bare template emits, before its hook has run."""
    folder = tmp_path / "orders-api"
    shutil.copytree(bare / "template", folder)
    (folder / ANSWERS).unlink()
    return folder
