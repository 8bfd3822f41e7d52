"""The tests of this repository: how long their files are, which of them run when, and that CI skips none."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from .conftest import LONGEST, REPOSITORY, pytest_collection_modifyitems

LIMIT = 600
"""Lines of a file. Split what is longer by what it tests."""
FOLDERS = ("tests", "template/tests")
LONG = ("tests/test_service.py", "tests/test_releases.py", "tests/test_fleet.py", "tests/hooks/test_outcomes.py")
COLLECT = ("--collect-only", "-q", "-n0", *LONG)
MOST = {
    "every_test_of_an_emitted_service_passes": 8,
    "every_test_that_is_another_one_in_another_service_passes_there": 0,
    "the_quick_tier_of_an_emitted_service_is_proved": 0,
    "an_emitted_service_passes_its_own_checks": 2,
    "an_update_brings_all_that_is_owned_and_touches_nothing_else": 2,
    "an_updated_service_is_bounded_locked_installed_and_proved": 0,
    "a_service_that_nobody_edited_ends_an_update_as_before_and_takes_each_offer": 0,
    "a_service_of_the_fleet_is_updated_without_loss": 1,
    "a_new_service_is_locked_installed_and_verified": 1,
}
"""How many cases of a test plain pytest takes."""
SKIPS = {
    "in a test": "def test_it(): pytest.skip('no tool')",
    "in a fixture": "@pytest.fixture\ndef tool(): pytest.skip('no tool')\ndef test_it(tool): pass",
    "by a mark": "@pytest.mark.skipif(True, reason='no tool')\ndef test_it(): pass",
    "as a module": "pytest.skip('no tool', allow_module_level=True)",
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_of_tests_has_more_than_600_lines(folder: str) -> None:
    paths = [path for path in (REPOSITORY / folder).rglob("*") if path.is_file() and path.suffix in (".py", ".jinja")]
    lines = {path.relative_to(REPOSITORY).as_posix(): len(path.read_text().splitlines()) for path in paths}

    assert len(paths) > 10
    assert {name: count for name, count in lines.items() if count > LIMIT} == {}


def pytest_ended(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run pytest here, in a process of its own and without our options."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_") and name != "CI"}
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env={**kept, **variables}, capture_output=True, text=True, check=False
    )


def ci_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The end of `.ci/run`, which is what it does once it has what it needs."""
    _, begins, end = (REPOSITORY / ".ci" / "run").read_text().partition("code=0\n")
    command = ["bash", "-eu", "-c", begins + end, ".ci/run", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def plain() -> subprocess.CompletedProcess[str]:
    return pytest_ended(*COLLECT)


def test_the_world_is_met_by_ci_alone_unless_it_is_asked_for(plain: subprocess.CompletedProcess[str]) -> None:
    world = pytest_ended(*COLLECT, "-m", "world")
    in_ci = ci_run(*COLLECT)

    cases = [{line for line in done.stdout.splitlines() if "::" in line} for done in (plain, world, in_ci)]
    assert all(cases), plain.stdout + world.stdout + in_ci.stdout + in_ci.stderr
    assert not cases[0] & cases[1]
    assert cases[2] == cases[0] | cases[1]


def test_plain_pytest_takes_few_of_the_cases_that_take_long(plain: subprocess.CompletedProcess[str]) -> None:
    """Each takes a minute and more: `.ci/run` has all of them. What a run has used is its last line but one."""
    cases = Counter(line.partition("::")[2].partition("[")[0] for line in plain.stdout.splitlines() if "::" in line)

    assert {name: cases[f"test_{name}"] for name in MOST} == MOST


def ordered(workers: int, *names: str) -> list[str]:
    """The order in which so many workers take tests of these names."""
    items: Any = [SimpleNamespace(nodeid=f"tests/test_it.py::{name}") for name in names]
    config: Any = SimpleNamespace(workerinput={"workercount": workers})
    pytest_collection_modifyitems(config, items)
    return [item.nodeid.partition("::")[2] for item in items]


def test_what_takes_long_comes_first_for_each_worker() -> None:
    long, longest = f"{LONGEST[1]}[a]", f"{LONGEST[0]}[b]"

    assert ordered(1, "test_a", long, "test_b", longest) == [longest, long, "test_a", "test_b"]
    assert ordered(2, "test_a", long, "test_b", longest) == [longest, "test_a", long, "test_b"]
    assert ordered(2, long, longest) == [longest, long]
    assert ordered(3, "test_a", longest) == [longest, "test_a"]


def test_what_is_said_to_take_long_is_there(plain: subprocess.CompletedProcess[str]) -> None:
    world = pytest_ended(*COLLECT, "-m", "world").stdout

    assert [name for name in LONGEST if f"::{name}[" not in plain.stdout + world] == []


@pytest.mark.parametrize(("test", "code"), [("pass", 0), ("assert False", 1), ("syntax error", 2)])
def test_ci_ends_with_the_exit_code_of_pytest(tmp_path: Path, test: str, code: int) -> None:
    (tmp_path / "test_it.py").write_text(f"def test_it(): {test}\n")

    assert ci_run("-n0", str(tmp_path)).returncode == code


def test_ci_lets_pass_what_fails_beside_other_tests_and_not_alone(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    (tmp_path / "test_it.py").write_text(
        "import pathlib\n"
        f"flag = pathlib.Path({str(flag)!r})\n"
        "def test_once():\n    is_second, _ = flag.exists(), flag.touch()\n    assert is_second\n"
        "def test_always(): pass\n"
    )

    done = ci_run("-n0", str(tmp_path))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout, "the first run is told"
    assert "= 1 passed in" in done.stdout, "and the second has one test"


@pytest.mark.parametrize("how", SKIPS)
def test_ci_fails_for_a_test_that_is_skipped(tmp_path: Path, how: str) -> None:
    (tmp_path / "test_it.py").write_text(f"import pytest\n{SKIPS[how]}\n")
    given = ("-n0", "-p", "tests.conftest", str(tmp_path))

    here, in_ci = pytest_ended(*given), pytest_ended(*given, CI="true")

    assert here.returncode in (0, 5), here.stdout + here.stderr
    assert in_ci.returncode in (1, 2), in_ci.stdout + in_ci.stderr
    assert "CI=true lets no test be skipped" in in_ci.stdout
    assert "no tool" in in_ci.stdout


def test_services_that_are_emitted_here_are_not_told_of_our_pipeline() -> None:
    assert "CI" not in os.environ, "each would run its slow tests"
