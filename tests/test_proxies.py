"""A service behind real proxies: a stranger posts what is refused early, and nobody else is harmed by it."""

import http.client
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from .conftest import PATIENCE, Emit
from .proxies import HOST, PROXIES, Proxy, free_port, in_front, running

pytestmark = pytest.mark.world

SETTINGS = {
    "APP_ALLOWED_HOSTS": HOST,
    "APP_TRUSTED_PROXIES": "127.0.0.1",
    "APP_RATE_LIMIT": "900000/1s",
    "APP_STORE_URL": "memory://",
}
REFUSED = {
    ("/nope", "application/json"): 404,
    ("/ok", "application/json"): 405,
    ("/items", "text/plain"): 415,
    ("/items?x=1", "application/json"): 422,
    ("/small", "application/json"): 413,
    ("/private", "application/json"): 401,
    ("/unread/200", "application/json"): 200,
    ("/unread/500", "application/json"): 500,
}
SIZE = 400_000
REQUESTS = 300


@pytest.fixture(scope="module")
def upstreams(installed: Emit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """The ports of two processes of the probe application, as production would serve it."""
    folder = installed(example="minimal")
    python, logs = folder / ".venv/bin/python", tmp_path_factory.mktemp("proxied")
    with ExitStack() as stack:
        ports = [free_port(), free_port()]
        for port in ports:
            command: list[str | Path] = [python, "-m", "verify.probe", "serve", "--port", str(port)]
            stack.enter_context(running(command, port, logs / f"{port}.log", folder, **SETTINGS))
        yield ports


def connect(port: int, proxy: Proxy) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    if not proxy.is_tls:
        return plain
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=HOST)


def post_in_pieces(port: int, proxy: Proxy, target: str, media_type: str) -> int:
    """The status of a post whose body comes as over a real line; 0 if there is none."""
    head = f"POST {target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: {media_type}\r\nContent-Length: {SIZE}\r\n\r\n"
    with connect(port, proxy) as connection:
        with suppress(OSError):  # a proxy may close once it has answered
            connection.sendall(head.encode() + b"a" * 20_000)
            time.sleep(0.03)
            for _ in range(20_000, SIZE, 20_000):
                connection.sendall(b"a" * 20_000)
                time.sleep(0.001)
        response = http.client.HTTPResponse(connection, method="POST")
        try:
            response.begin()
            response.read()
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            response.close()
        return response.status


def stranger(port: int, proxy: Proxy, stop: threading.Event) -> Counter[tuple[str, int, int]]:
    """Post what is refused until told to stop; what was answered in place of what."""
    answered: Counter[tuple[str, int, int]] = Counter()
    while not stop.is_set():
        for (target, media_type), status in REFUSED.items():
            answered[target, status, post_in_pieces(port, proxy, target, media_type)] += 1
    return answered


def honest(port: int, number: int) -> list[str]:
    """Requests on one kept connection, a third of them POSTs; what was lost."""
    lost = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Host": HOST, "Content-Type": "application/json"}
    for at in range(number):
        try:
            if at % 3:
                connection.request("GET", "/ok", headers={"Host": HOST})
            else:
                connection.request("POST", "/items", json.dumps({"name": "x" * 10}), headers)
            response = connection.getresponse()
            response.read()
            if response.status != (200 if at % 3 else 201):
                lost.append(str(response.status))
        except (OSError, http.client.HTTPException) as error:
            lost.append(type(error).__name__)
            connection.close()
        time.sleep(0.005)
    connection.close()
    return lost


