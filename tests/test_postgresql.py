"""An emitted service on PostgreSQL as it is run: with a standby that is promoted, and over TLS."""

import http.client
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from .clusters import Cluster, programs, redis, until
from .conftest import Emit
from .proxies import free_port, running

pytestmark = pytest.mark.world

PASSWORD = "correct horse battery staple"  # noqa: S105 - of accounts that a test makes
ACCOUNTS = {"example": "accounts", "store": "redis"}


class Service:
    """A service on a port, as its clients see it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookie = ""

    def ask(self, method: str, path: str, body: Any = None) -> int:
        """The status of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        fields = {"Host": "api.example.com", "Cookie": self.cookie}
        if body is not None:
            fields["Content-Type"] = "application/json"
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, fields)
            answer = connection.getresponse()
            answer.read()
            if cookies := answer.headers.get_all("set-cookie"):
                self.cookie = "; ".join(each.partition(";")[0] for each in cookies)
            return answer.status
        finally:
            connection.close()

    def register(self, name: str) -> int:
        return self.ask("POST", "/users", {"username": name, "email": f"{name}@example.com", "password": PASSWORD})

    def sign_in(self, name: str) -> int:
        return self.ask("POST", "/session", {"username": name, "password": PASSWORD})


def settings(database: str, store: str = "memory://") -> dict[str, str]:
    return {
        "APP_ALLOWED_HOSTS": "api.example.com",
        "APP_TRUSTED_PROXIES": "none",
        "APP_RATE_LIMIT": "100000/1s",
        "APP_RATE_LIMIT_CREDENTIALS": "100000/1s",
        "APP_STORE_URL": store,
        "APP_DATABASE_URL": database,
    }


@contextmanager
def served(folder: Path, log: Path, variables: dict[str, str]) -> Iterator[Service]:
    port, python = free_port(), folder / ".venv/bin/python"
    command: list[str | Path] = [python, "-m", "orders_api", "serve", "--port", str(port)]
    with running(command, port, log, folder, **variables):
        yield Service(port)


