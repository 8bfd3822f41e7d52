"""What runs in CI: honest pipelines end green, and ones that prove nothing end red, whichever forge reads them."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from verify.acceptance import may_be_accepted
from verify.result import Check, Options, Outcome
from verify.stages.configuration import workflows
from verify.upkeep import larger_repository

from ..conftest import Emit, commit, git
from .pipelines import GITLAB, HARDENING, HONEST, VERIFY, VOUCHED, Files, github
from .sabotaged_pipelines import SABOTAGED

PACKAGE = "orders_api"
Look = Callable[..., list[Check]]


@pytest.fixture
def look(emit: Emit, tmp_path: Path) -> Look:
    """Write pipelines into a repository, and look at them from a service in one of its folders, or at its root."""

    def checks(files: Files, service: str = "", branch: str = "main") -> list[Check]:
        root = tmp_path / "all"
        folder = root / service
        folder.mkdir(parents=True)
        shutil.copy(emit(example="minimal") / ".copier-answers.yml", folder)
        git(root, "init", "--quiet", "--initial-branch", branch)
        git(root, "commit", "--quiet", "--allow-empty", "--message", "first")
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return list(workflows.checks(Options(folder, PACKAGE)))

    return checks


def told(checks: list[Check]) -> str:
    return "\n".join(f"{each.object} {each.id} {each.outcome.name.lower()} {each.seen}" for each in checks)


@pytest.mark.parametrize("name", SABOTAGED)
def test_a_pipeline_that_proves_nothing_is_red(look: Look, name: str) -> None:
    files, because = SABOTAGED[name]
    check, *_ = look(files)
    assert check.id == "ci.runs-verify"
    assert re.search(because, f"{check.outcome.name.lower()} {check.seen}"), told([check])
    assert check.remedy


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_pipeline_is_green(look: Look, name: str) -> None:
    checks = look(HONEST[name])
    assert {each.outcome for each in checks} == {Outcome.PROVED}, told(checks)


@pytest.mark.parametrize("name", VOUCHED)
def test_an_honest_pipeline_that_is_not_understood_may_be_accepted(look: Look, name: str) -> None:
    (check, *others) = look(VOUCHED[name])
    assert check.outcome is Outcome.UNVERIFIED, told([check])
    assert "accept" in check.remedy
    assert may_be_accepted(check)
    assert {each.outcome for each in others} == {Outcome.PROVED}, told(others)


def test_a_job_that_names_no_right_gets_the_default_one(look: Look) -> None:
    both = "on: push\njobs:\n  a:\n    permissions: {}\n    steps: []\n  b:\n    steps: []\n"
    checks = look({HARDENING: github(on="on: push\n"), ".github/workflows/both.yml": both})
    found = {each.object: each.seen for each in checks if each.id == "ci.permissions"}
    assert "no `permissions` at the top or in check" in found["hardening.yml"]
    assert "at the top or in b: " in found["both.yml"]


def test_an_action_that_one_of_the_repository_uses_is_to_be_pinned(look: Look) -> None:
    action = ".github/actions/setup/action.yml"
    used = {HARDENING: github(f"uses: ./.github/actions/setup\n      - run: {VERIFY}")}
    checks = look({**used, action: "runs: {using: composite, steps: [{uses: actions/setup-python@v6}]}\n"})
    (pinned,) = (each for each in checks if each.id == "ci.pinned")
    assert (pinned.outcome, pinned.seen) == (Outcome.INSECURE, "actions/setup-python@v6")


OF_STRANGERS = (
    "{uses: actions/checkout@%s, with: {ref: '${{ github.event.pull_request.head.sha }}'}}" % ("a" * 40),
    "{uses: actions/checkout@%s, with: {repository: '${{ github.event.pull_request.head.repo.full_name }}'}}"
    % ("a" * 40),
    "run: git fetch origin pull/${{ github.event.number }}/head && git checkout FETCH_HEAD",
    "run: gh pr checkout ${{ github.event.number }}",
)


@pytest.mark.parametrize("step", OF_STRANGERS)
def test_what_strangers_propose_does_not_run_beside_secrets(look: Look, step: str) -> None:
    checks = look({HARDENING: github(), ".github/workflows/x.yml": github(step, on="on: pull_request_target\n")})
    (rights,) = (each for each in checks if each.id == "ci.permissions" and each.object == "x.yml")
    assert rights.outcome is Outcome.INSECURE
    assert "what a stranger proposes" in rights.seen


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_what_is_emitted_is_green(emit: Emit, look: Look, ci: str) -> None:
    emitted = emit(example="minimal", ci=ci)
    names = [HARDENING, ".github/workflows/update.yml"] if ci == "github" else [GITLAB]
    checks = look({name: (emitted / name).read_text() for name in names}, branch="trunk")
    assert {each.outcome for each in checks} == {Outcome.PROVED}, told(checks)


SERVICE = "services/orders"


def emitted_in(emit: Emit, ci: str) -> Files:
    """The pipelines as they are emitted into a folder of a larger repository."""
    names = [HARDENING, ".github/workflows/update.yml"] if ci == "github" else [GITLAB]
    return {f"{SERVICE}/{name}": (emit(example="minimal", ci=ci) / name).read_text() for name in names}


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_in_a_larger_repository_the_pipelines_of_a_folder_are_read_by_nobody(
    emit: Emit, look: Look, tmp_path: Path, ci: str
) -> None:
    (check,) = look(emitted_in(emit, ci), SERVICE)
    assert check.outcome is Outcome.NOT_LOOKED_AT, "nobody can have put them at the root yet"
    root = tmp_path / "all"
    commit(root, "one more")
    (check,) = workflows.checks(Options(root / SERVICE, PACKAGE))
    assert check.outcome is Outcome.INSECURE
    assert "nobody reads" in check.seen
    assert "verify.upkeep.larger_repository" in check.remedy


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_what_is_offered_for_the_root_proves_the_service(emit: Emit, look: Look, tmp_path: Path, ci: str) -> None:
    look(emitted_in(emit, ci), SERVICE)
    root = tmp_path / "all"

    for command in larger_repository.offer(root / SERVICE):
        if command.startswith("mkdir"):
            subprocess.run(command, shell=True, cwd=root, check=True)  # noqa: S602 - as a person would
        else:
            assert "include: [{local: .gitlab/services-orders.yml}]" in command
            (root / GITLAB).write_text("include: [{local: .gitlab/services-orders.yml}]\n")

    checks = list(workflows.checks(Options(root / SERVICE, PACKAGE)))
    assert {each.outcome for each in checks} == {Outcome.PROVED}, told(checks)
    assert not [each for each in larger_repository.offer(root / SERVICE) if each.startswith("mkdir")]


ELSEWHERE = {
    "at the root alone": (f"run: {VERIFY}", "insecure .*not in `services/orders`"),
    "in another folder": (f"run: cd services/users && {VERIFY}", "insecure .*in `services/users`"),
    "in a folder that only a run knows": (f"run: cd $SERVICE && {VERIFY}", "unverified .*SERVICE"),
    "cd": (f"run: cd services/orders && {VERIFY}", "proved"),
    "working-directory": (f"{{run: {VERIFY}, working-directory: ./services/orders}}", "proved"),
    "uv --directory": ("run: uv run --directory services/orders --locked python -m verify", "proved"),
    "make -C": ("run: make -C services/orders proof", "proved"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_in_a_larger_repository_it_has_to_run_in_the_folder(look: Look, name: str) -> None:
    step, outcome = ELSEWHERE[name]
    makefile = {f"{SERVICE}/Makefile": f"proof:\n\t{VERIFY}\n"}
    check, *others = look({HARDENING: github(step), ".github/workflows/x.yml": "on: push\n", **makefile}, SERVICE)
    assert re.search(outcome, f"{check.outcome.name.lower()} {check.seen}"), told([check])
    assert not [each for each in others if each.object == "x.yml"], "the workflows of others are others' to judge"


def test_a_matrix_of_services_is_understood(look: Look) -> None:
    job = "    strategy: {matrix: {service: [users, orders]}}\n    defaults:\n      run:\n"
    job += "        working-directory: services/${{ matrix.service }}\n"
    check, *_ = look({HARDENING: github(job=job)}, SERVICE)
    assert check.outcome is Outcome.PROVED, told([check])
