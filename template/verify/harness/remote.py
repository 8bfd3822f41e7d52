# Owned by the template: an update rewrites this file.
"""A deployed service, asked politely: what goes over the wire, and no more of it than is bearable."""

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import SplitResult

from ..common.answer import Answer
from ..result import UnverifiedError

AGENT = "hardened-fastapi-verify (a check by the owner of this service)"
PAUSE = 0.5
MOST = 40
TIMEOUT = 10.0
_LATER = "Run it again later, from an address that has quota left."


@dataclass
class Target:
    """The deployed service, asked one question at a time."""

    address: SplitResult
    pause: float = PAUSE
    made: int = 0
    _last: float = 0.0

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Send one request under the path of the address.

        Raises:
            UnverifiedError: No further request may be sent.
            OSError, http.client.HTTPException: There was no answer.
        """
        if self.made >= MOST:
            raise UnverifiedError(f"{MOST} requests were made, and no more are sent", _LATER)
        time.sleep(max(0.0, self._last + self.pause - time.monotonic()))
        self.made += 1
        answer = exchange(self.address, method, self.address.path.rstrip("/") + path, headers or {})
        self._last = time.monotonic()
        if answer.status == 429 or (answer.status == 503 and "retry-after" in answer):
            raise UnverifiedError(f"the service answered {answer.status}, so no further request was sent", _LATER)
        return answer

    def handshake(self) -> tuple[str, list[str]]:
        """What a TLS handshake shows: the version and the certificate in words, and what is wrong with them."""
        host, port = self.address.hostname or "", self.address.port or 443
        self.made += 1
        try:
            with (
                socket.create_connection((host, port), TIMEOUT) as plain,
                ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secured,
            ):
                version, certificate = secured.version(), secured.getpeercert()
        except ssl.SSLCertVerificationError as error:
            return "", [f"the certificate is not valid: {error.verify_message}"]
        until = str((certificate or {}).get("notAfter", ""))
        days = int((ssl.cert_time_to_seconds(until) - datetime.now(UTC).timestamp()) // 86_400)
        faults = [f"the certificate ends in {days} days"] if days < 7 else []
        faults += [f"it still speaks {old}" for old in _old_versions(host, port)]
        return f"{version}, certificate valid for {days} days, nothing older than TLS 1.2", faults


def exchange(address: SplitResult, method: str, path: str, headers: dict[str, str]) -> Answer:
    """Send one request on a connection of its own."""
    host = address.hostname or ""
    connection: http.client.HTTPConnection
    if address.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, address.port, timeout=TIMEOUT, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(host, address.port, timeout=TIMEOUT)
    try:
        connection.request(method, path or "/", headers={"User-Agent": AGENT, "Accept": "*/*", **headers})
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read(65_536))
    finally:
        connection.close()


def _old_versions(host: str, port: int) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    except (ValueError, ssl.SSLError):
        return  # this machine cannot speak them, so it cannot be asked
    try:
        with (
            socket.create_connection((host, port), TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=host) as old,
        ):
            yield str(old.version())
    except OSError:
        return
