"""Emitted services pass their own checks, whatever was answered. Each pair of answers meets in one of them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from verify.common.ports import free_port

from .browser import QUIET
from .conftest import IN_CI, PATIENCE, Emit, Render, commit, files, in_world_but, include_orders
from .differing_tests import differing_tests
from .test_questions import HOSTILE

LONGEST = "x" * 40
ORIGINS = "https://app.example.com, https://admin.example.com:8443,http://localhost:3000"
SERVICES = [
    {"ci": "github", "example": "accounts"},
    {
        "ci": "github",
        "example": "minimal",
        "package_name": "a",
        "cors_origins": ORIGINS,
        "project_name": HOSTILE,
        "description": HOSTILE,
    },
    {
        "ci": "gitlab",
        "example": "accounts",
        "package_name": LONGEST,
        "cors_origins": "https://a.example",
        "project_name": "日本" * 40,
        "store": "redis",
        "deploy": "kubernetes",
    },
    {
        "ci": "none",
        "example": "minimal",
        "package_name": "zz9",
        "cors_origins": ORIGINS,
        "project_name": "Müller’s – “API”",
        "description": "x" * 200,
        "store": "redis",
    },
]
EVERY_TEST = SERVICES[2]
"""Of this one plain pytest runs every test; what `verify` runs of others it runs where a new service is verified."""
OTHERS = [given for given in SERVICES if given != EVERY_TEST]
PARTS = 8
"""All the tests of a service take minutes, most of which they wait: so many processes run them side by side."""
PRODUCTION = {"APP_ALLOWED_HOSTS": "api.example.com", "APP_TRUSTED_PROXIES": "192.0.2.1"}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def run(environment: Path) -> Run:
    """Run a command in a service. All services of a worker share one environment."""
    fixed = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))},
        "RUFF_NO_CACHE": "true",
        "UV_PROJECT_ENVIRONMENT": str(environment),
        "UV_PYTHON": f"{sys.version_info.major}.{sys.version_info.minor}",
    }

    def completed(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=folder, env={**fixed, **variables}, capture_output=True, text=True, check=False
        )

    return completed


def named(given: dict[str, str]) -> str:
    return "-".join(given.values()).encode("ascii", "ignore")[:40].decode()


@pytest.mark.parametrize("given", in_world_but(SERVICES, lambda given: given in SERVICES[1:3]), ids=named)
def test_an_emitted_service_passes_its_own_checks(
    emit: Emit, run: Run, tmp_path: Path, subtests: pytest.Subtests, given: dict[str, str]
) -> None:
    service = tmp_path / "orders-api"
    shutil.copytree(emit(**given), service)
    package = given.get("package_name", "orders_api")
    commit(service, "emitted")

    synced = run(service, "uv", "sync")
    assert synced.returncode == 0, synced.stderr
    assert (service / "uv.lock").is_file()

    for command, variables in [
        ("ruff check", {}),
        ("ruff format --check --diff", {}),
        ("mypy", {}),
        (f"python -m {package} check", PRODUCTION),
    ]:
        with subtests.test(command):
            result = run(service, "uv", "run", "--no-sync", *command.split(), **variables)
            assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.world
@pytest.mark.parametrize("given", OTHERS[1:], ids=named)
def test_the_quick_tier_of_an_emitted_service_is_proved(
    emit: Emit, run: Run, tmp_path: Path, given: dict[str, str]
) -> None:
    """That of the first is proved where a new service is verified, and of the third every test is run."""
    service = tmp_path / "orders-api"
    shutil.copytree(emit(**given), service)
    commit(service, "emitted")
    assert run(service, "uv", "sync").returncode == 0

    result = run(service, "uv", "run", "--no-sync", "python", "-m", "verify", "--only", "tests")

    assert result.returncode == 0, result.stdout + result.stderr
    assert not IN_CI or " skipped" not in result.stdout, result.stdout


@pytest.mark.world
def test_the_quick_tier_is_proved_with_the_oldest_that_the_bounds_admit(emit: Emit, run: Run, tmp_path: Path) -> None:
    """All other services have the newest."""
    service = tmp_path / "orders-api"
    shutil.copytree(emit(example="accounts", store="redis"), service)
    commit(service, "emitted")
    synced = run(service, "uv", "sync", "--resolution", "lowest-direct")
    assert synced.returncode == 0, synced.stderr
    bounds = tomllib.loads((service / "pyproject.toml").read_text())["project"]["dependencies"]
    locked = tomllib.loads((service / "uv.lock").read_text())["package"]
    versions = {each["name"]: each["version"] for each in locked}
    for name, bound in (re.split(r"\[.*\]>=|>=", each) for each in bounds):
        assert f"{versions[name]}.".startswith(f"{bound}."), name

    result = run(service, "uv", "run", "--no-sync", "python", "-m", "verify", "--only", "tests")

    assert result.returncode == 0, result.stdout + result.stderr


def passes(run: Run, emitted: Path, folder: Path, tests: list[str]) -> None:
    """Assert that all cases of these files of tests pass in a copy of a service, the slow ones too."""
    service = shutil.copytree(emitted, folder / "orders-api")
    commit(service, "emitted")
    assert run(service, "uv", "sync").returncode == 0

    others = [f"--ignore={each}" for each in files_of_tests(service) if each not in tests]
    result = run(service, "uv", "run", "--no-sync", "pytest", *others)

    assert result.returncode == 0, result.stdout + result.stderr
    assert not IN_CI or " skipped" not in result.stdout, result.stdout


def files_of_tests(service: Path) -> list[str]:
    """The files in which pytest finds the tests of a service."""
    return [name for name in files(service) if re.fullmatch(r"tests/.*\btest_\w+\.py", name)]


@pytest.mark.parametrize("part", range(PARTS))
def test_every_test_of_an_emitted_service_passes(emit: Emit, run: Run, tmp_path: Path, part: int) -> None:
    emitted = emit(**EVERY_TEST)

    passes(run, emitted, tmp_path, files_of_tests(emitted)[part::PARTS])


@pytest.mark.world
@pytest.mark.parametrize("given", OTHERS, ids=named)
def test_every_test_that_is_another_one_in_another_service_passes_there(
    emit: Emit, run: Run, tmp_path: Path, given: dict[str, str]
) -> None:
    """Of those that are the same there, `test_the_quick_tier_of_an_emitted_service_is_proved` runs some."""
    emitted = emit(**given)

    passes(run, emitted, tmp_path, differing_tests(emitted, emit(**EVERY_TEST)))


def test_what_runs_every_test_in_plain_pytest_has_every_test_file(emit: Emit) -> None:
    tests = [{name for name in files(emit(**given)) if name.startswith("tests/")} for given in SERVICES]

    assert set().union(*tests) == tests[SERVICES.index(EVERY_TEST)]


def test_a_test_is_the_same_in_another_service_if_it_and_its_subject_are(emit: Emit, tmp_path: Path) -> None:
    other, service = emit(**EVERY_TEST), shutil.copytree(emit(**SERVICES[3]), tmp_path / "orders-api")
    same = "tests/hardening/test_cors.py"

    found = differing_tests(service, other)

    assert differing_tests(other, other) == []
    assert "tests/test_users.py" in found, "it tests an application of its own"
    assert "tests/hardening/test_prefix.py" in found, "it tests settings that hold an answer"
    assert same not in found
    assert len(found) < len(files_of_tests(service)) / 3
    for changed in (same, "tests/hardening/asgi_client.py", "tests/hardening/conftest.py"):
        text = (service / changed).read_text()
        (service / changed).write_text(f"{text}# Another text.\n")
        assert same in differing_tests(service, other), changed
        (service / changed).write_text(text)


def test_an_accounts_service_keeps_its_accounts_in_a_file_unless_it_is_told(
    emit: Emit, run: Run, tmp_path: Path
) -> None:
    service = tmp_path / "orders-api"
    shutil.copytree(emit(example="accounts"), service)
    assert run(service, "uv", "sync").returncode == 0

    default = r"sqlite:///orders_api.sqlite3$"
    example = (service / ".env.example").read_text().replace("<package>", "orders_api")
    assert re.search(f"^# APP_DATABASE_URL={default}", example, re.MULTILINE)
    checked = run(service, "uv", "run", "--no-sync", "python", "-m", "orders_api", "check", "--format", "json")
    (setting,) = (each for each in json.loads(checked.stdout)["settings"] if each["name"] == "APP_DATABASE_URL")
    assert re.search(default, setting["value"])


def test_a_minimal_service_carries_nothing_of_the_accounts(emit: Emit, run: Run, tmp_path: Path) -> None:
    locked = {}
    for example in ("accounts", "minimal"):
        service = tmp_path / example
        shutil.copytree(emit(example=example), service)
        assert run(service, "uv", "lock").returncode == 0
        locked[example] = {each["name"] for each in tomllib.loads((service / "uv.lock").read_text())["package"]}

    accounts = {"aiosqlite", "alembic", "argon2-cffi", "greenlet", "psycopg", "pwdlib", "sqlalchemy", "zxcvbn"}
    assert accounts <= locked["accounts"] - locked["minimal"]
    assert not [name for name in files(emit(example="minimal")) if re.search("account|database|migrat", name)]


@pytest.mark.parametrize("example", ["accounts", "minimal"])
def test_the_route_of_the_readme_works_as_it_stands(emit: Emit, run: Run, tmp_path: Path, example: str) -> None:
    service = tmp_path / "orders-api"
    shutil.copytree(emit(example=example), service)
    source = re.findall(r"```python\n(.*?)```", (service / "README.md").read_text(), re.DOTALL)
    (service / "src/orders_api/routes/orders.py").write_text(*source)
    include_orders(service)
    assert run(service, "uv", "sync").returncode == 0

    checked = run(service, "uv", "run", "--no-sync", "python", "-m", "orders_api", "check", **PRODUCTION)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "POST /orders" in checked.stdout
    for command in ["ruff check", "ruff format --check --diff", "mypy src"]:
        result = run(service, "uv", "run", "--no-sync", *command.split())
        assert result.returncode == 0, result.stdout + result.stderr


def answer_of(url: str, holds: str = "") -> str:
    """What an address answers, once it answers and holds this text."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310 - an address of our own server
                text: str = response.read().decode()
            if holds in text:
                return text
        except OSError:
            text = "nothing"
        assert time.monotonic() < end, f"{url} answers {text}"
        time.sleep(0.1)


