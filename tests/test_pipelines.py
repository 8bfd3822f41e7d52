"""The emitted pipelines do what they say: their own commands, run here, with a stand-in for the platform alone."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from verify.runner.subprocesses import Ran
from verify.upkeep.update import LONGEST, _section

from .conftest import Emit, commit, git
from .forge import TOKEN, Project, served
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


def of_nobody() -> dict[str, str]:
    """The environment without the name that commits of these tests carry."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}


class Platform:
    """A repository on a server, its pipeline, and what the jobs of it leave behind."""

    address = "https://gitlab.example/team/orders-api"

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
            "GITHUB_SERVER_URL": "https://github.example",
            "CI_PROJECT_URL": self.address,
            "CI_PIPELINE_URL": "https://gitlab.example/pipelines/1",
            "UPDATE_TOKEN": "s3cret",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.origin}.insteadOf",
            "GIT_CONFIG_VALUE_0": f"{self.address}.git",
        }
        for script in self.scripts(job):
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", script],
                cwd=clone,
                env={**of_nobody(), **variables},
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


@pytest.mark.parametrize("address", ["http://{host}/team/orders-api", "http://{host}/gitlab/team/orders-api"])
def test_a_request_is_pushed_to_a_server_of_any_address_and_the_token_stands_in_none(
    emit: Emit, tmp_path: Path, address: str
) -> None:
    pipeline = yaml.safe_load((emit(ci="gitlab") / ".gitlab-ci.yml").read_text())
    template = small_template(tmp_path / "template")
    service = service_of(template, tmp_path / "orders-api")
    git(service, "config", "http.receivepack", "true")
    git(service, "config", "receive.advertisePushOptions", "true")
    (service / "README.md").write_text("# New\n")
    git(service, "add", "--all")
    patch = git(service, "diff", "--cached", "--binary")
    git(service, "reset", "--quiet", "--hard")
    name = address.partition("{host}/")[2]
    script = "\n".join(pipeline["propose"]["script"])
    with served([Project(1, name, service)]) as forge:
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(service), str(clone))
        (clone / ".hardening").mkdir()
        (clone / ".hardening" / "update.patch").write_text(patch)
        variables = {
            "CI_PROJECT_URL": address.format(host=forge.url.removeprefix("http://")),
            "CI_PIPELINE_URL": "http://x/1",
            "UPDATE_TOKEN": TOKEN,
            "GIT_TRACE2_EVENT": str(tmp_path / "trace"),
            "GIT_TERMINAL_PROMPT": "0",
        }
        command = ["bash", "-e", "-o", "pipefail", "-c", script]
        ran = subprocess.run(
            command, cwd=clone, env={**of_nobody(), **variables}, capture_output=True, text=True, check=False
        )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert git(service, "show", "hardening-update:README.md") == "# New\n"
    assert git(service, "log", "-1", "--format=%ce", "hardening-update").strip() == "hardening@localhost"
    # Every command that git was and started, as a list of processes has them.
    assert "push" in (tmp_path / "trace").read_text()
    assert TOKEN not in (tmp_path / "trace").read_text() + ran.stdout + ran.stderr


# What would run, and when


def gitlab_jobs(pipeline: dict[str, Any], **variables: str) -> set[str]:
    """The jobs that a pipeline with these variables would have, by their rules; the first that fits decides."""

    def holds(rule: str) -> bool:
        terms = re.split(r"\s*(&&|\|\|)\s*", rule)
        assert set(terms[1::2]) <= {"&&"}, "nothing else is read here"
        for term in terms[::2]:
            match = re.fullmatch(r'\$(\w+) (==|!=) (?:"([^"]*)"|\$(\w+))', term)
            assert match, term
            right = match[3] if match[4] is None else variables.get(match[4])
            if (variables.get(match[1]) == right) != (match[2] == "=="):
                return False
        return True

    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict) and "script" in job}
    return {name for name, job in jobs.items() if any(holds(rule["if"]) for rule in job["rules"])}


@pytest.mark.parametrize("branch", ["main", "trunk"])
def test_gitlab_runs_the_proof_for_each_change_and_keeps_it_out_of_the_weekly_update(emit: Emit, branch: str) -> None:
    pipeline = yaml.safe_load((emit(ci="gitlab") / ".gitlab-ci.yml").read_text())
    default = {"CI_DEFAULT_BRANCH": branch}

    def jobs(source: str, on: str | None, **more: str) -> set[str]:
        at = {} if on is None else {"CI_COMMIT_BRANCH": on}
        return gitlab_jobs(pipeline, CI_PIPELINE_SOURCE=source, **default, **at, **more)

    assert jobs("push", branch) == {"hardening"}
    assert jobs("push", "feature") == set()
    assert jobs("merge_request_event", None) == {"hardening"}
    assert jobs("schedule", branch) == {"hardening"}
    assert jobs("schedule", branch, UPDATE="true") == {"update", "propose"}
    assert jobs("web", branch) == {"hardening"}


