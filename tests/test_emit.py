"""What is emitted, file by file: nothing unrendered, nothing empty, answers shown literally."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from .conftest import FOLDER, REPOSITORY, Emit, commit, files, git, in_one_text
from .edited_service import state_of_emission
from .mini_template import release, service_of, small_template
from .test_questions import HOSTILE, answers

EVERY_ANSWER = [
    {},
    {
        "ci": "gitlab",
        "cors_origins": "https://a.example, https://b.example:8443,http://localhost:3000",
        "example": "minimal",
        "deploy": "kubernetes",
    },
    {"ci": "none", "package_name": "no", "cors_origins": "https://a.example", "store": "redis", "deploy": "kubernetes"},
    {"project_name": HOSTILE, "description": HOSTILE, "package_name": "x" * 40},
    {"project_name": "'", "description": '"', "package_name": "a__b_"},
]
UNRENDERED = re.compile(r"(?<!\$)\{[{%#][-+ ]")  # unlike the doubled braces of an f-string, and what GitHub renders
ALERTS = "monitoring/alerts.yml"
"""What Prometheus renders."""


def text(token_children: Any) -> str:
    """What a reader sees of a piece of Markdown; everything but text counts as a failure to show it literally."""
    assert {child.type for child in token_children} <= {"text"}, token_children
    return "".join(child.content for child in token_children)


def test_the_quick_copier_of_the_tests_emits_what_the_command_emits(emit: Emit, history: Path, tmp_path: Path) -> None:
    quick, folder = emit(**EVERY_ANSWER[2]), tmp_path / FOLDER
    answered = [f"--data={name}={value}" for name, value in EVERY_ANSWER[2].items()]
    command = [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--trust", "--skip-tasks", *answered]

    subprocess.run([*command, history, folder], check=True)

    assert state_of_emission(folder) == state_of_emission(quick)


def test_the_forked_copier_of_the_tests_does_what_the_command_does(tmp_path: Path) -> None:
    template = small_template(tmp_path / "template")
    service = service_of(template, tmp_path / "orders-api", vcs_ref="v1.0.0")
    release(template, "1.1.0", "Changed", "Something.")
    twin = shutil.copytree(service, tmp_path / "twin" / "orders-api")
    update = [sys.executable, "-m", "copier", "update", "--trust", "--defaults"]
    for options, code in (["--skip-tasks"], 0), (["-d", "ci=none"], 1), (["--nothing"], 2):
        typed = subprocess.run(
            [*update, *options], cwd=twin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )

        forked = in_one_text([*update, *options], service)

        assert (typed.returncode, forked.returncode) == (code, code), typed.stdout
        one, other = (re.sub(r"clone\.\w+|/twin", "", each.stdout) for each in (forked, typed))
        assert one == other
        assert state_of_emission(service) == state_of_emission(twin)


@pytest.mark.parametrize("given", EVERY_ANSWER, ids=str)
def test_no_file_is_empty_or_ends_without_a_line_break(emit: Emit, given: dict[str, str]) -> None:
    folder = emit(**given)

    for name in files(folder):
        content = (folder / name).read_bytes()
        assert content.strip(), name
        assert content.endswith(b"\n"), name
        assert not content.endswith(b"\n\n"), name
        assert not content.startswith(b"\n"), name
        assert b"\r" not in content, name
        assert not re.search(rb"[ \t]\n", content), name


def test_nothing_of_jinja_is_left(emit: Emit) -> None:
    for given in EVERY_ANSWER[:3]:
        folder = emit(**given)
        for name in files(folder):
            assert not set(name) & set("{}%"), name
            assert name == ALERTS or not UNRENDERED.search((folder / name).read_text()), name


def test_only_what_has_something_to_render_is_named_so() -> None:
    for name in git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "template").split("\0"):
        path = REPOSITORY / name
        if path.is_file() and name != f"template/{ALERTS}":
            assert bool(UNRENDERED.search(path.read_text())) == (path.suffix == ".jinja"), name


def test_git_takes_in_every_file(emit: Emit, tmp_path: Path) -> None:
    for given in EVERY_ANSWER:
        folder = emit(**given)
        shutil.copytree(folder, tmp_path / "service", dirs_exist_ok=True)
    commit(tmp_path / "service", "emitted")

    assert git(tmp_path / "service", "status", "--porcelain", "--ignored") == ""


@pytest.mark.parametrize("given", EVERY_ANSWER, ids=str)
def test_one_workflow_is_emitted_or_none(emit: Emit, given: dict[str, str]) -> None:
    ci = given.get("ci", "github")
    folder = emit(**given)

    assert (folder / ".github").exists() == (ci == "github")
    assert (folder / ".gitlab-ci.yml").exists() == (ci == "gitlab")


@pytest.mark.parametrize("given", EVERY_ANSWER, ids=str)
def test_toml_and_yaml_read_back_what_was_answered(emit: Emit, given: dict[str, str]) -> None:
    folder = emit(**given)
    package = given.get("package_name", "orders_api")
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    compose = yaml.safe_load((folder / "compose.yaml").read_text())

    assert {name: value for name, value in answers(folder).items() if name in given} == given
    assert answers(folder)["example"] == given.get("example", "accounts")
    assert answers(folder)["store"] == given.get("store", "memory")
    if "description" in given:
        assert project["project"]["description"] == given["description"]
    assert re.fullmatch("[a-z]([a-z0-9-]*[a-z0-9])?", project["project"]["name"])
    assert project["tool"]["uv"]["build-backend"]["module-name"] == package
    assert compose["name"] == project["project"]["name"]
    assert (folder / "src" / package / "__init__.py").is_file()


@pytest.mark.parametrize("given", EVERY_ANSWER[3:], ids=str)
def test_markdown_shows_the_names_literally(emit: Emit, given: dict[str, str]) -> None:
    folder = emit(**given)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse((folder / "README.md").read_text())

    assert [tokens[0].tag, tokens[3].tag] == ["h1", "p"]
    assert text(tokens[1].children) == given["project_name"]
    assert text(tokens[4].children) == given["description"]


@pytest.mark.parametrize("given", EVERY_ANSWER, ids=str)
def test_python_is_python_and_carries_the_name_literally(emit: Emit, given: dict[str, str]) -> None:
    folder = emit(**given)
    literals = {
        node.value
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(), path.name))
        if isinstance(node, ast.Constant)
    }

    assert given.get("project_name", "orders-api") in literals


def test_every_action_is_pinned_and_one_job_alone_may_write(emit: Emit) -> None:
    for workflow in [*emit().glob(".github/workflows/*"), *REPOSITORY.glob(".github/workflows/*")]:
        content = workflow.read_text()
        parsed = yaml.safe_load(content)
        used = re.findall(r"uses: (.*)", content)

        assert used
        assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[0-9.]+", action) for action in used), workflow
        assert parsed["permissions"] == {}
        writes = {name for name, job in parsed["jobs"].items() if job["permissions"] != {"contents": "read"}}
        assert writes == ({"propose"} if workflow.name == "update.yml" else set()), workflow
