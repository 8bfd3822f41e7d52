# Owned by the template: an update rewrites this file.
"""What deploys the service: every container file, compose file and manifest, whatever it is called and wherever it stands."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...common.yaml import mapping, read
from ...result import Check, Options, Outcome, UnverifiedError
from ...upkeep.larger_repository import root_of
from ...upkeep.seeds import softened
from ...upkeep.template_repo import ANSWERS, recorded_answers
from . import compose, docker, ignores, kubernetes, platforms
from .start import files_of_team

_COMPOSE = re.compile(r"(^|[._-])compose([._-][\w.-]*)?\.(ya?ml|json)$", re.IGNORECASE)
_MOST = 65_536


def files(project: Path) -> Iterator[tuple[Path, str]]:
    """Each file that may be one of these, with its text."""
    for path in files_of_team(project):
        is_other = path.suffix in (".py", ".lock", ".md") and not path.name.startswith("gunicorn")
        if not is_other and path.is_file() and path.stat().st_size <= _MOST:
            yield path, path.read_text(encoding="utf-8", errors="replace")


def checks(options: Options) -> Iterator[Check]:
    """What is asked of each of them; those that are named for development are counted apart, if there are others."""
    project, root = options.project.resolve(), root_of(options.project)
    containers: list[str] = []
    composes: list[str] = []
    others: list[str] = []
    manifests: list[str] = []
    shipped = ""
    for path, text in files(project):
        name = path.relative_to(project).as_posix()
        is_text = path.suffix == ".json" and '"services"' not in text  # such as a translation of a button
        if (_COMPOSE.search(path.name) and not is_text) or _is_compose(path, text):
            composes.append(name)
        elif docker.is_container_file(path, text):
            containers.append(name)
        elif kubernetes.is_manifest(path, text):
            manifests.append(name)
        elif platforms.may_start(path, name, text):
            others.append(name)
            shipped += text * platforms.says_what_is_built(path, name, text)
    if root != project:  # one for all services of a larger repository
        above = (each for each in sorted(root.iterdir()) if _COMPOSE.search(each.name))
        composes += [os.path.relpath(each, project) for each in above if compose.runs_ours(each, options)]
    for name in composes:  # grows as it goes
        named = (os.path.relpath(each, project) for each in compose.included(project / name))
        composes += [each for each in named if each not in composes]
    yield from _whole([each for name in containers for each in _container(name, containers, options, shipped)])
    is_run = False
    for kind, names in ((compose, composes), (kubernetes, manifests)):
        for name in names:
            rule = kind.CONFINED.of(name, kind.CONFINED.name)
            try:
                found = list(kind.checks(project / name, name, options))
            except UnverifiedError as error:
                of_chart = any((each / "Chart.yaml").is_file() for each in (project / name).parents)
                found = [rule.not_looked_at("its chart is told apart") if of_chart else rule.unverified(error)]
            is_run = is_run or (kind is kubernetes and any(x.outcome is not Outcome.NOT_LOOKED_AT for x in found))
            if _for_development(name, names):
                yield rule.not_looked_at("it is named for development")
            else:
                yield from softened(found, project, options.package, name)
    for name in others:
        yield from platforms.checks(project / name, name, options)
    for rules, found, what in ((docker.RULES, containers, "container file"), (compose.RULES, composes, "compose file")):
        yield from (rule.not_looked_at(f"there is no {what}") for rule in rules if not found)
    if not is_run:
        yield from _no_manifests(project)


def _no_manifests(project: Path) -> Iterator[Check]:
    """There is no manifest: what was answered says whether there should be one."""
    try:
        asked = recorded_answers(project).get("deploy")
    except UnverifiedError:  # the stage of the drift tells it
        return
    if asked == "kubernetes":
        remedy = "Put deploy/ back from git; or answer `deploy=container` with `copier update`."
        yield kubernetes.CONFINED.insecure(f"no manifest runs it, and {ANSWERS} says `deploy: kubernetes`", remedy)


def _for_development(name: str, every: list[str]) -> bool:
    ships = any(platforms.SHIPS.search(Path(each).name) for each in every)  # and `-f` leaves an override out
    named = platforms.DEVELOPMENT.search(name) is not None and not all(map(platforms.DEVELOPMENT.search, every))
    return named or ("override." in name and ships)


def _container(name: str, every: list[str], options: Options, shipped: str) -> Iterator[Check]:
    path, user = options.project / name, docker.USER.of(name, docker.USER.name)
    text = path.read_text(encoding="utf-8", errors="replace")
    if _for_development(name, every) and path.name not in shipped:
        yield user.not_looked_at("it is named for development")
    elif name not in ("Dockerfile", "Containerfile") and not docker.holds_service(docker.Image(text), options, name):
        yield user.not_looked_at("it does not hold the service")
    else:
        found = [*docker.checks(path, name, options), *ignores.of_one_image(path, name, options.project)]
        yield from softened(found, options.project, options.package, name)


def _is_compose(path: Path, text: str) -> bool:
    """Whether a file by another name describes containers: `include`, `-f` and `docker stack` take any."""
    if path.suffix not in (".yml", ".yaml") or not re.search(r"^[\"']?services[\"']?:", text, re.MULTILINE):
        return False
    try:
        services = mapping(read(path).get("services")).values()
    except UnverifiedError:
        return False
    return any({"image", "build", "extends"} & mapping(each).keys() for each in services)


def _whole(checks: list[Check]) -> list[Check]:
    """An image that starts something else stands beside one that starts the service; alone it proves nothing."""
    starts = [each for each in checks if each.id == docker.START.id]
    if any(each.outcome is not Outcome.NOT_LOOKED_AT for each in starts):
        return checks
    remedy = "Start the service with `serve`, or say in `[[tool.hardening.verify.accept]]` what this image is for."
    return [replace(x, outcome=Outcome.UNVERIFIED, remedy=remedy) if x in starts and x.object else x for x in checks]
