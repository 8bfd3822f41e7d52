# Owned by the template: an update rewrites this file.
"""Loaded into pytest by `tests.py`: chooses what the quick tier runs, and writes down what came of it."""

import gc
import json
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

CASES = 2
"""Of the cases of one test, the quick tier takes so many, the first and the last among them."""
SLOW, COSTLY, EVERY_CASE = "slow", "costly", "every_case"
"""Markers: of tests that the quick tier leaves out, the second kind not in a pipeline, and of those of which it takes all
cases."""
REPORTER = "verify-reporter"
DECIDE = ("pytest_pyfunc_call", "pytest_runtest_protocol", "pytest_runtest_call", "pytest_runtest_makereport")
"""Hooks that may say of a test that it passed, though nobody ran it."""
MARKERS = [
    f"{SLOW}: takes a second or more, or waits for a server; left out of the quick tier of verify",
    f"{COSTLY}: costs much, and others see each control on; left out of the quick tier of verify but in a pipeline",
    f"{EVERY_CASE}: each case is another claim; the quick tier of verify takes two cases of every other test",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("verify")
    group.addoption("--verify-report", default="", help="where to write what came of the tests")
    group.addoption("--verify-quick", action="store_true", help="as --verify-cases, but no test that costs much")
    group.addoption("--verify-cases", action="store_true", help="a few cases of each test that takes no time")
    group.addoption("--verify-not-slow", action="store_true", help="all cases of each test that is not marked slow")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers too: a test outside of tests/hardening may bear them. While all is imported, nothing is garbage."""
    gc.disable()
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if path := config.getoption("--verify-report"):
        config.pluginmanager.register(Reporter(Path(path), config.rootpath), REPORTER)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    is_quick = config.getoption("--verify-quick")
    has_few_cases = is_quick or config.getoption("--verify-cases")
    if not has_few_cases and not config.getoption("--verify-not-slow"):
        return
    left = (SLOW, COSTLY) if is_quick else (SLOW,)
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if not any(map(item.get_closest_marker, left)):
            tests[item.nodeid.partition("[")[0]].append(item)
    if not tests:  # a suite that is slow as a whole is still the only proof that there is
        return
    selected = {id(item) for cases in tests.values() for item in (_some(cases) if has_few_cases else cases)}
    left_out = [item for item in items if id(item) not in selected]
    if reporter := config.pluginmanager.get_plugin(REPORTER):
        reporter.waiting = {item.nodeid for item in left_out}
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if id(item) in selected]


def pytest_collection_finish() -> None:
    """What was imported stays, and what a test makes is small: looking through all of it again takes a sixth of the time."""
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    gc.enable()


def _some(cases: list[pytest.Item]) -> list[pytest.Item]:
    """The cases of one test that the quick tier takes: spread evenly, with the first and the last."""
    if len(cases) <= CASES or any(case.get_closest_marker(EVERY_CASE) for case in cases):
        return cases
    return [cases[index * (len(cases) - 1) // (CASES - 1)] for index in range(CASES)]


class Reporter:
    """Counts outcomes, keeps the names of the tests that failed, and notices what was there and did not run.

    Args:
        path: Where to write it.
        root: What the names of files are relative to.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self._path, self._root = path, root
        self._counts: dict[str, int] = defaultdict(int)
        self._failed: dict[str, str] = {}
        self._skipped_because: dict[str, None] = {}
        self._raised: dict[tuple[str, str], str] = {}
        self._collected: dict[str, None] = {}
        self._selected: set[str] = set()
        self._ran: set[str] = set()
        self.waiting: set[str] = set()

    def pytest_sessionstart(self) -> None:
        """What the conftest of the folder imports is imported, and compiled: another suite may begin."""
        self._path.with_suffix(".imported").touch()

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self._collected[item.nodeid] = None

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._selected = {item.nodeid for item in session.items}

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """As pytest makes it, before any other code has changed it."""
        report = yield
        if report.failed:
            self._raised[report.nodeid, report.when] = self._reason(report)
        else:
            self._raised.pop((report.nodeid, report.when), None)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._ran.add(report.nodeid)
        if report.passed and (reason := self._raised.pop((report.nodeid, report.when), "")):
            self._failed.setdefault(report.nodeid, f"{reason} (and something says that it passed)")
            self._counts["failed"] += 1
        elif report.failed:
            self._counts["failed"] += report.nodeid not in self._failed
            self._failed.setdefault(report.nodeid, self._reason(report))
        elif report.skipped and hasattr(report, "wasxfail"):
            self._counts["expected to fail"] += 1
        elif report.skipped:
            self._counts["skipped"] += 1
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "no reason"
            self._skipped_because[reason.removeprefix("Skipped: ")] = None
        elif report.when == "call":
            self._counts["passed"] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._counts["failed"] += 1
            self._failed[report.nodeid] = "it cannot be collected"

    def _deciding(self, config: pytest.Config) -> Iterator[str]:
        """The files of the project that have such a hook, but for one that only looks at what others say."""
        for name in DECIDE:
            for each in getattr(config.hook, name).get_hookimpls():
                path = Path(getattr(getattr(each.function, "__code__", None), "co_filename", ""))
                is_own = self._root in path.parents and not {"site-packages", "verify"} & {*path.parts}
                if is_own and not (each.wrapper or each.hookwrapper):
                    yield f"{path.relative_to(self._root).as_posix()} ({name})"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        left_out = self._collected.keys() - self._selected
        self._counts["left_out"], self._counts["deselected"] = (
            len(left_out & self.waiting),
            len(left_out - self.waiting),
        )
        self._counts["never_ran"] = len(self._selected - self._ran)
        result: dict[str, Any] = {
            **{name: count for name, count in self._counts.items() if count},
            "failures": self._failed,
            "skipped_because": [*self._skipped_because],
            "decided_by": [*self._deciding(session.config)],
            "files": sorted({str(self._root / nodeid.partition("::")[0]) for nodeid in self._collected}),
        }
        self._path.write_text(json.dumps(result), encoding="utf-8")

    @staticmethod
    def _reason(report: pytest.TestReport) -> str:
        lines = report.longreprtext.splitlines()
        said = [line[1:].strip() for line in lines if line.startswith("E ")]
        if said[:1] == ["AssertionError"]:  # assertions are plain, so the line of the test says more
            said = [line[1:].strip() for line in lines if line.startswith(">")]
        return (said or lines[-1:] or ["it failed"])[0][:200]
