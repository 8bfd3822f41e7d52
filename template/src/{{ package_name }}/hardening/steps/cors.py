# Owned by the template: an update rewrites this file.
"""Who may call from a browser. A page of another origin must neither read an answer (CORS) nor cause a change with
the user's cookies (CSRF): exact origins only, and unsafe methods by Fetch metadata, then Origin against Host.
ASVS v5.0.0-3.4.2, 3.5.1 to 3.5.3, 4.4.2; the rule is that of Go's http.CrossOriginProtection.
"""

import re
from collections.abc import Iterator

from ..core.findings import Finding
from ..core.headers import HeaderList
from ..core.log import shown
from ..core.problems import Refusal
from ..settings import HardeningSettings
from .base import RequestContext, Services, Step

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_PREFLIGHT_VARY = (b"vary", b"origin, access-control-request-method, access-control-request-headers")
_EXPOSED = b"x-request-id, ratelimit, ratelimit-policy, retry-after"
_HEADER_NAMES = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+(?: *, *[a-z0-9!#$%&'*+.^_`|~-]+)*", re.IGNORECASE)
_GRANTS = frozenset(
    b"access-control-" + name
    for name in (
        b"allow-origin allow-credentials allow-headers allow-methods allow-private-network expose-headers max-age".split()
    )
)
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


def _problem_with(origin: str, is_production: bool) -> tuple[str, str] | None:
    """The finding's id and what is wrong with an origin, if anything is."""
    match = _ORIGIN.fullmatch(origin)
    if "*" in origin:
        return "cors.E001", "is a wildcard: every site could read the answers"
    if origin == "null":
        return "cors.E002", "is sent by sandboxed frames and files, which anyone can make"
    if match is None:
        return (
            "cors.E004",
            "is not an origin as a browser writes it: scheme, lower-case host, port if unusual, nothing else",
        )
    if match[1] == "http" and (is_production or match[2] not in _LOCAL):
        return "cors.E003", "is plain http: whoever is on the way could script against this service"
    if match[3] in (":443" if match[1] == "https" else ":80",):
        return "cors.E004", "names the default port, which a browser leaves out: it would never match"
    return None


class CrossOrigin(Step):
    """Answers preflights, marks answers to listed origins, and refuses changes that come from elsewhere."""

    name = "cors"
    reserved_headers = _GRANTS
    respond_triggers = frozenset({b"origin"})

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._is_development = not services.settings.is_production
        self._allowed = frozenset(origin.encode() for origin in services.settings.cors_origins)
        self._refusal = Refusal(403, "origin_refused")
        self._preflight = Refusal(204, "request", [_PREFLIGHT_VARY])
        self.fixed_headers = [(b"vary", b"origin")] if self._allowed else []
        self._granted: dict[bytes | None, HeaderList] = {
            origin: [
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                (b"access-control-expose-headers", _EXPOSED),
            ]
            for origin in self._allowed
        }

    @staticmethod
    def findings(settings: HardeningSettings) -> Iterator[Finding]:
        for origin in settings.cors_origins:
            if problem := _problem_with(origin, settings.is_production):
                yield Finding(
                    problem[0],
                    f"APP_CORS_ORIGINS: {origin} {problem[1]}.",
                    "List each origin as its scripts send it, such as https://app.example.com.",
                )

    def refuse(self, request: RequestContext) -> Refusal | None:
        """Refuse a preflight, a change or a WebSocket from any site that is not listed; answer a preflight."""
        headers = request.headers
        origin = headers.get(b"origin")
        if origin in self._granted:
            return self._answer_preflight(request) if request.is_preflight else None
        if request.method in SAFE_METHODS:
            return self._refused(request) if request.is_preflight else None
        site = headers.get(b"sec-fetch-site")
        if site in (b"same-origin", b"none"):  # the browser itself vouches that no other site is behind it
            return None
        if site is None and origin is None:  # no browser that could be tricked into sending cookies
            return None
        if site is None and origin is not None and origin.partition(b"://")[2] == headers.get(b"host"):
            own = _ORIGIN.fullmatch(origin.decode("latin-1"))
            if own and (own[1] == "https" or self._is_development or own[2] in _LOCAL):
                return None  # a page without TLS may be planted by whoever is on the way
        return self._refused(request)

    def _refused(self, request: RequestContext) -> Refusal:
        for name in ("origin", "sec-fetch-site"):
            if (value := request.headers.get(name.encode())) is not None:
                request.log_fields[name.replace("-", "_")] = shown(value)
        return self._refusal

    def _answer_preflight(self, request: RequestContext) -> Refusal:
        asked = request.headers.get(b"access-control-request-headers", b"")
        request.response_headers.append((b"access-control-allow-methods", _METHODS))
        if _HEADER_NAMES.fullmatch(asked):
            request.response_headers.append((b"access-control-allow-headers", asked))
        request.response_headers.append((b"access-control-max-age", b"7200"))
        return self._preflight

    def respond(self, request: RequestContext, headers: HeaderList) -> HeaderList:
        """Grant a listed origin what it asks for, and nobody else."""
        granted = self._granted.get(request.headers.get(b"origin"))
        return headers if granted is None else [*headers, *granted]
