"""A template to emit from, and services that were emitted from it, each combination of answers once."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
import yaml
from copier import run_copy
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment

from .edited_service import Services
from .releases import (
    FOLDER,
    PRESENT,
    REPOSITORY,
    commit,
    copy_working_tree,
    files,
    git,
    make_history,
    nothing_of_this_machine,
)

__all__ = ["FOLDER", "REPOSITORY", "commit", "files", "git"]

BUDGETS = {"not world": 900, "": 2600}
"""Seconds of CPU time by the expression of the tier: 9 minutes for plain pytest on two cores, 25 for `.ci/run`."""

PATIENCE = 300.0
"""Seconds after which something hangs: far more than it takes on a machine with five times too much to do."""

Emit = Callable[..., Path]
Render = Callable[..., str]
Case = TypeVar("Case")
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def in_one_text(
    command: Sequence[str | Path], folder: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as a person sees it: what it prints on either output is one text."""
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes, most of them spent waiting, begins first: nobody waits for it at the end."""
    items.sort(key=lambda item: "::test_every_test_" not in item.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the tests have used, beside what a whole run of the tier may use: wall time depends on the machine."""
    usage = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))  # workers are children
    used = sum(each.ru_utime + each.ru_stime for each in usage)
    limit = BUDGETS.get(config.option.markexpr)
    beside = f"; all of this tier may take {limit}" if limit else ""
    terminalreporter.write_line(f"{used:.0f} s of CPU time{beside}", red=bool(limit and used > limit))


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
    if report.skipped and os.environ.get("CI") == "true":
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
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree as a release of its own, newer than any other."""
    folder = tmp_path_factory.mktemp("template")
    copy_working_tree(folder)
    commit(folder, "template")
    git(folder, "tag", PRESENT)
    git(folder, "gc", "--quiet")
    return folder


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every release with its tag, and the working tree as the newest of them."""
    return make_history(tmp_path_factory.mktemp("history") / "template")


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
def emit(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Emit:
    """Emit a service for these answers, once a session, without the hook. A test that writes to it takes a copy."""
    emitted: dict[frozenset[tuple[str, str]], Path] = {}

    def service(**answers: str) -> Path:
        key = frozenset(answers.items())
        if key not in emitted:
            folder = tmp_path_factory.mktemp("emitted") / FOLDER
            run_copy(str(template), folder, data=answers, defaults=True, quiet=True, skip_tasks=True)
            emitted[key] = folder
        return emitted[key]

    return service


@pytest.fixture(scope="session")
def installed(emit: Emit, tmp_path_factory: pytest.TempPathFactory) -> Emit:
    """The same with everything installed. Tests read it; one that writes takes a copy."""
    synced: dict[Path, Path] = {}

    def service(**answers: str) -> Path:
        emitted = emit(**answers)
        if emitted not in synced:
            synced[emitted] = shutil.copytree(emitted, tmp_path_factory.mktemp("installed") / FOLDER)
            command = ["uv", "sync", "--quiet", "--python", f"{sys.version_info.major}.{sys.version_info.minor}"]
            subprocess.run(command, cwd=synced[emitted], check=True)
        return synced[emitted]

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
def services(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Services:
    """Services of every release, each emitted once."""
    return Services(history, tmp_path_factory.mktemp("services"))
