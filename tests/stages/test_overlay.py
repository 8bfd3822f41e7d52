"""What an organisation lays over a service: its steps, its checks and its certificates, as they are installed."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from copier import run_copy

from ..conftest import REPOSITORY, in_one_text
from ..fake_osv import serving
from ..organisation import CHECKS, overlay_with
from ..proxies import SELF_SIGNED
from .runs import PACKAGE, Prove, outcomes, told

STEPS = f"src/{PACKAGE}/hardening_overlay"
PRODUCTION = {"APP_ENV": "production", "APP_ALLOWED_HOSTS": "api.example.com", "APP_TRUSTED_PROXIES": "none"}
# What `serve` and its workers do, and then one request.
ASK = """
import asyncio, sys
from orders_api.__main__ import build
async def ask(app, *headers):
    sent = []
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "path": "/nowhere", "raw_path": b"/nowhere"}
    scope |= {"query_string": b"", "scheme": "https", "headers": [(b"host", b"api.example.com"), *headers]}
    scope |= {"client": ("192.0.2.1", 5000), "server": ("127.0.0.1", 8000)}
    async def receive(): return {"type": "http.request", "body": b""}
    async def send(message): sent.append(message)
    await app(scope, receive, send)
    return sent[0]["status"], [name for name, _ in sent[0]["headers"]].count(b"strict-transport-security")
app = build()
print(asyncio.run(ask(app)), asyncio.run(ask(app, (b"x-http-method-override", b"DELETE"))))
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository of an organisation that begins with the example."""
    return overlay_with(tmp_path_factory.mktemp("organisation") / "overlay", "v1.0.0")


@pytest.fixture
def overlaid(service: Path, overlay: Path) -> Path:
    """The service with the organisation's overlay on top."""
    run_copy(str(overlay), service, data={"package_name": PACKAGE}, defaults=True, quiet=True)
    return service


@pytest.fixture
def run(python: tuple[Path, Path], service: Path) -> Run:
    """Run the service's interpreter in the copy."""

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return in_one_text([python[1], *arguments], service, PYTHONPATH=str(service / "src"), **variables)

    return run


def test_the_organisations_step_refuses_in_the_service_and_not_in_the_probe(overlaid: Path, run: Run) -> None:
    assert run("-c", ASK, **PRODUCTION).stdout.splitlines()[-1] == "(404, 1) (400, 1)"
    probe = ASK.replace("orders_api.__main__", "verify.probe.__main__")
    probe = probe.replace("import build", "import command\nbuild = command.build")
    assert run("-c", probe, **PRODUCTION).stdout.splitlines()[-1] == "(404, 1) (404, 1)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("STEPS = (", "SyntaxError"),
        ("import nowhere\nSTEPS = ()\n", "No module named 'nowhere'"),
        ("STEP = ()\n", "no attribute 'STEPS'"),
        ("class Late: ...\n\nSTEPS = (Late,)\n", "which is no subclass of Step"),
    ],
)
def test_steps_that_cannot_be_taken_are_named(overlaid: Path, run: Run, text: str, words: str) -> None:
    (overlaid / STEPS / "__init__.py").write_text(text)

    ran = run("-m", PACKAGE, "check", **PRODUCTION)

    assert ran.returncode == 1
    assert words in ran.stdout
    assert "Traceback" not in ran.stdout


def test_what_an_overlay_leaves_behind_is_none(overlaid: Path, run: Run, prove: Prove) -> None:
    (overlaid / STEPS / "__pycache__").mkdir()
    for name in (f"{STEPS}/__init__.py", f"{STEPS}/ca.crt", CHECKS, ".copier-answers.overlay.yml"):
        (overlaid / name).unlink()

    assert run("-c", ASK, **PRODUCTION).stdout.splitlines()[-1] == "(404, 1) (404, 1)"
    assert [check["seen"] for check in prove("overlay")] == ["this service has no overlay"]


def test_the_stage_says_what_is_from_the_organisation(overlaid: Path, overlay: Path, prove: Prove) -> None:
    checks = prove("overlay")

    assert outcomes(checks) == {"proved", "not_looked_at"}, told(checks)
    assert {check["id"] for check in checks} == {
        *("overlay.used", "overlay.certificates", "overlay.checks-run", "overlay.base-images")
    }
    assert checks[0]["seen"] == f"v1.0.0 of {overlay}; steps in {STEPS}; checks in verify_overlay"


