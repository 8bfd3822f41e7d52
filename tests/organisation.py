"""The example of an organisation's overlay, as a repository with releases."""

import shutil
from pathlib import Path

from .releases import REPOSITORY, commit, git

EXAMPLE = REPOSITORY / "examples" / "organisation"
ANSWERS = ".copier-answers.overlay.yml"
STEPS = "src/{{ package_name }}/hardening_overlay/__init__.py"
CHECKS = "verify_overlay/__init__.py"


def overlay_with(folder: Path, *releases: str) -> Path:
    """An overlay with these releases, each of which changes its steps and its checks; the second brings a file."""
    shutil.copytree(EXAMPLE, folder)
    for number, release in enumerate(releases):
        for name in (STEPS, CHECKS):
            path = folder / "overlay" / name
            path.write_text(path.read_text().removesuffix(f"# {releases[number - 1]}\n") + f"# {release}\n")
        if number == 1:
            (folder / "overlay" / "verify_overlay" / "images.py").write_text('"""New."""\n')
        commit(folder, release)
        git(folder, "tag", release)
    return folder