def migrate(folder: Path, database: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", **settings(database)}
    subprocess.run([folder / ".venv/bin/alembic", "upgrade", "head"], cwd=folder, env=environment, check=True)


def test_a_standby_that_is_promoted_takes_over_and_nothing_that_was_answered_is_lost(
    installed: Emit, tmp_path: Path
) -> None:
    folder = installed(**ACCOUNTS)
    primary = Cluster(tmp_path / "primary", "synchronous_standby_names=*")
    primary_url = primary.url("postgres")
    with primary.running():
        primary.ask("SET synchronous_commit = local; CREATE ROLE standby SUPERUSER LOGIN")
        standby = Cluster(tmp_path / "standby", "hot_standby=on", source=primary)
        with standby.running(), redis(tmp_path) as store:
            migrate(folder, primary_url)
            hosts = "&".join(f"host=127.0.0.1:{each.port}" for each in (primary, standby))
            both = f"postgresql://postgres@/postgres?{hosts}&target_session_attrs=read-write"
            with served(folder, tmp_path / "log", settings(both, f"redis://127.0.0.1:{store}/0")) as service:
                names = [f"before{number}" for number in range(3)]
                assert [service.register(name) for name in names] == [201] * 3
                assert service.sign_in("before0") == 201

                primary.process.kill()
                primary.process.wait(20)
                assert service.register("whileaway") == 503
                assert service.ask("GET", "/health/ready") == 503
                standby.do("pg_ctl", "promote", "-D", standby.data)
                end = time.monotonic() + 60
                while (status := service.register("after")) == 503 and time.monotonic() < end:
                    time.sleep(0.2)

                assert status == 201
                assert service.ask("GET", "/session") == 200
                assert [service.sign_in(name) for name in (*names, "after")] == [201] * 4
                assert service.register("before0") == 409
                assert service.ask("GET", "/health/ready") == 200


def certificate(folder: Path) -> None:
    """An authority, and a certificate of its for localhost."""
    folder.mkdir()
    commands = [
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -days 2 -extfile names -out server.crt",
    ]
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


def test_who_answers_is_asked_for_its_certificate(installed: Emit, tmp_path: Path) -> None:
    folder = installed(**ACCOUNTS)
    certificate(tmp_path / "tls")
    certificate(tmp_path / "other")
    server = Cluster(tmp_path / "server", "ssl=on")
    for name in ("server.crt", "server.key"):
        owner, file = server.data.stat(), server.data / name
        file.write_bytes((tmp_path / "tls" / name).read_bytes())
        file.chmod(0o600)
        os.chown(file, owner.st_uid, owner.st_gid)
    rules = server.data / "pg_hba.conf"
    rules.write_text("host all all 127.0.0.1/32 trust\n")
    with server.running():
        rules.write_text("hostssl all all 127.0.0.1/32 trust\n")
        server.ask("SELECT pg_reload_conf()")
        address = f"postgresql://postgres@localhost:{server.port}/postgres?hostaddr=127.0.0.1&sslmode="
        good = f"{address}verify-full&sslrootcert={quote(str(tmp_path / 'tls/ca.crt'))}"
        migrate(folder, good)

        with served(folder, tmp_path / "log", settings(good)) as service:
            assert service.register("alice") == 201
        ciphers = server.ask("SELECT count(*) FROM pg_stat_ssl WHERE ssl")

        python = folder / ".venv/bin/python"
        for wrong, reason in (
            (f"{address}disable", "no encryption"),
            (f"{address}verify-full&sslrootcert={quote(str(tmp_path / 'other/ca.crt'))}", "certificate verify failed"),
            (good.replace("localhost", "db.example.com"), "does not match host name"),
        ):
            command = [str(python), "-m", "orders_api", "serve", "--port", str(free_port())]
            done = subprocess.run(
                command, cwd=folder, env=settings(wrong), capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 1
            (line,) = [each for each in done.stderr.splitlines() if "database.E001" in each]
            assert reason in line
    assert int(ciphers) >= 1


INDEX = '''"""An index that is built while others write, which no transaction may do."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.create_index("emails", "accounts", ["email"], postgresql_concurrently=True)
'''


def test_replicas_that_build_an_index_as_they_start_do_so_in_turn(installed: Emit, tmp_path: Path) -> None:
    folder = shutil.copytree(installed(**ACCOUNTS), tmp_path / "newer", ignore=shutil.ignore_patterns(".venv"))
    (folder / "src/orders_api/migrations/versions/0002_index.py").write_text(INDEX)
    server = Cluster(tmp_path / "server")
    url = server.url("postgres")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder / "src"), **settings(url)}
    environment["PGOPTIONS"] = "-c idle_in_transaction_session_timeout=1s"  # the first one takes longer
    command = [str(installed(**ACCOUNTS) / ".venv/bin/alembic"), "upgrade", "head"]
    with server.running():
        migrate(installed(**ACCOUNTS), url)
        # Whoever has looked at the table is waited for, by the first replica: the second comes meanwhile.
        reader = subprocess.Popen(
            [programs() / "psql", "-qAt", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert reader.stdin is not None
        assert reader.stdout is not None
        reader.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM accounts;\n")
        reader.stdin.flush()
        assert reader.stdout.readline() == "0\n"
        replicas = [
            subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)
        ]
        building = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
        clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        until(lambda: server.ask(building) != "0")
        until(lambda: server.ask(clients) == "8")
        time.sleep(1.5)
        reader.communicate("COMMIT;\n", 20)

        said = [each.communicate(timeout=120)[1] for each in replicas]

        assert [each.returncode for each in replicas] == [0, 0, 0], said
        assert server.ask("SELECT indisvalid FROM pg_index WHERE indexrelid = 'emails'::regclass") == "t"
