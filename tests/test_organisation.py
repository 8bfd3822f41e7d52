"""The overlay of an organisation beside the template: each has its own files, and updates of both lose nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from copier import run_copy, run_update
from verify.upkeep import overlay as of_verify

from .conftest import REPOSITORY, commit, files, git
from .edited_service import state
from .organisation import ANSWERS, CHECKS, EXAMPLE, overlay_with

OWNED = {ANSWERS, CHECKS, "verify_overlay/answers.yml", "src/orders_api/hardening_overlay/ca.crt"}
OWNED |= {"src/orders_api/hardening_overlay/__init__.py"}


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of an organisation with three releases."""
    return overlay_with(tmp_path_factory.mktemp("organisation") / "overlay", "v1.0.0", "v1.1.0", "v1.2.0")


@pytest.fixture(scope="module")
def releases(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with two newer releases."""
    folder = tmp_path_factory.mktemp("releases") / "template"
    shutil.copytree(template, folder)
    for release in ("v1000.0.0", "v1001.0.0"):
        with (folder / "template" / "verify" / "result.py").open("a") as file:
            file.write(f"# {release}\n")
        commit(folder, release)
        git(folder, "tag", release)
    return folder


@pytest.fixture(scope="module")
def edited(overlay: Path, releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service that was emitted around the overlay, as docs/organisation.md says, and edited by its team."""
    folder = tmp_path_factory.mktemp("overlaid") / "orders-api"
    run_copy(str(overlay), folder, vcs_ref="v1.0.0", defaults=True, quiet=True)
    answers = yaml.safe_load((folder / "verify_overlay" / "answers.yml").read_text())
    run_copy(
        str(releases), folder, data=answers, vcs_ref="v999.0.0", defaults=True, quiet=True, unsafe=True, skip_tasks=True
    )
    (folder / "README.md").write_text("# Ours\n")
    (folder / "src/orders_api/routes/orders.py").write_text('"""Ours."""\n')
    commit(folder, "emitted")
    return folder


@pytest.fixture
def service(edited: Path, tmp_path: Path) -> Path:
    return shutil.copytree(edited, tmp_path / "orders-api")


def test_a_service_begins_with_the_answers_of_its_organisation(service: Path, template: Path, overlay: Path) -> None:
    recorded = yaml.safe_load((service / ".copier-answers.yml").read_text())
    shown = files(overlay / "overlay")

    assert (recorded["ci"], recorded["package_name"]) == ("gitlab", "orders_api")
    assert (service / ".gitlab-ci.yml").exists()
    assert set(files(service)) >= OWNED
    assert len(shown) == len(OWNED) + 1  # and the new one of the second release


def test_the_overlay_has_no_file_of_the_template(template: Path, tmp_path: Path) -> None:
    run_copy(str(EXAMPLE), tmp_path / "a", data={"package_name": "orders_api"}, defaults=True, quiet=True)
    of_template = tmp_path / "b"
    for example in ("accounts", "minimal"):
        data = {"package_name": "orders_api", "example": example, "store": "redis"}
        run_copy(str(template), of_template, data=data, defaults=True, quiet=True, unsafe=True, skip_tasks=True)
        assert set(files(tmp_path / "a")).isdisjoint(files(of_template))
        shutil.rmtree(of_template)


def test_an_overlay_asks_for_no_trust(service: Path) -> None:
    copier = [sys.executable, "-m", "copier", *of_verify.COMMAND]
    ran = subprocess.run(copier, cwd=service, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr


def test_two_updates_of_each_lose_and_conflict_with_nothing(service: Path) -> None:
    before = state(service)
    for of_template, of_overlay in (("v1000.0.0", "v1.1.0"), ("v1001.0.0", "v1.2.0")):
        last = state(service)
        run_update(
            service,
            vcs_ref=of_template,
            defaults=True,
            overwrite=True,
            quiet=True,
            unsafe=True,
            skip_tasks=True,
        )
        changed = {name for name, content in state(service).items() if last.get(name) != content}
        assert changed == {".copier-answers.yml", "verify/result.py"}
        commit(service, of_template)

        last = state(service)
        run_update(service, answers_file=ANSWERS, vcs_ref=of_overlay, defaults=True, overwrite=True, quiet=True)
        changed = {name for name, content in state(service).items() if last.get(name) != content}
        assert changed <= OWNED | {"verify_overlay/images.py"}
        assert f"# {of_overlay}" in (service / CHECKS).read_text()
        assert git(service, "ls-files", "--unmerged") == ""
        commit(service, of_overlay)

    after = state(service)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {
        *(".copier-answers.yml", "verify/result.py", ANSWERS, CHECKS, "verify_overlay/images.py"),
        "src/orders_api/hardening_overlay/__init__.py",
    }


def test_the_weekly_update_brings_both(service: Path) -> None:
    run_update(service, defaults=True, overwrite=True, quiet=True, unsafe=True, skip_tasks=True)
    git(service, "add", "--all")

    said = of_verify.update(service)

    assert "The overlay was updated." in said
    staged = set(git(service, "diff", "--cached", "--name-only").split())
    assert {".copier-answers.yml", "verify/result.py", ANSWERS, CHECKS, "verify_overlay/images.py"} <= staged
    assert git(service, "status", "--porcelain", "--untracked-files=no").count("\n") == len(staged)
    assert "# v1.2.0" in (service / CHECKS).read_text()
    commit(service, "both")
    assert "as its newest release has it" in of_verify.update(service)


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        (b"gr\xc3\xb6\xc3\x9fe", "The overlay was updated."),
        (b"gr\xf6\xdfe", "The overlay was not updated: "),  # Copier reads the names that git prints as UTF-8
    ],
    ids=["UTF-8", "Latin-1"],
)
def test_the_weekly_update_works_in_a_folder_of_a_larger_repository(
    service: Path, tmp_path: Path, folder: bytes, said: str
) -> None:
    shutil.rmtree(service / ".git")
    (tmp_path / "all" / os.fsdecode(folder)).mkdir(parents=True)
    inside = service.rename(tmp_path / "all" / os.fsdecode(folder) / "orders-api")
    commit(tmp_path / "all", "one of many")

    assert said in of_verify.update(inside)
    assert ("# v1.2.0" in (inside / CHECKS).read_text()) == ("not" not in said)


