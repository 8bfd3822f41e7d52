"""After an update: nothing goes on over a conflict, bounds are brought, the proof is run, and it is said what changed.

It runs on two releases of a bare template: the real questions, hooks and `verify.bounds` around an empty project, whose
`verify` ends as it is told. Copier itself updates, as a person types it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path

import pytest
from copier import run_copy

from .conftest import REPOSITORY, Render, commit, git, in_one_text, in_world_but
from .hooks.runs import ANSWERS, NEVER_RUN, STAND_IN, UV, Ended, said

OLD, NEW = "v1.0.0", "v2.0.0"
CHANGELOG = """\
# Changelog

## [2.0.0] - 2027-01-01

### Added

- Something new.
- What `store=redis` alone has. (store=redis)

### Security

- A hole is closed.

### Changed

- **Breaking** Something asks for work, and takes
  two lines to say so.

## [1.0.0] - 2026-11-23

### Added

- All of it.
"""
PROJECT = """\
# Ours.
[project]
name = "bare"
version = "0"
requires-python = ">=3.11"
dependencies = [
    "h11>=0.14", # the wire
    "idna>=3.4",
]

[dependency-groups]
dev = [
    "packaging>=24",
]
"""
BOUNDS = """\
# Owned by the template: an update rewrites this file.
[project]
dependencies = [
    "h11>={h11}",
    "idna>={idna}",
]

