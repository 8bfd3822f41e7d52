"""An update to a release in which owned files have moved: one line for most, and by name those that were edited."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import commit, git, in_one_text
from .mini_template import release, service_of, small_template
from .team_edits import append, replace

HERE = "src/orders_api/hardening"
MODULE = '# Owned by the template: an update rewrites this file.\n"""The step {0}."""\n\n' + "".join(
    f"{{0}}_{number} = {number}\n" for number in range(20)
)
STEPS = ("cookies", "cors", "errors", "limits", "validation", "with space")
GONE = f"{HERE}/going.py"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template of two releases: the second has the steps in a folder, adjusted, and one file less."""
    folder = small_template(tmp_path_factory.mktemp("moving") / "template")
    hardening = folder / "template/src/{{ package_name }}/hardening"
    for step in (*STEPS, "going"):
        (hardening / f"{step}.py").write_text(MODULE.format(step))
    release(folder, "1.1.0", "Changed", "Steps have come.")
    (hardening / "steps").mkdir()
    for step in STEPS:
        (hardening / f"{step}.py").rename(hardening / "steps" / f"{step}.py")
        replace(hardening / "steps" / f"{step}.py", r"_7 = 7", "_7 = 'adjusted'")
    (hardening / "going.py").unlink()
    release(folder, "2.0.0", "Changed", "Steps have a folder.")
    return folder


@pytest.fixture
def service(template: Path, tmp_path: Path) -> Path:
    return service_of(template, tmp_path / "orders-api", vcs_ref="v1.1.0")


def update(service: Path, *options: str, **variables: str) -> str:
    """Update as a person does; what is said of files that went."""
    command = [sys.executable, "-m", "copier", "update", "--trust", "--defaults", *options]
    ended = in_one_text(command, service, **variables)
    assert ended.returncode == 0, ended.stdout
    return "\n".join(
        line for line in ended.stdout.splitlines() if "moved" in line or "gone" in line or "had been edited" in line
    )


def run(service: Path, command: str) -> str:
    """Run a command that a sentence names."""
    return subprocess.run(shlex.split(command), cwd=service, check=True, capture_output=True, text=True).stdout


def test_files_that_nobody_edited_are_one_line(service: Path) -> None:
    told = update(service)

    assert told.strip() == "- 7 files of the template have moved or gone; nobody had edited them."
    assert git(service, "status", "--porcelain", "--ignored").count("edits-") == 0


@pytest.mark.parametrize(
    ("at", "ends", "conflict"),
    [
        pytest.param("", b"\n", "inline", id="a repository"),
        pytest.param("services/orders api", b"\n", "rej", id="a folder of one, rejects"),
        pytest.param("", b"\r\n", "rej", id="line ends of Windows"),
    ],
)
def test_edited_ones_are_named_and_the_edits_are_kept(
    service: Path, tmp_path: Path, at: str, ends: bytes, conflict: str
) -> None:
    root = tmp_path / "root"
    shutil.copytree(service, root / at, ignore=shutil.ignore_patterns(".git"))
    for path in (root / at / HERE).glob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", ends))
    (root / at / HERE / "errors.py").unlink()
    for name in ("cors", "with space", "going"):
        path = root / at / HERE / f"{name}.py"
        path.write_bytes(path.read_bytes() + b"ours = True" + ends)
    commit(root, "ours")

    told = update(root / at, f"--conflict={conflict}")

    assert not [each for each in git(root, "status", "--porcelain").splitlines() if each.endswith((".rej", ".orig"))]
    assert "3 files of the template have moved or gone; nobody had edited them." in told
    for name in ("cors", "with space"):
        assert f"{HERE}/{name}.py is now {HERE}/steps/{name}.py, and it had been edited." in told
    assert f"{GONE} is gone: the template has it no more, and it had been edited." in told
    assert "errors" not in told
    assert "cookies" not in told
    shown = re.findall(r"What it held: (git show .*)", told)
    assert len(shown) == 3
    assert all("ours = True" in run(root / at, command) for command in shown)

    commit(root, "updated")
    assert all("ours = True" in run(root / at, command) for command in shown)
    (command,) = re.findall(r"`(git apply .*?)`", told)
    run(root / at, command)
    for name in ("cors", "with space"):
        text = (root / at / HERE / "steps" / f"{name}.py").read_text()
        assert "_7 = 'adjusted'" in text
        assert text.endswith("ours = True\n")


def test_what_the_user_makes_of_a_diff_changes_nothing(service: Path, tmp_path: Path) -> None:
    append(service / HERE / "cors.py", "ours = True\n")
    commit(service, "ours")
    config = tmp_path / "gitconfig"
    config.write_text("[diff]\n\trenames = copies\n\tnoprefix = true\n\texternal = false\n[color]\n\tui = always\n")

    told = update(service, GIT_CONFIG_GLOBAL=str(config))

    assert f"{HERE}/cors.py is now {HERE}/steps/cors.py, and it had been edited." in told
    assert "6 files of the template have moved or gone" in told


def test_an_update_without_tasks_names_the_edited_ones_too(service: Path) -> None:
    append(service / HERE / "cors.py", "ours = True\n")
    append(service / GONE, "ours = True\n")
    commit(service, "ours")

    told = update(service, "--skip-tasks")

    assert "5 files of the template have moved or gone; nobody had edited them." in told
    assert f"{HERE}/cors.py is now {HERE}/steps/cors.py, and it had been edited." in told
    assert f"{GONE} is gone: the template has it no more, and it had been edited." in told
    commit(service, "updated")
    (command,) = re.findall(r"`(git apply .*?)`", told)
    run(service, command)
    assert (service / HERE / "steps/cors.py").read_text().endswith("ours = True\n")


def hook(service: Path, template: Path, before: str = "v1.1.0") -> str:
    """Run the hook by itself, as by hand."""
    arguments = {"package": "orders_api", "checks": "off", "destination": ".", "source": str(template), "run": "now"}
    options = [f"--{name}={value}" for name, value in arguments.items()]
    command = [sys.executable, str(template / "hooks" / "post_update.py"), *options]
    ended = in_one_text([*command, "--version=v2.0.0", f"--before={before}"], service)
    assert ended.returncode == 0, ended.stdout
    assert "Traceback" not in ended.stdout
    return ended.stdout


def test_what_is_staged_is_named_as_well(service: Path, template: Path) -> None:
    append(service / HERE / "cors.py", "ours = True\n")
    commit(service, "ours")
    update(service, "--skip-tasks")
    git(service, "add", "--all")

    told = hook(service, template)

    assert f"{HERE}/cors.py is now {HERE}/steps/cors.py, and it had been edited." in told
    assert "6 files of the template have moved or gone" in told


def test_a_service_without_git_is_told_that_nobody_knows(service: Path, template: Path) -> None:
    shutil.rmtree(service / ".git")

    assert "Which files the update took away could not be found out: git does not answer here." in hook(
        service, template
    )


def test_a_release_that_cannot_be_rendered_any_more_names_no_file(service: Path, template: Path) -> None:
    update(service, "--skip-tasks")

    told = hook(service, template, "v0.9.0")

    assert "7 files of the template have moved or gone. Which of them had been edited could not be found out" in told
    (command,) = re.findall(r"`(git diff --diff-filter=D \S+)`", told)
    assert "with space" in run(service, command)
