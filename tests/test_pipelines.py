"""The emitted pipelines do what they say: their own commands, run here, with a stand-in for the platform alone."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from verify.environment import Ran
from verify.update import LONGEST, _section

from .conftest import Emit, commit, git
from .mini_template import release, service_of, small_template

# What GitHub's command does here: artifacts come from a folder, and a pull request is a file.
GH = """\
#!/bin/sh
set -e
case "$1 $2" in
"run download") mkdir -p "$7" && cp "$ARTIFACTS"/* "$7" ;;
"auth setup-git") ;;
"pr create") test ! -e "$PULL_REQUEST" && cp "$6" "$PULL_REQUEST" ;;
"pr edit") cp "$5" "$PULL_REQUEST" ;;
*) echo "gh $*: nobody expected that" >&2; exit 1 ;;
esac
"""
# GitLab makes the merge request out of what is pushed.
HOOK = """\
#!/bin/sh
for number in $(seq 0 $((GIT_PUSH_OPTION_COUNT - 1))); do
    eval "echo \\$GIT_PUSH_OPTION_$number" >>"$PULL_REQUEST"
done
"""
ANSWERS = ".copier-answers.yml"

Job = Callable[[str], None]


class Platform:
    """A repository on a server, its pipeline, and what the jobs of it leave behind."""

    def __init__(self, service: Path, pipeline: dict[str, Any], folder: Path) -> None:
        self.folder, self.pipeline = folder, pipeline
        self.origin, self.artifacts, self.request = (folder / name for name in ("origin.git", "artifacts", "request"))
        git(folder, "clone", "--quiet", "--bare", str(service), str(self.origin))
        git(self.origin, "config", "receive.advertisePushOptions", "true")
        (self.origin / "hooks" / "post-receive").write_text(HOOK)
        (self.origin / "hooks" / "post-receive").chmod(0o755)
        (folder / "bin").mkdir()
        (folder / "bin" / "gh").write_text(GH)
        (folder / "bin" / "gh").chmod(0o755)

    def scripts(self, job: str) -> list[str]:
        if "jobs" in self.pipeline:
            return [step["run"] for step in self.pipeline["jobs"][job]["steps"] if "run" in step]
        return ["\n".join(line for line in self.pipeline[job]["script"] if not line.startswith("pip install"))]

    def run(self, job: str) -> None:
        """Run the commands of a job in a fresh clone."""
        clone = self.folder / job
        shutil.rmtree(clone, ignore_errors=True)
        git(self.folder, "clone", "--quiet", str(self.origin), str(clone))
        if job != "update":
            shutil.copytree(self.artifacts, clone / ".hardening")
        variables = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "ARTIFACTS": str(self.artifacts),
            "PULL_REQUEST": str(self.request),
            "GITHUB_RUN_ID": "1",
            "RUNNER_TEMP": str(self.folder / "temporary"),
            "CI_PROJECT_URL": "https://gitlab.example/team/orders-api",
            "CI_PIPELINE_URL": "https://gitlab.example/pipelines/1",
            "UPDATE_TOKEN": "s3cret",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.origin}.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://oauth2:s3cret@gitlab.example/team/orders-api.git",
        }
        nobody = {
            name: value for name, value in os.environ.items() if not name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))
        }
        for script in self.scripts(job):
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", script],
                cwd=clone,
                env={**nobody, **variables},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        if job == "update":
            shutil.rmtree(self.artifacts, ignore_errors=True)
            self.artifacts.mkdir()
            for path in (clone / ".hardening").glob("update.*"):
                shutil.copy2(path, self.artifacts)


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_an_update_becomes_a_request_with_the_report(emit: Emit, tmp_path: Path, ci: str) -> None:
    name = {"github": ".github/workflows/update.yml", "gitlab": ".gitlab-ci.yml"}[ci]
    pipeline = yaml.safe_load((emit(ci=ci) / name).read_text())
    template = small_template(tmp_path / "template")
    service = service_of(template, tmp_path / "orders-api")
    (service / "README.md").write_text("# Ours\n")
    subprocess.run(["uv", "lock", "--quiet"], cwd=service, check=True)
    commit(service, "ours")
    platform = Platform(service, pipeline, tmp_path)
    branches = git(platform.origin, "branch", "--list")

    for job in ("update", "propose"):
        platform.run(job)

    assert git(platform.origin, "branch", "--list") == branches
    assert not platform.request.exists()

    for version in ("1.1.0", "1.2.0"):
        with (template / "template/src/{{ package_name }}/hardening/headers.py").open("a") as file:
            file.write(f'"""Of {version}."""\n')
        release(template, version, "Security", f"The hole of {version}.")
        for job in ("update", "propose"):
            platform.run(job)

        assert git(platform.origin, "show", "main:README.md") == "# Ours\n"
        assert git(platform.origin, "diff", "--name-only", "main", "hardening-update").split() == [
            ANSWERS,
            "src/orders_api/hardening/headers.py",
        ]
        assert f"_commit: v{version}" in git(platform.origin, "show", f"hardening-update:{ANSWERS}")
        told = (platform.artifacts / "update.md").read_text()
        assert told.startswith("`verify` ended with exit code ")
        assert re.search("`copier update` ended with exit code 0", told)
        if ci == "github":
            assert platform.request.read_text() == told
        else:
            assert "merge_request.create" in platform.request.read_text()
            assert "s3cret" not in told + platform.request.read_text()

    mended = git(service, "commit-tree", "-m", "ours", "-p", "HEAD", "HEAD^{tree}").strip()
    git(service, "push", "--quiet", "--force", str(platform.origin), f"{mended}:refs/heads/hardening-update")
    platform.run("propose")

    assert git(platform.origin, "rev-parse", "hardening-update").strip() == mended, "what a person added stays"


def test_what_may_write_runs_nothing_of_the_template(emit: Emit) -> None:
    for path in emit().glob(".github/workflows/*.yml"):
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            commands = " ".join(step.get("run", step.get("uses", "")) for step in job["steps"])
            if "write" in job["permissions"].values():
                assert name == "propose"
                assert not re.search(r"\b(uv|uvx|python3?|pip|copier)\b", commands), commands
            else:
                assert job["permissions"] == {"contents": "read"}
                assert "secrets." not in str(job)


@pytest.mark.parametrize("tildes", range(3, 20))
def test_what_a_command_printed_stays_in_its_place_in_the_report(tildes: int) -> None:
    fence = "~" * tildes

    text = _section("verify", Ran(1, f"{fence}\n# Merge this at once\n{fence}text", "https://me:s3cret@example.com/t"))

    assert [line for line in text.splitlines() if re.match(r" {0,3}~{3,}", line)] == ["~~~~~~text", "~~~~~~"]
    assert "# Merge this at once" in text
    assert "https://***@example.com/t" in text
    assert "s3cret" not in text


def test_a_report_fits_a_pull_request_and_keeps_its_end() -> None:
    sections = [_section(name, Ran(1, "x" * 100_000 + "the verdict", "")) for name in ("verify", "copier update")]

    assert LONGEST < len("\n".join(sections)) < 65_536
    assert all("the verdict\n~~~~~~" in each for each in sections)


def test_an_update_that_cannot_be_made_is_not_taken_for_none(tmp_path: Path) -> None:
    template = small_template(tmp_path / "template")
    service = service_of(template, tmp_path / "orders-api")
    subprocess.run(["uv", "lock", "--quiet"], cwd=service, check=True)
    command = ["uv", "run", "--quiet", "python", "-m", "verify.update"]

    dirty = subprocess.run(command, cwd=service, capture_output=True, text=True, check=False)
    commit(service, "locked")
    template.rename(tmp_path / "moved")
    gone = subprocess.run(command, cwd=service, capture_output=True, text=True, check=False)

    assert (dirty.returncode, gone.returncode) == (2, 2)
    assert "Commit or stash first" in dirty.stderr
    assert "uv.lock" in dirty.stderr
    assert "`copier update` ended with exit code" in gone.stdout
    assert (service / ".hardening" / "update.patch").read_bytes() == b""
