"""`python -m verify` in emitted services: it proves what holds, finds what does not, and leaves nothing behind."""

import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .conftest import PATIENCE, Emit, in_world_but, include_orders
from .default_signals import with_default_signals
from .stages.runs import named_twice

STEPS = ("headers", "rate_limit", "validation", "errors", "cors", "cookies", "sessions", "server")
HARDENING = Path("src/orders_api/hardening")

# For each step, what a saboteur adds at the end of the module that protects it.
SABOTEURS = {
    "headers": ("steps/headers.py", "_VALUES.clear()"),
    "rate_limit": ("steps/rate_limit.py", "async def _pass(self, x): return None\nRateLimit.refuse = _pass"),
    "validation": ("core/json_text.py", "def check_json(body): pass"),
    "errors": ("steps/errors.py", "Errors.unhandled = lambda self, request_id, exc: str(exc).encode()"),
    "cors": ("steps/cors.py", "CrossOrigin.refuse = lambda self, x: None"),
    "cookies": ("steps/cookies.py", "def secure_cookies(headers, *_): return headers, []"),
    "sessions": ("stores/memory_sessions.py", "MemorySessions._drop = lambda self, key: None"),
    "server": ("asgi/connections.py", "async def _pass(*_): return 0.0\nConnections.look = _pass"),
}


@pytest.fixture(scope="session")
def synced(installed: Emit) -> Path:
    """A service with everything installed. Tests read it; one that writes takes a copy."""
    return installed(example="minimal")


class Verified:
    """One run of verify: exit code, output, record."""

    def __init__(self, service: Path, process: subprocess.CompletedProcess[str]) -> None:
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr
        path = service / ".hardening" / "last-verify.json"
        self.record: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}

    def outcomes(self, step: str) -> set[str]:
        return {check["outcome"] for check in self.record["checks"] if check["step"] == step}

    def red(self) -> set[str]:
        """The steps that have a check which is insecure or could not be verified."""
        return {check["step"] for check in self.record["checks"] if check["outcome"] in ("insecure", "unverified")}


def verify(service: Path, *arguments: str, **variables: str) -> Verified:
    process = subprocess.run(
        [str(service / ".venv/bin/python"), "-m", "verify", *arguments],
        cwd=service,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return Verified(service, process)


def copy(synced: Path, folder: Path) -> Path:
    """A copy of the service that may be changed, with the libraries of the first and its own code."""
    service = folder / "orders-api"
    shutil.copytree(synced, service, ignore=shutil.ignore_patterns(".venv", ".hardening"))
    shutil.copytree(synced / ".venv", service / ".venv", symlinks=True, copy_function=os.link)
    for path in (service / ".venv").rglob("*.pth"):
        text = path.read_text()
        path.unlink()
        path.write_text(text.replace(str(synced), str(service)))
    return service


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes that run with the interpreter of a folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line]


def pids_of(folder: Path) -> list[int]:
    """The processes that run with the interpreter of a folder."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listed.splitlines() if str(folder) in line]


def test_a_fresh_service_withstands_every_attack_in_seconds(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    (service / ".env").write_text("APP_ENV=development\nAPP_CORS_ORIGINS=*\nAPP_RATE_LIMIT=9/1s\n")

    run = verify(service, "--only", "attacks", APP_ENV="development", APP_RATE_LIMIT="1/1s", PYTHONPATH="/nowhere")

    assert run.code == 0, run.out
    assert {check["step"] for check in run.record["checks"]} == set(STEPS)
    assert not named_twice(run.record["checks"])
    assert not run.red()
    assert run.record["outcome"] == "proved"
    assert run.record["overridden"]["ignored"] == ["APP_ENV", "APP_RATE_LIMIT"]
    assert run.record["overridden"]["service"]["APP_TRUSTED_PROXIES"] == "127.0.0.1"
    assert run.record["seconds"].keys() == {"attacks"}
    assert run.out.startswith("attacks ...\nattacks ")
    assert "\x1b" not in run.out
    assert not processes_of(service)


def test_every_step_is_proved_when_all_examples_are_gone(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    (service / "src/orders_api/routes/users.py").unlink()
    for test in (service / "tests").glob("test_*.py"):
        test.unlink()
    app = service / "src/orders_api/app.py"
    app.write_text(re.sub(r".*\busers\b.*\n", "", app.read_text()))

    run = verify(service, "--only", "attacks", "--format", "json")

    assert run.code == 0, run.out
    told = json.loads(run.out)
    assert told == run.record
    for step in STEPS:
        assert run.outcomes(step) <= {"proved", "not_looked_at"}


@pytest.mark.parametrize("step", STEPS)
def test_a_control_that_is_off_turns_its_step_red_and_no_other(synced: Path, tmp_path: Path, step: str) -> None:
    service = copy(synced, tmp_path)
    name, sabotage = SABOTEURS[step]
    path = service / HARDENING / name
    path.write_text(f"{path.read_text()}\n\n{sabotage}\n")

    run = verify(service, "--only", "attacks")

    assert run.red() == {step}, run.out
    assert run.code == 1
    assert "insecure" in run.outcomes(step)


def test_routes_of_the_team_are_found_and_attacked(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    (service / "src/orders_api/routes/orders.py").write_text(
        """
