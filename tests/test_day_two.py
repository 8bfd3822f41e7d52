"""What HARDENING.md says under Day two, each block run as it stands there against what it is about."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from .clusters import Cluster, programs, redis, until
from .conftest import PATIENCE, REPOSITORY, Emit
from .fake_osv import advisory, serving
from .proxies import certify, free_port, running
from .test_postgresql import ACCOUNTS, Service, certificate, migrate, served, settings

_SECTION = re.compile(r"^## Day two\n(.*?)^## ", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_NEW, _OLD = "new0123456789", "old0123456789"


class Block(NamedTuple):
    """Commands, and what the page says that they print."""

    command: str
    printed: str

    def run(self, folder: Path, code: int = 0, /, **variables: str) -> str:
        """Run it, and compare what it prints; `...` stands for anything.

        Args:
            folder: Where.
            code: Exit code that is expected.
            variables: What the page leaves to the environment.
        """
        cli = "redis-cli" if shutil.which("redis-cli") else "valkey-cli"
        script = self.command.replace("<package>", "orders_api").replace("redis-cli", cli)
        path = f"{programs()}:{os.environ['PATH']}"
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        environment = {**os.environ, "PATH": path, "LC_ALL": "C", "UV_PYTHON": python, **variables}
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == code, (script, done.stdout, done.stderr)
        pattern = ".*".join(map(re.escape, self.printed.split("...")))
        assert re.fullmatch(pattern, done.stdout, re.DOTALL), (self.printed, done.stdout, done.stderr)
        return done.stdout


def section() -> dict[str, list[Block]]:
    """The blocks of each heading."""
    (text,) = _SECTION.findall((REPOSITORY / "template/HARDENING.md").read_text())
    headings = (each.partition("\n") for each in text.split("\n### ")[1:])
    return {heading: [Block(*found) for found in _BLOCK.findall(body)] for heading, _, body in headings}


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'orders_api.sqlite3'}"


def redis_url(port: int, user: str = "") -> str:
    return f"redis://{user}127.0.0.1:{port}/0"


def test_every_block_of_the_page_is_run_by_a_test_of_this_file() -> None:
    found = {heading: len(blocks) for heading, blocks in section().items()}

    assert found == {
        "The quota is too low": 2,
        "Redis is away": 1,
        "The disk is full": 1,
        "A certificate ends": 1,
        "A secret leaks": 5,
        "An advisory appears on Friday": 1,
        "A release is rolled back": 1,
        "A backup is restored": 4,
    }


def seconds_to_wait(service: Service) -> int:
    """What a refused client is told."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("GET", "/session", headers={"Host": "api.example.com"})
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 429
    return int(answer.headers["retry-after"])


@pytest.mark.world
def test_a_client_that_is_refused_is_found_and_let_go(installed: Emit, tmp_path: Path) -> None:
    refused, let_go = section()["The quota is too low"]
    folder, log = installed(**ACCOUNTS), tmp_path / "service.log"
    with redis(tmp_path) as port:
        variables = settings(sqlite(tmp_path), redis_url(port)) | {"APP_RATE_LIMIT": "3/15m"}
        with served(folder, log, variables) as service:
            assert [service.ask("GET", "/session") for _ in range(7)] == [401] * 3 + [429] * 4
            assert seconds_to_wait(service) > 200
        refused.run(tmp_path)

        with served(folder, log, variables | {"APP_RATE_LIMIT": "9/15m"}) as service:
            assert 1 <= seconds_to_wait(service) <= 100  # at the rate of the new one, without its burst
            let_go.run(tmp_path, APP_STORE_URL=redis_url(port))
            assert [service.ask("GET", "/session") for _ in range(10)] == [401] * 9 + [429]


@pytest.mark.world
def test_the_log_of_sqlite_is_given_back_while_the_service_runs(installed: Emit, tmp_path: Path) -> None:
    (room,) = section()["The disk is full"]
    folder, log = installed(**ACCOUNTS), tmp_path / "orders_api.sqlite3-wal"
    with served(folder, tmp_path / "service.log", settings(sqlite(tmp_path))) as service:
        assert service.register("alice") == 201
        assert log.stat().st_size > 0

        room.run(tmp_path)

        assert log.stat().st_size == 0
        assert [service.sign_in("alice"), service.register("bob")] == [201, 201]


