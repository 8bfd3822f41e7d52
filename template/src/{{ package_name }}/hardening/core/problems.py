# Owned by the template: an update rewrites this file.
"""Silent errors. A stack trace, a message, an echoed input tells an attacker what runs here and where it gives way;
the client gets a problem document (RFC 9457) and a request id, the log gets the rest. ASVS v5.0.0-16.5.1, 16.5.4.
"""

import json
import traceback
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError, ResponseValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException

from ..stores.base import StoreAwayError

if TYPE_CHECKING:
    from ..asgi.exchange import Exchange

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
PLACES = frozenset({"body", "query", "path", "header", "cookie"})
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
    "repeated": "Is given more than once.",
    "query_invalid": "Is not a query string in UTF-8.",
}


class Problem(HTTPException):
    """An error whose words are meant for the client: `raise Problem(409, "That username is taken")`.

    Args:
        status: HTTP status, 400 to 599.
        title: One sentence that the client may read. Nothing of the inside.
        kind: URI that identifies the kind of problem (RFC 9457, 3.1.1).
        headers: Headers to send with it.
    """

    def __init__(
        self, status: int, title: str, kind: str = "about:blank", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, title, dict(headers) if headers else None)
        self.title = title
        self.kind = kind


class Refusal:
    """An answer that the perimeter gives instead of the application; its bytes are ready before the first request."""

    __slots__ = ("_head", "event", "headers", "status")

    def __init__(self, status: int, event: str, headers: Iterable[tuple[bytes, bytes]] = (), **more: Any) -> None:
        self.status = status
        self.event = event
        self._head = document(status, "\0", **more).split(b"\\u0000")[0]
        self.headers = [(b"content-type", MEDIA_TYPE.encode()), *headers]

    def body(self, request_id: str) -> bytes:
        return b'%s%s"}' % (self._head, request_id.encode())


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
    return json.dumps(
        {"type": kind, "title": title, "status": status, **more, "request_id": request_id}, separators=(",", ":")
    ).encode()


def validation_errors(errors: Iterable[Mapping[str, Any]], declared: frozenset[str] = PLACES) -> list[dict[str, Any]]:
    """What a client may know of its mistakes: declared names, the kind of error, words from our own table."""
    public = []
    for error in list(errors)[:MAX_ERRORS]:
        kind, context = error["type"], error.get("ctx") or {}
        try:
            message = _MESSAGES.get(kind, "Is not valid.").format_map(context)
        except KeyError:
            message = "Is not valid."
        loc = [part for part in error["loc"] if isinstance(part, int) or part in declared]
        public.append({"loc": loc, "type": kind, "msg": message})
    return public


class Errors:
    """The handlers that turn whatever a route raises into a problem document."""

    def __init__(self, is_production: bool) -> None:
        self.is_production = is_production

    def handlers(self) -> dict[int | type[Exception], Any]:
        return {
            HTTPException: self.http,
            RequestValidationError: self.validation,
            WebSocketRequestValidationError: self.websocket,
            StoreAwayError: self.store_away,
        }

    def _respond(
        self, request: Request, exc: Exception, status: int, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Response:
        x: Exchange = request.scope["hardening"]
        if status in BODILESS:
            return Response(status_code=status, headers=headers)
        if not self.is_production and isinstance(exc, HTTPException):
            more["detail"] = str(exc.detail)
        body = document(status, x.request_id, **more)
        kept = {name: value for name, value in (headers or {}).items() if name.lower() != "content-type"}
        return Response(body, status, {**kept, "content-type": MEDIA_TYPE})

    async def http(self, request: Request, exc: HTTPException) -> Response:
        words = {"title": exc.title, "kind": exc.kind} if isinstance(exc, Problem) else {}
        return self._respond(request, exc, exc.status_code, exc.headers, **words)

    async def store_away(self, request: Request, exc: StoreAwayError) -> Response:
        x: Exchange = request.scope["hardening"]
        x.note("store_away")
        return self._respond(request, exc, 503, {"retry-after": "5"})

    async def validation(self, request: Request, exc: RequestValidationError) -> Response:
        x: Exchange = request.scope["hardening"]
        errors = validation_errors(exc.errors(), x.declared)
        x.note("validation_failed", errors=[f"{error['type']} at {error['loc']}" for error in errors])
        return self._respond(request, exc, 422, errors=errors)

    def unhandled(self, request_id: str, exc: BaseException) -> bytes:
        """The document of a 500; only development tells what happened."""
        if self.is_production:
            return document(500, request_id)
        told: dict[str, Any] = {"detail": f"{type(exc).__name__}: {exc}", "traceback": traceback.format_exception(exc)}
        return document(500, request_id, **told)

    async def websocket(self, websocket: WebSocket, exc: WebSocketRequestValidationError) -> None:
        x: Exchange = websocket.scope["hardening"]
        x.note("validation_failed", errors=[error["type"] for error in exc.errors()[:MAX_ERRORS]])
        await websocket.close(code=1008)


def describe(exc: BaseException) -> str:
    """The traceback for the log; without the data that a failed response model would repeat."""
    if isinstance(exc, ResponseValidationError):
        lines = traceback.format_tb(exc.__traceback__)
        faults = ", ".join(f"{error['type']} at {error['loc']}" for error in exc.errors()[:MAX_ERRORS])
        return "".join([*lines, f"ResponseValidationError: {faults}"])
    return "".join(traceback.format_exception(exc))