from fastapi import APIRouter, Request, Response, WebSocket
from ..hardening import ApiModel, policy, public

router = APIRouter(prefix="/orders")

@router.post("/{number}/{part}", status_code=204)
@public
async def loose(request: Request, number: int, part: int) -> None:
    await request.body()

@router.websocket("/feed")
@public
async def feed(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())

@router.get("/page")
@public
async def page() -> Response:
    return Response("x", headers={"X-Powered-By": "canary", "Set-Cookie": "a=1"})
"""
    )
    include_orders(service)

    run = verify(service, "--only", "validation")
    across = verify(service, "--only", "cors")

    assert across.code == 0, across.out
    sockets = [check["seen"] for check in across.record["checks"] if "of your WebSockets" in check["name"]]
    assert sockets, across.record
    assert "no WebSocket" not in sockets[0]
    assert run.code == 0, run.out
    seen = {check["id"]: check["seen"] for check in run.record["checks"]}
    assert seen["validation.own-query"] == "422 (4 routes)"
    assert seen["validation.own-content-type"] == "415 (2 routes)"
    assert {check["step"] for check in run.record["checks"]} == {"validation"}


def test_a_stream_without_end_a_shadowed_route_and_a_probe_that_says_no_stop_no_attack(
    synced: Path, tmp_path: Path
) -> None:
    service = copy(synced, tmp_path)
    (service / "src/orders_api/routes/orders.py").write_text(
        """
import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse
from ..hardening import public

router = APIRouter(prefix="/orders")

@router.get("/beats")
@public
async def beats() -> StreamingResponse:
    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b": beat\\n\\n"
            await asyncio.sleep(0.3)

    return StreamingResponse(forever(), media_type="text/event-stream")

@router.get("/{rest:path}")
@public
async def rest(rest: Annotated[str, Path(max_length=100)]) -> None:
    pass

@router.get("/late")
@public
async def late() -> None:
    pass

async def database() -> bool:
    raise ConnectionRefusedError
