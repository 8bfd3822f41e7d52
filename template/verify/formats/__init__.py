# Owned by the template: an update rewrites this file.
"""What a record of verify is shown as: a page for people, SARIF for code scanning. `record.schema.json` is its JSON Schema."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runner.files import write_atomically
from ..runner.report import PAGE, SARIF
from . import page, sarif


def text(form: str, record: Mapping[str, Any], project: Path) -> str:
    """The record as `json`, `html` or `sarif`."""
    if form == "html":
        return page.render(record)
    return sarif.render(record, project) if form == "sarif" else f"{json.dumps(record, indent=2)}\n"


def write(project: Path, record: Mapping[str, Any]) -> None:
    """Put both beside the record, which they are made of.

    Raises:
        OSError: One cannot be written.
    """
    for path in (PAGE, SARIF):
        write_atomically(project / path, text(path.suffix[1:], record, project).encode())