@pytest.mark.world
def test_a_backup_of_sqlite_has_what_was_there_and_nothing_later(installed: Emit, tmp_path: Path) -> None:
    backup, restore, *_ = section()["A backup is restored"]
    folder, variables = installed(**ACCOUNTS), settings(sqlite(tmp_path))
    with served(folder, tmp_path / "service.log", variables) as service:
        assert service.register("before") == 201
        assert (tmp_path / "orders_api.sqlite3-wal").stat().st_size > 0  # what a copy of the file alone would lack
        backup.run(tmp_path)
        assert (tmp_path / "backup.sqlite3").stat().st_mode & 0o077 == 0
        assert service.register("after") == 201
    (tmp_path / "orders_api.sqlite3").write_bytes(b"damaged")

    restore.run(tmp_path)

    with served(folder, tmp_path / "service.log", variables) as service:
        assert service.ask("GET", "/health/ready") == 200
        assert [service.sign_in("before"), service.sign_in("after")] == [201, 401]
        assert [service.register("before"), service.register("after")] == [409, 201]


@contextmanager
def redis_at(port: int, folder: Path, *options: str | Path) -> Iterator[None]:
    """A Redis on a port, ended at the end of the block."""
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    assert program is not None
    command = [program, "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--port", str(port), *options]
    with running(command, port, folder / "redis.log", folder):
        yield


