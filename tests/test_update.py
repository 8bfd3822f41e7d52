"""An update rewrites what the template owns and leaves alone what the team owns, even what the team has deleted."""

import shutil
from pathlib import Path

import pytest
from copier import run_copy, run_recopy, run_update

from .conftest import commit, files, git

SERVICE = "src/orders_api"
PACKAGE = "template/src/{{ package_name }}"


@pytest.fixture
def releases(template: Path, tmp_path: Path) -> Path:
    """A template with a newer release that changes, adds and takes away seeds and owned files."""
    folder = tmp_path / "template"
    shutil.copytree(template, folder)
    (folder / PACKAGE / "hardening" / "leaving.py").write_text('"""Owned, and gone in the next release."""\n')
    (folder / PACKAGE / "routes" / "leaving.py").write_text('"""A seed, and gone in the next release."""\n')
    (folder / "template" / "tests" / "unit").mkdir(parents=True)
    (folder / "template" / "tests" / "unit" / "test_leaving.py").write_text('"""A nested seed that goes."""\n')
    commit(folder, "old")
    git(folder, "tag", "v1000.0.0")
    for seed in [
        "README.md.jinja",
        "pyproject.toml.jinja",
        "Dockerfile.jinja",
        ".gitignore",
        "tests/unit/test_leaving.py",
    ]:
        with (folder / "template" / seed).open("a") as file:
            file.write("# a change that no team should get\n")
    (folder / PACKAGE / "hardening" / "leaving.py").unlink()
    (folder / PACKAGE / "routes" / "leaving.py").unlink()
    (folder / PACKAGE / "hardening" / "coming.py").write_text('"""Owned, and new."""\n')
    (folder / PACKAGE / "routes" / "coming.py").write_text('"""A seed, and new."""\n')
    commit(folder, "new")
    git(folder, "tag", "v1001.0.0")
    return folder


def test_an_update_touches_no_seed_and_brings_every_owned_file(releases: Path, tmp_path: Path) -> None:
    service = tmp_path / "orders-api"
    run_copy(str(releases), service, vcs_ref="v1000.0.0", defaults=True, quiet=True, skip_tasks=True)
    commit(service, "emitted")
    (service / "README.md").write_text("# Ours\n")
    (service / SERVICE / "routes" / "leaving.py").write_text('"""We still use this."""\n')
    (service / "tests" / "unit" / "test_leaving.py").write_text('"""And test it."""\n')
    (service / "Dockerfile").unlink()
    (service / SERVICE / "routes" / "orders.py").write_text('"""Our own."""\n')
    commit(service, "ours")
    before = {name: (service / name).read_bytes() for name in files(service)}

    run_update(service, defaults=True, overwrite=True, quiet=True, unsafe=True, skip_tasks=True)

    after = {name: (service / name).read_bytes() for name in files(service)}
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {".copier-answers.yml", f"{SERVICE}/hardening/leaving.py", f"{SERVICE}/hardening/coming.py"}
    assert f"{SERVICE}/hardening/coming.py" in after
    assert b"_commit: v1001.0.0" in after[".copier-answers.yml"]
    assert git(service, "ls-files", "--unmerged") == ""


def test_an_update_to_the_same_answers_equals_a_fresh_copy(releases: Path, tmp_path: Path) -> None:
    service = tmp_path / "old" / "orders-api"
    fresh = tmp_path / "new" / "orders-api"
    run_copy(str(releases), service, vcs_ref="v1000.0.0", defaults=True, quiet=True, skip_tasks=True)
    run_copy(str(releases), fresh, vcs_ref="v1001.0.0", defaults=True, quiet=True, skip_tasks=True)
    commit(service, "emitted")

    run_update(service, defaults=True, overwrite=True, quiet=True, unsafe=True, skip_tasks=True)

    owned = [name for name in files(fresh) if name == ".copier-answers.yml" or "/hardening/" in name]
    assert [name for name in files(service) if name == ".copier-answers.yml" or "/hardening/" in name] == owned
    assert all((service / name).read_bytes() == (fresh / name).read_bytes() for name in owned)


def test_a_fresh_rendering_restores_owned_files_and_keeps_edited_seeds(releases: Path, tmp_path: Path) -> None:
    service = tmp_path / "orders-api"
    run_copy(str(releases), service, defaults=True, quiet=True, skip_tasks=True)
    commit(service, "emitted")
    owned = service / SERVICE / "hardening" / "steps" / "headers.py"
    proper = owned.read_text()
    (service / "README.md").write_text("# Ours\n")
    (service / SERVICE / "routes" / "coming.py").write_text('"""Ours now."""\n')
    (service / "tests" / "unit" / "test_leaving.py").write_text('"""And ours."""\n')
    commit(service, "ours")
    owned.write_text("")

    run_recopy(service, defaults=True, overwrite=True, quiet=True, skip_tasks=True)

    assert git(service, "status", "--porcelain") == ""
    assert owned.read_text() == proper
