"""A disk that is really full, under a service with SQLite and under its PostgreSQL."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .clusters import Cluster, until
from .conftest import Emit
from .containers import tool
from .proxies import free_port, running
from .test_postgresql import ACCOUNTS, Service, migrate, served, settings

pytestmark = pytest.mark.world

ROWS = """DO $$ BEGIN FOR n IN 1..1000000 LOOP
    BEGIN INSERT INTO accounts SELECT gen_random_uuid(), n, n, n, n; EXCEPTION WHEN disk_full THEN EXIT; END;
END LOOP; END $$"""
"""Until no page has room."""


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system of its own that holds so much, where another user may go: pytest's folders are for one alone."""
    with TemporaryDirectory(prefix="disk-") as name:
        subprocess.run([tool("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", name], check=True)
        try:
            yield Path(name)
        finally:
            subprocess.run([tool("umount"), "--lazy", name], check=True)


def fill(file: Path) -> None:
    """Take every byte that is free."""
    with file.open("wb", buffering=0) as to:
        try:
            while True:
                to.write(bytes(4096))
        except OSError:
            assert shutil.disk_usage(file).free == 0


def until_ready(service: Service, status: int) -> None:
    until(lambda: service.ask("GET", "/health/ready") == status)


def test_sqlite_on_a_full_disk_is_not_ready_and_goes_on_when_there_is_room(installed: Emit, tmp_path: Path) -> None:
    folder = installed(**ACCOUNTS)
    with (
        small_disk("4m") as disk,
        served(folder, tmp_path / "log", settings(f"sqlite:///{disk}/orders.sqlite3")) as service,
    ):
        assert [service.register("before"), service.ask("GET", "/health/ready")] == [201, 200]
        fill(disk / "filler")
        until_ready(service, 503)
        assert service.ask("GET", "/health/live") == 200
        statuses = {service.register(f"full{number}") for number in range(8)}  # the log of SQLite may have some room
        assert 503 in statuses
        assert statuses <= {201, 503}
        assert service.sign_in("before") == 201  # what only reads goes on

        (disk / "filler").unlink()
        until_ready(service, 200)
        assert [service.register("after"), service.sign_in("before"), service.sign_in("after")] == [201] * 3
    assert '"event":"database_away"' in (tmp_path / "log").read_text()


def test_a_file_that_may_not_grow_is_as_good_as_a_full_disk(installed: Emit, tmp_path: Path) -> None:
    """As with a quota the file system has room, and the next page is refused."""
    folder, file, port = installed(**ACCOUNTS), tmp_path / "orders.sqlite3", free_port()
    serve: list[str | Path] = [folder / ".venv/bin/python", "-m", "orders_api", "serve", "--port", str(port)]
    limited = [tool("prlimit"), f"--fsize={128 * 1024}:unlimited", *serve]
    with running(limited, port, tmp_path / "log", folder, **settings(f"sqlite:///{file}")):
        service = Service(port)
        until_ready(service, 200)
        assert next(status for number in range(80) if (status := service.register(f"name{number}")) != 201) == 503
        until_ready(service, 503)
        assert service.sign_in("name0") == 201

        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended
                if f"\0--port\0{port}\0" in (process / "cmdline").read_text():
                    subprocess.run([tool("prlimit"), "--fsize=unlimited", "--pid", process.name], check=True)
        until_ready(service, 200)
        assert service.register("after") == 201


def test_a_postgresql_on_a_full_disk_is_not_ready_once_a_request_has_failed(installed: Emit, tmp_path: Path) -> None:
    folder = installed(**ACCOUNTS)
    cluster = Cluster(tmp_path / "server")
    with small_disk("24m") as disk, cluster.running():
        owner = cluster.data.stat()
        os.chown(disk, owner.st_uid, owner.st_gid)
        disk.chmod(0o700)
        cluster.ask(f"CREATE TABLESPACE small LOCATION '{disk}'")
        cluster.ask("CREATE DATABASE shop TABLESPACE small")
        url = cluster.url("shop")
        migrate(folder, url)
        with served(folder, tmp_path / "log", settings(url)) as service:
            assert [service.register("before"), service.ask("GET", "/health/ready")] == [201, 200]
            fill(disk / "filler")
            cluster.ask(ROWS, "shop")
            assert next(status for number in range(80) if (status := service.register(f"name{number}")) != 201) == 503
            until_ready(service, 503)
            assert service.sign_in("before") == 201

            (disk / "filler").unlink()
            until_ready(service, 200)
            assert service.register("after") == 201