def github_steps(
    workflow: dict[Any, Any], job: str, event: str, ref: str, default: str
) -> tuple[str, list[str]] | None:
    """The name of a job and its commands for an event; nothing if the job does not run. `on` is true in YAML 1.1."""
    if event not in (workflow.get("on") or workflow[True]):
        return None
    known = {
        "github.event_name": event,
        "github.ref_name": ref,
        "github.event.repository.default_branch": default if event == "push" else "",
    }

    def value(expression: str) -> Any:
        text = expression.strip().removeprefix("${{").removesuffix("}}").strip()
        for name, each in sorted(known.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(name, repr(each))
        for before, after in (("!cancelled()", "True"), ("always()", "True"), ("&&", " and "), ("||", " or ")):
            text = text.replace(before, after)
        assert re.fullmatch(r"(?:'[^']*'|and|or|==|!=|True|[\s()])*", text), text
        return eval(text)  # noqa: S307 - nothing but comparisons of texts

    found = workflow["jobs"][job]
    if "if" in found and not value(str(found["if"])):
        return None
    commands = [step["run"] for step in found["steps"] if "run" in step and value(str(step.get("if", "True")))]
    name = str(found.get("name", job))
    return value(name) if "${{" in name else name, commands


VERIFY = "uv run --locked python -m verify"


@pytest.mark.parametrize("default", ["main", "trunk", "release/next"])
def test_github_checks_pull_requests_the_merge_queue_and_the_default_branch(emit: Emit, default: str) -> None:
    workflow = yaml.safe_load((emit() / ".github/workflows/hardening.yml").read_text())

    def runs(event: str, ref: str) -> tuple[str, list[str]] | None:
        ran = github_steps(workflow, "check", event, ref, default)
        return ran and (ran[0], [each for each in ran[1] if "verify" in each])

    assert runs("pull_request", "7/merge") == ("check", [VERIFY])
    assert runs("merge_group", f"gh-readonly-queue/{default}/pr-7-abc") == ("check", [VERIFY])
    assert runs("push", default) == ("pushed", [VERIFY])
    assert runs("push", "feature") is None
    # The record of the last is what is uploaded, and an audit is what has to be new.
    assert runs("schedule", default) == ("check", [f"{VERIFY} --only drift", f"{VERIFY} --only audit"])
    assert runs("issues", default) is None


def test_github_updates_once_a_week_and_on_a_server_of_ones_own(emit: Emit) -> None:
    workflow = yaml.safe_load((emit() / ".github/workflows/update.yml").read_text())

    assert set(workflow[True]) == {"schedule", "workflow_dispatch"}
    (cron,) = workflow[True]["schedule"]
    assert cron["cron"].split()[2:] == ["*", "*", "1"]
    environment = workflow["jobs"]["propose"]["env"]
    assert environment["GH_TOKEN"] == environment["GH_ENTERPRISE_TOKEN"]
    assert "GH_TOKEN" not in workflow["jobs"]["update"].get("env", {})


def test_gitlab_looks_at_the_drift_and_then_at_the_audit_by_night(emit: Emit, tmp_path: Path) -> None:
    pipeline = yaml.safe_load((emit(ci="gitlab") / ".gitlab-ci.yml").read_text())
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    # A stand-in that notes how it was called; the drift is found to be insecure.
    uv.write_text('#!/bin/sh\necho "$*" >>calls\ncase "$*" in *drift) exit 1;; esac\n')
    uv.chmod(0o755)
    script = "\n".join(line for line in pipeline["hardening"]["script"] if not line.startswith("pip install"))
    for source, code, expected in (
        ("schedule", 1, ["--only drift", "--only audit"]),
        ("push", 0, [""]),
    ):
        (tmp_path / "calls").unlink(missing_ok=True)
        variables = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CI_PIPELINE_SOURCE": source}
        ran = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=tmp_path, env=variables, check=False)
        calls = [line for line in (tmp_path / "calls").read_text().splitlines() if "-m verify" in line]
        assert (ran.returncode, [each.partition("verify")[2].strip() for each in calls]) == (code, expected)


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
