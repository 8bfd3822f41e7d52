"""A release may add a file under a name that a team has taken by then: it is a seed; an update leaves theirs."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from .conftest import in_world_but
from .edited_service import Services, conflicts, state, update
from .releases import OWNED, PRESENT, RELEASES, Answers, combinations, commit, files, git, matches, seeds
from .seed_hashes import services_of
from .team_edits import replace

FOLDERS = ("/verify/**", "/tests/hardening/**", "/src/*/hardening/**")
"""Where a release may add owned files: nobody else's stand there, and drift names those that do."""
COMING = ("SECURITY.md", ".github/dependabot.yml", "deploy/service.yaml")
OLDEST, *_, NEWEST = RELEASES
TAKEN = "Ours, for years.\n"


def every_combination(release: str) -> list[Answers]:
    return combinations(release, "example", "store", "ci")


@pytest.mark.parametrize("every", in_world_but([services_of, every_combination], lambda each: each is services_of))
@pytest.mark.parametrize("release", RELEASES)
def test_what_a_release_adds_beside_its_folders_is_a_seed(
    services: Services, release: str, every: Callable[[str], Iterable[Answers]]
) -> None:

    added = {
        name
        for answers in every(release)
        for name in set(files(services.emit(PRESENT, answers))).difference(files(services.emit(release, answers)))
    }

    outside = {name for name in added if not matches(FOLDERS, name)}
    assert not {name for name in outside if not matches(seeds(PRESENT), name)}
    assert not {name for name in outside if matches(OWNED, name)}


@pytest.mark.parametrize("release", in_world_but(RELEASES, lambda release: release in (OLDEST, NEWEST)))
def test_an_update_leaves_a_file_that_the_team_has_under_such_a_name(
    services: Services, tmp_path: Path, release: str
) -> None:
    answers: Answers = {**combinations(release, "example", "store")[0], "ci": "github"}
    new = set(files(services.emit(PRESENT, answers))) - set(files(services.emit(release, answers)))
    names = {name for name in new if not matches(OWNED, name)}
    service = services.lived_in(tmp_path / "orders-api", release, answers, [lambda folder, _: take(folder, names)])
    before = state(service)

    update(service)

    assert not conflicts(service)
    assert all(state(service)[name] == before[name] for name in names)


def take(folder: Path, names: set[str]) -> None:
    """Write a file of the team's under each of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(TAKEN)


@pytest.mark.parametrize("listed", [True, False], ids=["as a seed", "as anything else"])
def test_only_a_seed_leaves_it_alone(history: Path, tmp_path: Path, listed: bool) -> None:
    """The control of the two above: what is in neither list conflicts with the team's."""
    template = shutil.copytree(history, tmp_path / "template")
    for name in COMING:
        (template / "template" / name).parent.mkdir(parents=True, exist_ok=True)
        (template / "template" / name).write_text("The template's.\n")
    if listed:
        lines = [f"/{name}" for name in COMING if not name.startswith(".github")]
        replace(
            template / "copier.yml", r"  - /audit-waivers.toml\n", "".join(f"  - {each}\n" for each in lines) + r"\g<0>"
        )
        replace(
            template / "copier.yml", r"    /audit-waivers.toml\n", "".join(f"    {each}\n" for each in lines) + r"\g<0>"
        )
    commit(template, "next")
    git(template, "tag", "v1000.0.0")
    services = Services(template, tmp_path / "services")
    team = [lambda folder, _: take(folder, set(COMING))]
    service = services.lived_in(tmp_path / "orders-api", OLDEST, {"ci": "none", "example": "minimal"}, team)

    update(service)

    untouched = [name for name in COMING if (service / name).read_text() == TAKEN]
    seeds = [name for name in COMING if name.startswith((".github/", "deploy/"))]  # of folders that are listed
    assert untouched == ([*COMING] if listed else seeds)
    assert bool(conflicts(service)) != listed
