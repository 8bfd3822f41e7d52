"""How the schema came to be. `alembic` finds it by pyproject.toml, and the service by itself. These files are yours."""

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def _configuration(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    package, _, folder = __name__.rpartition(".")
    config.set_main_option("script_location", f"{package}:{folder}")
    return config


def revisions(connection: Connection) -> tuple[str | None, list[str]]:
    """The revision that the schema is at, and all that this code knows, the newest first."""
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    scripts = ScriptDirectory.from_config(_configuration(connection)).walk_revisions()
    return current, [script.revision for script in scripts]


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision."""
    command.upgrade(_configuration(connection), "head")
