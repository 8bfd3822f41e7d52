# Owned by the template: an update rewrites this file.
"""The outermost callable. Whoever answers (a route, a 404, a mounted application, an exception), the request came in
here and the response leaves here; so no middleware order and no forgotten handler opens a gap.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from .completion import Completion
from .cors import PREFLIGHT_VARY, CrossOrigin
from .credentials import settle
from .deadlines import Deadlines
from .errors import Errors, Refusal, describe
from .exchange import Exchange
from .headers import SecurityHeaders
from .health import LIVE, READY, Health
from .logging import log, mask, request_id
from .policy import DEFAULT
from .rate_limit import RateLimit
from .route_table import Routes
from .session_store import open_sessions
from .settings import HardeningSettings
from .store import Store
from .validation import Validation

# Granian keeps a connection whose cancelled `receive` has not let go of the body yet when the answer goes out.
_LETTING_GO = 0.05
_LEVELS = {"request": "info", "client_left": "info", "health": "debug", "unhandled_error": "error"}


class Perimeter:
    """Asks each step whether it refuses, lets the rest through, and completes every response."""

    def __init__(
        self,
        app: ASGIApp,
        settings: HardeningSettings,
        routes: Routes,
        store: Store,
        health: Health,
        errors: Errors,
        root_path: str = "",
    ) -> None:
        self.app = app
        self.settings, self.health, self.errors = settings, health, errors
        self.routes, self.store = routes, store
        self.declared = routes.declared()
        self.limit = RateLimit(settings, store, routes)
        self.sessions = open_sessions(settings, store)
        self.cors = CrossOrigin(settings)
        self.validation = Validation(settings, routes)
        self._steps = (self.validation.refuse, self.cors.refuse)
        self.complete = Completion(SecurityHeaders(settings), self.cors).complete
        self.deadlines = Deadlines()
        self.root_path = root_path
        self._overloaded = Refusal(503, "overloaded", [(b"retry-after", b"1")])
        self.denied = Refusal(403, "websocket_refused")
        self._late = Refusal(503, "request_timed_out")
        self._failed = Refusal(500, "unhandled_error")
        self._unread = Refusal(503, "reader_timed_out")
        self.left = Refusal(400, "client_left")

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return self._http(Exchange(self, scope, receive, send))
        if scope["type"] == "websocket":
            return self._websocket(Exchange(self, scope, receive, send))
        return self._live(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.store.open()
        log.gather(asyncio.get_running_loop())
        try:
            await self.app(scope, self.deadlines.drained(receive, self.settings.request_timeout), send)
        finally:
            log.scatter()
            await self.sessions.close()
            await self.store.close()

    async def _http(self, x: Exchange) -> None:
        x.began = began = time.perf_counter()
        token = request_id.set(x.request_id)
        try:
            self.limit.identify(x)
            if x.path in (LIVE, READY) and x.method in ("GET", "HEAD"):
                x.event = "health"
                status, media_type, body = await self.health.answer(x.path, x.request_id)
                await x.answer(status, [(b"content-type", media_type.encode())], body)
            elif (refusal := await self._refusal(x)) is not None:
                await x.refuse(refusal)
            elif x.is_preflight:
                x.added += self.cors.preflight(x)
                await x.answer(204, [PREFLIGHT_VARY], b"")
            else:
                await self._pass(x)
        finally:
            self.deadlines.leave(x)
            if x.attempts:  # no response has begun
                await settle(x)
            request_id.reset(token)
            self._log(x, began)
            # A cycle would wait for the collector, with all that the server attached to the scope: 20% of the speed.
            x.scope.pop("hardening", None)

    async def _refusal(self, x: Exchange) -> Refusal | None:
        self.cors.grant(x)
        if self.deadlines.busy >= self.settings.max_concurrency:
            return self._overloaded
        if self.routes.has_special:
            x.route = self.routes.find(x.route_method, x.path)
            x.policy = x.route.policy if x.route is not None else DEFAULT
        self.deadlines.enter(x)
        if (refusal := await self.limit.refuse(x)) is not None:
            return refusal
        for refuse in self._steps:
            if (refusal := refuse(x)) is not None:
                return refusal
        return None

    async def _pass(self, x: Exchange) -> None:
        scope = x.scope
        scope["hardening"] = x
        if x.method == "HEAD":
            scope["method"] = "GET"
        self.await_response(x)
        try:
            await self.app(scope, x.receive if x.has_body else x._receive, x.send)
        except asyncio.CancelledError as error:
            await self._cancelled(x, error)
        except (Exception, SystemExit, BaseExceptionGroup) as error:  # noqa: BLE001 - the last resort, whatever it is
            await self._fail(x, error)
        if not x.started:
            await x.refuse(x.refusal or self._failed)

    def await_body(self, x: Exchange) -> None:
        """Give the client its time to send the body."""
        self.deadlines.allow(x, x.policy.body_timeout or self.settings.body_timeout, self.validation.too_slow)

    def await_response(self, x: Exchange) -> None:
        """Give the route its time to begin its response; one that has begun may take as long as it takes."""
        if x.started:
            x.due = None
            return
        self.deadlines.allow(x, x.policy.request_timeout or self.settings.request_timeout, self._late)

    def await_reader(self, x: Exchange) -> None:
        """Give the client its time to take one part of a stream."""
        self.deadlines.allow(x, self.settings.body_timeout, self._unread)

    async def _cancelled(self, x: Exchange, error: asyncio.CancelledError) -> None:
        task = asyncio.current_task()
        if x.overdue is not None and task is not None and not task.uncancel():
            x.refusal = x.overdue
            await asyncio.sleep(_LETTING_GO)
            if x.started:
                x.note(x.overdue.event)
                raise ConnectionAbortedError(x.overdue.event)  # the server cuts the connection
        elif task is not None and task.cancelling():
            raise error  # the server stops
        else:
            await self._fail(x, error)

    async def _fail(self, x: Exchange, error: BaseException) -> None:
        if x.refusal is None and not (x.method == "HEAD" and x.finished):
            x.note("unhandled_error", exception=mask(describe(error), log.secrets))
        if x.refusal is not None and not x.started:
            return  # the refusal is the answer
        if not x.started:
            await x.answer(500, self._failed.headers, self.errors.unhandled(x.request_id, error))
        elif not x.finished:
            raise error  # the server cuts the connection, so that nobody takes half a response for a whole one

    async def _websocket(self, x: Exchange) -> None:
        x.began = began = time.perf_counter()
        token = request_id.set(x.request_id)
        self.limit.identify(x)
        try:
            if (refusal := await self._refusal(x)) is not None:
                await x.refuse(refusal)
                return
            x.scope["hardening"] = x
            with suppress(WebSocketDisconnect):
                await self.app(x.scope, x._receive, x.send_websocket)
        except Exception as error:  # noqa: BLE001 - the last resort for whatever a route raises
            x.note("unhandled_error", exception=mask(describe(error), log.secrets))
            if x.started:
                await x._send({"type": "websocket.close", "code": 1011})
            else:
                await x.refuse(self._failed)
        finally:
            self.deadlines.leave(x)
            request_id.reset(token)
            self._log(x, began)
            x.scope.pop("hardening", None)

    def _log(self, x: Exchange, began: float) -> None:
        log.exchange(_LEVELS.get(x.event, "warning"), x, (time.perf_counter() - began) * 1000)
