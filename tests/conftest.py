"""A template to emit from, and services that were emitted from it, each combination of answers once."""

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
import yaml
from copier import run_copy
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment

REPOSITORY = Path(__file__).parent.parent
FOLDER = "orders-api"

Emit = Callable[..., Path]
Render = Callable[..., str]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration nothing is left out: a test that skips there has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI=true lets no test be skipped: {report.longrepr}"
    return report


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder and return what it prints."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, message: str) -> None:
    """Commit everything in a folder, which becomes a repository if it is none."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def files(folder: Path) -> list[str]:
    """The files of a folder, as relative paths with slashes."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    )


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the settings of the person who runs the tests out of git, Copier and uv."""
    settings = tmp_path_factory.mktemp("settings") / "copier.yml"
    settings.write_text("{}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COPIER_SETTINGS_PATH", str(settings))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "Test")
            patch.setenv(f"GIT_{role}_EMAIL", "test@example.com")
        for name in list(os.environ):
            if name.startswith(("APP_", "GIT_DIR", "GIT_WORK_TREE", "VIRTUAL_ENV")):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree as a release of its own, newer than any other."""
    folder = tmp_path_factory.mktemp("template")
    for name in git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    commit(folder, "template")
    git(folder, "tag", "v999.0.0")
    return folder


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
def render() -> Render:
    """Render a template of `copier.yml` as Copier does."""
    extensions = ["jinja2_ansible_filters.AnsibleCoreFiltersExtension"]
    jinja = SandboxedEnvironment(loader=FileSystemLoader(REPOSITORY), extensions=extensions)

    def rendered(source: str, **variables: str) -> str:
        return jinja.from_string(source).render(variables).strip()

    return rendered


@pytest.fixture(scope="session")
def asked() -> dict[str, dict[str, str]]:
    """The questions of `copier.yml` by name."""
    config = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    return {name: details for name, details in config.items() if not name.startswith("_")}
