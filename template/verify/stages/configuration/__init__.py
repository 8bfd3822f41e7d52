# Owned by the template: an update rewrites this file.
"""The configuration: production starts only with what it needs, and the files around the code still hold what matters.

Dockerfile, compose file, workflows and ignore files belong to the team, and bots rewrite them. Nothing here edits them;
it says what they must keep.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ... import acceptance
from ...result import Check, Options, Rule
from ...upkeep import bounds, open_offers
from ...upkeep.seeds import softened
from . import compose, docker, ignores, secrets, settings, workflows

FILES: dict[str, tuple[Callable[[Path], Iterator[Check]], tuple[Rule, ...]]] = {
    "Dockerfile": (docker.checks, docker.RULES),
    "compose.yaml": (compose.checks, (compose.CONFINED,)),
}
"""The files that are looked at if they are there, and what is asked of each."""
IGNORES = {".dockerignore": ignores.dockerignore, ".gitignore": ignores.gitignore}


def stage(options: Options) -> Iterator[Check]:
    """Whether the settings, and the files around the code, are safe."""
    yield from settings.stage(options)
    yield from acceptance.read(options.project, datetime.now(UTC).date()).wrong
    yield bounds.check(options.project)
    for name, (checks, rules) in FILES.items():
        path = options.project / name
        if path.is_file():
            yield from softened(checks(path), options.project, options.package, name)
        else:
            yield from (rule.not_looked_at(f"there is no {name}") for rule in rules)
    for name, checks in IGNORES.items():
        yield from softened(checks(options.project / name), options.project, options.package, name)
    pipelines = [path.relative_to(options.project).as_posix() for path in workflows.files(options.project)]
    yield from softened(workflows.checks(options.project), options.project, options.package, *pipelines)
    yield from secrets.checks(options.project)
    yield open_offers.check(options)
