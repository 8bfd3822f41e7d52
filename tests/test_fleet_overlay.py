"""`fleet --update --overlay`: the overlay of an organisation is brought along, and stays as it is without."""

from pathlib import Path

import pytest
from copier import run_copy

from .conftest import git
from .mini_template import service_of, small_template
from .organisation import ANSWERS, CHECKS, overlay_with
from .test_fleet_update import BRANCH, fleet_of, frozen, run

HEADERS = "src/orders_api/hardening/headers.py"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return small_template(tmp_path / "template")


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    return overlay_with(tmp_path / "overlay", "v1.0.0", "v1.1.0")


def lay_over(service: Path, overlay: Path, release: str = "v1.0.0") -> None:
    run_copy(str(overlay), service, data={"package_name": "orders_api"}, vcs_ref=release, defaults=True, quiet=True)
    git(service, "add", "--all")
    git(service, "commit", "--quiet", "--message=overlay")


def proposed(service: Path) -> set[str]:
    """The files that the branch changes, in one commit."""
    assert git(service, "rev-parse", f"{BRANCH}^") == git(service, "rev-parse", "main")
    return set(git(service, "diff", "--name-only", "main", BRANCH).split())


def test_both_are_brought_and_whatever_is_current_stays(template: Path, overlay: Path, tmp_path: Path) -> None:
    root = tmp_path / "services"
    old, plain, edited = fleet_of(template, root, "old", "plain", "edited")
    new, done = (service_of(template, root / name) for name in ("new", "done"))
    for service, release in ((old, "v1.0.0"), (edited, "v1.0.0"), (new, "v1.0.0"), (done, "v1.1.0")):
        lay_over(service, overlay, release)
    (edited / CHECKS).write_text((edited / CHECKS).read_text().replace("# v1.0.0\n", "# ours\n"))
    git(edited, "commit", "--quiet", "--all", "--message=ours")
    before = {service: frozen(service) for service in (old, plain, edited, new, done)}

    ran = run("--clones", root, "--overlay", overlay, template=template, folder=tmp_path)

    assert ran.returncode == 1, ran.stdout
    assert "1 conflict, 1 current, 3 updated" in ran.stdout
    assert proposed(old) > {".copier-answers.yml", HEADERS, ANSWERS, CHECKS}
    assert proposed(plain) == {".copier-answers.yml", HEADERS}
    assert proposed(new) > {ANSWERS, CHECKS}
    assert not proposed(new) & {".copier-answers.yml", HEADERS}
    assert "of the template.\nFrom v1.0.0 to v1.1.0 of the overlay.\n" in git(old, "log", "-1", "--format=%B", BRANCH)
    assert f"conflict    edited: {CHECKS}: run `copier update --answers-file={ANSWERS} --defaults`" in ran.stdout
    assert {service: frozen(service) for service in before} == before

    git(old, "branch", "--quiet", "--delete", "--force", BRANCH)
    (tmp_path / "fleet-state.json").unlink()
    again = run("--clones", root, "--overlay", overlay, template=template, folder=tmp_path)
    assert f"updated     new: {BRANCH} had it already" in again.stdout
    assert "1 conflict, 1 current, 3 updated" in again.stdout


def test_without_the_option_it_stays_as_it_is(template: Path, overlay: Path, tmp_path: Path) -> None:
    root = tmp_path / "services"
    (service,) = fleet_of(template, root, "old")
    lay_over(service, overlay)

    ran = run("--clones", root, template=template, folder=tmp_path)

    assert ran.returncode == 0, ran.stdout
    assert proposed(service) == {".copier-answers.yml", HEADERS}


def test_an_address_that_only_a_service_records_is_not_followed(template: Path, overlay: Path, tmp_path: Path) -> None:
    root = tmp_path / "services"
    (service,) = fleet_of(template, root, "old")
    lay_over(service, overlay)
    other = overlay_with(tmp_path / "other", "v2.0.0")

    ran = run("--clones", root, "--overlay", other, template=template, folder=tmp_path)

    assert ran.returncode == 0, ran.stdout
    assert proposed(service) == {".copier-answers.yml", HEADERS}