def test_a_check_of_the_organisation_is_red_and_green(overlaid: Path, run: Run) -> None:
    green = run("-m", "verify", "--only", "overlay")
    dockerfile = overlaid / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("FROM python:3.14-slim\n", "FROM alpine:latest\n"))

    red = run("-m", "verify", "--only", "overlay")

    assert green.returncode == 0, green.stdout
    assert red.returncode == 1, red.stdout
    assert "INSECURE  overlay: images are built on a base that we patch\n    alpine:latest\n" in red.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def checks(options): return [3]\n", "which is no Check"),
        ("raise RuntimeError('no such team')\n", "RuntimeError: no such team"),
        (
            "from verify.result import UnverifiedError\ndef checks(_): raise UnverifiedError('x', 'y')\n",
            "could not tell",
        ),
        ("", "no attribute 'checks'"),
        ("def checks(options): raise SystemExit(0)\n", "SystemExit: 0"),
        (
            "from verify.result import Rule\ndef checks(_): yield Rule('a', 'b.c', 'd')._check(0, 'e', '')\n",
            "which is no Check",
        ),
    ],
)
def test_a_check_that_fails_is_no_proof(overlaid: Path, prove: Prove, text: str, words: str) -> None:
    (overlaid / CHECKS).write_text(text)

    checks = prove("overlay")

    assert outcomes(checks) == {"proved", "not_looked_at", "unverified"}, told(checks)
    assert words in told(checks)


def test_a_check_that_never_ends_is_no_proof_and_does_not_keep_verify(overlaid: Path, prove: Prove) -> None:
    (overlaid / CHECKS).write_text(
        "import time\nfrom verify.result import Rule\n"
        "def checks(_):\n    yield Rule('a', 'b.c', 'd').proved('e')\n    time.sleep(600)\n"
    )

    checks = prove("overlay", prepare="from verify.stages import overlay; overlay.TIMEOUT = 0.5")

    assert [(each["id"], each["outcome"]) for each in checks][2:] == [
        ("overlay.b.c", "proved"),
        ("overlay.checks-run", "unverified"),
    ]
    assert "verify_overlay was not over after 0.5 s" in told(checks)


@pytest.mark.parametrize(("folder", "says"), [(STEPS, "steps"), ("verify_overlay", "checks")])
def test_a_single_module_is_seen_as_python_sees_it(
    service: Path, run: Run, prove: Prove, folder: str, says: str
) -> None:
    (service / f"{folder}.py").write_text("STEPS = ()\ndef checks(_): raise RuntimeError('it runs')\n")

    checks = prove("overlay")

    assert f"; {says} in " in checks[0]["seen"]
    assert ("it runs" in told(checks)) == (says == "checks")
    (service / f"{folder}.py").write_text("STEPS = 3\n")
    assert ("steps.E007" in run("-m", PACKAGE, "check", **PRODUCTION).stdout) == (says == "steps")


def test_what_a_check_prints_is_no_part_of_the_record(overlaid: Path, run: Run) -> None:
    (overlaid / CHECKS).write_text("def checks(_):\n    print('asking the inventory')\n    return []\n")
    no_errors = "import os; os.dup2(os.open(os.devnull, os.O_WRONLY), 2); from verify.__main__ import main; "

    ran = run("-c", no_errors + "main(['--only', 'overlay', '--format', 'json'])")

    assert json.loads(ran.stdout)["outcome"] == "proved"


def test_no_check_of_the_organisation_takes_the_id_of_another(overlaid: Path, prove: Prove) -> None:
    rule = "Rule('docker', 'docker.user', 'x').proved('y')"
    (overlaid / CHECKS).write_text(f"from verify.result import Rule\ndef checks(_): yield {rule}\n")

    assert [(each["step"], each["id"]) for each in prove("overlay")][2] == ("overlay", "overlay.docker.user")


def test_steps_that_nothing_takes_are_insecure(overlaid: Path, prove: Prove) -> None:
    shutil.move(overlaid / STEPS, overlaid / "src" / "other" / "hardening_overlay")

    checks = prove("overlay")

    assert "insecure" in outcomes(checks)
    assert f"It has to be src/{PACKAGE}/hardening_overlay/__init__.py" in told(checks)


