"""The hook says what was found, harms nothing, and never takes silence for proof.

Most of it runs on a bare template: the real questions, hook and answers file around an empty project, whose `verify`
ends as it is told. That it does the same around the real service is the first test.
"""

import ast
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import REPOSITORY, commit, files, git, in_one_text
from .default_signals import with_default_signals
from .osv import serving
from .test_questions import answers

HOOK = REPOSITORY / "hooks" / "post_generate.py"
HOOKS = [*(REPOSITORY / "hooks").glob("*.py"), REPOSITORY / "template" / "verify" / "changelog.py"]
ANSWERS = "{{_copier_conf.answers_file}}.jinja"
UV = shutil.which("uv") or "uv"
PROJECT = """\
[project]
name = "bare"
version = "0"
requires-python = ">=3.11"
dependencies = []
"""
STAND_IN = '''\
"""Ends as VERIFY_ENDS says."""
import json, os, pathlib, sys, time

end = os.environ.get("VERIFY_ENDS", "proved")
print("audit ...", flush=True)
while end == "never":
    time.sleep(0.1)
if end == "silently":
    sys.exit(0)
if end == "traceback":
    raise OSError("verify itself is broken")
outcome = "proved" if end in ("contrary", "partly", "another") else "unverified" if end == "stopped" else end
check = {"step": "audit", "name": "known holes", "outcome": outcome, "seen": "an answer", "remedy": "Mend it."}
folder = pathlib.Path(".hardening")
folder.mkdir(exist_ok=True)
other = {"step": "tests", "name": "the tests", "outcome": "proved", "seen": "they pass", "remedy": ""}
checks = [check] if end in ("partly", "stopped") else [check, other]
run = os.environ["VERIFY_RUN_ID"] if end != "another" else "another"
record = {"run": run, "outcome": outcome, "interrupted": end == "stopped", "stopped_at": "tests"}
record |= {"checks": checks, "seconds": {"audit": 0.5, "tests": 1.5}}
(folder / "last-verify.json").write_text(json.dumps(record))
sys.exit({"proved": 0, "insecure": 1, "unverified": 2, "contrary": 1, "partly": 0, "another": 0, "stopped": 247}[end])
'''
POSIX = pytest.mark.skipif(os.name != "posix", reason="process groups, modes and terminals of another kind")

Ended = subprocess.CompletedProcess[str]
Copy = Callable[..., Ended]


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template with this repository's questions, task and hook around an empty project."""
    folder = tmp_path_factory.mktemp("bare")
    shutil.copy2(REPOSITORY / "copier.yml", folder)
    for name in ("hooks", "macros"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "template" / "verify").mkdir(parents=True)
    for name in (ANSWERS, ".gitignore", "verify/changelog.py"):
        shutil.copy2(REPOSITORY / "template" / name, folder / "template" / name)
    (folder / "template" / "pyproject.toml").write_text(PROJECT)
    (folder / "template" / "verify" / "__main__.py").write_text(STAND_IN)
    commit(folder, "bare")
    git(folder, "tag", "v1.0.0")
    return folder


