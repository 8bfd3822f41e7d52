"""`fleet --update`: one branch a service, nobody's work touched, and nothing lost wherever a run is stopped."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.__main__ import main

from .conftest import PATIENCE
from .default_signals import with_default_signals
from .forge import TOKEN, Project, served
from .mini_template import release, service_of, small_template
from .releases import REPOSITORY, commit, git

BRANCH = "hardening-update"
ANSWERS = ".copier-answers.yml"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template that is quick to render, of which services have 1.0.0 and 1.1.0 is out."""
    return small_template(tmp_path / "template")


def fleet_of(template: Path, root: Path, *names: str) -> list[Path]:
    """Services of 1.0.0, before 1.1.0 is out."""
    found = [service_of(template, root / name) for name in names]
    (template / "template/src/{{ package_name }}/hardening/headers.py").write_text('"""Of 1.1.0."""\n')
    release(template, "1.1.0", "Security", "A hole.")
    return found


def command(*arguments: str | Path, template: Path) -> list[str]:
    return [sys.executable, "-m", "fleet", *map(str, arguments), f"--template={template}", "--update"]


def run(*arguments: str | Path, template: Path, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, template=template),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def frozen(service: Path) -> dict[str, object]:
    """What an update must not change: the branch, the commit, the index, every file of the working tree."""
    return {
        "head": (service / ".git/HEAD").read_text(),
        "main": git(service, "rev-parse", "main"),
        "index": git(service, "ls-files", "--stage"),
        "status": git(service, "status", "--porcelain", "--ignored"),
        "files": {
            str(path): path.read_bytes() for path in service.rglob("*") if ".git" not in path.parts and path.is_file()
        },
        "remotes": git(service, "remote", "-v"),
    }


def is_updated(service: Path) -> bool:
    """Whether the branch is there, whole: one commit on main, with what an update changes and nothing else."""
    if BRANCH not in git(service, "branch", "--list", BRANCH):
        return False
    assert git(service, "rev-parse", f"{BRANCH}^") == git(service, "rev-parse", "main")
    changed = git(service, "diff", "--name-only", "main", BRANCH).split()
    assert changed == [ANSWERS, "src/orders_api/hardening/headers.py"]
    assert "_commit: v1.1.0" in git(service, "show", f"{BRANCH}:{ANSWERS}")
    assert str(service.parent.parent / "template") in git(service, "show", f"{BRANCH}:{ANSWERS}")
    git(service, "fsck", "--strict")
    return True


def test_each_service_gets_a_branch_and_whoever_works_in_it_is_left_alone(template: Path, tmp_path: Path) -> None:
    root = tmp_path / "clones"
    names = ("busy", "mended", "on-it", "plain", "edited", "elsewhere")
    busy, mended, on_it, plain, edited, elsewhere = fleet_of(template, root, *names)
    (busy / "README.md").write_text("# In the middle of it\n")
    (mended / "README.md").write_text("# Ours\n")
    git(mended, "switch", "--quiet", "--create", BRANCH)
    commit(mended, "somebody's")
    git(mended, "switch", "--quiet", "main")
    git(on_it, "switch", "--quiet", "--create", BRANCH)
    (edited / "src/orders_api/hardening/headers.py").write_text('"""Ours."""\n')
    commit(edited, "edit what is owned")
    shutil.copytree(template, tmp_path / "stranger")
    path = elsewhere / ANSWERS
    path.write_text(path.read_text().replace(str(template), str(tmp_path / "stranger")))
    commit(elsewhere, "move")
    before = {each: frozen(each) for each in (busy, mended, on_it, plain, edited, elsewhere)}

    ran = run("--clones", root, template=template, folder=tmp_path)
    text = ran.stdout

    assert ran.returncode == 1, text
    assert {each: frozen(each) for each in before} == before
    assert is_updated(plain)
    assert "left alone  busy: it has uncommitted work (README.md): commit or stash it" in text
    assert "left alone  mended: somebody has worked on hardening-update" in text
    assert "left alone  on-it: hardening-update is checked out" in text
    assert "left alone  elsewhere: it records another address of its template" in text
    assert "conflict    edited: src/orders_api/hardening/headers.py: run `copier update" in text
    assert "6 services, to v1.1.0: 1 conflict, 4 left alone, 1 updated." in text
    assert not git(busy, "branch", "--list", BRANCH)
    assert not git(edited, "branch", "--list", BRANCH)

    git(busy, "checkout", "--quiet", "--", ".")
    again = run("--clones", root, template=template, folder=tmp_path).stdout

    assert "updated     busy: branch hardening-update" in again
    assert "updated     plain: before" in again
    (tmp_path / "fleet-state.json").unlink()
    at = git(plain, "rev-parse", BRANCH)
    assert (
        "updated     plain: hardening-update had it already"
        in run("--clones", root, template=template, folder=tmp_path).stdout
    )
    assert git(plain, "rev-parse", BRANCH) == at

    (template / "template/src/{{ package_name }}/hardening/headers.py").write_text('"""Of 1.2.0."""\n')
    release(template, "1.2.0", "Security", "Another.")
    run("--clones", root, template=template, folder=tmp_path)

    assert "_commit: v1.2.0" in git(plain, "show", f"{BRANCH}:{ANSWERS}")
    assert git(plain, "rev-list", "--count", f"main..{BRANCH}").strip() == "1", "the older proposal is replaced"


