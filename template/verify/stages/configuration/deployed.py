# Owned by the template: an update rewrites this file.
"""What deploys the service: every container file and compose file, whatever it is called and wherever it stands."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ...result import Check, Options
from ...upkeep.seeds import softened
from . import compose, docker

_SKIPPED = {"node_modules", "__pycache__", "site-packages", "dist", "build", "verify"}
_HIDDEN = {".devcontainer", ".docker", ".github", ".gitlab", ".deploy"}
_COMPOSE = re.compile(r"(^|[._-])compose([._-][\w.-]*)?\.ya?ml$", re.IGNORECASE)
_DEVELOPMENT = re.compile(
    r"(^|[/._-])(dev|devel|development|devcontainer|local|tests?|testing|ci|e2e|debug)([/._-]|$)", re.IGNORECASE
)
_MOST = 65_536


def files(project: Path) -> Iterator[tuple[Path, str]]:
    """Each file that may be one of these, with its text."""
    for folder, folders, names in os.walk(project):
        folders[:] = sorted(x for x in folders if x not in _SKIPPED and (not x.startswith(".") or x in _HIDDEN))
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix in (".py", ".lock", ".md") or not path.is_file() or path.stat().st_size > _MOST:
                continue
            yield path, path.read_text(encoding="utf-8", errors="replace")


def checks(options: Options) -> Iterator[Check]:
    """What is asked of each of them; those that are named for development are counted apart, if there are others."""
    containers: list[tuple[Path, str]] = []
    composes: list[tuple[Path, str]] = []
    for path, text in files(options.project):
        name = path.relative_to(options.project).as_posix()
        if _COMPOSE.search(path.name):
            composes.append((path, name))
        elif docker.is_container_file(path, text):
            containers.append((path, name))
    for found, look, rules in ((containers, docker.checks, docker.RULES), (composes, compose.checks, compose.RULES)):
        named = [each for each in found if not _DEVELOPMENT.search(each[1])]
        if not found:
            what = "container file" if look is docker.checks else "compose file"
            yield from (rule.not_looked_at(f"there is no {what}") for rule in rules)
        for path, name in found:
            rule = rules[0].of(name, rules[0].name)
            if (path, name) not in named and named:
                yield rule.not_looked_at("it is named for development")
            elif look is docker.checks and not _deploys(path, name, options):
                yield rule.not_looked_at("it does not hold the service")
            else:
                yield from softened(look(path, name, options), options.project, options.package, name)


def _deploys(path: Path, name: str, options: Options) -> bool:
    return name in ("Dockerfile", "Containerfile") or docker.holds_service(
        docker.Image(path.read_text(encoding="utf-8", errors="replace")), options
    )
