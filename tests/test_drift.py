"""`verify --only drift` names what the team did to owned files and what a newer release fixes, and touches nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import PATIENCE, Emit, commit, git
from .mini_template import release, service_of, small_template

COMPARED = "every owned file is as the template's release has it"
NEWEST = "no newer release of the template fixes a vulnerability"

Tree = dict[str, tuple[int, bytes]]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return small_template(tmp_path / "template")


class DriftRun:
    """What one run found, by the name of the check."""

    def __init__(self, service: Path, **variables: str) -> None:
        process = subprocess.run(
            [sys.executable, "-m", "verify", "--only", "drift", "--format", "json"],
            cwd=service,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert process.stdout, process.stderr
        self.code, self.text = process.returncode, process.stdout + process.stderr
        self.checks = {check["name"]: check for check in json.loads(process.stdout)["checks"]}
        assert {check["step"] for check in self.checks.values()} == {"drift"}

    def red(self) -> dict[str, str]:
        """What was seen by the checks that are not proved."""
        return {name: check["seen"] for name, check in self.checks.items() if check["outcome"] != "proved"}

    def unverified(self) -> dict[str, str]:
        return {name: check["seen"] for name, check in self.checks.items() if check["outcome"] == "unverified"}


def tree(folder: Path) -> Tree:
    """Everything in a folder, git's index and objects as well; not what verify keeps of its runs."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and ".hardening" not in path.parts
    }


def test_a_fresh_service_has_not_drifted_and_is_not_touched(emit: Emit, history: Path, tmp_path: Path) -> None:
    for name, in_git in (("plain", False), ("repository", True)):
        service = tmp_path / name / "orders-api"
        shutil.copytree(emit(), service)
        if in_git:
            commit(service, "emitted")
        before = tree(service)

        found = DriftRun(service)

        assert found.code == 0, found.text
        assert len(found.checks) == 4
        assert found.checks["no owned file was changed"]["seen"].endswith(f" files of v999.0.0 of {history}")
        assert tree(service) == before
        assert not (service / ".hardening" / "drift.patch").exists()


@pytest.mark.parametrize("at", ["", "services/orders-api"])
def test_each_difference_is_named_and_one_command_puts_it_back(small: Path, tmp_path: Path, at: str) -> None:
    repository = tmp_path / "repository"
    service = repository / at
    service_of(small, service)
    shutil.rmtree(service / ".git")
    commit(repository, "emitted")
    with (service / "verify" / "stages" / "audit.py").open("a") as file:
        file.write("CANARY = None")  # no line break at the end
    (service / "verify" / "common" / "raw_http.py").write_bytes(
        (service / "verify" / "common" / "raw_http.py").read_bytes().replace(b"\n", b"\r\n")
    )
    (service / "verify" / "stages" / "attacks.py").unlink()
    (service / "verify" / "stages" / "attacks.py").symlink_to("lock.py")
    (service / "verify" / "attacks" / "cors.py").unlink()
    (service / "src/orders_api/hardening/headers.py").unlink()
    (service / "src/orders_api/hardening/headers").mkdir()
    (service / "src/orders_api/hardening/headers/__init__.py").write_text("")
    (service / "src/orders_api/hardening/debug.log").write_text("ignored by git\n")
    (service / "src/orders_api/hardening/local_cors").mkdir()
    (service / "src/orders_api/hardening/local_cors/__init__.py").write_text("ignored by git, but not by Python\n")
    (service / "README.md").write_text("# Ours\n")
    (service / "src/orders_api/app.py").unlink()
    before = tree(repository)

    found = DriftRun(service)

    assert found.code == 1, found.text
    now = tree(repository)
    assert {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)} == set()
    assert {name: set(seen.splitlines()[1:]) for name, seen in found.red().items()} == {
        "no owned file was changed": {
            "verify/stages/audit.py: lines: 1 added, 1 taken away",
            "verify/stages/attacks.py: it is a link, or in a folder that is one",
        },
        "no owned file was deleted": {"verify/attacks/cors.py", "src/orders_api/hardening/headers.py"},
        "no other file stands among the owned ones": {
            "src/orders_api/hardening/headers/__init__.py",
            "src/orders_api/hardening/local_cors/__init__.py",
        },
    }

    git(service, "apply", ".hardening/drift.patch")
    for name in ("headers", "local_cors"):
        shutil.rmtree(service / "src/orders_api/hardening" / name)

    after = DriftRun(service)
    assert after.code == 0, after.text
    assert not (service / "src/orders_api/app.py").exists()
    assert not (service / ".hardening" / "drift.patch").exists()


