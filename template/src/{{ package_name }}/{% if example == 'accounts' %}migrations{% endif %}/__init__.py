"""How the schema came to be. `alembic` finds it by pyproject.toml, and the service by itself. These files are yours."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

VERSIONS = Path(__file__).with_name("versions")


def revisions(folder: Path = VERSIONS) -> tuple[set[str], set[str]]:
    """The revisions that this code knows, and those that another one follows.

    Read from the files and not asked of Alembic, which alone takes as long to import as half of the service.
    """
    known: set[str] = set()
    followed: set[str] = set()
    for file in folder.glob("*.py"):
        said = dict(_identifiers(file))
        before = said["down_revision"] or ()
        known.add(said["revision"])
        followed.update([before] if isinstance(before, str) else before)
    return known, followed


def _identifiers(file: Path) -> Iterator[tuple[str, Any]]:
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision"):
                yield target.id, ast.literal_eval(node.value)


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision."""
    from alembic import command  # takes long to import, and is needed for a new file of SQLite alone
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    package, _, folder = __name__.rpartition(".")
    config.set_main_option("script_location", f"{package}:{folder}")
    command.upgrade(config, "head")
