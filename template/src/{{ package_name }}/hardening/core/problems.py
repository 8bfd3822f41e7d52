# Owned by the template: an update rewrites this file.
"""Problem documents (RFC 9457): what a client may know of what went wrong, and nothing of the inside."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException

from .headers import is_field
from .traces import trace_of

_encode = json.JSONEncoder(separators=(",", ":")).encode
MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
INPUT_LOCATIONS = frozenset({"body", "query", "path", "header", "cookie"})
_STATUSES = range(200, 600)
BODILESS = (204, 205, 304)
_MESSAGES = {
    "missing": "Is required.",
    "extra_forbidden": "Has a name that is not known here.",
    "string_too_short": "Is too short: at least {min_length} characters.",
    "string_too_long": "Is too long: at most {max_length} characters.",
    "bytes_too_long": "Is too long: at most {max_length} bytes.",
    "too_short": "Has too few items: at least {min_length}.",
    "too_long": "Has too many items: at most {max_length}.",
    "string_pattern_mismatch": "Has a form that is not admitted.",
    "greater_than": "Must be greater than {gt}.",
    "greater_than_equal": "Must be at least {ge}.",
    "less_than": "Must be less than {lt}.",
    "less_than_equal": "Must be at most {le}.",
    "multiple_of": "Must be a multiple of {multiple_of}.",
    "finite_number": "Must be a finite number.",
    "enum": "Must be one of the declared values.",
    "literal_error": "Must be one of the declared values.",
    "string_type": "Must be a string.",
    "int_type": "Must be an integer.",
    "int_parsing": "Must be an integer.",
    "float_type": "Must be a number.",
    "float_parsing": "Must be a number.",
    "bool_type": "Must be true or false.",
    "bool_parsing": "Must be true or false.",
    "decimal_type": "Must be a decimal number in a string.",
    "date_type": "Must be a date such as 2026-01-31.",
    "datetime_type": "Must be a date and time such as 2026-01-31T12:00:00Z.",
    "uuid_type": "Must be a UUID in a string.",
    "uuid_parsing": "Must be a UUID.",
    "list_type": "Must be a list.",
    "dict_type": "Must be an object.",
    "model_type": "Must be an object.",
    "model_attributes_type": "Must be an object.",
    "password_common": "Is among the commonest passwords.",
    "too_many_errors": "Has more mistakes than are listed.",
    "repeated": "Is given more than once.",
    "control_character": "Has a control character.",
    "json_invalid": "Is not valid JSON.",
    "query_invalid": "Is not a query string in UTF-8.",
}


class Problem(HTTPException):
    """An error whose words are meant for the client: `raise Problem(409, detail="That username is taken")`.

    Args:
        status: HTTP status, 400 to 599.
        title: What every problem of this `kind` is called; without it, the phrase of the status. Where there is no
            `detail`, it is sent as that too.
        kind: URI that identifies the kind of problem (RFC 9457, 3.1.1).
        headers: Headers to send with it.
        detail: One sentence that the client may read of this occurrence. Nothing of the inside.
    """

    def __init__(
        self,
        status: int,
        title: str = "",
        kind: str = "about:blank",
        headers: Mapping[str, str] | None = None,
        *,
        detail: str = "",
    ) -> None:
        super().__init__(status, detail or title, dict(headers) if headers else None)
        self.title = title
        self.kind = kind

    @property
    def members(self) -> dict[str, str]:
        """What the problem document says of it beside its status."""
        detail = {"detail": self.detail} if self.detail else {}
        return {"title": self.title, "kind": self.kind, **detail}


class Refusal:
    """An answer that a step gives in the application's place; its bytes are ready before the first request.

    Args:
        status: HTTP status, 400 to 599.
        event: What the log calls it.
        headers: Headers to send with it, as bytes, their names in lower case.
        **members: More members of the problem document, such as `title`: words that the client may read.

    Raises:
        TypeError: A header is not bytes.
        ValueError: No server can send it: a header holds a line break, or the status is none.
    """

    __slots__ = ("_before_id", "event", "headers", "status")

    def __init__(self, status: int, event: str, headers: Iterable[tuple[bytes, bytes]] = (), **members: Any) -> None:
        self.status = status
        self.event = event
        self.headers = list(headers)
        if not all(isinstance(part, bytes) for header in self.headers for part in header):
            raise TypeError('the headers of a Refusal are bytes, such as (b"retry-after", b"5")')
        if not all(is_field(*header) for header in self.headers) or status not in _STATUSES:
            raise ValueError(f"a Refusal of status {status!r} with the headers {self.headers!r} cannot be sent")
        self._before_id = b""
        if status not in BODILESS:
            self._before_id = document(status, "\0", **members).split(b"\\u0000")[0]
            self.headers.insert(0, (b"content-type", MEDIA_TYPE.encode()))

    def body(self, request_id: str) -> bytes:
        """The problem document for one request."""
        ids = request_id if not (trace_id := trace_of(request_id)) else f'{request_id}","trace_id":"{trace_id}'
        return b'%s%s"}' % (self._before_id, ids.encode()) if self._before_id else b""


class Refused(HTTPException):
    """Ends a route whose request body is refused while it is read; the perimeter answers with `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal


def document(status: int, request_id: str, title: str = "", kind: str = "about:blank", **more: Any) -> bytes:
    """A problem document. `title` falls back to the status phrase, as RFC 9457 4.2.1 asks of `about:blank`."""
    try:
        title = title or HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    ids = {"request_id": request_id, **({"trace_id": trace_id} if (trace_id := trace_of(request_id)) else {})}
    return _encode({"type": kind, "title": title, "status": status, **more, **ids}).encode()


def validation_errors(
    errors: Iterable[Mapping[str, Any]], declared: frozenset[str] = INPUT_LOCATIONS
) -> list[dict[str, Any]]:
    """What a client may know of its mistakes: declared names, the kind of error, words from our own table."""
    public = []
    for error in list(errors)[:MAX_ERRORS]:
        kind, context = error["type"], error.get("ctx") or {}
        try:
            message = _MESSAGES.get(kind, "Is not valid.").format_map(context)
            message = message.replace(" 1 characters", " 1 character").replace(" 1 bytes", " 1 byte")
        except KeyError:
            message = "Is not valid."
        loc = [part for part in error["loc"] if isinstance(part, int) or part in declared]
        public.append({"loc": loc, "type": kind, "msg": message})
    return public


OVERLOADED = Refusal(503, "overloaded", [(b"retry-after", b"1")])
CLIENT_OVERLOADED = Refusal(429, "client_overloaded", [(b"retry-after", b"1")])
ROUTE_TIMEOUT = Refusal(503, "request_timed_out")
READER_TIMEOUT = Refusal(503, "reader_timed_out")
BODY_TIMEOUT = Refusal(408, "body_timed_out", [(b"connection", b"close")])
BODY_TOO_LARGE = Refusal(413, "body_refused")
BODY_INVALID = Refusal(400, "body_refused")
FIELD_UNKNOWN = Refusal(
    422, "validation_failed", errors=validation_errors([{"type": "extra_forbidden", "loc": ["body"]}])
)
CLIENT_DISCONNECTED = Refusal(400, "client_left")
SOCKET_IDLE = Refusal(408, "socket_idle")
SOCKET_TOO_OLD = Refusal(408, "socket_too_old")
SESSION_OVER = Refusal(401, "session_over")
SERVICE_STOPS = Refusal(503, "service_stops")
SESSION_UNKNOWN = Refusal(503, "store_away")
WEBSOCKET_REJECTED = Refusal(403, "websocket_refused")
UNHANDLED = Refusal(500, "unhandled_error")