def ask_redis(port: int, *command: str) -> str:
    cli = shutil.which("redis-cli") or shutil.which("valkey-cli")
    assert cli is not None
    return subprocess.run([cli, "-p", str(port), *command], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.world
def test_a_redis_that_is_full_or_gone_comes_back_without_a_restart(installed: Emit, tmp_path: Path) -> None:
    (look,) = section()["Redis is away"]
    folder, log, port = installed(**ACCOUNTS), tmp_path / "service.log", free_port()
    with ExitStack() as stack:
        server = stack.enter_context(ExitStack())
        server.enter_context(redis_at(port, tmp_path))
        service = stack.enter_context(served(folder, log, settings(sqlite(tmp_path), redis_url(port))))
        assert [service.register("alice"), service.sign_in("alice")] == [201, 201]

        ask_redis(port, "config", "set", "maxmemory", "1")
        until(lambda: service.ask("GET", "/session") == 503)
        assert '"event":"store_away","reason":"OOM"' in log.read_text()
        assert service.ask("GET", "/nowhere") == 404  # counted in the process
        look.run(tmp_path, ADMIN_STORE=redis_url(port))
        until(lambda: log.read_text().count('"event":"store_back"') == 1)
        assert service.ask("GET", "/session") == 200

        server.close()
        assert [service.ask("GET", "/session"), service.ask("GET", "/nowhere")] == [503, 404]
        server.enter_context(redis_at(port, tmp_path))
        until(lambda: log.read_text().count('"event":"store_back"') == 2)
        assert service.sign_in("alice") == 201


@pytest.mark.world
def test_everybody_is_signed_out(installed: Emit, tmp_path: Path) -> None:
    everybody, *_ = section()["A secret leaks"]
    with redis(tmp_path) as port:
        variables = settings(sqlite(tmp_path), redis_url(port))
        with served(installed(**ACCOUNTS), tmp_path / "service.log", variables) as service:
            assert [service.register("alice"), service.sign_in("alice")] == [201, 201]
            assert service.ask("GET", "/session") == 200

            everybody.run(tmp_path, APP_STORE_URL=redis_url(port))

            assert service.ask("GET", "/session") == 401
            assert service.sign_in("alice") == 201


def rights() -> str:
    """What the page says that a user of Redis needs."""
    page = (REPOSITORY / "template/HARDENING.md").read_text()
    (found,) = re.findall(r"`ACL SETUSER name on >password (.*?)`", page)
    return str(found).replace("<package>", "orders_api")


@pytest.mark.world
def test_another_password_of_redis_signs_nobody_out(installed: Emit, tmp_path: Path) -> None:
    _, both, old_away, *_ = section()["A secret leaks"]
    folder, log, database = installed(**ACCOUNTS), tmp_path / "service.log", sqlite(tmp_path)
    with redis(tmp_path) as port:
        admin = redis_url(port)
        ask_redis(port, "acl", "setuser", "app", "on", f">{_OLD}", *rights().split())
        with served(folder, log, settings(database, redis_url(port, f"app:{_OLD}@"))) as service:
            assert [service.register("alice"), service.sign_in("alice")] == [201, 201]
            cookie = service.cookie
            both.run(tmp_path, ADMIN_STORE=admin, NEW_PASSWORD=_NEW)
            assert service.ask("GET", "/session") == 200

        with served(folder, log, settings(database, redis_url(port, f"app:{_NEW}@"))) as service:
            service.cookie = cookie
            assert service.ask("GET", "/session") == 200
            old_away.run(tmp_path, ADMIN_STORE=admin, OLD_PASSWORD=_OLD)
            until(lambda: service.ask("GET", "/session") == 200)
            assert service.cookie == cookie
            assert service.sign_in("alice") == 201
        assert "WRONGPASS" in ask_redis(port, "auth", "app", _OLD)
        assert ask_redis(port, "auth", "app", _NEW) == "OK"


@contextmanager
def database_with_passwords(folder: Path) -> Iterator[tuple[Cluster, str, str]]:
    """A server whose users have passwords, its administrator's address, and the part of one behind the user."""
    server = Cluster(folder, "password_encryption=scram-sha-256")
    rules = server.data / "pg_hba.conf"
    rules.write_text("host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    with server.running():
        server.ask(f"CREATE ROLE app LOGIN PASSWORD '{_OLD}'")
        server.ask("CREATE DATABASE shop OWNER app")
        yield server, server.url("postgres"), f"@127.0.0.1:{server.port}/shop"


def is_let_in(url: str) -> bool:
    """Whether a user of PostgreSQL is."""
    command = [str(programs() / "psql"), "-qAt", url, "-c", "SELECT 1"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.world
def test_another_password_of_postgresql_signs_nobody_out(installed: Emit, tmp_path: Path) -> None:
    *_, second, old_away = section()["A secret leaks"]
    folder, log = installed(**ACCOUNTS), tmp_path / "service.log"
    with database_with_passwords(tmp_path / "server") as (server, admin, place), redis(tmp_path) as port:
        old, new = f"postgresql://app:{_OLD}{place}", f"postgresql://app_2:{_NEW}{place}"
        migrate(folder, old)
        with served(folder, log, settings(old, redis_url(port))) as service:
            assert [service.register("alice"), service.sign_in("alice")] == [201, 201]
            cookie = service.cookie
            second.run(tmp_path, ADMIN_DATABASE=admin, NEW_PASSWORD=_NEW)
            assert service.register("bob") == 201
            assert is_let_in(old)

        with served(folder, log, settings(new, redis_url(port))) as service:
            service.cookie = cookie
            old_away.run(tmp_path, ADMIN_DATABASE=admin)
            assert service.ask("GET", "/session") == 200
            assert [service.register("carol"), service.sign_in("alice"), service.sign_in("bob")] == [201] * 3
            server.ask("ALTER ROLE app_2 PASSWORD 'another'")
            assert [is_let_in(new), service.register("dave")] == [False, 201]  # its connection is open already
            server.ask(f"ALTER ROLE app_2 PASSWORD '{_NEW}'")
        assert [is_let_in(old), is_let_in(new)] == [False, True]
        migrate(folder, new)  # the second role may do what the first could
        assert server.ask("SELECT tableowner FROM pg_tables WHERE tablename = 'accounts'", "shop") == "app"


@pytest.mark.world
def test_a_backup_of_postgresql_has_what_was_there_and_nothing_later(installed: Emit, tmp_path: Path) -> None:
    _, _, backup, restore = section()["A backup is restored"]
    folder, log = installed(**ACCOUNTS), tmp_path / "service.log"
    with database_with_passwords(tmp_path / "server") as (server, admin, place):
        url = f"postgresql://app:{_OLD}{place}"
        migrate(folder, url)
        with served(folder, log, settings(url)) as service:
            assert service.register("before") == 201
            backup.run(tmp_path, APP_DATABASE_URL=url)
            assert service.register("after") == 201
        assert (tmp_path / "backup.dump").stat().st_mode & 0o077 == 0
        server.ask("DROP DATABASE shop")

        restore.run(tmp_path, ADMIN_DATABASE=admin, RESTORED_DATABASE=server.url("restored"))

        with served(folder, log, settings(url.replace("/shop", "/restored"))) as service:
            assert service.ask("GET", "/health/ready") == 200
            assert [service.sign_in("before"), service.sign_in("after")] == [201, 401]
            assert [service.register("before"), service.register("after")] == [409, 201]


@pytest.fixture
def newer(installed: Emit, tmp_path: Path) -> Path:
    """A service of its own with one more migration, as its next release would have."""
    folder = shutil.copytree(installed(**ACCOUNTS), tmp_path / "newer", ignore=shutil.ignore_patterns(".venv"))
    migration = '''"""A note for each account."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("note", sa.String(30)))


def downgrade() -> None:
    op.drop_column("accounts", "note")
'''
    (folder / "src/orders_api/migrations/versions/0002_note.py").write_text(migration)
    return folder


@pytest.mark.world
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_release_is_rolled_back_with_or_without_its_migration(
    kind: str, installed: Emit, newer: Path, tmp_path: Path
) -> None:
    (back,) = section()["A release is rolled back"]
    old, log = installed(**ACCOUNTS), tmp_path / "service.log"
    with ExitStack() as stack:
        url = sqlite(tmp_path)
        if kind == "postgresql":
            url = stack.enter_context(Cluster(tmp_path / "server").running()).url("postgres")
        variables = settings(url)
        migrate(old, url)
        with served(old, log, variables) as service:
            assert service.register("before") == 201
        command = ["uv", "run", "--quiet", "alembic", "upgrade", "head"]
        subprocess.run(command, cwd=newer, env={**os.environ, **variables}, check=True)

        with served(newer, log, variables) as service:
            assert [service.sign_in("before"), service.register("meanwhile")] == [201, 201]
        with served(old, log, variables) as service:  # on the newer schema
            assert service.ask("GET", "/health/ready") == 200
            assert [service.sign_in("meanwhile"), service.register("again")] == [201, 201]
        assert "database.E" not in log.read_text()

        back.run(newer, **variables)

        with served(old, log, variables) as service:
            assert service.ask("GET", "/health/ready") == 200
            assert [service.sign_in(name) for name in ("before", "meanwhile", "again")] == [201] * 3


_WAIVER = """
[[waiver]]
advisory = "{name}"
reason = "This service parses no multipart bodies, which is what it is about."
expires = {day}
"""


@pytest.mark.world
def test_the_audit_names_an_advisory_and_a_waiver_lets_it_wait(newer: Path) -> None:
    (audit,) = section()["An advisory appears on Friday"]
    found = advisory("PYSEC-0000-2", "starlette", "99.1", "CVE-0000-0002")  # made up
    with serving(found) as osv:
        said = audit.run(newer, 1, AUDIT_OSV_URL=osv.address)
        assert re.search(r"starlette \S+ has PYSEC-0000-2\n    fixed in 99\.1;", said)

        day = (datetime.now(UTC) + timedelta(days=3)).date()
        with (newer / "audit-waivers.toml").open("a") as waivers:
            waivers.write(_WAIVER.format(name="CVE-0000-0002", day=day))
        audit._replace(printed="...").run(newer, 0, AUDIT_OSV_URL=osv.address)


@pytest.mark.world
def test_the_end_of_a_certificate_is_told_of_tls_and_of_postgresql(tmp_path: Path) -> None:
    (look,) = section()["A certificate ends"]
    certify(tmp_path / "both.pem")
    command = ["openssl", "x509", "-noout", "-enddate", "-in", str(tmp_path / "both.pem")]
    end = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    port = free_port()
    server: list[str | Path] = ["openssl", "s_server", "-accept", str(port), "-cert", tmp_path / "both.pem", "-quiet"]
    with running(server, port, tmp_path / "log", tmp_path):
        assert look.run(tmp_path, HOST_AND_PORT=f"127.0.0.1:{port}") == end

    certificate(tmp_path / "tls")
    cluster = Cluster(tmp_path / "server", "ssl=on")
    give(cluster, tmp_path / "tls")
    of_postgresql = look._replace(command=look.command.replace("-connect", "-starttls postgres -connect"))
    with cluster.running():
        of_postgresql.run(tmp_path, HOST_AND_PORT=f"127.0.0.1:{cluster.port}")


def give(cluster: Cluster, folder: Path) -> None:
    """Give a PostgreSQL its certificate and key."""
    owner = cluster.data.stat()
    for name in ("server.crt", "server.key"):
        file = cluster.data / name
        file.write_bytes((folder / name).read_bytes())
        file.chmod(0o600)
        os.chown(file, owner.st_uid, owner.st_gid)


@pytest.mark.world
def test_the_next_authority_of_postgresql_needs_no_restart(installed: Emit, tmp_path: Path) -> None:
    folder, trusted = installed(**ACCOUNTS), tmp_path / "trusted.crt"
    certificate(tmp_path / "present")
    certificate(tmp_path / "next")
    trusted.write_bytes((tmp_path / "present/ca.crt").read_bytes())
    server = Cluster(tmp_path / "server", "ssl=on")
    give(server, tmp_path / "present")
    with server.running():
        url = f"postgresql://postgres@localhost:{server.port}/postgres?hostaddr=127.0.0.1"
        url += f"&sslmode=verify-full&sslrootcert={quote(str(trusted))}"
        migrate(folder, url)
        with served(folder, tmp_path / "log", settings(url)) as service:
            assert service.register("alice") == 201
            give(server, tmp_path / "next")
            server.ask("SELECT pg_reload_conf()")
            until(lambda: change(server) and service.sign_in("alice") == 503)  # as nobody had told it

            trusted.write_text(trusted.read_text() + (tmp_path / "next/ca.crt").read_text())

            assert service.sign_in("alice") == 201


@pytest.mark.world
def test_the_next_authority_of_redis_needs_no_restart(installed: Emit, tmp_path: Path) -> None:
    folder, trusted, log, port = installed(**ACCOUNTS), tmp_path / "trusted.crt", tmp_path / "log", free_port()
    certificate(tmp_path / "present")
    certificate(tmp_path / "next")
    trusted.write_bytes((tmp_path / "present/ca.crt").read_bytes())
    present, following = (
        ["tls-cert-file", str(tmp_path / name / "server.crt"), "tls-key-file", str(tmp_path / name / "server.key")]
        for name in ("present", "next")
    )
    options = ["--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no"]
    options += [f"--{each}" if each.startswith("tls-") else each for each in present]
    options += ["--tls-ca-cert-file", str(trusted)]
    url = f"rediss://localhost:{port}/0?ssl_ca_certs={quote(str(trusted))}"
    with (
        redis_at(port, tmp_path, *options),
        served(folder, log, settings(sqlite(tmp_path), url)) as service,
    ):
        assert [service.register("alice"), service.sign_in("alice")] == [201, 201]
        ask_redis(port, "--tls", "--insecure", "config", "set", *following)
        ask_redis(port, "--tls", "--insecure", "client", "kill", "type", "normal", "skipme", "yes")
        until(lambda: service.ask("GET", "/session") == 503)

        trusted.write_text(trusted.read_text() + (tmp_path / "next/ca.crt").read_text())

        until(lambda: service.ask("GET", "/session") == 200)
        assert '"event":"store_back"' in log.read_text()


def change(server: Cluster) -> bool:
    """Let every connection of a client be made anew."""
    others = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
    return bool(server.ask(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}"))  # noqa: S608
