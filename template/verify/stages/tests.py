# Owned by the template: an update rewrites this file.
"""The tests: the template's own, out of reach of the fixtures in tests/conftest.py, and the team's."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import Any

from ..harness.service import declared_environment
from ..result import Check, Options, Rule, UnverifiedError, listed
from ..runner import processes
from ..runner.environment import clean

OWNED = Path("tests", "hardening")
QUICK, PIPELINE, THOROUGH = 180.0, 600.0, 1800.0
"""Seconds that each of the two suites may take; in a pipeline all of the team's run."""
_COMMAND = ["-m", "pytest", "-q", "--no-header", "-p", "verify.stages.pytest_plugin"]
_BY_HAND = ["--verify-quick", "--assert=plain"]
_ONCE_THERE = """\
import os, sys, time
end = time.monotonic() + 15
while time.monotonic() < end and not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Becomes another command of Python once a file is there."""
RULES = {
    "owned": Rule("tests", "tests.owned", "the template's own tests pass"),
    "yours": Rule("tests", "tests.yours", "your tests pass"),
}
LATER = Rule("tests", "tests.later", "the rest of the template's own tests")
LEFT_OUT = Rule("tests", "tests.left-out", "every test of yours is run")


class Suites:
    """Both suites, running side by side in processes of their own."""

    def __init__(self, options: Options) -> None:
        self.limit = THOROUGH if options.thorough else QUICK if _leaves_out_slow(False) else PIPELINE
        self.end = time.monotonic() + self.limit
        self.folder = tempfile.TemporaryDirectory(prefix="verify-", ignore_cleanup_errors=True)
        arguments = {
            "owned": [
                *("-c", str(OWNED / "pytest.ini"), f"--basetemp={Path(self.folder.name, 'owned')}", str(OWNED)),
                # A new service has no rewritten assertions yet, and its first run would spend a tenth of its time on them.
                *([] if options.thorough else _BY_HAND if _leaves_out_slow(False) else ["--verify-cases"]),
            ],
            "yours": [
                *("--ignore", str(OWNED), *_without_coverage(options.project)),
                *(["--verify-not-slow"] if _leaves_out_slow(options.thorough) else []),
            ],
        }
        self.running = {}
        for name, more in arguments.items():
            report, log = Path(self.folder.name, f"{name}.json"), Path(self.folder.name, f"{name}.log")
            command = [*_COMMAND, f"--verify-report={report}", "-p", "no:cacheprovider", *more]
            if name == "yours" and _is_new():  # both would compile all that they import
                command = ["-c", _ONCE_THERE, str(Path(self.folder.name, "owned.imported")), *command]
            # A plugin that the team installed may warn, and in the owned tests a warning is an error.
            own = {**declared_environment(options.project), **clean()}  # made-up values, where nobody has said others
            environment = clean({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}) if name == "owned" else own
            with log.open("wb") as output:
                self.running[name] = processes.start([sys.executable, *command], options.project, environment, output)


def _is_new() -> bool:
    """Whether nothing of the environment has been imported yet, as after a copy and in a pipeline."""
    found = find_spec("fastapi")
    return os.name == "posix" and bool(found and found.origin and not Path(cache_from_source(found.origin)).exists())


def _leaves_out_slow(is_thorough: bool) -> bool:
    """Whether slow tests of the team, and costly ones of ours, wait: not in a pipeline, where nothing else may run them."""
    return not is_thorough and os.environ.get("CI", "").lower() not in ("true", "1")


def _without_coverage(project: Path) -> list[str]:
    """Without the owned tests, owned code would count as not covered, and a bound on coverage would fail."""
    files = (project / name for name in ("pyproject.toml", "pytest.toml", "pytest.ini", "tox.ini", "setup.cfg"))
    asks = any("--cov" in path.read_text(encoding="utf-8", errors="replace") for path in files if path.is_file())
    return ["--no-cov"] if asks and find_spec("pytest_cov") is not None else []


_begun: dict[Options, Suites] = {}


def begin(options: Options) -> None:
    """Start the suites before their turn, while something else waits for the network."""
    if find_spec("pytest") is not None:
        _begun[options] = Suites(options)


