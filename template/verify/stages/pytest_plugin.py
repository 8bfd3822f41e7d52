# Owned by the template: an update rewrites this file.
"""Loaded into pytest by `tests.py`: chooses what the quick tier runs, and writes down what came of it."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

CASES = 2
"""Of the cases of one test, the quick tier takes so many, the first and the last among them."""
LATER = frozenset({"test_redis_outage.py", "test_redis_sessions.py", "test_redis_store.py", "test_server.py"})
"""Owned tests that start servers and wait; in the quick tier the attacks stand for them."""
LONG = frozenset(
    {
        "test_a_look_up_that_hangs_is_a_no",
        "test_a_million_clients_of_the_limiter_push_no_session_out",
        "test_a_service_is_ready_again_when_what_it_needs_is_back",
        "test_the_memory_of_a_million_clients_has_a_bound",
    }
)
"""Owned tests that take a second or more each."""
WHOLE = frozenset({"test_settings.py"})
"""Owned tests whose cases are each another setting: none is left out."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("verify")
    group.addoption("--verify-report", default="", help="where to write what came of the tests")
    group.addoption("--verify-quick", action="store_true", help="a few cases of each test that takes no time")


def pytest_configure(config: pytest.Config) -> None:
    if path := config.getoption("--verify-report"):
        config.pluginmanager.register(Reporter(Path(path)))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--verify-quick"):
        return
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    kept = {
        id(cases[index * (len(cases) - 1) // max(1, min(CASES, len(cases)) - 1)])
        for cases in tests.values()
        for index in range(min(CASES, len(cases)))
        if cases[0].path.name not in LATER and cases[0].name not in LONG
    }
    kept |= {id(item) for item in items if item.path.name in WHOLE}
    left_out = [item for item in items if id(item) not in kept]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if id(item) in kept]


class Reporter:
    """Counts outcomes, and keeps the names of the tests that failed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, int] = defaultdict(int)
        self._failed: dict[str, str] = {}
        self._skipped_because: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._counts["failed"] += report.nodeid not in self._failed
            self._failed.setdefault(report.nodeid, self._reason(report))
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

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self._counts["left_out"] += len(items)

    def pytest_sessionfinish(self) -> None:
        told: dict[str, Any] = {**self._counts, "failures": self._failed, "skipped_because": [*self._skipped_because]}
        self._path.write_text(json.dumps(told), encoding="utf-8")

    @staticmethod
    def _reason(report: pytest.TestReport) -> str:
        lines = report.longreprtext.splitlines()
        said = [line[1:].strip() for line in lines if line.startswith("E ")]
        return (said or lines[-1:] or ["it failed"])[0][:200]