"""
    )
    app = include_orders(service)
    app.write_text(
        app.read_text().replace("        settings,\n", "        settings,\n        ready=[orders.database],\n")
    )

    run = verify(service, "--only", "headers")

    assert run.code == 2, run.out
    seen = {check["id"]: check["seen"] for check in run.record["checks"] if check["outcome"] != "proved"}
    assert seen.keys() == {"attacks.service-is-ready", "attacks.routes-are-reached"}
    assert "database: ConnectionRefusedError" in seen["attacks.service-is-ready"]
    assert "GET /orders/late" in seen["attacks.routes-are-reached"]
    assert run.record["seconds"]["attacks"] < 20
    assert not processes_of(service)


@pytest.mark.parametrize("quota", in_world_but(["3000/1s", "900000/1s"], lambda quota: quota == "900000/1s"))
def test_a_quota_too_large_to_use_up_is_not_verified(synced: Path, tmp_path: Path, quota: str) -> None:
    service = copy(synced, tmp_path)
    project = service / "pyproject.toml"
    project.write_text(f'{project.read_text()}\n[tool.hardening.verify.environment]\nAPP_RATE_LIMIT = "{quota}"\n')

    run = verify(service, "--only", "rate_limit")

    assert run.outcomes("rate_limit") <= {"proved", "unverified"}, run.out
    assert run.code == 0 or 'APP_RATE_LIMIT = "100/15m"' in run.out


def test_a_second_interrupt_ends_everything_at_once(synced: Path) -> None:
    code = """if True:
        import os, pathlib, sys, time
        from verify.runner import processes
        processes.install_signal_handlers()
        deaf = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print(1, flush=True); time.sleep(60)"
        child = processes.start([sys.executable, "-c", deaf], pathlib.Path.cwd(), os.environ, sys.stdout.buffer)
        try:
            time.sleep(60)
        finally:
            processes.end(child, 60)
    """
    command = with_default_signals([synced / ".venv/bin/python", "-c", code])
    process = subprocess.Popen(command, cwd=synced, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)  # `uv run` passes on what the whole group got already
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)

    assert process.communicate(timeout=30)[0] == b""  # nobody holds the other end any more
    assert process.returncode == 2


def test_a_service_that_does_not_start_shows_its_last_words(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    settings = service / "src/orders_api/settings.py"
    settings.write_text(settings.read_text().rstrip() + "\n\n    api_key: str\n")

    run = verify(service, "--only", "cors")

    assert run.code == 2
    assert "APP_API_KEY cannot be read" in run.out
    assert "[tool.hardening.verify.environment]" in run.out
    assert "Traceback" not in run.out + run.err
    assert not processes_of(service)

    project = service / "pyproject.toml"
    project.write_text(project.read_text() + '\n[tool.hardening.verify.environment]\nAPP_API_KEY = "made up"\n')
    assert verify(service, "--only", "cors").code == 0


def test_what_code_of_the_teams_asks_for_as_it_is_imported_comes_from_the_table(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    app = service / "src/orders_api/app.py"
    app.write_text(
        app.read_text().replace("from .hardening", 'import os\n\nTHEIRS = os.environ["THEIR_KEY"]\nfrom .hardening', 1)
    )
    project = service / "pyproject.toml"
    project.write_text(project.read_text() + '\n[tool.hardening.verify.environment]\nTHEIR_KEY = "made up"\n')

    run = verify(service, "--thorough", "--only", "server")

    assert run.code == 0, run.out
    assert "it refuses to start: proxy.E001, hosts.E001" in run.out


@pytest.mark.parametrize(("number", "wait"), [(signal.SIGINT, 0.0), (signal.SIGINT, 1.5), (signal.SIGTERM, 1.0)])
def test_an_interrupt_leaves_no_process_and_no_traceback(
    synced: Path, tmp_path: Path, number: int, wait: float
) -> None:
    service = copy(synced, tmp_path)
    process = subprocess.Popen(
        with_default_signals([service / ".venv/bin/python", "-m", "verify", "--only", "attacks"]),
        cwd=service,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "attacks ...\n"
    time.sleep(wait)
    ports = listening(service)
    process.send_signal(number)

    out, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 2, out
    assert "Traceback" not in out
    assert "Run it again" in out
    assert not processes_of(service)
    assert not ports & listening(service)
    record = json.loads((service / ".hardening/last-verify.json").read_text())
    assert (record["interrupted"], record["stopped_at"], record["outcome"]) == (True, "attacks", "unverified")


@pytest.mark.parametrize(
    ("command", "at"),
    in_world_but(
        [
            *(
                ("verify", at)
                for at in ("__init__", "result", "attacks/__init__", "runner/terminal", "upkeep/prerequisites")
            ),
            *(("verify.bounds", at) for at in ("__init__", "runner/subprocesses", "upkeep/bounds")),
            *(("verify.update", at) for at in ("__init__", "upkeep/prerequisites", "upkeep/template_repo")),
        ],
        lambda case: case[1] in ("attacks/__init__", "upkeep/bounds", "upkeep/template_repo"),
    ),
)
def test_an_interrupt_during_the_imports_is_one_line(synced: Path, tmp_path: Path, command: str, at: str) -> None:
    service = copy(synced, tmp_path)
    module = service / f"verify/{at}.py"
    module.write_text(f"{module.read_text()}\nimport os\nos.kill(os.getpid(), 2)\nprint('imported')\n")

    ended = subprocess.run(
        with_default_signals([service / ".venv/bin/python", "-m", command]),
        cwd=service,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "Stopped before its end: nothing is proved. Run it again.\n"


def test_a_run_that_is_killed_leaves_no_older_proof(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    kept = service / ".hardening/last-verify.json"
    assert verify(service, "--only", "headers").record["outcome"] == "proved"
    lock = service / "verify/stages/lock.py"
    lock.write_text(f"import time\ntime.sleep(60)\n{lock.read_text()}")

    command = [str(service / ".venv/bin/python"), "-m", "verify"]
    with subprocess.Popen(command, cwd=service, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "lock ...\n":
            pass
        process.kill()
    for suite in pids_of(service):  # nothing can end what a killed process has started
        os.kill(suite, signal.SIGKILL)

    record = json.loads(kept.read_text())
    assert (record["interrupted"], record["stopped_at"], record["outcome"]) == (True, "lock", "unverified")


def test_a_signal_that_the_shell_ignores_does_not_stop_a_run(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    command = ["sh", "-c", "trap '' INT HUP; exec .venv/bin/python -m verify --only configuration"]
    process = subprocess.Popen(command, cwd=service, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.readline()
    for number in (signal.SIGINT, signal.SIGHUP):
        process.send_signal(number)

    printed += process.communicate(timeout=PATIENCE)[0]

    assert process.returncode == 0, printed
    assert "all else proved" in printed


def listening(service: Path) -> set[int]:
    """The ports of the servers that run in a service's environment."""
    return {int(port) for line in processes_of(service) for port in re.findall(r"--port (\d+)", line)}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--only", "header"], "Say one of owned"), (["--only", "lock", "--target", "http://x"], "Say one of headers")],
)
def test_a_step_that_does_not_exist_is_named(synced: Path, arguments: list[str], says: str) -> None:
    run = verify(synced, *arguments)

    assert run.code == 2
    assert says in run.err
    assert "Traceback" not in run.err


