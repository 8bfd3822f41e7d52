"""The quick tier of verify leaves out what is marked for it, `--thorough` runs it, and plain pytest knows the marks.
What is left is red with each control off.
"""

import json
import os
import re
import resource
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from verify.result import Options
from verify.runner.environment import clean
from verify.stages import tests
from verify.stages.pytest_plugin import CASES, COSTLY, EVERY_CASE, MARKERS, SLOW

from .conftest import REPOSITORY, Emit
from .controls_off import OFF
from .owner_imports import package_of

OWNED = REPOSITORY / "template" / "tests" / "hardening"
MARK = re.compile(r"pytest\.mark\.(\w+)")
OF_PYTEST = {"filterwarnings", "parametrize", "skipif", "usefixtures", "xfail"}
WHOLE = {"test_differential.py", "test_layers.py"}
"""Left by hand as a whole: one compares all of the way with FastAPI's alone, one looks at files that `owned` knows."""
CHOSEN = ["-p", "verify.stages.pytest_plugin", "-c", "tests/hardening/pytest.ini", "tests/hardening"]


@pytest.fixture(scope="module")
def service(installed: Emit) -> Path:
    """A service with each owned test that there is, and everything installed."""
    return installed(example="accounts", store="redis")


def run(service: Path, *arguments: str) -> str:
    """Run pytest there as verify does, or as a person does, and return what it prints."""
    command = [str(service / ".venv/bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=service, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def collected(service: Path, *arguments: str) -> list[str]:
    """The cases of the owned tests that would run, such as `test_store.py::test_a_flood[1]`, without addresses."""
    listed = run(service, "--collect-only", *arguments).splitlines()
    return [re.sub("0x[0-9a-f]+", "", line).removeprefix("tests/hardening/") for line in listed if "::" in line]


def test_pytest_as_a_command_of_its_own_finds_what_the_owned_tests_import(service: Path) -> None:
    """Unlike `python -m pytest` it does not put the working folder on the path."""
    command = [str(service / ".venv/bin/pytest"), "-q", "-p", "no:cacheprovider", "tests/hardening/test_docs.py"]

    done = subprocess.run([*command, "--collect-only"], cwd=service, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("tier", "left_out"), [("--verify-quick", (SLOW, COSTLY)), ("--verify-cases", (SLOW,))])
def test_a_tier_leaves_out_what_is_marked_for_it(service: Path, tier: str, left_out: tuple[str, ...]) -> None:
    everything = collected(service, *CHOSEN)
    marked = {name: set(collected(service, *CHOSEN, "-m", name)) for name in (SLOW, COSTLY, EVERY_CASE)}
    left = {case for name in left_out for case in marked[name]}
    quick = collected(service, *CHOSEN, tier)

    assert all(marked.values())
    assert not left & set(quick)
    assert marked[EVERY_CASE] - left <= set(quick)
    cases: dict[str, list[str]] = {}
    for case in everything:
        if case not in left:
            cases.setdefault(case.partition("[")[0], []).append(case)
    for test, all_of_it in cases.items():
        taken = [case for case in quick if case.partition("[")[0] == test]
        if not marked[EVERY_CASE] & set(all_of_it):
            assert len(taken) == min(CASES, len(all_of_it)), test
            assert {taken[0], taken[-1]} == {all_of_it[0], all_of_it[-1]}
    assert left <= set(everything), "with neither, as verify --thorough runs it, all of them run"
    modules = {case.partition("::")[0] for case in everything if case not in marked[SLOW]}
    assert modules - {case.partition("::")[0] for case in quick} == (WHOLE if COSTLY in left_out else set())


@pytest.mark.world
@pytest.mark.skipif(not hasattr(os, "fork"), reason="each control is turned off in a process of its own")
def test_the_quick_tier_is_red_with_any_control_off(service: Path, tmp_path: Path) -> None:
    """What the template proves elsewhere and a service leaves to --thorough is that each is right to its last case."""
    environment = {
        **clean(),
        "PYTHONPATH": f"{REPOSITORY / 'tests'}{os.pathsep}{service}",
        "CONTROL_PACKAGE": package_of(service),
        "CONTROLS_SEEN": str(tmp_path / "seen.json"),
    }
    command = [str(service / ".venv/bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "controls_off"]

    done = subprocess.run(
        [*command, *CHOSEN, "--verify-quick", "--tb=no"],
        cwd=service, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    seen: dict[str, str] = json.loads((tmp_path / "seen.json").read_text())
    assert seen.keys() == OFF.keys(), done.stdout + done.stderr
    assert [name for name, failed in seen.items() if not failed] == []


def test_the_quick_tier_leaves_out_slow_tests_of_the_team_and_no_case_of_another(service: Path) -> None:
    of_the_team = ["-p", "verify.stages.pytest_plugin", "--ignore", "tests/hardening"]
    everything, quick = (set(collected(service, *of_the_team, *more)) for more in ([], ["--verify-not-slow"]))

    slow = set(collected(service, *of_the_team, "-m", SLOW))
    assert slow
    assert quick == everything - slow
    alone = set(collected(service, *of_the_team, "-m", SLOW, "--verify-not-slow"))
    assert alone == slow, "a suite that is slow as a whole is run"


def test_the_quick_tier_starts_no_database_for_tests_of_the_team(service: Path) -> None:
    of_the_team = ["-p", "verify.stages.pytest_plugin", "--ignore", "tests/hardening", "--setup-plan"]
    everything, quick = (run(service, *of_the_team, *more) for more in ([], ["--verify-not-slow"]))

    assert "SETUP    S postgresql" in everything
    assert "SETUP    S postgresql" not in quick


@pytest.mark.parametrize(("ci", "thorough", "left_out"), [("", False, True), ("true", False, False), ("", True, False)])
def test_slow_tests_of_the_team_run_in_its_pipeline(
    ci: str, thorough: bool, left_out: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    started: list[list[str]] = []
    monkeypatch.setattr("verify.runner.processes.start", lambda command, *_: started.append(command))

    tests.Suites(Options(project=tmp_path, package="x", thorough=thorough)).folder.cleanup()

    assert [("--verify-not-slow" in command) for command in started] == [False, left_out]
    tiers = [word for word in started[0] if word in ("--verify-quick", "--verify-cases")]
    assert tiers == ([] if thorough else ["--verify-quick"] if left_out else ["--verify-cases"])


def test_in_a_new_environment_one_suite_begins_once_the_other_has_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("verify.runner.processes.start", lambda command, *_: started.append(command))
    monkeypatch.setattr(tests, "_is_new", lambda: True)

    tests.Suites(Options(project=tmp_path, package="x")).folder.cleanup()

    there = Path(started[1][3])
    assert (there.name, started[1][1], started[0][1:3]) == ("owned.imported", "-c", ["-m", "pytest"])
    there.parent.mkdir()
    begun = subprocess.Popen([*started[1][:4], "-c", "print('begun')"], stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        begun.wait(0.5)
    there.touch()
    assert begun.communicate(timeout=10)[0] == b"begun\n"


def test_every_mark_marks_tests_that_there_are(service: Path) -> None:
    marked = {
        (path.name.partition("{%")[2].partition("%}")[2].partition("{%")[0] or path.name).removesuffix(".jinja"): names
        for path in OWNED.iterdir()
        if path.is_file() and (names := {*MARK.findall(path.read_text())} - OF_PYTEST)
    }
    of_a_store = marked.pop("stores.py")  # each test that takes `store_url` bears them
    for path in OWNED.glob("test_*"):
        if "store_url: str" in path.read_text():
            marked.setdefault(path.name.removesuffix(".jinja"), set()).update(of_a_store)

    assert {name for names in marked.values() for name in names} == {SLOW, COSTLY, EVERY_CASE}
    for name in (SLOW, COSTLY, EVERY_CASE):
        files = {case.partition("::")[0] for case in collected(service, *CHOSEN, "-m", name)}
        assert files == {file for file, names in marked.items() if name in names}


@pytest.mark.parametrize("arguments", [("tests/hardening",), ("tests",), ()], ids=" ".join)
def test_pytest_without_verify_knows_the_markers(service: Path, arguments: tuple[str, ...]) -> None:
    """The settings of pytest in pyproject.toml are the team's: strict in every release, without markers in old ones."""
    assert "strict = true" in (service / "pyproject.toml").read_text()
    cases = collected(service, "--strict-markers", "-o", "markers=", *arguments)

    assert any("test_server.py::" in case for case in cases)


def test_plugin_and_owned_conftest_register_the_same_markers(service: Path) -> None:
    with_plugin = run(service, "--markers", *CHOSEN)
    without = run(service, "--markers", "-c", "tests/hardening/pytest.ini", "tests/hardening")

    for marker in MARKERS:
        assert f"@pytest.mark.{marker}" in with_plugin
        assert f"@pytest.mark.{marker}" in without


def cpu_seconds(service: Path, report: Path, *arguments: str) -> tuple[float, dict[str, Any]]:
    """The CPU time of a run of the tests of the store, and what the plugin reports of it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    chosen = [*CHOSEN[:-1], "tests/hardening/test_store.py", f"--verify-report={report}"]
    run(service, *chosen, *arguments)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, json.loads(report.read_text())


def test_the_quick_tier_does_not_count_a_million_clients(service: Path, tmp_path: Path) -> None:
    quick, left = cpu_seconds(service, tmp_path / "quick.json", "--verify-quick")
    whole, all_of_it = cpu_seconds(service, tmp_path / "whole.json")

    assert left["left_out"] + left["passed"] == all_of_it["passed"]
    assert "left_out" not in all_of_it
    assert quick < whole / 2, "the slow ones are what takes the time"


TESTS = "import pytest\n\ndef test_right() -> None: ...\n\ndef test_wrong() -> None:\n    assert False\n"
HOOK = "import pytest\n\n@pytest.hookimpl(%s)\ndef %s\n"
REWRITTEN = """pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
"""
HIDDEN = {
    "as it is": ("", [], "insecure test_wrong", ""),
    "deselected": ("", ["-k", "right"], "proved 1 passed$", "1 deselected"),
    "dropped": (
        HOOK % ("", "pytest_collection_modifyitems(items):\n    items[:] = items[:1]"),
        [],
        "proved 1 passed$",
        "1 deselected",
    ),
    "expected to fail": (
        HOOK % ("", "pytest_itemcollected(item):\n    item.add_marker(pytest.mark.xfail(strict=False))"),
        ["-k", "wrong"],
        "unverified no test was run",
        "1 expected to fail; 1 deselected",
    ),
    "skipped": (
        HOOK % ("", "pytest_runtest_setup(item):\n    if 'wrong' in item.name:\n        pytest.skip('another day')"),
        [],
        "proved 1 passed, 1 skipped$",
        r"1 skipped \(another day\)",
    ),
    "not collected": ("collect_ignore = ['test_it.py']\n", [], "proved 1 passed", "not collected: tests/test_it.py"),
    "called by another": (
        HOOK % ("", "pytest_pyfunc_call(pyfuncitem):\n    return True"),
        [],
        "proved 2 passed$",
        r"what passes is decided by tests/conftest.py \(pytest_pyfunc_call\)",
    ),
    "rewritten": (HOOK % ("wrapper=True", REWRITTEN), [], "insecure .*something says that it passed", ""),
    "ended early": (
        HOOK % ("", "pytest_runtest_teardown(item):\n    pytest.exit('enough', returncode=0)"),
        [],
        "unverified 1 passed; 1 that were chosen never ran",
        "",
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_test_that_says_nothing_is_not_called_passed(service: Path, tmp_path: Path, name: str) -> None:
    conftest, options, judged, left_out = HIDDEN[name]
    for file, text in (("conftest.py", conftest), ("test_it.py", TESTS), ("test_more.py", "")):
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / file).write_text(text)
    if name == "not collected":
        (tmp_path / "tests/test_more.py").write_text("def test_more() -> None: ...\n")
    else:
        (tmp_path / "tests/test_more.py").unlink()
    command = [str(service / ".venv/bin/python"), "-m", "pytest", "-q", "-p", "verify.stages.pytest_plugin", *options]
    environment = {**os.environ, "PYTHONPATH": str(service), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--rootdir", tmp_path, f"--verify-report={tmp_path}/yours.json", "tests"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
    )

    assert (tmp_path / "yours.imported").exists()
    counts = tests._counts(tmp_path, "yours")
    check = tests._judged("yours", ended.returncode, counts, tmp_path, tests.QUICK)

    assert re.match(judged, f"{check.outcome.name.lower()} {check.seen.partition('::')[2] or check.seen}"), check
    assert re.fullmatch(left_out, tests._left_out(tmp_path, counts))
