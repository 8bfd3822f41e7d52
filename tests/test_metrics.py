"""Metrics: where their package is installed, behind real proxies, of several workers, and as Prometheus takes them."""

import ast
import http.client
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from .conftest import PATIENCE, REPOSITORY, Emit
from .proxies import HOST, Proxy, free_port, haproxy, in_front, nginx, running

SCRAPER, UNTRUSTED = "127.0.0.7", "127.0.0.5"
SETTINGS = {
    "APP_ALLOWED_HOSTS": HOST,
    "APP_TRUSTED_PROXIES": "127.0.0.1",
    "APP_RATE_LIMIT": "900000/1s",
    "APP_STORE_URL": "memory://",
    "APP_METRICS_FROM": "127.0.0.0/28",  # all of the three: each bound is tried by itself
}
ALERTS = REPOSITORY / "template/monitoring/alerts.yml"
FORGED: list[dict[str, str]] = [
    {},
    {"X-Forwarded-For": SCRAPER},
    {"X-Forwarded-For": f"{SCRAPER}, {SCRAPER}", "X-Real-IP": SCRAPER},
    {"Forwarded": f"for={SCRAPER}"},
    {"Connection": "close, X-Forwarded-For, X-Real-IP, Via"},
    {"Host": f"127.0.0.1:{9}"},
    {"X_Forwarded_For": SCRAPER},
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `prometheus-client`, as `uv add` would bring it."""
    folder = tmp_path_factory.mktemp("client")
    subprocess.run(["uv", "pip", "install", "--quiet", "--target", folder, "prometheus-client"], check=True)
    return folder


@pytest.fixture(scope="module")
def service(installed: Emit) -> Path:
    return installed(example="minimal", store="redis")


def newest() -> str:
    """The newest release that the changelog has."""
    found = re.search(r"^## \[(\d+\.\d+\.\d+)\]", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def measured() -> str:
    (path,) = REPOSITORY.glob("template/src/*/hardening/asgi/measured.py")
    return path.read_text()


def test_the_release_that_is_shown_is_the_newest() -> None:
    assert f'RELEASE = "{newest()}"' in measured()


def test_the_owned_tests_hold_where_the_package_is_installed(service: Path, client: Path) -> None:
    command: list[str | Path] = [service / ".venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-c", "tests/hardening/pytest.ini", "tests/hardening/test_measured.py"]
    environment = {**os.environ, "PYTHONPATH": str(client)}

    done = subprocess.run(command, cwd=service, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_asks_for_what_there_is() -> None:
    names = set()
    for node in ast.walk(ast.parse(measured())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "_counter",
            "_gauge",
            "Histogram",
        ):
            found = node.args[0]
            if isinstance(found, ast.Constant):
                name = "hardening_" + str(found.value).removeprefix("hardening_")
                names |= {name, f"{name}_total", f"{name}_bucket"}
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]

    asked = {name for rule in group["rules"] for name in re.findall(r"hardening_\w+", rule["expr"])}

    assert len(names) >= 27
    assert asked <= names
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in group["rules"])


@pytest.mark.world
def test_prometheus_takes_the_alerts() -> None:
    program = shutil.which("promtool")
    assert program is not None, "promtool is not installed; .ci/run installs it"

    done = subprocess.run([program, "check", "rules", ALERTS], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS: 9 rules found" in done.stdout


@contextmanager
def serving(service: Path, client: Path, folder: Path, *arguments: str, **settings: str) -> Iterator[int]:
    """The port of the probe application as production would serve it."""
    port = free_port()
    command: list[str | Path] = [service / ".venv/bin/python", "-m", "verify.probe", "serve", "--port", str(port)]
    variables = {**SETTINGS, "PYTHONPATH": str(client), "TMPDIR": str(folder), **settings}
    with running([*command, *arguments], port, folder / "service.log", service, **variables):
        yield port


def ask(port: int, path: str, headers: dict[str, str], source: str = "127.0.0.1") -> tuple[int, list[str], str]:
    """What comes back, without what differs from one request to the next."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
    connection.request("GET", path, headers={"Host": HOST, **headers})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    fields = [f"{name}: {value}" for name, value in response.getheaders() if name.lower() not in ("date", "ratelimit")]
    return response.status, [re.sub("[0-9a-f]{32}", "*", each) for each in fields], re.sub("[0-9a-f]{32}", "*", body)


ONE = nginx("proxy_pass http://127.0.0.1:{one};")
WAYS: dict[str, list[Proxy]] = {
    "nginx": [ONE],
    "haproxy, which names nobody": [haproxy("server one 127.0.0.1:{one}")],
    "nginx behind nginx": [ONE, ONE],
    "haproxy behind nginx": [haproxy("server one 127.0.0.1:{one}"), ONE],
    "nginx, which nobody trusts": [nginx(f"proxy_bind {UNTRUSTED}; proxy_pass http://127.0.0.1:{{one}};")],
    "nginx, which nobody trusts, behind haproxy": [
        nginx(f"proxy_bind {UNTRUSTED}; proxy_pass http://127.0.0.1:{{one}};"),
        haproxy("server one 127.0.0.1:{one}"),
    ],
}


@pytest.mark.world
def test_no_way_through_a_proxy_tells_the_path_from_an_unknown_one(service: Path, client: Path, tmp_path: Path) -> None:
    differ = []
    with serving(service, client, tmp_path) as port:
        assert ask(port, "/metrics", {"Host": f"127.0.0.1:{port}"}, SCRAPER)[0] == 200
        for number, (way, proxies) in enumerate(WAYS.items()):
            with ExitStack() as stack:
                front = port
                for place, proxy in enumerate(proxies):
                    folder = tmp_path / f"{number}-{place}"
                    folder.mkdir()
                    front = stack.enter_context(in_front(proxy, [front, front], folder))
                for headers in FORGED:
                    for source in ("127.0.0.2", SCRAPER):
                        metrics, unknown = (ask(front, path, headers, source) for path in ("/metrics", "/metricz"))
                        if metrics != unknown or metrics[0] not in (400, 404):
                            differ.append((way, headers, source, metrics[0], unknown[0]))

    assert differ == []


@pytest.mark.world
def test_each_of_several_workers_tells_of_all_and_of_those_that_died(
    service: Path, client: Path, tmp_path: Path
) -> None:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    assert program is not None, "neither redis-server nor valkey-server is installed; .ci/run installs one"
    store = free_port()
    redis: list[str | Path] = [program, "--port", str(store), "--save", "", "--dir", tmp_path]

    def shown(port: int) -> str:
        """What is shown of requests and places, once every worker has written down its own."""
        text = ""
        with suppress(OSError):  # what waited for a worker that died
            text = ask(port, "/metrics", {"Accept": "text/plain"}, SCRAPER)[2]
        return "\n".join(line for line in text.splitlines() if re.match("hardening_(requests_total|places)", line))

    def wait_for(port: int, *expected: str) -> None:
        end = time.monotonic() + PATIENCE
        while not all(each in shown(port) for each in expected):
            assert time.monotonic() < end, f"{expected} are not in\n{shown(port)}"
            time.sleep(0.1)

    places = 'hardening_places{kind="requests"} 1536.0'
    answered = 'hardening_requests_total{method="GET",route="/ok",status="200"} 60.0'
    url = f"redis://127.0.0.1:{store}/0"
    with (
        running(redis, store, tmp_path / "redis.log", tmp_path),
        serving(service, client, tmp_path, "--workers", "3", APP_STORE_URL=url) as port,
    ):
        wait_for(port, places)
        for _ in range(60):
            assert ask(port, "/ok", {})[0] == 200
        for _ in range(10):
            wait_for(port, places, answered)
        files = {path.name for path in tmp_path.glob("metrics-*/counter_*.db")}
        workers = {int(name.removesuffix(".db").rpartition("_")[2]) for name in files}
        os.kill(workers.pop(), 9)
        wait_for(port, places, answered)
    assert list(tmp_path.glob("metrics-*")) == []
