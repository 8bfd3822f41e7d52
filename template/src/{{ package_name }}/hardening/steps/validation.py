# Owned by the template: an update rewrites this file.
"""One reading of a request. What two parsers read differently is what attackers use: one host, one JSON dialect in
UTF-8, known query parameters, the content type that the route takes, a body within its bounds.
RFC 8259, RFC 7493 (I-JSON); ASVS v5.0.0-1.1.1, 1.5.3, 3.5.2, 4.2.1, 5.2.1, 15.3.7.
"""

import json
import re
from collections.abc import Iterator
from math import isinf
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from ..core.problems import Refusal, validation_errors
from ..core.routes import Routes
from ..settings import HardeningSettings
from ..startup.settings import Finding

if TYPE_CHECKING:
    from ..asgi.exchange import Exchange

MAX_TARGET = 8192
MAX_DEPTH = 64
SINGLE = frozenset(
    {
        b"host",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"origin",
        b"authorization",
        b"sec-fetch-site",
        b"transfer-encoding",
    }
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_QUERY_CONTROL = re.compile(rb"%(?:[01][0-9a-f]|7f)|[\x00-\x1f\x7f]", re.IGNORECASE)
_HOST = re.compile(r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*", re.ASCII)
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?:[dD][89a-fA-F]|0000)")


class InvalidJSONError(ValueError):
    """The body is not one unambiguous JSON text in UTF-8."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJSONError("a name stands twice in one object")
    return members


def _no_constant(name: str) -> Any:
    raise InvalidJSONError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise InvalidJSONError("a number is too large")
    return number


def _is_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        children = (child for item in level for child in (item.values() if isinstance(item, dict) else item))
        level = [child for child in children if isinstance(child, dict | list)]
    return bool(level)


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite).raw_decode


def check_json(body: bytes | bytearray) -> Any:
    """Refuse what JSON parsers read differently: other encodings, repeated names, NaN, 1e999, half surrogates, depth.

    Returns:
        What the body says, as `json.loads` has it.

    Raises:
        InvalidJSONError: With a reason that repeats nothing of the body.
    """
    try:
        text = body.decode().strip(" \t\n\r")
        value, end = _decode(text)
    except InvalidJSONError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidJSONError("not JSON in UTF-8") from error
    if end != len(text):
        raise InvalidJSONError("not JSON in UTF-8")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise InvalidJSONError(f"nested deeper than {MAX_DEPTH}")
    if b"\\u" in body and _ESCAPED.search(body):
        text = json.dumps(value, ensure_ascii=False)
        if "\\u0000" in text:
            raise InvalidJSONError("a NUL character")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidJSONError("half of a surrogate pair") from error
    return value


class Validation:
    """Refuses a request that is malformed before any route sees it."""

    def __init__(self, settings: HardeningSettings, routes: Routes) -> None:
        self._hosts = frozenset(host.lower().encode() for host in settings.allowed_hosts)
        self._max_body_bytes = settings.max_body_bytes
        self._routes = routes
        self._bad_host = Refusal(400, "host_refused")
        self._bad_path = Refusal(400, "path_refused")
        self._bad_header = Refusal(400, "header_refused", [(b"connection", b"close")])
        self._bad_query, self._unknown, self._repeated = (
            Refusal(422, "query_refused", errors=validation_errors([{"type": kind, "loc": ["query"]}]))
            for kind in ("query_invalid", "extra_forbidden", "repeated")
        )
        self._long_target = Refusal(414, "path_refused")
        self._bad_type = Refusal(415, "content_type_refused")
        self.too_large = Refusal(413, "body_refused")
        self.too_slow = Refusal(408, "body_timed_out", [(b"connection", b"close")])
        self.invalid = Refusal(400, "body_refused")

    @staticmethod
    def check(settings: HardeningSettings) -> Iterator[Finding]:
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

    def refuse(self, x: "Exchange") -> Refusal | None:
        scope, headers = x.scope, x.headers
        if x.repeated:
            return self._bad_host if b"host" in x.repeated else self._bad_header
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            return self._bad_header
        if headers.get(b"host") not in self._hosts and not self._is_allowed(headers.get(b"host", b"")):
            return self._bad_host
        path, query = scope["path"], scope["query_string"]
        if len(scope.get("raw_path") or path) + len(query) > MAX_TARGET:
            return self._long_target
        if path[:1] != "/" or "\ufffd" in path or (not path.isprintable() and _CONTROL.search(path)):
            return self._bad_path
        if query and (refusal := self._refuse_query(x, query)):
            return refusal
        return self._refuse_body(x) if x.has_body else None

    def _is_allowed(self, host: bytes) -> bool:
        match = _HOST.fullmatch(host.lower().decode("latin-1"))
        return match is not None and match[1].encode() in self._hosts

    def _refuse_query(self, x: "Exchange", query: bytes) -> Refusal | None:
        if _QUERY_CONTROL.search(query):
            return self._bad_query
        route = x.route or self._routes.find(x.route_method, x.path)
        if route is None or route.query is None:
            return None
        try:
            names = [name for name, _ in parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")]
        except ValueError:
            return self._bad_query
        if not route.query.keys() >= set(names):
            return self._unknown
        once = [name for name in names if not route.query[name]]
        return self._repeated if len(once) != len(set(once)) else None

    def _refuse_body(self, x: "Exchange") -> Refusal | None:
        media_type = x.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        x.is_json = media_type == "application/json"
        x.max_body_bytes = self._max_body_bytes
        length = x.headers.get(b"content-length")
        size = int(length) if length is not None and length.isdigit() else 0
        if not x.is_json or size > self._max_body_bytes or self._routes.has_bodies:
            route = x.route or self._routes.find(x.route_method, x.path)
            if route is not None and route.max_body_bytes is not None:
                x.max_body_bytes = route.max_body_bytes
            types = x.policy.content_types if route is None else route.policy.content_types
            x.is_json = media_type == "application/json" or media_type.endswith("+json")
            if media_type not in types and not (media_type.endswith("+json") and "application/json" in types):
                return self._bad_type
        if b"content-encoding" in x.headers:
            return self._bad_type
        return self.too_large if size > x.max_body_bytes else None
