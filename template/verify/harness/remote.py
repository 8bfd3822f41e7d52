# Owned by the template: an update rewrites this file.
"""A deployed service, asked politely: what goes over the wire, and no more of it than is bearable."""

import http.client
import re
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from socket import create_connection
from threading import Thread
from typing import TypeVar
from urllib.parse import SplitResult

from ..common.answer import Answer
from ..result import UnverifiedError, number
from .arena import Seen

AGENT = "hardened-fastapi-verify (a check by the owner of this service)"
PAUSE = 0.5
MOST = 40
TIMEOUT = 10.0
LONGEST = 90.0
NOTHING = "/verify-nothing-here"
"""A path that no service has."""
_DAY = 86_400
_LATER = "Run it again later, from an address that has quota left."
# X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, _UNABLE_TO_GET_ISSUER_CERT_LOCALLY, _UNABLE_TO_VERIFY_LEAF_SIGNATURE
_UNKNOWN = (19, 20, 21)
_TRUST = (
    "If it is an authority of your own, name its certificate in SSL_CERT_FILE; "
    "if not, see that the server sends the certificates between."
)
_PROXIES = (
    "nginx|openresty|tengine|angie|caddy|apache|cloudflare|cloudfront|awselb|(?:istio-)?envoy|haproxy|traefik|varnish|"
    "google frontend|akamaighost|microsoft-azure-application-gateway|kong|h2o"
)
_SERVER = re.compile(rf"({_PROXIES})(/[\w.]+)?( \([\w ]+\))?", re.I)
_EDGE = re.compile("cloudflare|cloudfront|awselb|google frontend|akamaighost|microsoft-azure", re.I)
_PAGES = re.compile(
    rb"<center>(nginx|openresty|tengine|angie|cloudflare|awselb)\b[^<]*</center>|<address>(apache)\b|"
    rb"^<html><body><h1>\d{3} [\w ]+</h1>\s[A-Z][^<]*</body></html>",
    re.I,
)
# Envoy, Traefik and the default backend of ingress-nginx answer in plain text; nothing of the service's does.
_BARE = re.compile(
    rb"(?P<envoy>upstream (connect error|request timeout|max stream duration|per try idle timeout)\b.{0,500}|"
    rb"no healthy upstream|RBAC: access denied|fault filter abort|local_rate_limited|Jwt [\w ]{1,80})|"
    rb"(?P<traefik>401 unauthorized|404 page not found|bad gateway|gateway timeout|service unavailable|no available server)|"
    rb"(?P<ingress>default backend - 404)",
    re.I | re.S,
)
T = TypeVar("T")


class EndedError(UnverifiedError):
    """Nothing more may, or can, be asked."""


