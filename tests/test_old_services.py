"""Services in unusual places: an update works there too, or says in one sentence what to do, and changes nothing."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .copier_command import COPIER, in_one_text
from .edited_service import Services, State, state
from .releases import RELEASES, REPOSITORY, Answers, combinations, commit, files, git
from .team_edits import EDITS, replace

README = " ".join((REPOSITORY / "README.md").read_text().split())
OLDEST, *_ = RELEASES

Ended = subprocess.CompletedProcess[str]


def update(service: Path) -> Ended:
    """What a person types, but for what comes after the files."""
    config = service.parent / "gitconfig"
    settings = str(config) if config.exists() else os.devnull
    return in_one_text(
        [*COPIER, "update", "--trust", "--defaults", "--skip-tasks"], service, GIT_CONFIG_GLOBAL=settings
    )


@pytest.fixture(scope="module")
def answers() -> Answers:
    return combinations(OLDEST, "example", "store")[0]


@pytest.fixture(scope="module")
def lived_in(services: Services, tmp_path_factory: pytest.TempPathFactory, answers: Answers) -> Path:
    """A service of the oldest release that its team has edited."""
    return services.lived_in(tmp_path_factory.mktemp("lived-in") / "orders-api", OLDEST, answers, EDITS)


@pytest.fixture
def service(lived_in: Path, tmp_path: Path) -> Path:
    """The same, to be updated."""
    return shutil.copytree(lived_in, tmp_path / "orders-api")


@pytest.fixture
def unharmed(services: Services, answers: Answers) -> Callable[[Path, State], bool]:
    """Whether a service is up to date, and all that its team had is there."""
    return lambda folder, before: not services.compare(folder, before, OLDEST, answers)


def move_template(service: Path, address: Path | str) -> None:
    """Record another address of the template, as the README says."""
    recorded = service / ".copier-answers.yml"
    lines = recorded.read_text().splitlines()
    recorded.write_text("".join(f"_src_path: {address}\n" if "_src_path" in line else f"{line}\n" for line in lines))
    commit(service, "the template has moved")


def test_a_shallow_clone_is_updated(service: Path, tmp_path: Path, unharmed: Callable[[Path, State], bool]) -> None:
    shallow = tmp_path / "shallow" / "orders-api"
    git(tmp_path, "clone", "--quiet", "--depth=1", service.as_uri(), str(shallow))
    assert git(shallow, "rev-list", "--count", "HEAD").strip() == "1"
    before = state(shallow)

    ended = update(shallow)

    assert ended.returncode == 0, ended.stdout
    assert unharmed(shallow, before)


def test_a_service_inside_a_larger_repository_is_updated(
    service: Path, tmp_path: Path, unharmed: Callable[[Path, State], bool]
) -> None:
    inside = tmp_path / "everything" / "services" / "orders-api"
    shutil.copytree(service, inside, ignore=shutil.ignore_patterns(".git"))
    (inside.parent / "README.md").write_text("# All services\n")
    commit(tmp_path / "everything", "everything")
    before = state(inside)

    ended = update(inside)

    assert ended.returncode == 0, ended.stdout
    assert unharmed(inside, before)
    changed = git(tmp_path / "everything", "status", "--porcelain").splitlines()
    assert all(" services/orders-api/" in line for line in changed)


def without_tags(template: Path, folder: Path) -> Path:
    """A clone of the template in which no release can be found."""
    git(template, "clone", "--quiet", "--no-tags", "--depth=1", template.as_uri(), str(folder))
    return folder


def forget(service: Path, pattern: str, by: str = "") -> None:
    """Edit the record of where a service came from, as nobody should."""
    replace(service / ".copier-answers.yml", pattern, by)
    commit(service, "by hand")


def rename_the_package(service: Path) -> None:
    """With all imports of it, as an editor does."""
    (service / "src/orders_api").rename(service / "src/renamed")
    for path in [*service.glob("src/**/*.py"), *service.glob("tests/**/*.py")]:
        path.write_text(re.sub(r"\borders_api\b", "renamed", path.read_text()))
    commit(service, "another name")


def fail_in_git_hooks(service: Path) -> None:
    """As a team's global hook does that asks for a ticket; `update` below reads this configuration."""
    hook = service.parent / "hooks" / "prepare-commit-msg"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (service.parent / "gitconfig").write_text(f"[core]\n\thooksPath = {hook.parent}\n")


def link(service: Path, name: str) -> None:
    """Put a link in the place of a folder."""
    (service / name).rename(service.parent / "shared")
    (service / name).symlink_to("../" * name.count("/") + "../shared")
    commit(service, "shared by all services")


Prepare = Callable[[Path, Path], object]
REFUSED: dict[str, tuple[Prepare, str]] = {
    "a dirty tree": (
        lambda service, _: (service / "ours.txt").write_text("not committed"),
        "Destination repository is dirty",
    ),
    "no git": (
        lambda service, _: shutil.rmtree(service / ".git"),
        "Updating is only supported in git-tracked subprojects.",
    ),
    "a template that is gone from its folder": (
        lambda service, _: move_template(service, "/nowhere/template"),
        "Updating is only supported in git-tracked templates.",
    ),
    "a template that is gone from its address": (
        lambda service, _: move_template(service, "file:///nowhere/template.git"),
        "does not appear to be a git repository",
    ),
    "no record of the release": (
        lambda service, _: forget(service, r"(?m)^_commit: .*\n"),
        "Cannot update because cannot obtain old template references from",
    ),
    "a record that is broken": (
        lambda service, _: forget(service, r"\Z", "ci: ["),
        "yaml.parser.ParserError",
    ),
    "a renamed package": (
        lambda service, _: rename_the_package(service),
        "Nothing was changed. The package was renamed",
    ),
    "a record without the package": (
        lambda service, _: forget(service, r"(?m)^package_name: .*\n"),
        "Nothing was changed. .copier-answers.yml records no package_name",
    ),
    "proof behind a link": (
        lambda service, _: link(service, "verify"),
        "is a link, and an update would write to where it leads",
    ),
    "tests behind a link": (
        lambda service, _: link(service, "tests/hardening"),
        "is a link, and an update would write to where it leads",
    ),
    "a git hook of this machine that fails": (
        lambda service, _: fail_in_git_hooks(service),
        "dumb commit 2",
    ),
    "a template without its tags": (
        lambda service, template: move_template(service, without_tags(template, service.parent / "template")),
        "Unknown revision: '0.1.0'",
    ),
}


@pytest.mark.parametrize(("prepare", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_updated_is_said_with_its_remedy_in_the_readme(
    services: Services, service: Path, prepare: Prepare, sentence: str
) -> None:
    prepare(service, services.history)
    before = {name: (service / name).read_bytes() for name in files(service)}

    ended = update(service)

    assert ended.returncode != 0
    assert sentence in " ".join(ended.stdout.split())
    assert f"`{sentence}`" in README
    assert {name: (service / name).read_bytes() for name in files(service)} == before


def test_a_template_that_has_moved_is_found_at_the_address_that_is_set(
    services: Services, service: Path, tmp_path: Path, answers: Answers
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(services.history, moved)
    move_template(service, moved)
    before = state(service)

    ended = update(service)

    assert ended.returncode == 0, ended.stdout
    found = services.compare(service, before, OLDEST, answers)
    assert (found.conflicts, found.lost, found.wrong) == ([], [], [".copier-answers.yml is not as in a fresh copy"])
    assert f"_src_path: {moved}\n" in (service / ".copier-answers.yml").read_text()
