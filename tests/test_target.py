"""A look at a deployed service: it judges the service, names the proxy in front, ends when told to, and ends at all."""

import datetime
import http.server
import io
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from verify import target
from verify.common.answer import Answer
from verify.common.expected import FEATURES, HEADERS, POLICY
from verify.harness import remote
from verify.harness.remote import Target
from verify.result import Check, Options, Outcome, overall

from .proxies import SELF_SIGNED, in_front, nginx

SET = {
    **HEADERS,
    "content-security-policy": "; ".join(POLICY),
    "permissions-policy": ", ".join(f"{each}=()" for each in FEATURES.split()),
}
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
LOCATION = "proxy_pass http://127.0.0.1:{one};"


class Hardened(http.server.BaseHTTPRequestHandler):
    """Answers as an emitted service does, which has no route but health."""

    set_of_headers = SET
    asked: list[str]

    def answer(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        status = 405 if self.command not in ("GET", "HEAD") else 200 if self.path.endswith("/health/live") else 404
        self.send_response_only(status)
        self.send_header("content-type", "application/problem+json")
        for name, value in self.set_of_headers.items():
            self.send_header(name, value)
        body = json.dumps({"status": status}).encode()
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        pass


class Bare(Hardened):
    set_of_headers: dict[str, str] = {}  # noqa: RUF012 - as in the class above


class Away(Hardened):
    def answer(self) -> None:
        self.asked.append(self.path)
        self.send_response_only(503)
        self.send_header("retry-after", "1")
        self.end_headers()


class Dripping(Hardened):
    def answer(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
        for _ in range(100):
            self.wfile.write(b"x")
            time.sleep(0.1)


class DrippingLater(Dripping):
    def answer(self) -> None:
        (Hardened if self.path == "/health/live" else Dripping).answer(self)


class Elsewhere(Hardened):
    """Another site, or another path of the site that the service is below."""

    def answer(self) -> None:
        problem = "application/problem+json"
        others = {"/page": (200, "text/html"), "/moved": (302, ""), "/away": (503, ""), "/refused": (400, problem)}
        status, form = others.get(self.path.removesuffix("/health/live"), (404, problem))
        self.asked.append(self.path)
        self.send_response_only(status)
        for name, value in {**SET, "location": "https://login.example.com/", "content-type": form}.items():
            self.send_header(name, value)
        self.end_headers()


class AwayLater(Hardened):
    def answer(self) -> None:
        if self.path == "/health/live":
            super().answer()
            return
        self.send_response_only(502)
        self.end_headers()


@contextmanager
def serving(handler: type[Hardened], context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[int]:
    handler.asked = []

    class Server(http.server.ThreadingHTTPServer):
        address_family = 10 if ":" in host else 2
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that does not trust the certificate

    with Server((host, 0), handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Look at an address without a pause between requests; each check by its id."""

    def at(url: str, only: str = "", longest: float = 30.0) -> dict[str, Check]:
        monkeypatch.setattr(target, "Target", partial(Target, pause=0.0, longest=longest), raising=False)
        return {check.id: check for check in target.stage(Options(Path(), "orders_api", target=url, only=only))}

    return at


def outcomes(checks: dict[str, Check]) -> dict[str, str]:
    """What is not proved."""
    return {each: check.outcome.name for each, check in checks.items() if check.outcome is not Outcome.PROVED}


def told(checks: dict[str, Check], words: str) -> int:
    return sum(words in check.seen for check in checks.values())


def test_what_the_proxy_answers_by_itself_is_not_the_services_fault(look: Any, tmp_path: Path) -> None:
    with serving(Hardened) as port, in_front(nginx(LOCATION), (port, port), tmp_path) as front:
        checks = look(f"http://127.0.0.1:{front}")

    nothing = dict.fromkeys(("target.plain-http", "target.tls", "target.cookies"), "NOT_LOOKED_AT")
    assert outcomes(checks) == {"target.software": "WARNING", "target.errors": "WARNING", **nothing}
    assert "nginx/1" in checks["target.software"].seen
    assert "a control character: 400 by nginx in front" in checks["target.errors"].seen
    assert "TRACE 405 by nginx, VERIFY 405" in checks["target.methods"].seen
    assert overall(checks.values()) is Outcome.PROVED


def test_a_service_that_is_not_hardened_is_not_taken_for_its_proxy(look: Any, tmp_path: Path) -> None:
    with serving(Bare) as port, in_front(nginx(LOCATION), (port, port), tmp_path) as front:
        checks = look(f"http://127.0.0.1:{front}")

    assert checks["target.headers"].outcome is Outcome.INSECURE


@pytest.mark.parametrize(
    "location", ["return 401;", "return 502;", "deny all;", "return 302 https://login.example.com/;"]
)
def test_a_proxy_alone_proves_nothing_of_a_service(look: Any, tmp_path: Path, location: str) -> None:
    with in_front(nginx(location), (1, 1), tmp_path) as front:
        checks = look(f"http://127.0.0.1:{front}")

    assert overall(checks.values()) is Outcome.UNVERIFIED
    assert told(checks, "by itself, and nothing of the service was seen") == 1
    assert outcomes(checks)["target.cors"] == outcomes(checks)["target.cookies"] == "NOT_LOOKED_AT"


@pytest.mark.parametrize("path", ["/api", "/page", "/moved", "/away"])
def test_what_is_no_emitted_service_is_not_judged(look: Any, path: str) -> None:
    with serving(Elsewhere) as port:
        checks = look(f"http://127.0.0.1:{port}{path}")

        assert Elsewhere.asked == [f"{path}/health/live"]
    assert told(checks, "so no emitted service runs at this address") == 1
    assert not [each for each in checks.values() if each.outcome in (Outcome.PROVED, Outcome.INSECURE)]


def test_a_service_that_refuses_its_host_is_one(look: Any) -> None:
    with serving(Elsewhere) as port:
        checks = look(f"http://127.0.0.1:{port}/refused")

    assert told(checks, "no emitted service runs") == 0
    assert checks["target.headers"].outcome is Outcome.PROVED


def test_what_is_answered_while_the_service_is_away_is_no_refusal(look: Any) -> None:
    with serving(AwayLater) as port:
        found = outcomes(look(f"http://127.0.0.1:{port}"))

    assert {found[f"target.{each}"] for each in ("hidden", "preflight", "headers", "errors")} == {"UNVERIFIED"}


TEXT = [("content-type", "text/plain; charset=utf-8")]
PAGE = [("content-type", "text/html; charset=utf-8")]
RESET = b"upstream connect error or disconnect/reset before headers. reset reason: connection failure"


@pytest.mark.parametrize(
    ("status", "headers", "body", "by"),
    [
        (503, [*TEXT, ("server", "envoy")], RESET, "envoy"),
        (
            503,
            [*TEXT, ("server", "istio-envoy")],
            RESET + b", transport failure reason: delayed connect error: 111",
            "envoy",
        ),
        (503, TEXT, b"no healthy upstream", "envoy"),
        (504, TEXT, b"upstream request timeout", "envoy"),
        (404, [("server", "istio-envoy"), ("content-length", "0")], b"", "envoy"),
        (429, TEXT, b"local_rate_limited", "envoy"),
        (401, TEXT, b"Jwt is missing", "envoy"),
        (401, TEXT, b"401 Unauthorized\n", "traefik"),
        (403, [*PAGE, ("server", "awselb/2.0")], b"<html><center><h1>403 Forbidden</h1></center></html>", "awselb"),
        (404, [*PAGE, ("server", "CloudFront")], b"<TITLE>ERROR: The request could not be satisfied", "cloudfront"),
        (403, PAGE, b"<h1>Access Denied</h1>", "what is"),
        (503, PAGE, b"<h1>We are back soon</h1>", "what is"),
        (429, PAGE, b"<h1>Slow down</h1>", "what is"),
        (500, [*PAGE, ("server", "cloudflare")], b"<h1>Traceback</h1>", ""),
        (404, [*PAGE, ("server", "nginx")], b"<h1>Not Found</h1>", ""),
        (404, TEXT, b"404 page not found\n", "traefik"),
        (502, TEXT, b"Bad Gateway", "traefik"),
        (504, TEXT, b"Gateway Timeout", "traefik"),
        (503, TEXT, b"no available server\n", "traefik"),
        (404, TEXT, b"default backend - 404", "ingress"),
        # What is the service's own, whatever a proxy wrote its name on.
        (200, [("server", "envoy")], b"", ""),
        (404, [("server", "envoy"), ("content-type", "application/problem+json")], b'{"status": 404}', ""),
        (500, TEXT, b"Internal Server Error", ""),
        (404, TEXT, b"Not Found", ""),
        (200, TEXT, b"no healthy upstream", ""),
        (404, TEXT, b"orders: 404 page not found", ""),
    ],
)
def test_the_bare_answers_of_envoy_and_traefik_are_theirs(
    status: int, headers: list[tuple[str, str]], body: bytes, by: str
) -> None:
    assert remote.proxy_of(Answer(status, headers, body)) == by


class BehindTraefik(Hardened):
    """Traefik answers paths that it has no router for."""

    def answer(self) -> None:
        if self.path.endswith("/health/live"):
            super().answer()
            return
        self.send_response_only(404)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("x-content-type-options", "nosniff")
        self.end_headers()
        self.wfile.write(b"404 page not found\n")


def test_what_traefik_answers_by_itself_is_named(look: Any) -> None:
    with serving(BehindTraefik) as port:
        checks = look(f"http://127.0.0.1:{port}")

    assert checks["target.headers"].outcome is Outcome.WARNING
    assert "404 by traefik in front, not by the service" in checks["target.headers"].seen


def test_a_redirect_to_the_final_slash_is_named_with_its_remedy(look: Any, tmp_path: Path) -> None:
    location = "}} location /api/ {{ proxy_pass http://127.0.0.1:{one}; "
    with serving(Hardened) as port, in_front(nginx(location), (port, port), tmp_path) as front:
        without = look(f"http://127.0.0.1:{front}/api", "headers")["target.headers"]
        with_it = look(f"http://127.0.0.1:{front}/api/", "headers")["target.headers"]

    assert without.outcome is Outcome.WARNING
    assert f"write the address as http://127.0.0.1:{front}/api/" in without.seen
    assert with_it.outcome is Outcome.PROVED


def test_the_first_503_with_retry_after_ends_it(look: Any) -> None:
    with serving(Away) as port:
        checks = look(f"http://127.0.0.1:{port}")

        assert len(Away.asked) == 1
    assert told(checks, "so no further request was sent") == 1
    assert overall(checks.values()) is Outcome.UNVERIFIED


def test_a_limit_of_the_proxy_ends_it(look: Any, tmp_path: Path) -> None:
    limited = "}} location /verify-nothing-here {{ return 503; "
    with serving(Hardened) as port, in_front(nginx(LOCATION + limited), (port, port), tmp_path) as front:
        checks = look(f"http://127.0.0.1:{front}")

    assert told(checks, "nginx in front answered 503, so no further request was sent") == 1
    assert told(checks, "the look had ended before") > 4


class Walled(Hardened):
    """Behind a wall that says in a page of its own whom it keeps out, and a balancer with a cookie."""

    is_whole = True

    def answer(self) -> None:
        if self.path != "/health/live" or self.is_whole:
            self.send_response_only(403 if self.is_whole else 404)
            self.send_header("content-type", "text/html")
            self.send_header("server", "awselb/2.0")
            self.send_header("set-cookie", "AWSALB=x; Expires=Sat, 05 Dec 2026 10:00:00 GMT; Path=/")
            self.end_headers()
            return
        super().answer()


class WalledInPart(Walled):
    is_whole = False


def test_a_wall_in_front_is_said_to_be_one(look: Any) -> None:
    with serving(Walled) as port:
        checks = look(f"http://127.0.0.1:{port}")
    with serving(WalledInPart) as port:
        in_part = look(f"http://127.0.0.1:{port}")

    assert told(checks, "awselb in front answered 403 by itself") == 1
    assert Outcome.INSECURE not in {each.outcome for each in in_part.values()}
    assert "AWSALB lacks secure, httponly, samesite: by which what is in front" in in_part["target.cookies"].seen


@pytest.mark.parametrize("handler", [Dripping, DrippingLater])
def test_a_service_that_drips_is_left_in_time(
    look: Any, monkeypatch: pytest.MonkeyPatch, handler: type[Hardened]
) -> None:
    monkeypatch.setattr(remote, "TIMEOUT", 0.5)
    began = time.monotonic()

    with serving(handler) as port:
        checks = look(f"http://127.0.0.1:{port}", longest=1.2)

    assert time.monotonic() - began < 5
    assert overall(checks.values()) is Outcome.UNVERIFIED


@pytest.mark.parametrize(
    ("where", "leads_back"),
    [
        ("https://api.example.com/x", True),
        ("HTTPS://API.example.com:8443", True),
        ("https://api.example.com.evil.example/", False),
        ("https://api.example.com@evil.example/", False),
        (r"https://evil.example\@api.example.com/", False),
        ("https://api.example.com:x/", False),
        ("http://api.example.com/", False),
        ("//api.example.com/", False),
        ("", False),
    ],
)
def test_plain_http_may_be_sent_on_to_the_very_host_alone(
    monkeypatch: pytest.MonkeyPatch, where: str, leads_back: bool
) -> None:
    def exchange(*_: object) -> Answer:
        return Answer(301, [("location", where)])

    monkeypatch.setattr(remote, "exchange", exchange)
    monkeypatch.setattr(target, "exchange", exchange, raising=False)
    monkeypatch.setattr(remote, "create_connection", lambda *_: io.BytesIO(), raising=False)

    plain = target._plain(Target(urlsplit("https://api.example.com"), pause=0.0))

    assert bool(plain[1]) is not leads_back


@pytest.fixture
def secured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ssl.SSLContext:
    """What serves with a certificate of three days that is trusted here."""
    path, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    names = ("-subj", "/CN=x", "-addext", "subjectAltName=IP:::1,IP:127.0.0.1")
    subprocess.run([*SELF_SIGNED, *names, "-keyout", key, "-out", path], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return context


def test_an_address_of_ipv6_and_a_certificate_of_few_days_are_fine(look: Any, secured: ssl.SSLContext) -> None:
    with serving(Hardened, secured, "::1") as port:
        checks = look(f"https://[::1]:{port}", "server")

    assert {*outcomes(checks)} <= {"target.plain-http"}  # what listens on port 80 here is not ours
    assert "port 80" in checks["target.plain-http"].seen or "plain http" in checks["target.plain-http"].seen


def test_a_certificate_that_is_not_trusted_is_told_once(
    look: Any, secured: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with serving(Hardened, secured) as port:
        checks, one = look(f"https://127.0.0.1:{port}"), look(f"https://127.0.0.1:{port}", "headers")

    assert told(checks, "self-signed") == told(one, "self-signed") == 1
    assert checks["target.tls"].outcome is Outcome.INSECURE
    assert overall(one.values()) is Outcome.UNVERIFIED


def test_an_authority_that_nobody_here_knows_is_no_fault_of_the_service(look: Any, tmp_path: Path) -> None:
    of_ca, of_site = ((tmp_path / f"{each}.pem", tmp_path / f"{each}.key") for each in ("ca", "site"))
    signed = ("-CA", of_ca[0], "-CAkey", of_ca[1], "-addext", "subjectAltName=IP:127.0.0.1")
    for (path, key), more in ((of_ca, ("-subj", "/CN=ca")), (of_site, ("-subj", "/CN=site", *signed))):
        subprocess.run([*SELF_SIGNED, *more, "-keyout", key, "-out", path], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*of_site)
    with serving(Hardened, context) as port:
        tls = look(f"https://127.0.0.1:{port}", "server")["target.tls"]

    assert tls.outcome is Outcome.UNVERIFIED
    assert "SSL_CERT_FILE" in tls.remedy


@pytest.mark.parametrize("address", ["https://nothing.invalid", "https://127.0.0.1:1"])
def test_what_cannot_be_reached_is_told_once_and_proves_no_closed_port(look: Any, address: str) -> None:
    checks = look(address)

    assert checks["target.plain-http"].outcome is Outcome.UNVERIFIED
    assert told(checks, "no answer") == 1


@pytest.mark.parametrize(
    ("lifetime", "left", "is_fine"),
    [
        (90, 5, False),
        (90, 8, True),
        (10, 1, True),
        (15, 6, True),
        (6, 0.5, False),
        (0.5, 0.06, True),
        (0.5, 0.045, False),
    ],
)
def test_a_certificate_may_be_short_but_not_at_its_end(
    monkeypatch: pytest.MonkeyPatch, lifetime: float, left: float, is_fine: bool
) -> None:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(left, 60)
    dates = {"notBefore": end - datetime.timedelta(lifetime), "notAfter": end}
    certificate = {name: f"{date:%b %d %H:%M:%S %Y} GMT" for name, date in dates.items()}
    monkeypatch.setattr(remote, "_handshake", lambda *_: ("TLSv1.3", certificate))

    seen = Target(urlsplit("https://api.example.com")).handshake()

    assert any("the certificate ends" in fault for fault in seen.faults) is not is_fine
    assert ("1 hour" in seen.text, "1 hours" in seen.text) == (0.04 < left < 0.08, False)


def test_a_version_that_could_not_be_asked_is_not_proved(
    look: Any, secured: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured.set_ciphers("ALL:@SECLEVEL=0")
    with serving(Hardened, secured) as port:
        refused = look(f"https://127.0.0.1:{port}", "server")["target.tls"]
        secured.minimum_version = ssl.TLSVersion.TLSv1
        spoken = look(f"https://127.0.0.1:{port}", "server")["target.tls"]
        monkeypatch.setattr(ssl.SSLContext, "set_ciphers", lambda *_: int("this machine cannot"))
        unasked = look(f"https://127.0.0.1:{port}", "server")["target.tls"]

    assert (refused.outcome, spoken.outcome) == (Outcome.PROVED, Outcome.INSECURE)
    assert unasked.outcome is Outcome.NOT_LOOKED_AT
    assert "could not be asked" in unasked.seen