@contextmanager
def development(run: Run, service: Path) -> Iterator[str]:
    """`serve --dev` in the folder of a service; yields its address."""
    python = run(service, "uv", "run", "--no-sync", "python", "-c", "import sys; print(sys.executable)").stdout.strip()
    port = free_port()
    server = subprocess.Popen(
        [python, "-m", "orders_api", "serve", "--dev", "--port", str(port)],
        cwd=service,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "APP_REQUEST_TIMEOUT": "10m"},
        start_new_session=True,
    )
    try:
        answer_of(f"http://localhost:{port}/health/ready")
        yield f"http://localhost:{port}"
    finally:
        with socket.create_connection(("localhost", port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n")  # it has something to wait for
            for _ in range(3):  # as Ctrl-C that is pressed again: the worker hears of each, from the main process too
                time.sleep(0.1)
                os.killpg(server.pid, signal.SIGTERM)
            server.wait(PATIENCE)


@pytest.mark.world
def test_development_shows_its_docs_in_a_browser_and_reloads(
    emit: Emit, run: Run, tmp_path: Path, browser: str
) -> None:
    service = tmp_path / "orders-api"
    shutil.copytree(emit(example="minimal"), service)
    assert run(service, "uv", "sync").returncode == 0
    with development(run, service) as address:
        page = subprocess.run(
            [
                *(browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}"),
                *("--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom", f"{address}/docs"),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        assert page.stdout.count('class="opblock ') == 2, page.stdout[:2000]
        assert "/users/{user_id}" in page.stdout.replace("\u200b", "").replace("<wbr>", "")
        said = [line for line in page.stderr.splitlines() if "CONSOLE" in line]
        assert not [line for line in said if re.search("Content Security|Refused|violat|Failed to load", line)], said

        routes = service / "src/orders_api/routes/users.py"
        routes.write_text(routes.read_text().replace('prefix="/users"', 'prefix="/people"'))
        assert "/people" in answer_of(f"{address}/openapi.json", "/people")


def test_the_first_ten_minutes_of_the_readme_are_as_it_says(emit: Emit, run: Run, tmp_path: Path) -> None:
    service = tmp_path / "orders-api"
    shutil.copytree(emit(example="accounts"), service)
    assert run(service, "uv", "sync").returncode == 0
    register, sign_in = re.findall(r"-d '(\{.*?\})'", (service / "README.md").read_text())

    def send(path: str, body: str | None, cookie: str = "") -> tuple[int, dict[str, str], str]:
        headers = {"Content-Type": "application/json", "Cookie": cookie}
        data = None if body is None else body.encode()
        request = urllib.request.Request(f"{address}{path}", data, headers)  # noqa: S310 - our own server
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            cookies = [each.partition(";")[0] for each in answer.headers.get_all("set-cookie", [])]
            return answer.status, json.loads(answer.read()), "; ".join(cookies)

    with development(run, service) as address:
        assert send("/users", register)[0] == 201
        status, _, cookie = send("/session", sign_in)
        assert status == 201
        time.sleep(2)  # a server that took its database for code would start again, and forget who signed in
        assert send("/session", None, cookie)[1]["username"] == "alice"

    revised = run(
        service, "uv", "run", "--no-sync", "alembic", "revision", "--autogenerate", "-m", "Nothing", "--rev-id", "0002"
    )
    assert revised.returncode == 0, revised.stdout + revised.stderr
    formatted = run(service, "uv", "run", "--no-sync", "ruff", "format", "--check", "src")
    assert formatted.returncode == 0, formatted.stdout
    serve = ["python", "-m", "orders_api", "serve", "--port", str(free_port())]
    refused = run(service, "uv", "run", "--no-sync", *serve, **PRODUCTION)
    assert refused.returncode == 1
    assert "database.E002: The database is at revision 0001, and this code needs 0002." in refused.stderr
    assert "Run `uv run alembic upgrade head`" in refused.stderr
    assert run(service, "uv", "run", "--no-sync", "alembic", "upgrade", "head").returncode == 0


def test_no_package_takes_a_name_that_its_environment_imports(
    emit: Emit, run: Run, render: Render, asked: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    service = tmp_path / "orders-api"
    shutil.copytree(emit(example="accounts", store="redis"), service)
    listing = """\
import importlib.metadata, re
names = {re.sub("[-_.]+", "_", item.metadata["Name"]).lower() for item in importlib.metadata.distributions()}
print(*names | set(importlib.metadata.packages_distributions()))
"""
    assert run(service, "uv", "sync").returncode == 0

    names = run(service, "uv", "run", "--no-sync", "python", "-c", listing).stdout.split()

    assert "fastapi" in names
    compiled = {name for name in names if name.endswith("__mypyc")}  # named after a hash: nobody thinks of these
    for name in set(names) - {"orders_api"} - compiled:
        assert render(asked["package_name"]["validator"], package_name=name), name
