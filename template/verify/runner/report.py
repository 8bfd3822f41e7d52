# Owned by the template: an update rewrites this file.
"""What is kept of a run: `.hardening/last-verify.json`, whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..result import Check, Options, overall
from .files import write_atomically
from .subprocesses import run

FILE = Path(".hardening", "last-verify.json")


def made(
    options: Options,
    checks: Sequence[Check],
    seconds: Mapping[str, float],
    overridden: Mapping[str, Any],
    not_made: Sequence[str],
    interrupted: bool,
) -> dict[str, Any]:
    """The record of a run.

    Args:
        options: What was asked for.
        checks: What was found.
        seconds: How long each stage took.
        overridden: The settings that verify kept out, and those that it set itself.
        not_made: Checks that belong to the proof, but were not made.
        interrupted: It was stopped before its end.
    """
    asked = {name: value for name, value in asdict(options).items() if name not in ("project", "package")}
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(options.project),
        "package": options.package,
        "options": asked,
        "outcome": "unverified" if interrupted else overall(checks).name.lower(),
        "interrupted": interrupted,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "overridden": dict(overridden),
        "not_made": list(not_made),
        "checks": [check.as_json() for check in checks],
    }


def write(project: Path, record: Mapping[str, Any]) -> None:
    """Put the record in the place of the last one.

    Raises:
        OSError: It cannot be written.
    """
    path = project / FILE
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, f"{json.dumps(record, indent=2)}\n".encode())


def _commit(project: Path) -> str | None:
    """The commit that was proved, with `+` if files were changed since; nothing outside a repository."""
    try:
        at = run(["git", "rev-parse", "HEAD"], project, 5)
        changed = run(["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"], project, 5)
    except OSError:
        return None
    return at.out.strip() + ("+" if changed.out.strip() else "") if at.ok else None