[dependency-groups]
dev = [
    "packaging>=26.3",
]
"""
OWNED = "# Owned by the template: an update rewrites this file.\none = {}\ntwo = 2\n"
MERGED = "lock ..."  # the first stage that a person sees, unless nothing was begun
CI = "{{% if ci == '{}' %}}{}{{% endif %}}"


@pytest.fixture(scope="session")
def lineage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases of the bare template."""
    folder = tmp_path_factory.mktemp("lineage")
    for name in ("hooks", "macros"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    emitted = folder / "template"
    without = shutil.ignore_patterns("__pycache__", "*.jinja", *NEVER_RUN)
    shutil.copytree(REPOSITORY / "template" / "verify", emitted / "verify", ignore=without)
    for name in (ANSWERS, ".gitignore"):
        shutil.copy2(REPOSITORY / "template" / name, emitted / name)
    (emitted / "verify" / "__main__.py").write_text(STAND_IN)
    (emitted / "pyproject.toml").write_text(PROJECT)
    for release, h11, idna in [(OLD, "0.14", "3.4"), (NEW, "0.16", "3.6")]:
        (folder / "CHANGELOG.md").write_text(CHANGELOG)
        # The older release takes a longer description.
        config = (REPOSITORY / "copier.yml").read_text()
        longest = 200 if release == NEW else 300
        (folder / "copier.yml").write_text(config.replace("'description', 200", f"'description', {longest}"))
        (emitted / "verify" / "bounds.toml").write_text(BOUNDS.format(h11=h11, idna=idna))
        (emitted / "owned.py").write_text(OWNED.format(release.removeprefix("v")[0]))
        (emitted / "compose.yaml.jinja").write_text(
            f"# of {release}\nservices:\n  api: {{}}\n{{% if store == 'redis' %}}  valkey: {{}}\n{{% endif %}}"
        )
        for name, text in [
            (CI.format("github", ".github") + "/workflows/ci.yml", "hub"),
            (CI.format("gitlab", ".gitlab-ci.yml"), "lab"),
        ]:
            (emitted / name).parent.mkdir(parents=True, exist_ok=True)
            (emitted / name).write_text(f"# {text} of {release}\n")
        commit(folder, release)
        git(folder, "tag", release)
    return folder


@pytest.fixture(scope="session")
def emitted(lineage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service of the older release, locked at versions that are old by now."""
    folder = tmp_path_factory.mktemp("emitted") / "orders-api"
    answers = {"example": "minimal"}
    run_copy(str(lineage), folder, answers, vcs_ref=OLD, defaults=True, quiet=True, skip_tasks=True)
    packages = ["--upgrade-package=idna==3.7", "--upgrade-package=h11==0.14.0", "--upgrade-package=packaging==24.0"]
    subprocess.run([UV, "lock", "--quiet", *packages], cwd=folder, check=True)
    commit(folder, "emitted")
    return folder


@pytest.fixture
def service(emitted: Path, tmp_path: Path) -> Path:
    """The same, to be updated."""
    return shutil.copytree(emitted, tmp_path / "orders-api")


def copier(folder: Path, *arguments: str, **variables: str) -> Ended:
    """Run Copier as a person does. What it and the hook print is one text."""
    return in_one_text([sys.executable, "-m", "copier", *arguments], folder, **variables)


def update(service: Path, *options: str, **variables: str) -> Ended:
    return copier(service, "update", "--trust", "--defaults", *options, **variables)


def ours(service: Path, **contents: str | None) -> None:
    """Let the team write, or delete, files whose names have two underscores in the place of each dot."""
    for name, content in contents.items():
        path = service / name.replace("__", ".")
        path.unlink() if content is None else path.write_text(content)
    commit(service, "ours")


def locked(service: Path) -> dict[str, str]:
    packages = tomllib.loads((service / "uv.lock").read_text())["package"]
    return {package["name"]: package["version"] for package in packages}


def test_an_update_brings_bounds_moves_what_must_move_proves_it_and_says_what_changed(service: Path) -> None:
    result = update(service)

    assert result.returncode == 0, result.stdout
    assert (service / "pyproject.toml").read_text() == PROJECT.replace("h11>=0.14", "h11>=0.16").replace(
        "idna>=3.4", "idna>=3.6"
    ).replace("packaging>=24", "packaging>=26.3")
    versions = locked(service)
    assert versions["idna"] == "3.7", "it may stay, so it does"
    assert versions["h11"].startswith("0.16")
    said(result, "bounds done", "lock done", "install done", "audit proved", "all of it was proved", "git diff")
    said(result, "h11>=0.14 in project.dependencies becomes h11>=0.16.")
    told = result.stdout[result.stdout.index("What has changed for this service from v1.0.0 to v2.0.0:") :]
    assert re.findall(r"^  (\S+)  +(\S.*)", told, re.MULTILINE)[:3] == [
        ("BREAKING", "Something asks for work, and takes two lines to say so."),
        ("Security", "A hole is closed."),
        ("Added", "Something new."),
    ]
    assert "All of it." not in told
    assert "`store=redis` alone" not in told
    assert json.loads((service / ".hardening" / "hook.json").read_text())["operation"] == "update"
    commit(service, "updated")

    again = update(service)

    assert again.returncode == 0
    said(again, "The template's version has not changed: v2.0.0.", "all of it was proved")
    assert git(service, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("how", "inside"),
    in_world_but(product(("inline", "rej"), (False, True)), lambda case: case in [("inline", False), ("rej", True)]),
)
def test_nothing_goes_on_over_a_conflict(emitted: Path, tmp_path: Path, how: str, inside: bool) -> None:
    service = shutil.copytree(emitted, tmp_path / "mono" / "größe" / "orders-api")
    if inside:
        shutil.rmtree(service / ".git")
        commit(tmp_path / "mono", "all")
    (service / "owned.py").write_text(OWNED.format("'ours'"))
    commit(tmp_path / "mono" if inside else service, "ours")

    result = update(service, f"--conflict={how}")

    assert result.returncode == 1
    name = "owned.py" if how == "inline" else "owned.py.rej"
    said(result, f"Conflicts in {name}: nothing was done", "git add", "uv run python -m verify.bounds")
    assert MERGED not in result.stdout
    assert (service / "pyproject.toml").read_text() == PROJECT
    assert not (service / ".venv").exists()


@pytest.mark.parametrize(
    ("checks", "ends", "code", "words"),
    [
        ("warn", "insecure", 0, "INSECURE: 1 finding to fix"),
        (
            "strict",
            "unverified",
            1,
            "checks=strict asks for proof, so Copier now fails; it keeps what the update has written",
        ),
        ("strict", "proved", 0, "all of it was proved"),
    ],
)
def test_what_was_not_proved_fails_only_where_it_was_asked_for(
    service: Path, checks: str, ends: str, code: int, words: str
) -> None:
    result = update(service, "-d", f"checks={checks}", VERIFY_ENDS=ends)

    assert result.returncode == code, result.stdout
    said(result, words)
    assert "h11>=0.16" in (service / "pyproject.toml").read_text()


def test_off_does_nothing_and_says_what_to_type(service: Path) -> None:
    result = update(service, "-d", "checks=off")

    assert result.returncode == 0
    said(
        result, "What has changed for this service", "as checks=off asks for", "uv run python -m verify.bounds uv lock"
    )
    assert git(service, "diff", "--name-only", "HEAD").split() == [
        ".copier-answers.yml",
        "owned.py",
        "verify/bounds.toml",
    ]


def test_without_tasks_it_is_said_what_was_left_out(service: Path) -> None:
    result = update(service, "--skip-tasks")

    assert result.returncode == 0
    said(result, "has new files, and nothing else was done", "uv run python -m verify.bounds uv lock uv sync --locked")
    assert (service / "pyproject.toml").read_text() == PROJECT


# What a team may have done


def test_a_stricter_pin_that_clashes_is_named_and_left_alone(service: Path) -> None:
    pinned = PROJECT.replace('"h11>=0.14", # the wire', '"h11==0.14.0", # we need this one')
    ours(service, pyproject__toml=pinned)

    result = update(service)

    assert result.returncode == 0
    said(result, "bounds failed", "h11==0.14.0 in project.dependencies leaves no version for h11>=0.16", "lock done")
    said(result, "audit proved", "NOT VERIFIED: not everything could be checked")
    assert '"h11==0.14.0", # we need this one' in (service / "pyproject.toml").read_text()
    assert '"idna>=3.6"' in (service / "pyproject.toml").read_text()


def test_bounds_that_cannot_be_locked_are_taken_back(service: Path) -> None:
    constrained = f'{PROJECT}\r\n[tool.uv]\r\nconstraint-dependencies = ["h11<0.15"]\n'
    ours(service, pyproject__toml=constrained)
    before = (service / "pyproject.toml").read_bytes()

    result = update(service)

    assert result.returncode == 0
    said(result, "lock failed", "pyproject.toml is as it was", "h11>=0.14 in project.dependencies becomes h11>=0.16")
    said(result, "lock done", "install done")
    assert (service / "pyproject.toml").read_bytes() == before
    assert locked(service)["h11"] == "0.14.0"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "There is no pyproject.toml in this folder"),
        (
            '[tool.poetry]\nname = "bare"\n',
            "There is no table [project], so this has to be asked for elsewhere: h11>=0.16, idna>=3.6.",
        ),
        ("[project\n", "This pyproject.toml is no valid TOML"),
        (
            '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.11"\ndynamic = ["dependencies"]\n',
            "Ask for h11>=0.16 by hand",
        ),
    ],
    ids=["deleted", "another tool's", "broken", "dynamic"],
)
def test_a_pyproject_that_is_not_as_it_was_is_named_and_kept(service: Path, content: str | None, sentence: str) -> None:
    ours(service, pyproject__toml=content)

    result = update(service)

    assert result.returncode == 0
    said(result, sentence, "NOT VERIFIED")
    assert ((service / "pyproject.toml").read_text() if content else None) == content
    assert (service / "owned.py").read_text() == OWNED.format(2)


def test_without_a_lock_there_is_a_new_one_and_it_is_said(service: Path) -> None:
    ours(service, uv__lock=None)

    result = update(service)

    said(result, "There was no uv.lock, so every version in it is new", "all of it was proved")


def test_a_verify_that_was_deleted_is_named(service: Path) -> None:
    shutil.rmtree(service / "verify")
    commit(service, "ours")

    result = update(service)

    assert result.returncode == 0
    said(result, "There is no verify/ in this folder", "copier recopy", "NOT VERIFIED")


def test_in_a_workspace_nothing_is_locked(service: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "around"\nversion = "0"\n[tool.uv.workspace]\nmembers = ["*-api"]\n'
    )

    result = update(service)

    assert result.returncode == 0
    said(result, "The uv workspace", "NOT VERIFIED")
    assert not (tmp_path / "uv.lock").exists()


# Disasters


def test_without_network_the_update_is_kept_and_the_rest_is_said(service: Path, tmp_path: Path) -> None:
    result = update(service, UV_OFFLINE="1", UV_CACHE_DIR=str(tmp_path / "cache"))

    assert result.returncode == 0
    said(result, "What owned code needs was not brought into pyproject.toml", "The package index could not be reached")
    said(result, "NOT VERIFIED", "uv run python -m verify.bounds uv lock")
    assert (service / "owned.py").read_text() == OWNED.format(2)


def test_without_uv_the_update_is_kept_and_the_rest_is_said(service: Path, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "uv.py").write_text("raise ImportError")
    for folder in os.defpath.split(os.pathsep):
        for program in Path(folder).iterdir():
            if not program.name.startswith("uv") and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)

    result = update(service, PATH=str(programs), PYTHONPATH=str(programs))

    assert result.returncode == 0, result.stdout
    said(result, "uv was found neither on PATH nor beside Copier", "What has changed for this service", "NOT VERIFIED")


# Changed answers


def test_a_seed_that_nobody_edited_follows_changed_answers(service: Path) -> None:
    compose = service / "compose.yaml"
    compose.write_bytes(compose.read_bytes().replace(b"\n", b"\r\n"))
    commit(service, "the line ends of Windows, and nothing else")

    result = update(service, "-d", "ci=gitlab", "-d", "store=redis", "-d", "checks=off")

    assert result.returncode == 0
    said(
        result, ".gitlab-ci.yml is new", ".github/workflows/ci.yml is gone", "compose.yaml follows the changed answers"
    )
    said(result, "What `store=redis` alone has.", "python -m orders_api check")
    assert (service / ".gitlab-ci.yml").read_text() == f"# lab of {NEW}\n"
    assert not (service / ".github").exists()
    assert (service / "compose.yaml").read_text() == f"# of {NEW}\nservices:\n  api: {{}}\n  valkey: {{}}\n"
    assert (service / "pyproject.toml").read_text() == PROJECT


def test_a_seed_that_was_edited_stays_and_is_told_what_to_change(emitted: Path, tmp_path: Path) -> None:
    service = shutil.copytree(emitted, tmp_path / "mono" / "orders-api", ignore=shutil.ignore_patterns(".git"))
    mine = {name: f"# ours: {name}\n" for name in ("compose.yaml", ".github/workflows/ci.yml", ".gitlab-ci.yml")}
    for name, text in mine.items():
        (service / name).write_text(text)
    commit(tmp_path / "mono", "ours")

    result = update(service, "-d", "ci=gitlab", "-d", "store=redis", "-d", "checks=off")

    assert result.returncode == 0
    said(result, "compose.yaml is yours and stays as it is. The changed answers ask for this in it", "+ valkey: {}")
    said(result, ".github/workflows/ci.yml is yours and stays as it is. Nothing needs it any more.")
    said(result, ".gitlab-ci.yml is yours and stays as it is.", f"+# lab of {NEW}")
    assert {name: (service / name).read_text() for name in mine} == mine


def test_what_a_link_leads_to_does_not_follow(service: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared.yaml"
    (service / "compose.yaml").rename(shared)
    (service / "compose.yaml").symlink_to(shared)
    (service / ".gitlab-ci.yml").symlink_to("nowhere")
    commit(service, "shared by all")
    before = shared.read_bytes()

    result = update(service, "-d", "ci=gitlab", "-d", "store=redis", "-d", "checks=off")

    assert result.returncode == 0
    said(result, "compose.yaml is yours and stays as it is", ".gitlab-ci.yml is yours and stays as it is")
    assert shared.read_bytes() == before
    assert not (service / "nowhere").exists()


def test_a_seed_that_was_deleted_stays_away(service: Path) -> None:
    ours(service, compose__yaml=None)
    (service / ".github" / "workflows" / "ci.yml").unlink()
    commit(service, "gone")

    result = update(service, "-d", "ci=none", "-d", "store=redis", "-d", "checks=off")

    assert result.returncode == 0
    assert not (service / "compose.yaml").exists()
    assert "compose.yaml" not in result.stdout


def test_an_update_with_the_same_answers_looks_at_no_seed(service: Path) -> None:
    result = update(service, "-d", "checks=off")

    assert "changed answers" not in result.stdout
    assert (service / "compose.yaml").read_text().startswith(f"# of {OLD}")


@pytest.mark.parametrize(
    ("command", "answer", "born"),
    in_world_but(
        [
            (command, *answer)
            for command, answer in product(
                ("update --trust --defaults", "recopy --trust --force", "copy --trust --defaults -w --skip-tasks"),
                (("package_name=other", "orders_api"), ("example=accounts", "minimal")),
            )
        ],
        lambda case: case[0].startswith("recopy") == (case[2] == "minimal"),
    ),
)
def test_an_answer_for_birth_only_is_refused_in_one_line(
    lineage: Path, service: Path, command: str, answer: str, born: str
) -> None:
    where = [str(lineage), "."] if command.startswith("copy") else []

    result = copier(service, *command.split(), "-d", answer, *where)

    assert result.returncode == 1
    name = answer.partition("=")[0]
    last = result.stdout.splitlines()[-1]
    assert f"{name} is for birth only, and this service was born with {born}; leave out {answer}" in last
    assert "Traceback" not in result.stdout
    by_copier = ("Updating to template version", " > Running task")
    assert [line for line in result.stdout.splitlines() if not line.startswith(by_copier)] == [last]
    assert git(service, "status", "--porcelain", "--ignored") == ""


def test_the_same_answer_again_is_no_change_and_another_folder_has_no_record(service: Path, lineage: Path) -> None:
    assert update(service, "-d", "package_name=orders_api", "-d", "example=minimal", "--skip-tasks").returncode == 0
    new = service.parent / "a [new] one"

    assert (
        copier(service, "copy", "--defaults", "-T", "-d", "package_name=other", str(lineage), str(new)).returncode == 0
    )
    result = copier(service, "copy", "--defaults", "-T", "-f", "-d", "package_name=third", str(lineage), str(new))

    assert "this service was born with other" in result.stdout


@pytest.mark.parametrize(("defaults", "refused"), [(False, True), (True, False)])
def test_who_is_asked_is_refused_as_well(
    service: Path, render: Render, asked: dict[str, dict[str, str]], defaults: bool, refused: bool
) -> None:
    conf = {"data": {}, "defaults": defaults, "dst_path": str(service), "answers_file": ".copier-answers.yml"}
    external = {"recorded": {"package_name": "orders_api"}}

    problem = render(
        asked["package_name"]["validator"], package_name="other", _copier_conf=conf, _external_data=external
    )

    assert ("is for birth only" in problem) == refused


def test_old_answers_that_a_newer_release_refuses_stop_nothing_else(service: Path) -> None:
    record = service / ".copier-answers.yml"
    record.write_text(re.sub(r"^description: .*$", f"description: {'x' * 201}", record.read_text(), flags=re.MULTILINE))
    commit(service, "by hand")

    result = update(service, "-d", "ci=gitlab")

    assert result.returncode == 0
    said(result, "What the changed answers mean for your own files could not be found out", "shorten it to at most 200")
    said(result, "bounds done", "all of it was proved")
    assert (service / ".github" / "workflows" / "ci.yml").exists()