@dataclass
class Target:
    """The deployed service, asked one question at a time."""

    address: SplitResult
    pause: float = PAUSE
    longest: float = LONGEST
    """How long all of it takes at most, in seconds."""
    made: int = 0
    ended: str = ""
    """Why nothing more is asked."""
    _live: Answer | None = None
    _last: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    @property
    def live(self) -> Answer:
        """The answer to `GET /health/live`, which is asked before all else.

        Raises:
            EndedError: There is none, or none of the service.
        """
        if self._live is None:
            try:
                answer = seen = self._send("GET", "/health/live")
                if proxy_of(answer):
                    seen = self._send("GET", NOTHING)
            except (OSError, http.client.HTTPException) as error:
                raise _unreached(error) from error
            if proxy := proxy_of(seen):
                told = f"{proxy} in front answered {seen.status} by itself, and nothing of the service was seen"
                raise EndedError(told, "See that the service behind it runs, and ask from where the proxy lets you in.")
            is_page = "html" in (kind := "".join(answer.all("content-type")))
            is_beside = answer.status == 404 and "problem+json" in kind  # a wrong path of a service
            if seen is answer and (is_page or is_beside or 300 <= answer.status < 400 or answer.status >= 500):
                form = " with a page" * is_page
                told = f"/health/live is answered {answer.status}{form}, so no emitted service runs at this address"
                raise EndedError(told, "Write the service's own address, with the path if it is below one.")
            self._live = answer
        return self._live

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Send one request under the path of the address; without a path, to the address as it is written.

        Raises:
            EndedError: No further request may be sent.
            UnverifiedError: The service was away, which a refusal must not be taken for.
            OSError, http.client.HTTPException: There was no answer.
        """
        _ = self.live
        answer = self._send(method, path, headers)
        if answer.status in (502, 503, 504):
            seen = f"{method} {path or 'of the address itself'} is answered {answer.status}, which tells nothing of it"
            raise UnverifiedError(seen, "See why the service does not answer there, then run it again.")
        return answer

    def ask_plain(self) -> Answer | None:
        """The answer over plain http on port 80, if the port is open."""
        host = self.address.hostname or ""
        try:
            self.bounded(lambda: create_connection((host, 80), TIMEOUT).close())
        except OSError:  # which says something of the port where another one is open
            try:
                self.bounded(lambda: create_connection((host, self.address.port or 443), TIMEOUT).close())
            except OSError as error:
                raise _unreached(error) from error
            return None
        netloc = f"[{host}]" if ":" in host else host
        return self._send("GET", "/health/live", address=self.address._replace(scheme="http", netloc=netloc))

    def _send(
        self, method: str, path: str, headers: dict[str, str] | None = None, address: SplitResult | None = None
    ) -> Answer:
        if self.made >= MOST:
            raise EndedError(f"{MOST} requests were made, and no more are sent", _LATER)
        time.sleep(max(0.0, self._last + self.pause - time.monotonic()))
        self.made += 1
        whole = self.address.path.rstrip("/") + path if path else self.address.path
        try:
            answer = self.bounded(lambda: exchange(address or self.address, method, whole, headers or {}))
        finally:
            self._last = time.monotonic()
        proxy = proxy_of(answer)  # nginx limits with a 503, and does not say for how long
        if answer.status == 429 or (answer.status == 503 and ("retry-after" in answer or (proxy and self._live))):
            who = f"{proxy} in front" if proxy else "the service"
            raise EndedError(f"{who} answered {answer.status}, so no further request was sent", _LATER)
        return answer

    def bounded(self, work: Callable[[], T]) -> T:
        """Do what waits for the network, in a thread, since the time-out of a socket begins anew with each byte.

        Raises:
            EndedError: The time for all of it is over.
            TimeoutError: The time for this is over.
        """
        left = min(TIMEOUT, self._began + self.longest - time.monotonic())
        if left <= 0:
            raise EndedError(f"{self.longest:.0f} s are over, and no more requests are sent", "See why it is so slow.")
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                done.set_exception(error)

        Thread(target=run, daemon=True).start()
        try:
            return done.result(left)
        except TimeoutError:
            raise TimeoutError(f"nothing whole within {left:.0f} s") from None

    def handshake(self) -> Seen:
        """What TLS handshakes show: the version and the certificate in words, and what is wrong with them."""
        host, port = self.address.hostname or "", self.address.port or 443
        self.made += 2
        try:
            version, certificate = self.bounded(lambda: _handshake(host, port, ssl.create_default_context()))
        except ssl.SSLCertVerificationError as error:
            if error.verify_code in _UNKNOWN:
                raise EndedError(
                    f"nobody here knows who signed the certificate: {error.verify_message}", _TRUST
                ) from None
            self.ended = "the certificate is not valid, so nothing was asked"
            return Seen("", [f"the certificate is not valid: {error.verify_message}"])
        except OSError as error:
            raise _unreached(error) from error
        begin, end = (ssl.cert_time_to_seconds(str(certificate[name])) for name in ("notBefore", "notAfter"))
        left = end - datetime.now(UTC).timestamp()
        valid = f"{left // _DAY:.0f} days" if left >= 2 * _DAY else number(int(left // 3600), "hour")
        ends = left < 7 * _DAY and left * (3 if end - begin > 10 * _DAY else 10) <= end - begin
        faults = [f"the certificate ends in {valid}"] if ends else []
        text = f"{version}, certificate valid for {valid}"
        try:
            old = self.bounded(lambda: _handshake(host, port, _old()))[0]
        except (ValueError, OSError) as error:
            reason = str(getattr(error, "reason", ""))
            if "_ALERT_" in reason or reason == "UNSUPPORTED_PROTOCOL":  # which only the other side can have said
                return Seen(f"{text}, nothing older than TLS 1.2", faults)
            # A connection that broke refuses no version, and neither does an OpenSSL that cannot speak it.
            return Seen(f"{text}; whether it speaks what is older than TLS 1.2 could not be asked", faults, True)
        return Seen(text, [*faults, f"it still speaks {old}"])


def _unreached(error: Exception) -> EndedError:
    is_other = isinstance(error, http.client.HTTPException) and not isinstance(error, OSError)
    told = "what is there does not speak HTTP/1.1" if is_other else f"no answer: {error}"
    return EndedError(told, "See that the service runs, and can be reached.")


def proxy_of(answer: Answer) -> str:
    """The proxy that answered this by a page of its own, or nothing."""
    if page := _PAGES.search(answer.body):
        return (page[1] or page[2] or b"haproxy").decode().lower()
    if answer.status >= 400 and (text := _BARE.fullmatch(answer.body.strip())):
        return str(text.lastgroup)
    server = "".join(answer.all("server"))
    # The service's own errors are no pages, but for a traceback: this is a wall, or an edge that names nobody but itself.
    is_page = answer.status >= 400 and answer.status != 500 and "html" in "".join(answer.all("content-type"))
    if is_page and ((edge := _EDGE.match(server)) or answer.status in (401, 403, 407, 429, 502, 503, 504)):
        return edge[0].lower() if edge else "what is"
    if answer.body or "content-type" in answer:
        return ""
    # Envoy puts its name on answers of others too: an error of the service's own has a body.
    return "envoy" if server in ("envoy", "istio-envoy") and answer.status >= 400 else "caddy" * (server == "Caddy")


def is_proxy(server: str) -> bool:
    """Whether this header names a proxy, and nothing else."""
    return _SERVER.fullmatch(server) is not None


def exchange(address: SplitResult, method: str, path: str, headers: dict[str, str]) -> Answer:
    """Send one request on a connection of its own."""
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=TIMEOUT)
    try:
        connection.request(method, path or "/", headers={"User-Agent": AGENT, "Accept": "*/*", **headers})
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read(65_536))
    finally:
        connection.close()


def _handshake(host: str, port: int, context: ssl.SSLContext) -> tuple[str, dict[str, object]]:
    """The version that was agreed on, and the certificate if it was verified."""
    with (
        create_connection((host, port), TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return str(secured.version()), dict(secured.getpeercert() or {})


def _old() -> ssl.SSLContext:
    """A context that speaks nothing newer than TLS 1.1; raises ValueError or `ssl.SSLError` where OpenSSL cannot."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context