def command(template: Path | str, folder: Path | str, *options: str) -> list[str]:
    return [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", *options, str(template), str(folder)]


@pytest.fixture
def copy(bare: Path) -> Copy:
    """Emit with Copier's own command. What it and the hook print is one text."""

    def copied(folder: Path | str, *options: str, cwd: Path | None = None, **variables: str) -> Ended:
        return in_one_text(command(bare, folder, *options), cwd, **variables)

    return copied


def hook(folder: Path, *options: str, **variables: str) -> Ended:
    """Run the hook in a folder as Copier would."""
    return hook_behind((), folder, *options, **variables)


def hook_behind(before: tuple[str, ...], folder: Path, *options: str, **variables: str) -> Ended:
    """The same, behind a command that takes another one."""
    arguments = ["--package=bare", "--checks=warn", f"--destination={folder}", "--source=/template", "--version=v1.0.0"]
    return in_one_text([*before, sys.executable, str(HOOK), *arguments, *options], folder, **variables)


@pytest.fixture
def project(bare: Path, tmp_path: Path) -> Path:
    """What the bare template emits, before its hook has run."""
    folder = tmp_path / "orders-api"
    shutil.copytree(bare / "template", folder)
    (folder / ANSWERS).unlink()
    return folder


def needs_libraries(folder: Path) -> None:
    """Let the project depend on something, so that uv has to ask an index."""
    project = folder / "pyproject.toml"
    project.write_text(project.read_text().replace("[]", '["granian"]'))


def said(result: Ended | str, *sentences: str) -> None:
    """Assert that all of this was said, and that nobody was shown a traceback."""
    text = result if isinstance(result, str) else result.stdout
    assert "Traceback" not in text, text
    for sentence in sentences:
        assert sentence in " ".join(text.split()), text


def recorded(folder: Path) -> dict[str, str]:
    record: dict[str, str] = json.loads((folder / ".hardening" / "hook.json").read_text(encoding="utf-8"))
    return record


# What it is for


@pytest.mark.parametrize(
    ("fault", "audited"), [("", "proved"), ("empty", "unverified")], ids=["clean", "an audit that cannot tell"]
)
def test_a_new_service_is_locked_installed_and_verified(
    template: Path, tmp_path: Path, fault: str, audited: str
) -> None:
    folder = tmp_path / "orders-api"
    started = time.monotonic()

    with serving(fault=fault) as osv:
        result = subprocess.run(
            command(template, folder),
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
    assert recorded(folder)["outcome"] == verified["outcome"]
    assert recorded(folder)["say"] in result.stderr
    assert ("all of it was proved" in result.stdout) == (verified["outcome"] == "proved")
    commit(folder, "emitted")
    assert not [name for name in git(folder, "ls-files").split() if name.startswith((".hardening", ".venv"))]


@pytest.mark.parametrize(
    ("ends", "words", "strict"),
    [
        ("proved", "all of it was proved", 0),
        ("insecure", "INSECURE: 1 finding to mend", 1),
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
    assert says in result.stdout.rstrip().splitlines()[-1]
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


def commit_something_old(folder: Path) -> None:
    folder.mkdir()
    (folder / "ours.txt").write_text("ours")
    (folder / ".gitignore").write_text("ours/\n")
    (folder / "README.md").write_text("# Ours\n")
    commit(folder, "ours")


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


def test_without_trust_nothing_is_written_and_skipping_tasks_works(bare: Path, tmp_path: Path) -> None:
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


# Two facts about Copier that bite


def with_task(template: Path, folder: Path, *tasks: str) -> Path:
    """The bare template with other tasks, in two releases."""
    shutil.copytree(template, folder)
    config = (folder / "copier.yml").read_text()
    start, end = config.index("_tasks:\n"), config.index("# What the task found out")
    (folder / "copier.yml").write_text(config[:start] + "_tasks:\n" + "".join(tasks) + "\n" + config[end:])
    commit(folder, "tasks")
    git(folder, "tag", "v2.0.0")
    (folder / "template" / "new.txt").write_text("new\n")
    commit(folder, "more")
    git(folder, "tag", "v3.0.0")
    return folder


def test_a_task_without_a_guard_runs_three_times_on_an_update_and_the_guarded_one_never(
    bare: Path, tmp_path: Path
) -> None:
    def counting(name: str, guard: str = "") -> str:
        code = f"open({str(tmp_path / name)!r}, 'a').write('x')"
        return f"  - command: ['{{{{ _copier_python }}}}', -c, {json.dumps(code)}]\n{guard}"

    guard = re.findall(r"    when: .*_copier_operation.*\n", (REPOSITORY / "copier.yml").read_text())
    assert len(guard) == 1
    template = with_task(bare, tmp_path / "template", counting("bare"), counting("guarded", *guard))
    service = tmp_path / "service"
    subprocess.run(command(template, service, "--quiet", "--vcs-ref=v2.0.0"), check=True)
    commit(service, "emitted")
    assert (tmp_path / "bare").read_text() == (tmp_path / "guarded").read_text() == "x"

    update = [sys.executable, "-m", "copier", "update", "--trust", "--defaults", "--quiet"]
    subprocess.run(update, cwd=service, check=True)

    assert (service / "new.txt").is_file()
    assert (tmp_path / "bare").read_text() == "x" + "xxx"
    assert (tmp_path / "guarded").read_text() == "x"


def test_a_task_that_fails_takes_the_new_project_with_it(bare: Path, tmp_path: Path) -> None:
    template = with_task(
        bare, tmp_path / "template", "  - command: ['{{ _copier_python }}', -c, raise SystemExit(1)]\n"
    )

    result = subprocess.run(command(template, tmp_path / "service"), capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert not (tmp_path / "service").exists()


# Disasters


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


def test_a_relative_template_address_is_recorded_as_one_that_updates_find(bare: Path, tmp_path: Path) -> None:
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

    result = hook(project, "--checks=off")

    said(result, f"It lies inside the git repository {tmp_path}", "no `git init`")
    assert not (project / ".git").exists()


def test_without_a_git_identity_the_remedy_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER")) or name == "EMAIL"]:
        monkeypatch.delenv(name)
    only = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}

    result = hook(project, **only)

    assert result.returncode == 0
    said(result, "git does not know who you are", "git config --global user.email", "all of it was proved")


# Ctrl-C and its kin


@pytest.fixture
def stuck(tmp_path: Path) -> Callable[[str], str]:
    """A PATH with a uv that never ends one of its commands."""

    def path(subcommand: str) -> str:
        folder = tmp_path / "bin"
        folder.mkdir()
        script = f"""\
            #!/bin/sh
            if [ "$1" = {subcommand} ]; then echo waiting >&2; sleep 60; exit 9; fi
            exec '{UV}' "$@"
            """
        (folder / "uv").write_text(textwrap.dedent(script))
        (folder / "uv").chmod(0o755)
        return f"{folder}{os.pathsep}{os.environ['PATH']}"

    return path


def group(leader: int) -> list[str]:
    """The commands that still run in a process group."""
    listing = subprocess.run(["ps", "-A", "-o", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(maxsplit=2) for line in listing.splitlines())
    return [row[-1] for row in rows if row[0] == str(leader) and not row[1].startswith("Z")]


@POSIX
@pytest.mark.parametrize("checks", ["warn", "strict"])
@pytest.mark.parametrize(("stage", "line"), [("lock", "lock ..."), ("sync", "install ..."), ("verify", "audit ...")])
def test_ctrl_c_ends_everything_and_keeps_the_project(
    bare: Path, stuck: Callable[[str], str], tmp_path: Path, stage: str, line: str, checks: str
) -> None:
    folder = tmp_path / "orders-api"
    path = os.environ["PATH"] if stage == "verify" else stuck(stage)
    with subprocess.Popen(
        with_default_signals(command(bare, folder, "-d", f"checks={checks}")),
        env={**os.environ, "PATH": path, "VERIFY_ENDS": "never"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        printed = ""
        while not printed.endswith(f"{line}\n"):
            printed += process.stdout.readline() or pytest.fail(printed)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        printed += process.stdout.read()

    assert process.returncode == 1
    shown = printed if stage != "verify" else re.sub(r"Traceback.*?KeyboardInterrupt\n", "", printed, flags=re.DOTALL)
    said(shown, "Stopped. NOT VERIFIED", "Copier keeps the project", "Execution stopped by user")
    assert (folder / "pyproject.toml").is_file()
    assert recorded(folder)["outcome"] == "unverified"
    deadline = time.monotonic() + 10
    while group(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert group(process.pid) == []


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_hook_that_is_told_to_stop_ends_its_child_and_keeps_the_project(
    project: Path, number: signal.Signals
) -> None:
    arguments = ["--package=bare", "--checks=warn", f"--destination={project}", "--source=/template", "--version=v1"]
    with subprocess.Popen(
        with_default_signals([sys.executable, HOOK, *arguments]),
        cwd=project,
        env={**os.environ, "VERIFY_ENDS": "never"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        while process.stdout.readline() not in ("audit ...\n", ""):
            pass
        process.send_signal(number)
        printed = process.stdout.read()

    assert process.returncode == 0
    said(printed, "Stopped. NOT VERIFIED")
    assert group(process.pid) == []


@POSIX
def test_a_reader_that_goes_away_does_not_take_the_project_with_it(bare: Path, tmp_path: Path) -> None:
    folder = tmp_path / "orders-api"
    reader, writer = os.pipe()
    os.close(reader)

    result = subprocess.run(
        command(bare, folder, "--quiet"), stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)

    assert result.returncode == 0, result.stderr
    assert (folder / "uv.lock").is_file()


# How it runs


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


@POSIX
@pytest.mark.parametrize("plain", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
def test_a_terminal_sees_progress_and_colours_unless_it_does_not_want_them(
    project: Path, plain: dict[str, str]
) -> None:
    master, terminal = pty.openpty()
    arguments = [
        "--package=bare",
        "--checks=warn",
        f"--destination={project}",
        "--source=/template",
        "--version=v1.0.0",
    ]
    process = subprocess.Popen(
        [sys.executable, HOOK, *arguments], cwd=project, env={**os.environ, "TERM": "xterm", **plain}, stdout=terminal
    )
    os.close(terminal)
    printed = b""
    while True:
        try:
            printed += os.read(master, 4096) or b""
        except OSError:  # the other side has closed it
            break
    os.close(master)

    assert process.wait() == 0
    assert (b"\x1b[" in printed) == (not plain)
    assert (b"lock           |" in printed or b"lock           /" in printed) == ("TERM" not in plain)
    assert (b"lock ...\r\n" in printed) == ("TERM" in plain)


def test_elsewhere_there_are_plain_lines(project: Path) -> None:
    result = hook(project)

    assert "\x1b" not in result.stdout
    assert "\r" not in result.stdout
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:4]] == [
        ["lock", "..."],
        ["lock", "done"],
        ["install", "..."],
        ["install", "done"],
    ]


def test_the_summary_tells_where_the_time_went(project: Path) -> None:
    lines = hook(project).stdout.splitlines()
    table = lines[next(number for number, line in enumerate(lines) if line.startswith("stage")) :]

    assert [line.split()[0] for line in table[1:6]] == ["lock", "install", "audit", "tests", "all"]
    assert all(re.search(r"\d\.\d s$", line) for line in table[1:6])
    assert len([line for line in table if line.startswith("    ")]) == 3


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.name)
def test_it_is_written_for_the_oldest_python_that_copier_runs_on(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    imported = {
        name.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }

    own = {each.stem for each in HOOKS} | {"verify"}
    assert {str(name).split(".")[0] for name in imported} <= sys.stdlib_module_names | own
    assert "shell" not in {
        keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords
    }


def test_it_asks_for_nothing_that_the_oldest_python_of_copier_lacks() -> None:
    # No such interpreter is at hand everywhere; the type checker knows what each version has.
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version=3.10", "--no-incremental", *map(str, HOOKS)]

    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