def edited(service: Path, old: str, new: str) -> None:
    answers = service / ".copier-answers.yml"
    text = answers.read_text()
    assert old in text
    answers.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "reason", "remedy"),
    [
        ("_commit: v1.0.0", "_commit: v1.0.7", "has no v1.0.7", "recopy --trust --defaults"),
        ("_commit: v1.0.0", "_commit: --output=x", "has no --output=x", "recopy --trust --defaults"),
        ("_commit: v1.0.0\n", "", "records no _commit", "Put .copier-answers.yml back"),
        ("_src_path: ", "# ", "records no _src_path", "Put .copier-answers.yml back"),
        ("/template\n", "/moved\n", "moved' does not exist", "write its new address"),
        ("_src_path: /", "_src_path: ext::sh -c 'touch x' ", "transport 'ext' not allowed", "git ls-remote"),
        ("_src_path: /", "_src_path: --upload-pack=touch /", "cannot be reached", "git ls-remote"),
        (
            "_src_path: /",
            "_src_path: https://me:s3cret@127.0.0.1:1/",
            "https://***@127.0.0.1:1/",
            "Replace it where it was made",
        ),
        ("_src_path: /", "_src_path: git@127.0.0.1:1/", "cannot be reached", "git ls-remote"),
        ("ci: github", "ci: [", "cannot be read", "back from git"),
    ],
)
def test_what_cannot_be_looked_at_is_not_green(
    small: Path, tmp_path: Path, old: str, new: str, reason: str, remedy: str
) -> None:
    service = service_of(small, tmp_path / "orders-api")
    edited(service, old, new)
    before = tree(service)

    found = DriftRun(service)

    assert found.code == 2, found.text
    assert reason in found.unverified()[COMPARED]
    assert "could not tell" in found.unverified()[COMPARED]
    assert remedy in found.checks[COMPARED]["remedy"]
    assert "Traceback" not in found.text
    assert "s3cret" not in found.text
    assert tree(service) == before


def test_a_template_behind_a_question_or_a_silence_is_not_waited_for(small: Path, tmp_path: Path) -> None:
    service = service_of(small, tmp_path / "orders-api")
    edited(service, f"_src_path: {small}", "_src_path: ssh://git@template.invalid/template.git")
    asks = tmp_path / "asks"
    asks.write_text("#!/bin/sh\necho 'Password:' >/dev/tty && read answer </dev/tty\necho nobody answers >&2\nexit 1\n")
    asks.chmod(0o755)

    found = DriftRun(service, GIT_SSH_COMMAND=str(asks), SSH_ASKPASS="/bin/false", DISPLAY=":9")

    assert found.code == 2
    assert "nobody answers" in found.unverified()[COMPARED]


@pytest.mark.parametrize("missing", ["git", "uv"])
def test_a_tool_that_is_missing_is_named(small: Path, tmp_path: Path, missing: str) -> None:
    service = service_of(small, tmp_path / "orders-api")
    path = tmp_path / "bin"
    path.mkdir()
    (path / "git").symlink_to(shutil.which("git") or "")
    (path / missing).unlink(missing_ok=True)

    found = DriftRun(service, PATH=str(path), UV="")

    assert found.code == 2
    assert missing in found.unverified()[COMPARED]
    assert "Install" in found.checks[COMPARED]["remedy"] or "uv" in found.checks[COMPARED]["remedy"]


def test_a_template_that_asks_for_trust_is_not_trusted(small: Path, tmp_path: Path) -> None:
    service = service_of(small, tmp_path / "orders-api")
    with (small / "copier.yml").open("a") as file:
        file.write("\n_jinja_extensions:\n  - jinja2.ext.do\n")
    commit(small, "with an extension")
    git(small, "tag", "--force", "v1.0.0")
    trusting = tmp_path / "home" / "copier" / "settings.yml"
    trusting.parent.mkdir(parents=True)
    trusting.write_text(f"trust:\n  - {small}\n")

    found = DriftRun(service, XDG_CONFIG_HOME=str(tmp_path / "home"))

    assert found.code == 2, found.text
    assert "--trust" in found.unverified()[COMPARED]
    assert "could not render" in found.unverified()[COMPARED]


