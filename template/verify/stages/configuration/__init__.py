# Owned by the template: an update rewrites this file.
"""The configuration: production starts only with what it needs, and the files around the code still hold what matters.

Container files, compose files, workflows and ignore files belong to the team, and bots rewrite them. Nothing here edits them;
it says what they must keep.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from ... import acceptance
from ...result import Check, Options
from ...upkeep import bounds, open_offers
from ...upkeep.seeds import softened
from . import deployed, ignores, secrets, settings, uv_settings, workflows

IGNORES = {".dockerignore": ignores.dockerignore, ".gitignore": ignores.gitignore}


def stage(options: Options) -> Iterator[Check]:
    """Whether the settings, and the files around the code, are safe."""
    yield from settings.stage(options)
    yield from acceptance.read(options.project, datetime.now(UTC).date()).wrong
    yield bounds.check(options.project)
    yield from uv_settings.checks(options.project)
    yield from deployed.checks(options)
    for name, checks in IGNORES.items():
        yield from softened(checks(options.project / name), options.project, options.package, name)
    inside = [path for path in workflows.files(options.project) if path.is_relative_to(options.project.resolve())]
    pipelines = [path.relative_to(options.project.resolve()).as_posix() for path in inside]
    yield from softened(workflows.checks(options), options.project, options.package, *pipelines)
    yield from secrets.checks(options.project)
    yield open_offers.check(options)
