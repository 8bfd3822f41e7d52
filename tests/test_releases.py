"""From every release, an update of a service that a team lives in: nothing to merge, nothing lost, all up to date."""

import re
from itertools import cycle, pairwise
from pathlib import Path

import pytest
from packaging.version import Version

from .edits import EDITS
from .lived_in import Services, proved, state, update, update_and_prove
from .osv import serving
from .releases import RELEASES, REPOSITORY, Answers, check_history, choices, combinations, commit, git

SERVICES = [
    pytest.param(release, {**answers, "ci": ci}, id=f"{release}-{'-'.join(answers.values())}-{ci}")
    for release in RELEASES
    for answers, ci in zip(combinations(release, "example", "store"), cycle(choices(release, "ci")), strict=False)
]


@pytest.mark.parametrize(("release", "answers"), SERVICES)
def test_an_update_brings_all_that_is_owned_and_touches_nothing_else(
    services: Services, tmp_path: Path, release: str, answers: Answers
) -> None:
    service = services.lived_in(tmp_path / "orders-api", release, answers, EDITS)
    before = state(service)

    update(service)

    assert not services.compare(service, before, release, answers)
    commit(service, "update")
    once = state(service)
    update(service)
    assert state(service) == once


def test_every_release_is_in_the_changelog_and_in_order() -> None:
    written = re.findall(r"(?m)^## \[(\d.*?)\] - \d{4}-\d\d-\d\d$", (REPOSITORY / "CHANGELOG.md").read_text())

    assert all(Version(older) < Version(newer) for older, newer in pairwise(RELEASES))
    assert list(RELEASES) == written[::-1][: len(RELEASES)]
    for version, revision in RELEASES.items():
        assert f"## [{version}]" in git(REPOSITORY, "show", f"{revision}:CHANGELOG.md")


def test_a_shallow_clone_of_the_template_says_how_to_test_updates(tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", REPOSITORY.as_uri(), "shallow")

    with pytest.raises(LookupError, match=r"Release 0\.1\.0 .* is not in this clone: run `git fetch --unshallow`"):
        check_history(tmp_path / "shallow")


@pytest.mark.parametrize("release", RELEASES)
def test_an_updated_service_is_bounded_locked_installed_and_proved(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    answers = combinations(release, "example", "store")[0]
    service = services.lived_in(tmp_path / "orders-api", release, answers, EDITS)
    before = state(service)

    with serving() as osv:
        monkeypatch.setenv("AUDIT_OSV_URL", osv.address)
        ended = update_and_prove(service)

    assert ended.returncode == 0, ended.stdout
    assert not services.compare(service, before, release, answers, hook=True)
    assert proved(service) == "proved", ended.stdout
