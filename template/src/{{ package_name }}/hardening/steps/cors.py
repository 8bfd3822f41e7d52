# Owned by the template: an update rewrites this file.
"""Who may call from a browser. A page of another origin must neither read an answer (CORS) nor cause a change with
the user's cookies (CSRF): exact origins only, and unsafe methods by Fetch metadata, then Origin against Host.
ASVS v5.0.0-3.4.2, 3.5.1 to 3.5.3, 4.4.2; the rule is that of Go's http.CrossOriginProtection.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..core.problems import Refusal
from ..settings import HardeningSettings
from ..startup.settings import Finding

if TYPE_CHECKING:
    from ..asgi.exchange import Exchange

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
PREFLIGHT_VARY = (b"vary", b"origin, access-control-request-method, access-control-request-headers")
_EXPOSED = b"x-request-id, ratelimit, ratelimit-policy, retry-after"
_HEADER_NAMES = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+(?: *, *[a-z0-9!#$%&'*+.^_`|~-]+)*", re.IGNORECASE)
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


def _fault(origin: str, is_production: bool) -> tuple[str, str] | None:
    """The last part of the finding's id and what is wrong, if anything is."""
    match = _ORIGIN.fullmatch(origin)
    if "*" in origin:
        return "E001", "is a wildcard: every site could read the answers"
    if origin == "null":
        return "E002", "is sent by sandboxed frames and files, which anyone can make"
    if match is None:
        return "E004", "is not an origin as a browser writes it: scheme, lower-case host, port if unusual, nothing else"
    if match[1] == "http" and (is_production or match[2] not in _LOCAL):
        return "E003", "is plain http: whoever is on the way could script against this service"
    if match[3] in (":443" if match[1] == "https" else ":80",):
        return "E004", "names the default port, which a browser leaves out: it would never match"
    return None


class CrossOrigin:
    """Answers preflights, marks answers to listed origins, and refuses changes that come from elsewhere."""

    def __init__(self, settings: HardeningSettings) -> None:
        self._allowed = frozenset(origin.encode() for origin in settings.cors_origins)
        self._refusal = Refusal(403, "origin_refused")
        vary = [(b"vary", b"origin")] if self._allowed else []
        self.fields = vary
        self._granted: dict[bytes | None, list[tuple[bytes, bytes]]] = {
            origin: [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", _EXPOSED),
            ]
            for origin in self._allowed
        }

    @staticmethod
    def check(settings: HardeningSettings) -> Iterator[Finding]:
        for origin in settings.cors_origins:
            if fault := _fault(origin, settings.is_production):
                yield Finding(
                    f"cors.{fault[0]}",
                    f"APP_CORS_ORIGINS: {origin} {fault[1]}.",
                    "List each origin as its scripts send it, such as https://app.example.com.",
                )

    def grant(self, x: "Exchange") -> None:
        """Mark the answer for a listed origin, whatever it will be."""
        if (granted := self._granted.get(x.headers.get(b"origin", b""))) is not None:
            x.added += granted

    def refuse(self, x: "Exchange") -> Refusal | None:
        """Refuse a preflight, a change or a WebSocket from any site that is not listed."""
        origin = x.headers.get(b"origin")
        if origin in self._granted:
            return None
        if x.method in SAFE_METHODS:
            return self._refusal if x.is_preflight else None
        site = x.headers.get(b"sec-fetch-site")
        if site in (b"same-origin", b"none"):  # the browser itself vouches that no other site is behind it
            return None
        if site is None and origin is None:  # no browser that could be tricked into sending cookies
            return None
        if site is None and origin is not None and origin.partition(b"://")[2] == x.headers.get(b"host"):
            return None
        return self._refusal

    def preflight(self, x: "Exchange") -> list[tuple[bytes, bytes]]:
        """What the answer to a preflight says that was not refused."""
        asked = x.headers.get(b"access-control-request-headers", b"")
        allowed = [(b"access-control-allow-headers", asked)] if _HEADER_NAMES.fullmatch(asked) else []
        return [
            (b"access-control-allow-methods", _METHODS),
            *allowed,
            (b"access-control-max-age", b"7200"),
        ]
