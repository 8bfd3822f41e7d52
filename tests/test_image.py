"""The image that the emitted container file makes: built, looked through file by file, started and attacked.

Its base is this machine's Python in place of the registry's image; what is said of files is said of what lies over it.
"""

import asyncio
import csv
import http.client
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISLNK

import pytest
import yaml

from .conftest import Emit
from .containers import Builder, Container, Image, most_memory
from .proxies import free_port
from .test_memory import MEBIBYTE, hold

pytestmark = pytest.mark.world

BASE = "python:3.14-slim"
HOST = "127.0.0.1"
SECONDS = 11.0
CLIENTS = 60
BESIDE = (  # what a virtual environment holds of its own, and what the container file names
    r"/app/\.venv/(\.gitignore|\.lock|CACHEDIR\.TAG|pyvenv\.cfg|lib64)",
    r"/app/\.venv/bin/(activate\S*|deactivate\.bat|pydoc\.bat|python[\d.]*)",
    r"/app/\.venv/\S+/_virtualenv\.(py|pth)",
    r"/app/pyproject\.toml",
    r"/etc/(hosts|resolv\.conf)|/run/\.containerenv",  # the builder's
)


@pytest.fixture(scope="module")
def folder(installed: Emit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An emitted service as a machine with `umask 077` holds it."""
    whole = installed(example="accounts", store="redis")
    copied = tmp_path_factory.mktemp("image") / "orders-api"
    shutil.copytree(whole, copied, ignore=shutil.ignore_patterns(".venv"))
    for path in copied.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return copied


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    with Builder(tmp_path_factory.mktemp("images")) as made:
        made.stand_in(BASE)
        yield made


@pytest.fixture(scope="module")
def image(builder: Builder, folder: Path) -> Image:
    return builder.build(folder)


def unaccounted(image: Image, base: Image) -> set[str]:
    """The files of an image that neither its base nor a locked distribution has brought."""
    environment = image.root / "app/.venv"
    (packages,) = environment.glob("lib/python*/site-packages")
    recorded = set()
    for record in packages.glob("*.dist-info/RECORD"):
        for name, *_ in csv.reader(record.read_text().splitlines()):
            path = Path(os.path.normpath(packages / name))
            recorded.add(f"/{path.relative_to(image.root)}")
    source = re.compile(r"(.*)/__pycache__/([^/]+)\.cpython-\d+\.pyc")
    compiled = {path for path in image.files if (of := source.fullmatch(path)) and f"{of[1]}/{of[2]}.py" in recorded}
    rest = image.files - base.files - recorded - compiled
    return {path for path in rest if not any(re.fullmatch(each, path) for each in BESIDE)}


def changed(folder: Path, to: Path, old: str, new: str) -> Path:
    """A container file in which something else stands."""
    text = (folder / "Dockerfile").read_text()
    assert old in text
    to.write_text(text.replace(old, new))
    return to


def test_every_file_is_accounted_for(builder: Builder, image: Image, folder: Path) -> None:
    export = ["uv", "export", "--quiet", "--locked", "--no-dev", "--no-hashes", "--no-header", "--no-annotate"]
    wanted = subprocess.run(export, cwd=folder, capture_output=True, text=True, check=True).stdout
    locked = {re.sub(r"[-_.]+", "_", each).lower() for each in re.findall(r"^([\w.-]+)==", wanted, re.MULTILINE)}
    found = {
        path.name.partition("-")[0].lower() for path in image.root.glob("app/.venv/lib/*/site-packages/*.dist-info")
    }

    assert unaccounted(image, builder.base) == set()
    assert {"fastapi", "granian", "sqlalchemy"} <= found <= locked | {"orders_api"}
    assert not {"pytest", "mypy", "ruff", "pip", "uv"} & found


@pytest.mark.parametrize(
    ("added", "seen"),
    [
        ("COPY uv.lock ./", {"/app/uv.lock"}),
        ("COPY --from=build /usr/local/bin/uv /usr/local/bin/", {"/usr/local/bin/uv"}),
        ("COPY src/orders_api/app.py /app/.venv/", {"/app/.venv/app.py"}),
    ],
)
def test_what_is_copied_besides_is_seen(
    builder: Builder, image: Image, folder: Path, tmp_path: Path, added: str, seen: set[str]
) -> None:
    assert image.files
    file = changed(folder, tmp_path / "Dockerfile", "USER 10001", f"{added}\nUSER 10001")

    assert unaccounted(builder.build(folder, file), builder.base) == seen


def unreadable(image: Image, base: Image) -> set[str]:
    """What is in an image and only root may read, folders among it."""
    found = set()
    for path in (image.root / "app", *(image.root / "app").rglob("*")):
        mode = 0o5 if path.is_dir() else 0o4
        if not path.is_symlink() and path.stat().st_mode & mode != mode:
            found.add(f"/{path.relative_to(image.root)}")
    return found - base.files


def test_whoever_the_service_runs_as_may_read_it_and_change_nothing(
    builder: Builder, image: Image, folder: Path, tmp_path: Path
) -> None:
    found = {f"/{path.relative_to(image.root)}": path.lstat() for path in image.root.rglob("*")}
    of_others = {path for path, status in found.items() if status.st_uid or status.st_gid}
    writable = {
        path for path, status in found.items() if status.st_mode & 0o1002 == 0o002 and not S_ISLNK(status.st_mode)
    }
    without = changed(folder, tmp_path / "Dockerfile", " && chmod 644 pyproject.toml", "")

    assert image.config["User"] == "10001:10001"
    assert of_others == {"/data"}
    assert writable == {"/app/.venv/.lock"}  # uv's, and empty
    assert unreadable(image, builder.base) == set()
    assert unreadable(builder.build(folder, without), builder.base) == {"/app/pyproject.toml"}


async def slow_and_large(port: int) -> None:
    """Headers that do not end, bodies that drip, bodies of all that is admitted, and connections that say nothing."""
    head = f"POST /users HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
    large = f"{head}Content-Length: {MEBIBYTE}\r\n\r\n".encode()
    kinds = {head.encode(): 0, large: MEBIBYTE - 70_000, large + b"[": 0, b"": 0}
    until = time.monotonic() + SECONDS
    sources = [f"127.1.0.{number + 1}" for number in range(CLIENTS)]
    held = [hold(port, each, first, rest, until) for each in sources for first, rest in kinds.items() for _ in range(5)]
    await asyncio.gather(*held)


def status(port: int, path: str, length: int) -> int:
    connection = http.client.HTTPConnection(HOST, port, 10, ("127.2.0.1", 0))
    try:
        connection.request("POST", path, b"x" * length, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_service_stands_what_comes_within_its_bounds(image: Image, folder: Path, tmp_path: Path) -> None:
    described = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["api"]
    port, log, data = free_port(), tmp_path / "log", tmp_path / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 10001, 10001)
    settings = {"APP_ALLOWED_HOSTS": HOST, "APP_TRUSTED_PROXIES": "none", "PORT": str(port)}
    settings |= {"APP_DATABASE_URL": "sqlite:////data/service.sqlite3", "APP_STORE_URL": "memory://"}
    container = Container(image, described, settings, data)
    looks: list[int] = []
    over = threading.Event()

    def look() -> None:
        looks.append(container.run(*image.config["Healthcheck"]["Test"][1:]).returncode)

    def keep_looking() -> None:
        while not over.wait(0.5):
            look()

    migrated = container.run("alembic", "upgrade", "head")
    assert migrated.returncode == 0, migrated.stderr
    with container.started(port, log) as groups:
        processes = (groups["pids"] / "cgroup.procs").read_text()
        looker = threading.Thread(target=keep_looking)
        looker.start()
        try:
            asyncio.run(slow_and_large(port))
        finally:
            over.set()
            looker.join()
        look()
        answers = {status(port, "/users", 2_000_000), status(port, "/users", 3), status(port, "/nope", 400_000)}
        target = ["uv", "run", "--locked", "python", "-m", "verify", "--target", f"http://{HOST}:{port}"]
        attacked = subprocess.run(target, cwd=folder, capture_output=True, text=True, check=False)
        survived = (groups["pids"] / "cgroup.procs").read_text()
        memory = most_memory(groups)
    print(f"{memory / 1e6:.0f} MB at most; {len(looks)} looks; {attacked.stdout}")

    assert attacked.returncode == 0, attacked.stdout + attacked.stderr
    assert answers == {413, 400, 404}
    assert survived == processes, log.read_text()
    assert looks[-1] == 0
    assert "111" not in "".join(map(str, looks))  # three in a row, and Docker calls it unhealthy
    assert memory < container.memory


def test_the_container_may_do_nothing_else(image: Image, folder: Path) -> None:
    described = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["api"]
    container = Container(image, described, {})

    assert "Read-only file system" in container.run("sh", "-c", "echo >/app/x").stderr
    assert (
        "Permission denied"
        in container.run(
            "python",
            "-c",
            "open('/tmp/x', 'w').write('#!/bin/sh'); import os; os.chmod('/tmp/x', 0o755); os.execv('/tmp/x', ['x'])",
        ).stderr
    )
    assert (
        "CapEff:\t0000000000000000" in container.run("python", "-c", "print(open('/proc/self/status').read())").stdout
    )
