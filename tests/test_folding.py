"""Forges fold what the template proves with in a review, in old services too; what protects stays in sight."""

import shutil
from pathlib import Path

import pytest

from .edited_service import Services, conflicts, update
from .releases import PRESENT, RELEASES, REPOSITORY, combinations, commit, files, git, matches
from .team_edits import append

FOLDED = ("/verify/**", "/tests/hardening/**")
ATTRIBUTES = ("linguist-vendored", "linguist-generated")


def folded(service: Path) -> set[str]:
    """The files that carry both attributes."""
    names = files(service)
    said = git(service, "check-attr", "-z", *ATTRIBUTES, "--", *names).split("\0")
    sets = [
        {name for name, each, value in zip(said[::3], said[1::3], said[2::3], strict=False) if (each, value) == wanted}
        for wanted in ((attribute, "set") for attribute in ATTRIBUTES)
    ]
    return sets[0] & sets[1]


def test_a_new_service_folds_what_proves_and_shows_what_protects(services: Services, tmp_path: Path) -> None:
    service = services.lived_in(tmp_path / "orders-api", PRESENT, {"ci": "github"}, [])

    assert folded(service) == {name for name in files(service) if matches(FOLDED, name)}
    assert not [name for name in folded(service) if "/hardening/" in name and name.startswith("src/")]


UNFOLDED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1")


@pytest.mark.parametrize("release", RELEASES)
def test_an_old_service_does_so_after_an_update_and_keeps_its_own(
    services: Services, tmp_path: Path, release: str
) -> None:
    ours = "* text=auto\n*.py linguist-generated=false diff=python\n"
    edit = [lambda folder, _: append(folder / ".gitattributes", ours)]
    service = services.lived_in(tmp_path / "orders-api", release, combinations(release, "example", "store")[0], edit)
    assert bool(folded(service)) == (release not in UNFOLDED)

    update(service)

    assert folded(service) == {name for name in files(service) if matches(FOLDED, name)}
    assert (service / ".gitattributes").read_text() == ours
    assert "diff: python" in git(service, "check-attr", "diff", "verify/__main__.py")
    assert not conflicts(service)


def test_the_template_itself_is_reviewed_unfolded(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "template", tmp_path / "template", ignore=shutil.ignore_patterns("__pycache__"))
    commit(tmp_path, "template")

    assert not folded(tmp_path)