def stage(options: Options) -> Iterator[Check]:
    """What came of both suites."""
    if find_spec("pytest") is None:
        for rule in RULES.values():
            yield rule.unverified("pytest is not installed", "Run `uv sync`: it is in the group dev.")
        return
    suites = _begun.pop(options, None) or Suites(options)
    with suites.folder as folder:
        try:
            for suite in RULES:
                code = processes.wait(suites.running[suite], suites.end - time.monotonic())
                counts = _counts(Path(folder), suite)
                check = _judged(suite, code, counts, Path(folder), suites.limit)
                if code == 5 and suite == "yours" and _has_no_route(options):
                    check = RULES[suite].not_looked_at("there is no test of yours yet, and no route of yours to test")
                yield check
                if suite == "owned" and (left := counts.get("left_out")):
                    yield LATER.not_looked_at(f"{left} tests are left to --thorough")
                if suite == "yours" and (left_out := _left_out(options.project, counts)):
                    yield LEFT_OUT.not_looked_at(left_out)
        finally:
            for process in suites.running.values():
                processes.end(process, 1.0)


def _has_no_route(options: Options) -> bool:
    """Whether the service is as empty as one whose example was deleted."""
    from .configuration import settings  # seldom needed, and it has much to import

    try:
        variables = {**declared_environment(options.project), **settings.PRODUCTION}
        return not settings.report(options, variables).data["routes"]
    except UnverifiedError:
        return False


def _counts(folder: Path, suite: str) -> dict[str, Any]:
    """What the plugin wrote down of a suite."""
    try:
        found: dict[str, Any] = json.loads((folder / f"{suite}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _left_out(project: Path, counts: dict[str, Any]) -> str:
    """The tests that are there and say nothing: skipped, expected to fail, deselected, in files that are not collected."""
    said = [f"{counts[kind]} {kind}" for kind in ("skipped", "expected to fail", "deselected") if counts.get(kind)]
    if reasons := counts.get("skipped_because"):
        said[0] += f" ({listed(reasons, 3)})"
    own = (each for name in ("test_*.py", "*_test.py") for each in sorted(project.glob(f"tests/**/{name}")))
    files = [each for each in own if not each.is_relative_to(project / OWNED)] if counts.get("files") else []
    if missing := [each.relative_to(project).as_posix() for each in files if str(each) not in counts["files"]]:
        said.append(f"not collected: {listed(missing)}")
    if deciding := counts.get("decided_by"):
        said.append(f"what passes is decided by {listed(deciding)}")
    return "; ".join(said)


def _judged(suite: str, code: int | None, counts: dict[str, Any], folder: Path, limit: float) -> Check:
    rule = RULES[suite]
    remedy = f"Run `uv run pytest{f' {OWNED.as_posix()}' if suite == 'owned' else ''}` and look at what it says."
    if code is None:
        seen = f"they were not over after {limit:g} s"
        way = "Make them faster" if suite == "yours" else "Run it on a machine that has less to do"
        return rule.unverified(seen, f"{way}, or use --thorough. {remedy}")
    if counts.get("failed"):
        failures = [f"{test}: {reason}" for test, reason in counts["failures"].items()]
        more = f"; {len(failures) - 3} more" if failures[3:] else ""
        return rule.insecure("; ".join(failures[:3]) + more, remedy)
    words = [f"{counts[kind]} {kind}" for kind in ("passed", "skipped") if counts.get(kind)]
    if counts.get("left_out"):
        words.append(f"{counts['left_out']} {'marked slow, ' * (suite == 'yours')}more with --thorough")
    seen = ", ".join(words)
    if code == 5 or (code == 0 and not counts.get("passed")):
        reason = f"no test was run{f' ({seen})' if seen else ''}"
        return rule.unverified(reason, "Write a test for each of your routes in tests/.")
    if counts.get("never_ran") and not code:
        return rule.unverified(f"{seen}; {counts['never_ran']} that were chosen never ran", remedy)
    if counts.get("skipped") and suite == "owned" and limit == THOROUGH:
        reasons = "; ".join(counts["skipped_because"])
        return rule.unverified(f"{seen}: {reasons}", "Install it, and run verify again.")
    if code:
        last = processes.last_lines(folder / f"{suite}.log")
        return rule.unverified(f"pytest ended with exit code {code}:\n{last}", remedy)
    return rule.proved(seen)
