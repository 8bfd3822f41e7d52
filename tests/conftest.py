"""A template to emit from, and services that were emitted from it, each combination of answers once."""

import gc
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import yaml
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment

from .copier_command import end_forks, in_one_text
from .edited_service import Services
from .releases import (
    FOLDER,
    PRESENT,
    REPOSITORY,
    commit,
    copy_working_tree,
    files,
    git,
    made_once,
    make_history,
    nothing_of_this_machine,
)

__all__ = ["FOLDER", "REPOSITORY", "commit", "files", "git", "in_one_text"]

IN_CI = os.environ.get("CI") == "true"
"""Whether no test may be skipped. Services that are emitted here are not told: to them it is their own pipeline."""

BUDGETS = {"not world": 900, "": 2600}
"""Seconds of CPU time by the expression of the tier: 9 minutes for plain pytest on two cores, 25 for `.ci/run`."""

LONGEST = (
    "test_a_service_that_nobody_edited_ends_an_update_as_before_and_takes_each_offer",
    "test_every_test_that_is_another_one_in_another_service_passes_there",
    "test_an_updated_service_is_bounded_locked_installed_and_proved",
    "test_every_test_of_an_emitted_service_passes",
    "test_a_new_service_is_locked_installed_and_verified",
    "test_the_quick_tier_of_an_emitted_service_is_proved",
    "test_an_emitted_service_passes_its_own_checks",
)
"""The tests whose cases take half a minute and more, the longest first."""

PATIENCE = 300.0
"""Seconds after which something hangs: far more than it takes on a machine with five times too much to do."""

Emit = Callable[..., Path]
Render = Callable[..., str]
Case = TypeVar("Case")
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def in_world_but(cases: Iterable[Case], plain: Callable[[Case], bool]) -> list[object]:
    """Cases for `parametrize`, of which plain pytest takes a few and `.ci/run` all: the others are marked `world`.

    Args:
        cases: All of them; of a test with several parameters, tuples.
        plain: Whether plain pytest takes a case.
    """
    return [
        pytest.param(*(case if isinstance(case, tuple) else [case]), marks=[] if plain(case) else pytest.mark.world)
        for case in cases
    ]


def include_orders(service: Path) -> Path:
    """Include the router of `routes/orders.py` in the application, as a service's README says; return `app.py`."""
    app = service / "src/orders_api/app.py"
    included = "    app.include_router(users.router)\n"
    text = app.read_text().replace("routes import ", "routes import orders, ")
    app.write_text(text.replace(included, included + included.replace("users", "orders")))
    return app


@pytest.hookimpl(trylast=True)  # once it is known which of them run
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long comes first, an equal share to each worker: nobody waits for it at the end.

    `--dist=worksteal` begins with as many parts as there are workers, one after the other.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    place = {name: number for number, name in enumerate(LONGEST)}
    named = [(place.get(item.nodeid.partition("::")[2].partition("[")[0]), item) for item in items]
    long = [item for _, item in sorted(((n, item) for n, item in named if n is not None), key=lambda each: each[0])]
    rest = [item for number, item in named if number is None]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        ordered += long[worker::workers]
        others = max(0, len(items) * (worker + 1) // workers - len(ordered))
        ordered += rest[:others]
        del rest[:others]
    items[:] = ordered


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the tests have used, beside what a whole run of the tier may use: wall time depends on the machine."""
    usage = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))  # workers are children
    used = sum(each.ru_utime + each.ru_stime for each in usage)
    limit = BUDGETS.get(config.option.markexpr)
    beside = f"; all of this tier may take {limit}" if limit else ""
    terminalreporter.write_line(f"{used:.0f} s of CPU time{beside}", red=bool(limit and used > limit))


def pytest_collection_finish() -> None:
    """What was imported stays: whoever collects garbage need not look through all of it again and again."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    """End what the commands of Copier were forked from, so that its time counts."""
    end_forks()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration nothing is left out: a test that skips there has failed."""
    return _failed_if_skipped((yield), item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that is skipped as a whole."""
    return _failed_if_skipped((yield), collector.nodeid)


def _failed_if_skipped(report: Report, nodeid: str) -> Report:
    if report.skipped and IN_CI:
        report.outcome = "failed"
        report.longrepr = f"{nodeid} was skipped, and CI=true lets no test be skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings of the person who runs the tests out of git, Copier and uv."""
    with nothing_of_this_machine(tmp_path_factory.mktemp("settings")):
        os.environ["MYPY_CACHE_DIR"] = str(tmp_path_factory.mktemp("mypy"))  # it knows a file again by its content
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of a run have in common, for what `made_once` makes."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"


@pytest.fixture(scope="session")
def template(shared: Path) -> Path:
    """The working tree as a release of its own, newer than any other."""

    def make(folder: Path) -> None:
        copy_working_tree(folder)
        commit(folder, "template")
        git(folder, "tag", PRESENT)
        git(folder, "gc", "--quiet")

    return made_once(shared / "alone" / "template", make)


@pytest.fixture(scope="session")
def history(shared: Path) -> Path:
    """Every release with its tag, and the working tree as the newest of them."""
    return made_once(shared / "history" / "template", make_history)


@pytest.fixture(scope="session")
def questions(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's questions alone: it emits the answers file and nothing else, so it is quick."""
    folder = tmp_path_factory.mktemp("questions")
    shutil.copy2(template / "copier.yml", folder)
    shutil.copytree(template / "macros", folder / "macros")
    (folder / "template").mkdir()
    shutil.copy2(template / "template" / "{{_copier_conf.answers_file}}.jinja", folder / "template")
    return folder


@pytest.fixture(scope="session")
def emit(services: Services) -> Emit:
    """Emit a service for these answers, once a run, without the hook. A test that writes to it takes a copy."""
    return lambda **answers: services.emit(PRESENT, answers)


@pytest.fixture(scope="session")
def installed(emit: Emit, shared: Path) -> Emit:
    """The same with everything installed. Tests read it; one that writes takes a copy."""

    def service(**answers: str) -> Path:
        emitted = emit(**answers)

        def make(folder: Path) -> None:
            shutil.copytree(emitted, folder)
            command = ["uv", "sync", "--quiet", "--python", f"{sys.version_info.major}.{sys.version_info.minor}"]
            subprocess.run(command, cwd=folder, check=True)

        return made_once(shared / "installed" / emitted.parent.name / FOLDER, make)

    return service


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One environment, `UV_PROJECT_ENVIRONMENT`, for services one after the other: libraries are compiled once."""
    return tmp_path_factory.mktemp("environment") / "venv"


@pytest.fixture(scope="session")
def browser() -> str:
    """Chromium, under one of its names."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("there is no Chromium here")
    return found


@pytest.fixture(scope="session")
def render() -> Render:
    """Render a template of `copier.yml` as Copier does."""
    extensions = ["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]
    jinja = SandboxedEnvironment(loader=FileSystemLoader(REPOSITORY), extensions=extensions)

    of_copier = {"_copier_conf": {"defaults": True, "data": {}}, "_external_data": {}}

    def rendered(source: str, **variables: str) -> str:
        return jinja.from_string(source).render({**of_copier, **variables}).strip()

    return rendered


@pytest.fixture(scope="session")
def asked() -> dict[str, dict[str, str]]:
    """The questions of `copier.yml` by name."""
    config = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    return {name: details for name, details in config.items() if not name.startswith("_")}


@pytest.fixture(scope="session")
def services(history: Path, shared: Path) -> Services:
    """Services of every release, each emitted once."""
    return Services(history, shared / "services")
