"""Whatever the machine is like, the hook harms nothing and says what is in its way."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import commit, files, git, in_one_text
from ..test_questions import answers
from .runs import (
    HOOK,
    POSIX,
    UV,
    Copy,
    command,
    commit_something_old,
    hook,
    hook_behind,
    needs_libraries,
    recorded,
    said,
)


def test_no_uv(project: Path, tmp_path: Path) -> None:
    (tmp_path / "none" / "uv.py").parent.mkdir()
    (tmp_path / "none" / "uv.py").write_text("raise ImportError")

    result = hook(project, PATH=str(tmp_path / "none"), PYTHONPATH=str(tmp_path / "none"))

    assert result.returncode == 0
    said(result, "NOT VERIFIED", "uv was found neither on PATH nor beside Copier", "Install it", "git was not found")


def test_the_uv_beside_copier_will_do(project: Path, tmp_path: Path) -> None:
    (tmp_path / "beside" / "uv.py").parent.mkdir()
    (tmp_path / "beside" / "uv.py").write_text(f"def find_uv_bin():\n    return {UV!r}\n")

    result = hook(project, PATH=str(tmp_path), PYTHONPATH=str(tmp_path / "beside"))

    said(result, "lock done", "all of it was proved")


@POSIX
def test_a_uv_that_does_not_answer_or_lies_in_the_folder_is_none(project: Path) -> None:
    (project / "uv").write_text("#!/bin/sh\necho planted\n")
    (project / "uv").chmod(0o755)

    result = hook(project, PATH=f"{project}{os.pathsep}{os.defpath}")

    assert result.returncode == 0
    assert "planted" not in result.stdout
    assert "uv workspace" not in result.stdout


@pytest.mark.parametrize("how", [{"UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"}, {"UV_OFFLINE": "1"}], ids=str)
def test_no_network(project: Path, tmp_path: Path, how: dict[str, str]) -> None:
    needs_libraries(project)

    result = hook(project, UV_CACHE_DIR=str(tmp_path / "cache"), UV_HTTP_RETRIES="0", **how)

    assert result.returncode == 0
    said(result, "lock failed", "The package index could not be reached", "UV_DEFAULT_INDEX", "NOT VERIFIED", "uv sync")


@pytest.mark.parametrize("how", ["none that new", "an old one asked for"])
def test_no_python_that_will_do(project: Path, how: str) -> None:
    asked = {}
    if how == "none that new":
        file = project / "pyproject.toml"
        file.write_text(file.read_text().replace(">=3.11", ">=3.99"))
    else:
        asked["UV_PYTHON"] = "3.10"

    result = hook(project, UV_PYTHON_DOWNLOADS="never", **asked)

    assert result.returncode == 0
    said(result, "lock failed", "There is no Python here that the service can run on", "uv python install")


def may_mount() -> str:
    """Why no file system can be mounted here, or nothing."""
    unshare = shutil.which("unshare")
    if not unshare:
        return "there is no unshare"
    tried = subprocess.run(
        [*MOUNTS, "mount -t tmpfs -o size=64k none /tmp"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip()


MOUNTS = ("unshare", "--map-root-user", "--mount", "sh", "-c")


def test_a_full_disk(project: Path, tmp_path: Path) -> None:
    if reason := may_mount():
        pytest.skip(f"no small disk can be made: {reason}")
    needs_libraries(project)
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=1m none "$0"; cp -a "$1" "$0"; cd "$0/orders-api"; shift; "$@"; r=$?; ls; exit $r'

    result = hook_behind((*MOUNTS, script, str(disk), str(project)), project)

    assert result.returncode == 0, result.stdout
    said(result, "install failed", "The disk is full", "Free some space", "NOT VERIFIED")
    assert "pyproject.toml" in result.stdout.splitlines()


def test_a_full_disk_under_the_output(project: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full")
    with full.open("w") as output:
        arguments = ["--package=bare", "--checks=warn", "--destination=.", "--source=/template", "--version=v1.0.0"]
        result = subprocess.run([sys.executable, HOOK, *arguments], cwd=project, stdout=output, check=False)

    assert result.returncode == 0


@POSIX
@pytest.mark.parametrize("read_only", [".", ".venv"])
def test_a_folder_that_cannot_be_written_to(project: Path, read_only: str) -> None:
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root ignores modes, and there is no setpriv to give that up")
        before = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--")
    if read_only == ".venv":
        subprocess.run([UV, "lock", "--quiet"], cwd=project, check=True)
        (project / ".venv").mkdir()
    kept = files(project)
    (project / read_only).chmod(0o555)
    try:
        result = hook_behind(before, project)
    finally:
        (project / read_only).chmod(0o755)

    assert result.returncode == 0
    said(result, "A folder cannot be written to", "NOT VERIFIED")
    assert re.search(rf"^    uv: .*{re.escape(str(project))}", result.stdout, re.MULTILINE), (
        "uv names what is in the way"
    )
    assert [name for name in files(project) if not name.startswith(".hardening")] == kept


def test_a_path_with_blanks_and_beyond_ascii(copy: Copy, tmp_path: Path) -> None:
    folder = tmp_path / "my größe 日本 'x' 😀"

    result = copy(folder, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C", VERIFY_ENDS="unverified")

    assert result.returncode == 0, result.stdout
    said(result, "NOT VERIFIED", "uv run --locked python -m verify")
    assert recorded(folder)["outcome"] == "unverified"


def test_an_existing_folder_keeps_all_that_it_had(copy: Copy, tmp_path: Path) -> None:
    folder = tmp_path / "orders-api"
    commit_something_old(folder)
    before = {name: (folder / name).read_bytes() for name in files(folder)}

    result = copy(folder, VERIFY_ENDS="insecure")

    assert result.returncode == 0
    said(result, "INSECURE")
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_an_environment_that_was_there_before_is_not_touched(project: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / "ours").write_text("ours")

    result = hook(project)

    assert result.returncode == 0
    said(result, "There was a .venv in this folder before", "NOT VERIFIED")
    assert files(project / ".venv") == ["ours"]
    assert not (project / "uv.lock").exists()


def test_the_workspace_around_it_is_not_locked(project: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "around"\nversion = "0"\n[tool.uv.workspace]\nmembers = ["*-api"]\n'
    )
    (tmp_path / "uv.lock").write_text("# ours\n")

    result = hook(project)

    assert result.returncode == 0
    said(result, "The uv workspace", "NOT VERIFIED")
    assert (tmp_path / "uv.lock").read_text() == "# ours\n"


def test_a_relative_template_address_is_recorded_for_updates(bare: Path, tmp_path: Path) -> None:
    service = tmp_path / "orders-api"
    template = tmp_path / "template"
    shutil.copytree(bare, template)

    result = subprocess.run(command(".", service), cwd=template, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    said(result, "The template's address was given as .", f"recorded as {template}", "set `_src_path`")
    assert answers(service)["_src_path"] == str(template)
    commit(service, "emitted")
    (template / "template" / "new.txt").write_text("new\n")
    commit(template, "new")
    git(template, "tag", "v2.0.0")
    update = [sys.executable, "-m", "copier", "update", "--trust", "--defaults", "--quiet"]
    subprocess.run(update, cwd=service, check=True)
    assert (service / "new.txt").is_file()


@pytest.mark.parametrize("source", ["gh:o/r", "https://h/r.git", "git@h:o/r", "/abs", "~/t", "C:\\t"])
def test_an_address_that_is_not_relative_is_left_alone(project: Path, source: str) -> None:
    assert "was given as" not in hook(project, "--checks=off", f"--source={source}").stdout


def test_inside_another_repository_nobody_is_told_to_make_one(project: Path, tmp_path: Path) -> None:
    assert "git init`, `git add" in hook(project, "--checks=off").stdout
    git(tmp_path, "init", "--quiet")

    workflow = project / ".github" / "workflows" / "hardening.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text("name: hardening\njobs: {}\n")

    result = hook(project, "--checks=off")

    said(result, f"It lies inside the git repository {tmp_path}", "no `git init`")
    offered = f"{project.name}/.hardening/pipelines/{project.name}-hardening.yml"
    said(result, "at that root alone", f"cp {offered} .github/workflows/{project.name}-hardening.yml")
    assert f"working-directory: {project.name}" in (tmp_path / offered).read_text()
    assert not (project / ".git").exists()


def test_without_a_git_identity_the_remedy_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER")) or name == "EMAIL"]:
        monkeypatch.delenv(name)
    only = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}

    result = hook(project, **only)

    assert result.returncode == 0
    said(result, "git does not know who you are", "git config --global user.email", "all of it was proved")


@POSIX
def test_nothing_of_the_callers_shell_reaches_what_it_starts(project: Path, tmp_path: Path) -> None:
    wrapper = tmp_path / "bin" / "uv"
    wrapper.parent.mkdir()
    wrapper.write_text(f"#!/bin/sh\nenv > '{tmp_path}/env'\nexec '{UV}' \"$@\"\n")
    wrapper.chmod(0o755)
    theirs = tmp_path / "their environment"
    theirs.mkdir()
    leaking = {
        "APP_ENV": "development",
        "COPIER_OPERATION": "copy",
        "PYTHONSTARTUP": "x",
        "PYTHONUNBUFFERED": "1",
        "STAGE": "task",
        "UV_ENV_FILE": str(project / ".env"),
        "UV_PROJECT_ENVIRONMENT": str(theirs),
        "VERSION_PEP440_TO": "1",
        "VIRTUAL_ENV": str(theirs),
    }

    result = hook(project, PATH=f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}", AUDIT_OSV_URL="kept", **leaking)

    said(result, "all of it was proved")
    seen = {line.split("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert not seen & leaking.keys()
    assert "AUDIT_OSV_URL" in seen
    assert not list(theirs.iterdir())


@pytest.mark.parametrize("script", ["post_generate.py", "post_update.py"])
def test_a_careful_python_finds_the_other_modules_too(project: Path, script: str) -> None:
    given = ["--package=bare", "--checks=off", "--destination=.", "--version=v1.0.0"]

    result = in_one_text([sys.executable, HOOK.with_name(script), *given], project, PYTHONSAFEPATH="1")

    assert result.returncode == 0, result.stdout
    said(result, "as checks=off asks for")
