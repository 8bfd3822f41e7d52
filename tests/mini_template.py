"""A template with this repository's questions, hooks and verify, and next to nothing around them, so it is quick."""

import shutil
from pathlib import Path
from typing import Any

from copier import run_copy

from .releases import REPOSITORY, commit, git

PROJECT = """\
[project]
name = "orders-api"
version = "0"
requires-python = ">=3.11"
dependencies = ["packaging"]
"""
CHANGELOG = """\
# Changelog

## [{newest}] - 2027-02-01

### {kind}

- {text}

## [1.0.0] - 2027-01-01

### Security

- An old weakness, fixed long ago.
"""


def small_template(folder: Path) -> Path:
    """A template with verify, two more owned files and four seeds, of which v1.0.0 is out."""
    inner = folder / "template"
    hardening = inner / "src" / "{{ package_name }}" / "hardening"
    hardening.mkdir(parents=True)
    shutil.copy2(REPOSITORY / "copier.yml", folder)
    python = shutil.ignore_patterns("__pycache__", "*.jinja")
    for name in ("hooks", "macros"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "template" / "verify", inner / "verify", ignore=python)
    shutil.copy2(REPOSITORY / "template" / "{{_copier_conf.answers_file}}.jinja", inner)
    for name in ("__init__.py", "headers.py"):
        (hardening / name).write_text('"""Owned."""\n')
    (hardening.parent / "app.py").write_text('"""A seed."""\n')
    (inner / "README.md").write_text("# A seed\n")
    (inner / "pyproject.toml").write_text(PROJECT)
    (inner / ".gitignore").write_text("__pycache__/\n.hardening/\n.venv/\n*.log\nlocal_*\n")
    release(folder, "1.0.0", "Added", "All of it.")
    return folder


def release(template: Path, version: str, kind: str, text: str) -> None:
    """Make the working tree of a template a release, whose changelog says this."""
    (template / "CHANGELOG.md").write_text(CHANGELOG.format(newest=version, kind=kind, text=text))
    commit(template, version)
    git(template, "tag", f"v{version}")


def service_of(template: Path | str, folder: Path, **options: Any) -> Path:
    """A service of the newest release, in a repository of its own."""
    data = {"project_name": "orders-api", "checks": "off"}
    run_copy(str(template), folder, defaults=True, quiet=True, skip_tasks=True, data=data, **options)
    commit(folder, "emitted")
    return folder