def test_it_runs_from_the_root_alone(synced: Path) -> None:
    process = subprocess.run(
        [synced / ".venv/bin/python", "-m", "verify"],
        cwd=synced / "src",
        env={**os.environ, "PYTHONPATH": str(synced)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 2
    assert f"Run `cd {synced}` first." in process.stderr


def test_a_stage_that_crashes_is_not_verified_and_the_others_run(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    (service / "verify/stages/lock.py").write_text("raise RuntimeError('canary')\n")
    (service / "verify/stages/configuration/__init__.py").write_text(
        "def stage(options):\n    yield from ()\n    1 / 0\n"
    )
    (service / "tests/test_users.py").unlink(missing_ok=True)
    for name in ("audit", "sbom"):
        (service / f"verify/stages/{name}.py").write_text("def stage(options):\n    yield from ()\n")
    (service / "tests/hardening").rename(service / "tests/elsewhere")
    (service / "tests/hardening").mkdir()
    for name in ("__init__.py", "pytest.ini"):  # the attacks need nothing of the tests
        shutil.copy2(service / "tests/elsewhere" / name, service / "tests/hardening")
    shutil.rmtree(service / "tests/elsewhere")

    run = verify(service)

    assert run.code == 1, run.out
    assert run.outcomes("owned") == {"proved", "insecure"}  # the edits of this test
    for stage in ("lock", "audit", "sbom", "configuration", "tests"):
        assert run.outcomes(stage) == {"unverified"}
    assert run.red() == {"owned", "lock", "audit", "sbom", "configuration", "tests"}
    assert "RuntimeError: canary" in run.out
    assert "ZeroDivisionError" in run.out
    assert "no test was run" in run.out
    assert run.outcomes("headers") == {"proved"}
    assert list(run.record["seconds"]) == ["owned", "lock", "audit", "sbom", "configuration", "tests", "attacks"]


def test_an_owned_test_that_could_not_be_run_is_not_green(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    for test in (service / "tests/hardening").glob("test_*.py"):
        test.unlink()
    lines = ["import pytest", "def test_there(): pass", "def test_away(): pytest.skip('no server is on the PATH')"]
    (service / "tests/hardening/test_x.py").write_text("\n".join(lines))

    result = verify(service, "--thorough", "--only", "tests")

    assert result.code == 2, result.out
    assert "1 passed, 1 skipped: no server is on the PATH" in result.out


def test_tests_that_fail_or_are_all_skipped_are_not_green(synced: Path, tmp_path: Path) -> None:
    service = copy(synced, tmp_path)
    for test in (service / "tests/hardening").glob("test_*.py"):
        if test.name != "test_headers.py":
            test.unlink()
    for test in (service / "tests").glob("test_*.py"):
        test.unlink()
    mine = service / "tests/test_mine.py"
    mine.write_text("import pytest\n\n@pytest.mark.skip\ndef test_mine():\n    pass\n")
    # A fixture of the team's that breaks everything does not reach the owned tests.
    (service / "tests/conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef broken():\n    raise RuntimeError\n"
    )

    skipped = verify(service, "--only", "tests")
    mine.write_text("def test_mine():\n    pass\n")
    failed = verify(service, "--only", "tests")
    # Made-up values reach the team's tests, where the environment says nothing, and not the template's.
    with (service / "pyproject.toml").open("a") as file:
        file.write('[tool.hardening.verify.environment]\nTHEIR_TOKEN = "made up"\nTHEIR_URL = "made up"\n')
    seen = 'os.environ.get("THEIR_TOKEN"), os.environ.get("THEIR_URL")'
    for file_name, expected in (("test_mine.py", ("made up", "said")), ("hardening/test_headers.py", (None, "said"))):
        (service / "tests" / file_name).write_text(f"import os\n\ndef test_it():\n    assert ({seen}) == {expected}\n")
    (service / "tests/conftest.py").unlink()
    given = verify(service, "--only", "tests", THEIR_URL="said")

    assert skipped.code == 2, skipped.out
    assert "no test was run (1 skipped)" in skipped.out
    assert failed.code == 1, failed.out
    assert [check["outcome"] for check in failed.record["checks"]] == ["proved", "insecure"]
    assert given.code == 0, given.out


class Bare(http.server.BaseHTTPRequestHandler):
    """A service that was never hardened."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Set-Cookie", "session=1")
        self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", "*"))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def bare() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bare) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def hardened(synced: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [synced / ".venv/bin/python", "-m", "orders_api", "serve", "--port", str(port)],
        env={**os.environ, "APP_ALLOWED_HOSTS": "127.0.0.1", "APP_TRUSTED_PROXIES": "none"},
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def test_a_deployed_service_is_looked_at_politely(synced: Path, tmp_path: Path, bare: int, hardened: int) -> None:
    services = [copy(synced, tmp_path / name) for name in ("good", "bad")]
    targets = [f"http://127.0.0.1:{port}" for port in (hardened, bare)]
    began = time.monotonic()

    with ThreadPoolExecutor() as pool:
        good, bad = pool.map(lambda service, target: verify(service, "--target", target), services, targets)
    elapsed = time.monotonic() - began

    assert good.code == 0, good.out
    assert good.record["not_made"]
    assert "Not tried on a deployed service: rate limit" in good.out
    assert 10 < elapsed < 25  # two requests a second
    assert bad.code == 1, bad.out
    assert bad.red() == {"headers", "cors", "errors", "cookies"}


def test_a_deployed_service_that_is_away_or_busy_is_not_green(synced: Path, tmp_path: Path) -> None:
    class Busy(Bare):
        def do_GET(self) -> None:
            self.send_response(429)
            self.end_headers()

    service = copy(synced, tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        busy = verify(service, "--only", "cookies", "--target", f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
    away = verify(service, "--only", "cookies", "--target", "http://127.0.0.1:9")
    wrong = verify(service, "--target", "example")

    assert (busy.code, away.code, wrong.code) == (2, 2, 2)
    assert "no further request was sent" in busy.out
    assert "no answer" in away.out
    assert "takes an address such as https://" in wrong.err