def test_no_code_of_a_service_runs_unless_trust_is_said(template: Path, tmp_path: Path) -> None:
    (service,) = fleet_of(template, tmp_path / "clones", "plain")
    ran = tmp_path / "ran"
    trap = f"#!/bin/sh\ntouch {ran}\n"
    for hook in ("post-checkout", "pre-commit", "reference-transaction", "prepare-commit-msg", "pre-receive"):
        (service / ".git/hooks").mkdir(exist_ok=True)
        (service / ".git/hooks" / hook).write_text(trap)
        (service / ".git/hooks" / hook).chmod(0o755)
    for name in ("conftest.py", "sitecustomize.py", "copier.py"):
        (service / name).write_text(f"open({str(ran)!r}, 'w').close()\n")
    git(service, "add", "--all")
    git(service, "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "--message=traps")

    text = run("--clones", service.parent, template=template, folder=tmp_path).stdout

    assert "updated     plain: branch hardening-update, not locked, not verified" in text
    assert not ran.exists()


def test_with_trust_the_hook_runs_and_what_it_says_is_said(template: Path, tmp_path: Path) -> None:
    (service,) = fleet_of(template, tmp_path / "clones", "plain")

    ran = run("--clones", service.parent, "--trust", template=template, folder=tmp_path, GITHUB_TOKEN=TOKEN)

    assert re.search(r"updated     plain: branch hardening-update, (verify: \w+|not verified: )", ran.stdout), (
        ran.stdout
    )
    assert "_commit: v1.1.0" in git(service, "show", f"{BRANCH}:{ANSWERS}")
    assert git(service, "status", "--porcelain") == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
def test_nothing_is_lost_wherever_a_run_is_stopped_and_the_next_one_goes_on(
    template: Path, tmp_path: Path, number: signal.Signals
) -> None:
    root = tmp_path / "clones"
    services = fleet_of(template, root, *(f"service-{each}" for each in range(5)))
    before = {each: frozen(each) for each in services}
    chance = random.Random(13)  # noqa: S311 - the same moments for each run
    stopped = 0
    for _ in range(8):
        process = subprocess.Popen(
            with_default_signals(command("--clones", root, "--jobs", "2", template=template)),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        time.sleep(chance.uniform(0.5, 8))
        is_over = process.poll() is not None
        process.send_signal(number)  # of a process that ended by itself, nothing is asked
        text, _ = process.communicate(timeout=PATIENCE)
        if number == signal.SIGINT and not is_over:
            assert process.returncode in (0, 2), text
            assert "Traceback" not in text
        state = tmp_path / "fleet-state.json"
        kept = json.loads(state.read_text())["services"] if state.exists() else {}
        for service in services:
            assert frozen(service) == before[service]
            if kept.get(service.name, {}).get("outcome") == "updated":
                assert is_updated(service)
        stopped += not is_over

    assert stopped
    ran = run("--clones", root, template=template, folder=tmp_path)

    assert (ran.returncode, "5 services, to v1.1.0: 5 updated." in ran.stdout) == (0, True), ran.stdout
    assert all(map(is_updated, services))
    assert {each: frozen(each) for each in services} == before


def test_one_run_at_a_time_and_a_broken_state_is_named(template: Path, tmp_path: Path) -> None:
    import fcntl

    fleet_of(template, tmp_path / "clones", "plain")
    state = tmp_path / "fleet-state.json"
    for content in ("{", "[]", '{"goal": "v1.1.0", "services": 3}'):
        state.write_text(content)
        ran = run("--clones", tmp_path / "clones", template=template, folder=tmp_path)
        assert (ran.returncode, "is no state of an update" in ran.stdout) == (2, True), ran.stdout
    state.unlink()
    with state.with_name("fleet-state.json.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ran = run("--clones", tmp_path / "clones", template=template, folder=tmp_path)
    assert (ran.returncode, "Another update is at work" in ran.stdout) == (2, True)


@pytest.mark.parametrize(("kind", "api"), [("github", "/api/v3"), ("gitlab", "/api/v4")])
def test_an_organisation_gets_branches_and_requests_and_the_token_is_seen_nowhere(
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    kind: str,
    api: str,
) -> None:
    services = fleet_of(template, tmp_path / "clones", "one", "two")
    for each in services:
        git(each, "config", "http.receivepack", "true")
    monkeypatch.setenv({"github": "GH_TOKEN", "gitlab": "GITLAB_TOKEN"}[kind], TOKEN)
    monkeypatch.chdir(tmp_path)
    # Every argument of every process that this starts, as a process list has them.
    seen: list[str] = []
    original = subprocess.Popen.__init__

    def noted(self: "subprocess.Popen[bytes]", args: list[str], *rest: object, **given: object) -> None:
        seen.append(" ".join(map(str, args)))
        original(self, args, *rest, **given)  # type: ignore[call-overload]

    with served([Project(10 * n, f"org/{each.name}", each) for n, each in enumerate(services, 1)]) as forge:
        monkeypatch.setattr(subprocess.Popen, "__init__", noted)
        arguments = [f"--{kind}", "org", "--api", forge.url + api, f"--template={template}", "--update"]
        code = main(arguments)
        text = "".join(capfd.readouterr())

        assert code == 0, text
        assert set(forge.requests) == {"org/one", "org/two"}
        for each in services:
            assert "_commit: v1.1.0" in git(each, "show", f"{BRANCH}:{ANSWERS}")
            assert f"updated     org/{each.name}: {forge.requests[f'org/{each.name}']}" in text
            assert TOKEN not in (each / ".git/config").read_text() + git(each, "log", "--all", "--format=%B%an%ae")
        (tmp_path / "fleet-state.json").unlink()
        assert main(arguments) == 0
        assert sum(each.method == "POST" and each.path.endswith(("pulls", "requests")) for each in forge.asked) == 2
    assert any("push" in each for each in seen)
    assert TOKEN not in text + "".join(seen) + (tmp_path / "fleet-state.json").read_text()


def test_addresses_are_pushed_to(template: Path, tmp_path: Path) -> None:
    (service,) = fleet_of(template, tmp_path / "clones", "plain")
    git(tmp_path, "clone", "--quiet", "--bare", str(service), str(tmp_path / "plain.git"))
    (tmp_path / "fleet.txt").write_text(f"{tmp_path / 'plain.git'}\n{tmp_path / 'gone.git'}\n")

    ran = run("--addresses", tmp_path / "fleet.txt", template=template, folder=tmp_path)

    assert ran.returncode == 2, ran.stdout
    assert "hardening-update was pushed" in ran.stdout
    assert re.search("failed .*gone.git: it could not be read", ran.stdout)
    assert "_commit: v1.1.0" in git(tmp_path / "plain.git", "show", f"{BRANCH}:{ANSWERS}")


def test_two_services_of_one_repository_have_two_branches(template: Path, tmp_path: Path) -> None:
    one, two = fleet_of(template, tmp_path / "made", "one", "two")
    whole = tmp_path / "clones" / "monorepo"
    for each in (one, two):
        shutil.copytree(each, whole / "services" / each.name, ignore=shutil.ignore_patterns(".git"))
    commit(whole, "both")

    ran = run("--clones", whole.parent, template=template, folder=tmp_path)

    assert ran.returncode == 0, ran.stdout
    for name in ("one", "two"):
        branch = f"{BRANCH}-services-{name}"
        changed = git(whole, "diff", "--name-only", "main", branch).split()
        assert changed == [f"services/{name}/{ANSWERS}", f"services/{name}/src/orders_api/hardening/headers.py"]
    (tmp_path / "fleet-state.json").unlink()
    again = run("--clones", whole.parent, template=template, folder=tmp_path).stdout
    assert "monorepo/services/two: hardening-update-services-two had it already" in again