def test_an_edit_in_a_file_of_the_overlay_is_kept_and_said(service: Path) -> None:
    path = service / CHECKS
    path.write_text(path.read_text().replace("# v1.0.0\n", "# our own\n"))
    commit(service, "edited")
    before = state(service)

    said = of_verify.update(service)

    assert "was not updated" in said
    assert of_verify.UPDATE in said
    assert state(service) == before


def test_an_overlay_that_is_gone_is_said(service: Path, tmp_path: Path) -> None:
    path = service / ANSWERS
    path.write_text(
        "".join(
            f"_src_path: {tmp_path / 'gone'}\n" if "_src_path" in each else each
            for each in path.read_text().splitlines(keepends=True)
        )
    )
    commit(service, "moved")

    assert "was not updated" in of_verify.update(service)
    assert git(service, "status", "--porcelain") == ""


def test_a_service_without_an_overlay_has_none(template: Path, tmp_path: Path) -> None:
    run_copy(str(template), tmp_path / "x", defaults=True, quiet=True, unsafe=True, skip_tasks=True)

    assert not of_verify.is_there(tmp_path / "x")
    assert of_verify.update(tmp_path / "x") == ""


def test_the_page_names_what_there_is() -> None:
    page = (REPOSITORY / "docs" / "organisation.md").read_text()

    for name in (ANSWERS, "hardening_overlay", "verify_overlay", "ca.crt", "answers.yml", "examples/organisation"):
        assert name in page
    assert " ".join(of_verify.COMMAND) in page
