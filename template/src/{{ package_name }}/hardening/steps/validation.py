# Owned by the template: an update rewrites this file.
"""One reading of a request. What two parsers read differently is what attackers use: one host, known query parameters, the content type that the route takes, a body within its bounds.
RFC 8259, RFC 7493 (I-JSON); ASVS v5.0.0-1.1.1, 1.5.3, 3.5.2, 4.2.1, 5.2.1, 15.3.7.
"""

import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import parse_qsl

from ..core.findings import Finding
from ..core.form_text import UNDECLARED, check_of
from ..core.json_text import InvalidBodyError
from ..core.log import shown
from ..core.problems import BODY_TOO_LARGE, Refusal, validation_errors
from ..settings import HardeningSettings
from .base import RequestContext, Services, Step

MAX_TARGET = 8192
_MAX_HOST = 300  # no name and port have so many characters
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_QUERY_CONTROL = re.compile(rb"%(?:[01][0-9a-f]|7f)|[\x00-\x1f\x7f]", re.IGNORECASE)
_HOST = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.ASCII)


@cache
def _type_refused(types: tuple[str, ...]) -> Refusal:
    """A 415 that names what is taken (RFC 9110, 15.5.16)."""
    taken = ", ".join(types)
    return Refusal(415, "content_type_refused", [(b"accept", taken.encode("latin-1"))], detail=f"It takes {taken}.")


def _told(request: RequestContext, refusal: Refusal, **refused: bytes | str) -> Refusal:
    """The refusal; the line of the request says what it was refused for."""
    request.log_fields.update((name, shown(value)) for name, value in refused.items())
    return refusal


class Validation(Step):
    """Refuses a request that is malformed before any route sees it."""

    name = "validation"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        settings = services.settings
        self._hosts = frozenset(host.lower().encode() for host in settings.allowed_hosts)
        self._max_body_bytes = settings.max_body_bytes
        self._routes = services.routes
        self._bad_host = Refusal(400, "host_refused")
        self._bad_path = Refusal(400, "path_refused")
        self._bad_header = Refusal(400, "header_refused", [(b"connection", b"close")])
        self._control, self._bad_query, self._unknown, self._repeated = (
            Refusal(422, "query_refused", errors=validation_errors([{"type": kind, "loc": ["query"]}]))
            for kind in ("control_character", "query_invalid", "extra_forbidden", "repeated")
        )
        self._long_target = Refusal(414, "path_refused")
        self._encoded = Refusal(
            415, "content_type_refused", [(b"accept-encoding", b"identity")], detail="It takes no encoded body."
        )

    @staticmethod
    def findings(settings: HardeningSettings) -> Iterator[Finding]:
        if not settings.allowed_hosts:
            yield Finding(
                "hosts.E001",
                "APP_ALLOWED_HOSTS is empty: no request could be answered.",
                "Set it to the names that clients call, such as api.example.com.",
            )
        for host in settings.allowed_hosts:
            match = _HOST.fullmatch(host.lower())
            if "*" in host:
                yield Finding(
                    "hosts.E002",
                    f"APP_ALLOWED_HOSTS contains the wildcard {host}: links and redirects could name any host.",
                    "List each name.",
                )
            elif not _NAME.fullmatch(host.lower()) and (match is None or match[1] != host.lower() or host[0] != "["):
                yield Finding(
                    "hosts.E003",
                    f"APP_ALLOWED_HOSTS contains {host}, which is not a host name.",
                    "Write names without scheme, port and path; non-ASCII names in punycode.",
                )

    def refuse(self, request: RequestContext) -> Refusal | None:
        scope, headers = request.scope, request.headers
        if request.repeated:
            bad = self._bad_host if b"host" in request.repeated else self._bad_header
            return _told(request, bad, header=b", ".join(sorted(request.repeated)))
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            return _told(request, self._bad_header, header=b"transfer-encoding")
        if headers.get(b"host") not in self._hosts and not self._is_allowed(request, headers.get(b"host", b"")):
            return _told(request, self._bad_host, host=headers.get(b"host", b""))
        path, query = scope["path"], scope["query_string"]
        if len(scope.get("raw_path") or path) + len(query) > MAX_TARGET:
            return self._long_target
        if path[:1] != "/" or "\ufffd" in path or (not path.isprintable() and _CONTROL.search(path)):
            return self._bad_path
        if query and (refusal := self._refuse_query(request, query)):
            return refusal
        return self._refuse_body(request) if request.has_body else None

    def _is_allowed(self, request: RequestContext, host: bytes) -> bool:
        match = _HOST.fullmatch(host[:_MAX_HOST].lower().decode("latin-1"))
        # A change would be one of the same origin, whichever name somebody has given to this service.
        takes_any = request.method in ("GET", "HEAD") and request.policy.any_host
        return takes_any or (match is not None and match[1].encode() in self._hosts)

    def _refuse_query(self, request: RequestContext, query: bytes) -> Refusal | None:
        if _QUERY_CONTROL.search(query):
            return self._control
        route = request.route
        if route is None or (route.query is None and not route.policy.unchecked_query):
            return None
        try:
            names = [name for name, _ in parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")]
        except ValueError:
            return self._bad_query
        if (declared := route.query) is None:
            return None
        if not declared.keys() >= set(names):
            declared = route.overridden_query()
            unknown = next((name for name in names if name not in declared), None)
            if unknown is not None:
                return _told(request, self._unknown, name=unknown)
        once = [name for name in names if not declared[name]]
        if len(once) == len(set(once)):
            return None
        return _told(request, self._repeated, name=next(name for name in once if once.count(name) > 1))

    def _refuse_body(self, request: RequestContext) -> Refusal | None:
        if request.is_websocket:  # what it would be is the client's to choose: a message, or the next request
            return _told(request, self._bad_header, header=b"content-length, transfer-encoding")
        media_type = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        is_json = media_type == "application/json"
        max_bytes = self._max_body_bytes
        length = request.headers.get(b"content-length")
        size = int(length) if length is not None and length.isdigit() else 0
        if not is_json or size > max_bytes or self._routes.any_body_overrides:
            route = request.route
            if route is not None and route.max_body_bytes is not None:
                max_bytes = route.max_body_bytes
            types = request.policy.content_types
            is_json = is_json or media_type.endswith("+json")
            if media_type not in types and not (media_type.endswith("+json") and "application/json" in types):
                return _told(request, _type_refused(types), content_type=request.headers.get(b"content-type", b""))
        request.expect_body(is_json=is_json, max_bytes=max_bytes)
        if b"content-encoding" in request.headers:
            encoding = request.headers[b"content-encoding"]
            if encoding.decode("latin-1").lower() not in request.policy.content_encodings:
                return _told(request, self._encoded, content_encoding=encoding)
            request.expect_body(is_json=False, max_bytes=max_bytes)
            return BODY_TOO_LARGE if size > max_bytes else None
        if size > max_bytes or is_json:
            return BODY_TOO_LARGE if size > max_bytes else None
        try:
            form = request.route.form if request.route is not None else UNDECLARED
            content_type = request.headers[b"content-type"].decode("latin-1")
            request.check_body = check_of(form, content_type, self._routes.most_parts)
        except InvalidBodyError as error:
            request.log_fields["reason"] = str(error)
            return error.refusal
        return None