def honest_over_http_2(port: int, number: int, folder: Path) -> list[str]:
    """The same by curl, on one connection; what was lost."""
    config = folder / f"curl-{threading.get_ident()}"
    requests = []
    for at in range(number):
        lines = [f'url = "https://{HOST}:{port}/{"ok" if at % 3 else "items"}"', 'output = "/dev/null"', "insecure"]
        lines += ["http2", f'resolve = "{HOST}:{port}:127.0.0.1"', 'write-out = "%{http_version} %{http_code}\\n"']
        if not at % 3:
            lines += ['header = "content-type: application/json"', r'data = "{\"name\":\"x\"}"']
        requests.append("\n".join(lines))
    config.write_text("\nnext\n".join(requests))
    done = subprocess.run(["curl", "--silent", "--config", config], capture_output=True, text=True, check=False)
    wanted = ["2 200" if at % 3 else "2 201" for at in range(number)]
    answered = done.stdout.splitlines()
    return [got for got, right in zip(answered, wanted, strict=False) if got != right] + ["none"] * (
        number - len(answered)
    )


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=PROXIES)
def test_refused_posts_harm_nobody_behind_a_proxy(upstreams: list[int], tmp_path: Path, proxy: Proxy) -> None:
    stop = threading.Event()
    with in_front(proxy, upstreams, tmp_path) as port, ThreadPoolExecutor(7) as pool:
        strangers = [pool.submit(stranger, port, proxy, stop) for _ in range(3)]
        clients = [
            pool.submit(honest_over_http_2, port, REQUESTS // 3, tmp_path)
            if proxy.is_tls
            else pool.submit(honest, port, REQUESTS // 3)
            for _ in range(3)
        ]
        lost = [each for client in clients for each in client.result(PATIENCE)]
        stop.set()
        answered = sum((each.result(PATIENCE) for each in strangers), Counter())
        error_log = tmp_path / "error.log"
        complaints = error_log.read_text().splitlines() if error_log.exists() else []

    assert lost == []
    assert {what: count for what, count in answered.items() if what[1] != what[2]} == {}
    assert answered.total() >= 24
    assert [line for line in complaints if "upstream" in line and "is buffered to a temporary" not in line] == []


def test_a_websocket_goes_through(upstreams: list[int], tmp_path: Path) -> None:
    handshake = (
        f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    statuses: dict[str, bytes] = {}
    for name, proxy in PROXIES.items():
        if proxy.is_websocket and not proxy.is_tls:
            folder = tmp_path / str(len(statuses))
            folder.mkdir()
            with in_front(proxy, upstreams, folder) as port, connect(port, proxy) as connection:
                connection.sendall(handshake.encode())
                statuses[name] = connection.recv(12)

    assert len(statuses) >= 3
    assert set(statuses.values()) == {b"HTTP/1.1 101"}, statuses


DOCUMENTED = [name for name in PROXIES if name.endswith("as HARDENING.md says")]


GET = f"GET /ok HTTP/1.1\r\nHost: {HOST}\r\n"
POST = f"POST /items HTTP/1.1\r\nHost: {HOST}\r\n"
UPGRADE = f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
BARE = {
    "101 headers": GET + "X-A: a\r\n" * 101 + "\r\n",
    "300 KiB": f"{GET}X-A: {'a' * 307_200}\r\n\r\n",
    "a long target": f"GET /{'a' * 66_000} HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "a target of no URI": f"GET /<a> HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "a target beyond ASCII": f"GET /\xe9 HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "a NUL": f"{GET}X-A: a\0b\r\n\r\n",
    "a space before the colon": f"{GET}X-A : a\r\n\r\n",
    "a folded line": f"{GET}X-A: a\r\n b\r\n\r\n",
    "a list of lengths": f"{POST}Content-Length: 5, 5\r\n\r\naaaaa",
    "two lengths": f"{POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\naaaaa",
    "chunks in HTTP/1.0": POST.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/0.9": "GET /ok\r\n",
    "TLS": "\x16\x03\x01\x00\x05hello",
    "a handshake without a key": UPGRADE + "\r\n",
    "a handshake of another version": f"{UPGRADE}{KEY}Sec-WebSocket-Version: 12\r\n\r\n",
}
"""What Granian answers before the application sees it."""


def answer_to(port: int, proxy: Proxy, sent: str) -> bytes:
    with connect(port, proxy) as connection, suppress(OSError):
        with suppress(OSError):  # it may close as soon as it has read enough
            connection.sendall(sent.encode("latin-1"))
        return connection.recv(65_536).lower()
    return b""


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_the_server_answers_itself_gets_its_headers_and_no_name(
    upstreams: list[int], tmp_path: Path, name: str
) -> None:
    """Or the proxy answers in its place: then there is a body, which Granian gives to handshakes alone."""
    proxy = PROXIES[name]
    with in_front(proxy, upstreams, tmp_path) as port:
        answers = {kind: answer_to(port, proxy, sent) for kind, sent in BARE.items()}
    direct = {kind: answer_to(upstreams[0], proxy, sent) for kind, sent in BARE.items()}
    handed_on = {
        kind
        for kind, answer in answers.items()
        if b"\r\nx-request-id: " not in answer
        and (b"\r\ncontent-length: 0\r\n" in answer or b"sec-websocket" in answer)
    }

    assert {kind for kind, answer in direct.items() if b"x-request-id" in answer} == set(), "nothing is left to a proxy"
    assert {kind for kind, answer in answers.items() if not re.match(rb"http/1.[01] [245]", answer)} <= {
        "HTTP/0.9",
        "TLS",
    }
    assert {kind for kind, answer in answers.items() if b"granian" in answer} == set()
    assert handed_on
    for header in (b"strict-transport-security", b"x-content-type-options", b"content-security-policy"):
        assert {kind for kind in handed_on if b"\r\n%s: " % header not in answers[kind]} == set()


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if not name.startswith("caddy")])
def test_connections_of_one_address_have_a_bound(upstreams: list[int], tmp_path: Path, name: str) -> None:
    half = f"POST /items HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\n".encode()
    refused, kept, end = 0, [], time.monotonic() + 30
    with in_front(PROXIES[name], upstreams, tmp_path) as port, ExitStack() as stack:
        for _ in range(130):
            try:
                kept.append(stack.enter_context(connect(port, PROXIES[name])))
            except OSError:
                refused += 1
        for connection in kept:
            with suppress(OSError):
                connection.sendall(half)
        while refused < 25 and time.monotonic() < end:
            time.sleep(0.1)
            for connection in [*kept]:
                connection.setblocking(False)
                try:
                    refused += connection.recv(12) in (b"", b"HTTP/1.1 503")
                except BlockingIOError:
                    continue
                except OSError:
                    refused += 1
                kept.remove(connection)
    assert refused >= 25
    assert len(kept) <= 105
