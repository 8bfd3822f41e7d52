# Owned by the template: an update rewrites this file.
"""What has to come first, where the environment is older than owned code: the standard library alone can tell."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NEEDS = Path("verify", "bounds.toml")


def first_command(project: Path) -> str:
    """One sentence with the commands that have to come first; empty if whatever owned code imports is installed.

    Args:
        project: The root of the service's repository.
    """
    # What cannot be read asks for nothing here: the check of the bounds says so.
    missing = sorted(name for name in _asked_for(project / NEEDS) if not _is_installed(name))
    if not missing:
        return ""
    is_known = _asked_for(project / "pyproject.toml").issuperset(missing)
    bring = "" if is_known else "`uv run python -m verify.bounds`, then `uv lock`, then "
    return f"Owned code needs {', '.join(missing)}, not installed here: run {bring}`uv sync`."


def _asked_for(file: Path) -> set[str]:
    try:
        return set(_names(tomllib.loads(file.read_text(encoding="utf-8"))))
    except (OSError, ValueError):
        return set()


def _names(pyproject: dict[str, Any]) -> Iterator[str]:
    lists = [pyproject.get("project", {}).get("dependencies", []), *pyproject.get("dependency-groups", {}).values()]
    for text in (each for found in lists for each in found if isinstance(each, str)):
        yield re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", text.strip(), maxsplit=1)[0]).lower()


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
