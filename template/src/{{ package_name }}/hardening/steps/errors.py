# Owned by the template: an update rewrites this file.
"""Silent errors. A stack trace, a message, an echoed input shows an attacker what runs here and where it gives way;
the client gets a problem document and a request id, the log gets the rest. ASVS v5.0.0-16.5.1, 16.5.4.
"""

import traceback
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException

from ..core.log import log
from ..core.masking import describe, mask
from ..core.problems import BODILESS, MAX_ERRORS, MEDIA_TYPE, Problem, document, validation_errors
from ..core.route import Route
from ..stores.base import StoreUnavailableError
from .base import RequestContext, context_of

_OF_A_BODY = {"content-type", "content-length", "content-encoding", "transfer-encoding"}
_OF_A_BODY |= {"connection", "keep-alive", "trailer", "date"}
"""What tells of another body, or of another connection, where an exception has the headers of an upstream's answer."""


class Errors:
    """The handlers that turn whatever a route raises into a problem document."""

    def __init__(self, is_production: bool, *, sends_details: bool = False) -> None:
        self.is_production = is_production
        self.sends_details = sends_details
        self._told = set[Route | None]()

    def handlers(self) -> dict[int | type[Exception], Any]:
        return {
            HTTPException: self.http,
            RequestValidationError: self.validation,
            WebSocketRequestValidationError: self.websocket,
            StoreUnavailableError: self.store_away,
            Exception: self.failure,
        }

    def _respond(
        self, request: Request, exc: Exception, status: int, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Response:
        kept = {name: value for name, value in (headers or {}).items() if name.lower() not in _OF_A_BODY}
        if status in BODILESS:
            return Response(status_code=status, headers=kept)
        if not self.is_production and isinstance(exc, HTTPException):
            more["debug"] = {"detail": str(exc.detail)}
        body = document(status, context_of(request).request_id, **more)
        return Response(body, status, {**kept, "content-type": MEDIA_TYPE})

    async def http(self, request: Request, exc: HTTPException) -> Response:
        words: dict[str, str] = {}
        headers, context = exc.headers, context_of(request)
        if isinstance(exc, Problem):
            words = exc.members
        elif exc.detail and exc.detail != HTTPException(exc.status_code).detail:
            if self.sends_details and exc.status_code < 500 and isinstance(exc.detail, str):
                words = {"detail": exc.detail}
            else:
                self._tell_of_withheld(context, exc)
        if exc.status_code == 405 and getattr(context.route, "context", None) is None:  # no route's own, but FastAPI's
            methods = context.methods
            headers = {"Allow": ", ".join(methods)} if methods else headers  # it names those of one route
        return self._respond(request, exc, exc.status_code, headers, **words)

    def _tell_of_withheld(self, context: RequestContext, exc: HTTPException) -> None:
        """Log once for a route that words did not reach the client: nobody else would notice."""
        if context.route in self._told:
            return
        self._told.add(context.route)
        log(
            "warning",
            "detail_withheld",
            request_id=context.request_id,
            route=str(context.route or context.path[:100]),
            status=exc.status_code,
            detail=mask(str(exc.detail), log.secrets)[:200],
            hint="Words for the client are a `Problem`: `raise Problem(409, detail=...)`.",
        )

    async def store_away(self, request: Request, exc: StoreUnavailableError) -> Response:
        context_of(request).note("store_away")
        return self._respond(request, exc, 503, {"retry-after": "5"})

    async def validation(self, request: Request, exc: RequestValidationError) -> Response:
        context = context_of(request)
        errors = validation_errors(exc.errors(), context.services.routes.input_names)
        context.note("validation_failed", errors=[f"{error['type']} at {error['loc']}" for error in errors])
        return self._respond(request, exc, 422, errors=errors)

    async def failure(self, request: Request, exc: Exception) -> Response:
        return Response(self.unhandled(context_of(request).request_id, exc), 500, {"content-type": MEDIA_TYPE})

    def unhandled(self, request_id: str, exc: BaseException) -> bytes:
        """The document of a 500; only development shows what happened."""
        if self.is_production:
            return document(500, request_id)
        try:
            lines, summary = traceback.format_exception(exc), traceback.format_exception_only(exc)[-1].strip()
        except BaseException:  # noqa: BLE001 - its own attributes may raise what they like
            lines, summary = [], describe(exc)
        return document(500, request_id, debug={"detail": summary, "traceback": lines})

    async def websocket(self, websocket: WebSocket, exc: WebSocketRequestValidationError) -> None:
        context_of(websocket).note("validation_failed", errors=[error["type"] for error in exc.errors()[:MAX_ERRORS]])
        await websocket.close(code=1008)
