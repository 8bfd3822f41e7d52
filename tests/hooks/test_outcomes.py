"""The hook says what was found, and never takes silence for proof."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ..conftest import commit, files, git, in_world_but
from ..fake_osv import serving
from ..test_questions import answers
from .runs import Copy, Ended, command, commit_something_old, hook, recorded, said


@pytest.mark.parametrize(
    ("fault", "audited"),
    in_world_but([("", "proved"), ("empty", "unverified")], lambda case: not case[0]),
    ids=["clean", "an audit that cannot tell"],
)
def test_a_new_service_is_locked_installed_and_verified(
    template: Path, tmp_path: Path, fault: str, audited: str
) -> None:
    folder = tmp_path / "orders-api"
    started = time.monotonic()

    with serving(fault=fault) as osv:
        result = subprocess.run(
            command(template, folder, *(["--data=example=minimal"] if fault else [])),
            env={**os.environ, "AUDIT_OSV_URL": osv.address},
            capture_output=True,
            text=True,
            check=False,
        )

    print(result.stdout)  # where the time went
    print(f"all: {time.monotonic() - started:.1f} s")
    assert result.returncode == 0, result.stdout + result.stderr
    said(result, "lock done", "install done", "Next: cd")
    assert (folder / "uv.lock").is_file()
    verified = json.loads((folder / ".hardening" / "last-verify.json").read_text())
    outcomes = {check["outcome"] for check in verified["checks"] if check["step"] == "audit"}
    assert outcomes == {audited}, verified
    red = {check["step"] for check in verified["checks"] if check["outcome"] in ("insecure", "unverified")}
    assert red == ({"audit"} if fault else set()), (
        "its tests pass, its files and settings are right, no attack succeeds"
    )
    assert {"tests", "configuration", "headers", "sessions"} <= {check["step"] for check in verified["checks"]}
    assert recorded(folder)["outcome"] == verified["outcome"]
    assert result.stdout.count("was proved") + result.stdout.count("NOT VERIFIED: ") == 1, "the verdict stands once"
    assert re.search(r"\nNext:\n( {4}\S.*\n)+$", result.stdout), "and nothing follows it but the next step"
    assert "created in" not in result.stderr
    assert ("all else was proved; " in result.stdout) == (verified["outcome"] == "proved")
    commit(folder, "emitted")
    assert not [name for name in git(folder, "ls-files").split() if name.startswith((".hardening", ".venv"))]


@pytest.mark.parametrize(
    ("ends", "words", "strict"),
    [
        ("proved", "all of it was proved", 0),
        ("accepted", "all else was proved; 1 accepted", 0),
        ("not_looked_at", "all else was proved; 1 not looked at; 9 tests are left to --thorough.", 0),
        ("insecure", "INSECURE: 1 finding to fix", 1),
        ("unverified", "NOT VERIFIED: not everything could be checked", 2),
        ("silently", "left no record that agrees", 2),
        ("contrary", "left no record that agrees", 2),
        ("partly", "left no record that agrees", 2),
        ("another", "left no record that agrees", 2),
        ("stopped", "verify was stopped at the stage tests, with code 247", 2),
    ],
)
def test_the_result_is_said_in_words_that_cannot_be_mistaken(project: Path, ends: str, words: str, strict: int) -> None:
    result = hook(project, VERIFY_ENDS=ends)

    assert result.returncode == 0
    said(result, words, "Next:")
    assert ("all of it was proved" in result.stdout) == (ends == "proved")
    shutil.rmtree(project / ".hardening")
    assert hook(project, "--checks=strict", VERIFY_ENDS=ends).returncode == strict


def test_a_verify_that_crashes_has_found_nothing(project: Path) -> None:
    result = hook(project, VERIFY_ENDS="traceback")

    assert result.returncode == 0
    assert "INSECURE" not in result.stdout
    assert "NOT VERIFIED" in result.stdout


def test_the_record_of_an_earlier_run_is_not_believed(project: Path) -> None:
    assert recorded_after(hook(project), project) == "proved"

    assert recorded_after(hook(project, VERIFY_ENDS="silently"), project) == "unverified"


def recorded_after(result: Ended, folder: Path) -> str:
    assert result.returncode == 0, result.stdout
    return recorded(folder)["outcome"]


@pytest.mark.parametrize(("ends", "says"), [("proved", "all of it was proved"), ("insecure", "INSECURE")])
def test_copier_has_the_result_for_its_last_words(copy: Copy, tmp_path: Path, ends: str, says: str) -> None:
    result = copy(tmp_path / "orders-api", VERIFY_ENDS=ends)

    assert result.returncode == 0
    said(result, says)
    lines = result.stdout.rstrip().splitlines()
    *_, verdict = [number for number, line in enumerate(lines) if says in line]
    assert lines[verdict + 1] == "Next:"
    assert all(line.startswith("    ") for line in lines[verdict + 2 :])
    assert files(tmp_path / "orders-api")


def test_strict_says_that_the_project_goes_and_how_to_keep_it(copy: Copy, bare: Path, tmp_path: Path) -> None:
    folder = tmp_path / "orders api"

    result = copy(folder, "-d", "checks=strict", VERIFY_ENDS="unverified")

    assert result.returncode == 1
    said(result, f"Copier now removes {folder}", "checks=warn", "--skip-tasks")
    assert not folder.exists()
    again = re.findall(r"    (copier copy .*)", result.stdout)
    assert again == [f"copier copy --trust -d checks=warn {bare} '{folder}'"]


@pytest.mark.parametrize("existing", [True, False], ids=["a folder that was there", "--no-cleanup"])
def test_strict_does_not_announce_what_copier_will_not_do(copy: Copy, tmp_path: Path, existing: bool) -> None:
    folder = tmp_path / "orders-api"
    if existing:
        commit_something_old(folder)

    result = copy(folder, "-d", "checks=strict", *([] if existing else ["--no-cleanup"]), VERIFY_ENDS="insecure")

    assert result.returncode == 1
    said(result, "it leaves this folder as it is", "INSECURE")
    assert "removes" not in result.stdout
    assert (folder / "pyproject.toml").is_file()
    assert not existing or (folder / "ours.txt").read_text() == "ours"


def test_strict_keeps_what_was_proved(copy: Copy, tmp_path: Path) -> None:
    assert copy(tmp_path / "orders-api", "-d", "checks=strict").returncode == 0

    assert answers(tmp_path / "orders-api")["checks"] == "strict"


def test_off_says_that_nothing_was_checked(copy: Copy, tmp_path: Path) -> None:
    folder = tmp_path / "orders-api"

    result = copy(folder, "-d", "checks=off")

    assert result.returncode == 0
    said(result, "Nothing was locked, installed or checked", "uv run --locked python -m verify")
    assert not (folder / "uv.lock").exists()
    assert answers(folder)["checks"] == "off"


def test_without_the_hook_an_older_result_is_not_shown(copy: Copy, tmp_path: Path) -> None:
    folder = tmp_path / "orders-api"
    assert copy(folder).returncode == 0
    assert recorded(folder)["outcome"] == "proved"

    result = copy(folder, "--skip-tasks", "--overwrite")

    assert result.returncode == 0
    said(result, "Nothing is locked, installed or checked yet", "uv run --locked python -m verify")
    assert "proved" not in result.stdout


def test_a_result_of_another_run_is_not_shown(copy: Copy, tmp_path: Path) -> None:
    folder = tmp_path / "orders-api"
    (folder / ".hardening" / "hook.json").mkdir(parents=True)  # the hook can neither remove nor replace this

    result = copy(folder)

    assert result.returncode == 0
    assert "Nothing is locked, installed or checked yet" in result.stdout[result.stdout.index("Next:") :]


def test_without_trust_nothing_is_written_but_without_tasks(bare: Path, tmp_path: Path) -> None:
    folder = tmp_path / "orders-api"
    untrusted = [word for word in command(bare, folder) if word != "--trust"]

    refused = subprocess.run(untrusted, capture_output=True, text=True, check=False)
    assert refused.returncode == 4
    said(refused.stderr, "unsafe feature: tasks")
    assert not folder.exists()

    skipped = subprocess.run(
        [*untrusted[:4], "--skip-tasks", *untrusted[4:]], capture_output=True, text=True, check=False
    )
    assert skipped.returncode == 0, skipped.stderr
    said(skipped.stderr, "Nothing is locked, installed or checked yet")
    assert "MissingFile" not in skipped.stderr