@pytest.mark.parametrize(
    ("version", "kind", "text", "code", "says"),
    [
        ("1.1.0", "Security", "A hole that was found.", 1, "1.1.0 fixes: A hole that was found."),
        ("1.1.0", "Changed", "**Breaking**: a setting has another name.", 0, "1.1.0 breaks: a setting has another"),
        ("1.1.0rc1", "Security", "A hole that was found.", 0, "v1.0.0 is the newest"),
        ("1.1.0", "Security", "A hole in the store. (store=redis)", 0, "v1.1.0 is there, and brings nothing for this"),
    ],
)
def test_a_newer_release_is_named_with_what_it_fixes(
    small: Path, tmp_path: Path, version: str, kind: str, text: str, code: int, says: str
) -> None:
    service = service_of(small, tmp_path / "orders-api")
    release(small, version, kind, text)

    found = DriftRun(service)

    assert found.code == code, found.text
    assert says in found.checks[NEWEST]["seen"]
    assert "fixed long ago" not in found.text
    assert "update --trust --defaults" in found.checks[NEWEST]["remedy"] or says.endswith("newest")
    assert len(found.checks) == 4  # what is recorded is compared all the same


def test_a_changelog_that_is_silent_is_not_taken_for_no_weakness(small: Path, tmp_path: Path) -> None:
    service = service_of(small, tmp_path / "orders-api")
    git(small, "commit", "--quiet", "--allow-empty", "--message", "said nowhere")
    git(small, "tag", "v1.1.0")

    found = DriftRun(service)

    assert found.code == 2, found.text
    assert "CHANGELOG.md of v1.1.0 says nothing of what came after v1.0.0" in found.unverified()[NEWEST]
    assert "update --trust --defaults" in found.checks[NEWEST]["remedy"]


def test_a_template_at_a_url_is_fetched_once_and_nothing_of_it_runs(small: Path, tmp_path: Path) -> None:
    bare = tmp_path / "template.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(small), str(bare))
    service = service_of(f"file://{bare}", tmp_path / "orders-api", vcs_ref="v1.0.0")
    (service / "verify" / "stages" / "lock.py").write_bytes(
        (service / "verify" / "stages" / "lock.py").read_bytes() + b"\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    trace = tmp_path / "trace"

    found = DriftRun(service, HOME=str(home), GIT_TRACE=str(trace), UV_CACHE_DIR=cache())

    assert found.code == 1, found.text
    assert list(found.red()) == ["no owned file was changed"]
    fetches = [line for line in trace.read_text().splitlines() if "run_command" in line and "git-upload-pack" in line]
    assert sum(str(bare) in line for line in fetches) == 1
    assert not (service / ".hardening" / "hook.json").exists()  # the task of the template would leave it
    assert not list(home.rglob("copier"))


def cache() -> str:
    return subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()


def without_releases(template: Path) -> str:
    """Take every tag of a template away; the commit that it is at."""
    git(template, "tag", "--delete", *git(template, "tag").split())
    return git(template, "rev-parse", "--short", "HEAD").strip()


def untagged(template: Path, version: str, kind: str, text: str) -> str:
    """A further commit whose changelog says this, without a tag."""
    release(template, version, kind, text)
    git(template, "tag", "--delete", f"v{version}")
    return git(template, "rev-parse", "--short", "HEAD").strip()


@pytest.mark.parametrize(("kind", "code"), [("Security", 1), ("Added", 0)])
def test_without_any_release_what_is_new_is_read_by_commit(small: Path, tmp_path: Path, kind: str, code: int) -> None:
    born = without_releases(small)
    service = service_of(small, tmp_path / "orders-api")
    assert born in (service / ".copier-answers.yml").read_text()
    assert DriftRun(service).checks[NEWEST]["seen"] == f"{born} is the newest"
    newest = untagged(small, "1.1.0", kind, "Something that matters.")

    found = DriftRun(service)

    assert found.code == code, found.text
    assert found.checks[NEWEST]["seen"].startswith(f"{newest} is there, ")
    assert ("1.1.0 fixes: Something that matters." in found.text) == (kind == "Security")
    assert "long ago" not in found.text


def test_a_service_of_a_commit_learns_of_releases_that_came_later(small: Path, tmp_path: Path) -> None:
    born = without_releases(small)
    service = service_of(small, tmp_path / "orders-api")
    git(small, "tag", "v1.0.0", born)
    assert DriftRun(service).checks[NEWEST]["seen"] == f"{born} is the newest"
    release(small, "1.1.0", "Security", "A hole that was found.")

    found = DriftRun(service)

    assert found.code == 1
    assert "v1.1.0 is there, 1 of 1 entries under Security\n1.1.0 fixes: A hole that was found." in found.text.replace(
        "\\n", "\n"
    )


def test_a_commit_that_is_gone_cannot_be_compared(small: Path, tmp_path: Path) -> None:
    without_releases(small)
    service = service_of(small, tmp_path / "orders-api")
    edited(service, "_commit: ", "_commit: abc")

    found = DriftRun(service)

    assert found.code == 2
    assert "cannot be compared with" in found.unverified()[NEWEST]