# Its certificates


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of an authority, and a certificate and key for localhost that it has signed."""
    folder = tmp_path_factory.mktemp("authority")
    signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost"]
    signed += ["-addext", "basicConstraints=critical,CA:FALSE"]
    for name, subject, more in (("ca", "/CN=Acme", []), ("own", "/CN=x", signed)):
        command = [*SELF_SIGNED, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", subject, *more]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def behind_tls(server: HTTPServer, authority: Path) -> str:
    """Let a server that listens already speak TLS; its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "own.crt", authority / "own.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return f"https://localhost:{server.server_port}"


def trusting(overlaid: Path, authority: Path) -> None:
    shutil.copyfile(authority / "ca.crt", overlaid / STEPS / "ca.crt")


def test_the_audit_reaches_a_service_behind_the_organisations_authority(
    overlaid: Path, run: Run, authority: Path
) -> None:
    with serving() as osv:
        address = behind_tls(osv, authority)
        without = run("-m", "verify", "--only", "audit", AUDIT_OSV_URL=address)
        asked = len(osv.asked)
        trusting(overlaid, authority)
        with_it = run("-m", "verify", "--only", "audit", AUDIT_OSV_URL=address)

    assert (without.returncode, asked) == (2, 0), without.stdout
    assert "shows a certificate that is not trusted here" in " ".join(without.stdout.split())
    assert with_it.returncode == 0, with_it.stdout


@contextmanager
def index(authority: Path) -> Iterator[tuple[str, list[str]]]:
    """An index that holds nothing, and what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    address = behind_tls(server, authority)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"{address}/simple", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_hook_locks_from_an_index_behind_the_organisations_authority(overlaid: Path, authority: Path) -> None:
    (overlaid / "uv.lock").unlink()
    hook = [sys.executable, str(REPOSITORY / "hooks" / "post_generate.py"), f"--package={PACKAGE}", "--checks=warn"]
    with index(authority) as (address, asked):
        variables = {"UV_DEFAULT_INDEX": address, "UV_NO_CACHE": "1", "UV_HTTP_RETRIES": "0", "NO_PROXY": "localhost"}
        without = in_one_text([*hook, "--destination=x"], overlaid, **variables)
        before = list(asked)
        trusting(overlaid, authority)
        with_it = in_one_text([*hook, "--destination=x"], overlaid, **variables)

    assert "certificate that is not trusted here" in without.stdout
    assert before == []
    assert "certificate that is not trusted here" not in with_it.stdout
    assert asked, with_it.stdout


def test_what_is_trusted_already_stays_trusted(overlaid: Path, authority: Path, run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    other.write_text("# what this machine trusts\n")
    trusting(overlaid, authority)
    show = "import os; from pathlib import Path; from verify.runner.certificates import *; trust(Path.cwd());"
    show += "print([os.environ[name] for name in VARIABLES], Path(os.environ['SSL_CERT_FILE']).read_text())"

    said = run("-c", show, REQUESTS_CA_BUNDLE=str(other), SSL_CERT_FILE="", GIT_SSL_CAINFO="").stdout

    assert said.count(str(overlaid.resolve() / ".hardening" / "certificates.crt")) == 3
    assert "# what this machine trusts" in said
    assert (authority / "ca.crt").read_text() in said


def test_what_is_no_certificate_is_said_and_not_used(overlaid: Path, prove: Prove) -> None:
    (overlaid / STEPS / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n")

    checks = prove("overlay")

    assert "unverified: the organisation's certificates can be read" in told(checks)
    assert not (overlaid / ".hardening" / "certificates.crt").exists()
    assert os.environ.get("SSL_CERT_FILE", "") != str(overlaid / ".hardening" / "certificates.crt")


def test_certificates_of_no_authority_and_expired_ones_are_not_called_proved(
    overlaid: Path, authority: Path, prove: Prove
) -> None:
    ca = overlaid / STEPS / "ca.crt"
    shutil.copyfile(authority / "own.crt", ca)
    assert "none of them is an authority's" in told(prove("overlay"))

    key = str(authority / "ca.key")
    expired = ["openssl", "x509", "-in", str(authority / "ca.crt"), "-signkey", key, "-days", "-1", "-out", str(ca)]
    subprocess.run(expired, check=True, capture_output=True)
    checks = prove("overlay")

    assert "warning" in outcomes(checks)
    assert "one of them has expired" in told(checks)
