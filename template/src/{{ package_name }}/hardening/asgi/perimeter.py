# Owned by the template: an update rewrites this file.
"""The outermost callable. Whoever answers (a route, a 404, a mounted application, an exception), the request came in
here and the response leaves here; so no middleware order and no forgotten handler opens a gap.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from ..core.framework import hear_of_every_exception, is_a, is_test
from ..core.log import log, request_id
from ..core.log_writer import drain
from ..core.masking import describe
from ..core.problems import Refusal
from ..core.spans import listen_to_spans, then_listen
from ..steps.base import RequestContext, Services, Step, is_overridden
from ..steps.client import Client
from ..steps.errors import Errors
from .connections import Connections
from .deadlines import Deadlines, Peer
from .drain import Drains
from .exchange import Exchange, Runtime
from .health import LIVE, READY, Health
from .http_exchange import HttpExchange
from .other_servers import server_findings
from .response_headers import ResponseHeaders
from .sockets import Sockets
from .unfinished import Unfinished
from .websocket_exchange import WebSocketExchange

_HEALTH = frozenset({LIVE, READY})
_INFO = ("request", "client_left", "socket_idle", "socket_too_old", "session_over", "service_stops")
LEVELS = {**dict.fromkeys(_INFO, "info"), "health": "debug", "metrics": "debug", "unhandled_error": "error"}

Verdict = Refusal | Awaitable[Refusal | None] | None
Refuse = Callable[[RequestContext], Verdict]


class Perimeter:
    """Asks each step whether it refuses, lets the rest through, and completes every response.

    Args:
        app: What answers.
        services: What the steps share.
        checklist: The template's own steps.
        team: The team's own, which run after them.
        health: Answers the health paths.
        errors: Words what went wrong.
        root_path: Where a proxy has put the application.
    """

    def __init__(
        self,
        app: ASGIApp,
        services: Services,
        checklist: Sequence[Step],
        team: Sequence[Step],
        health: Health,
        errors: Errors,
        root_path: str = "",
    ) -> None:
        self.services = services
        self._app, self._health = app, health
        self.on_start: Callable[[], None] = lambda: None
        listen_to_spans()
        hear_of_every_exception()
        every = [*checklist, *team]
        identify = next(step.identify for step in checklist if isinstance(step, Client))
        self._refusers = tuple(step.refuse for step in every if is_overridden(step.refuse, Step.refuse))
        settings = services.settings
        self._deadlines, self._drains = Deadlines(settings.max_concurrency), Drains()
        self._connections = Connections(self._busy_peers, settings.header_timeout)
        self._drain_timeout = settings.request_timeout
        headers = ResponseHeaders(checklist, team), ResponseHeaders(checklist)
        timeouts = settings.body_timeout, settings.request_timeout
        sockets = Sockets(services.sessions, Unfinished(settings.max_body_bytes, settings.body_timeout))
        self._runtime = Runtime(
            services,
            identify,
            self._deadlines,
            sockets,
            self._drains,
            *headers,
            errors.unhandled,
            self._connections.cut,
            *timeouts,
            root_path,
        )

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return self._handle(HttpExchange(self._runtime, scope, receive, send))
        if scope["type"] == "websocket":
            return self._handle(WebSocketExchange(self._runtime, scope, receive, send))
        return self._lifespan(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        store, said = self.services.store, [""]

        async def tell(message: Message) -> None:
            said.append(message["type"])
            await send(message)

        self.note_server()
        await store.open()
        log.start_batching(asyncio.get_running_loop())
        watching = asyncio.ensure_future(self._connections.watch())
        try:
            at_shutdown = self._runtime.sockets.end_all
            receive = self._deadlines.wait_for_drain(receive, self._drain_timeout, at_shutdown)
            await self._app(scope, receive, then_listen(tell, self.on_start))
        except BaseException as error:
            # Starlette says so, unless it cannot word it: then the server would go on without what was to be started.
            if said[-1] in ("", "lifespan.startup.complete"):
                phase = "shutdown" if said[-1] else "startup"
                await send({"type": f"lifespan.{phase}.failed", "message": describe(error)})
            raise
        finally:
            watching.cancel()
            log.stop_batching()
            await self.services.sessions.close()
            await store.close()
            drain()

    def begin_stop(self) -> float:
        """End what nobody waits for, and have the rest end in time: the server is told to stop.

        Returns:
            Seconds until it may be: it sends nothing on a WebSocket any more.
        """
        self._drains.end_soon()
        self._deadlines.end_after(self._drain_timeout)
        return self._runtime.sockets.end_all()

    def note_server(self) -> None:
        """Log what a server other than `serve` leaves to others."""
        for finding in server_findings(self.services.settings):
            log("warning", "check", id=finding.id, message=finding.message, hint=finding.hint)

    def _busy_peers(self) -> Iterator[Peer | None]:
        yield from (slot.peer for slot in self._deadlines.slots)
        yield from self._drains.peers

    async def _handle(self, exchange: HttpExchange | WebSocketExchange) -> None:
        request = exchange.request
        token = request_id.set(request.request_id)
        refusal = failure = None
        try:
            try:
                if request.path in _HEALTH and request.method in ("GET", "HEAD"):
                    await self._answer_health(exchange)
                    return
                if (refusal := exchange.acquire_slot()) is None:
                    verdict = self._refusal(exchange, iter(self._refusers))
                    refusal = verdict if verdict is None or isinstance(verdict, Refusal) else await verdict
                request.scope["hardening"] = request
                request.refusal = exchange.refusal = refusal
                await self._app(request.scope, exchange.begin(), exchange.send)
            except asyncio.CancelledError as error:
                await exchange.cancelled(error)
            except BaseException as error:  # the last resort: the server would answer bare
                if is_a(error, GeneratorExit) and asyncio.current_task() is None:
                    raise  # nobody waits for it any more
                await exchange.fail(error)
                is_the_routes = request.event == "unhandled_error" or is_a(error, WebSocketDisconnect)
                failure = error if is_the_routes and is_test(request.scope) else None
            if not exchange.started and (refusal := refusal or exchange.refusal or exchange.if_unanswered):
                await exchange.refuse(refusal)
        finally:
            try:
                if request.unsettled:  # no response has begun
                    await request.settle(None)
            finally:
                request_id.reset(token)
                self._end(exchange)
            if exchange.drain is not None:  # the server drops the body when this returns
                await exchange.drain
                exchange.drain = None  # a cycle, see `_end`
        if failure is not None:  # as Starlette raises it, whose TestClient may raise it on
            raise failure

    async def _answer_health(self, exchange: Exchange) -> None:
        request = exchange.request
        request.note("health")
        status, media_type, body = await self._health.answer(request.path, request.request_id)
        await exchange.answer(status, [(b"content-type", media_type.encode())], body)

    def _refusal(self, exchange: Exchange, refusers: Iterator[Refuse]) -> Verdict:
        """The answer of the first step that refuses; to be awaited only where a step waits."""
        request = exchange.request
        for refuse in refusers:
            if (verdict := refuse(request)) is not None:
                return verdict if isinstance(verdict, Refusal) else self._awaited(exchange, refuse, verdict, refusers)
        return None

    async def _awaited(
        self, exchange: Exchange, refuse: Refuse, verdict: Verdict, refusers: Iterator[Refuse]
    ) -> Refusal | None:
        if isinstance(verdict, Awaitable):
            exchange.await_response()
            verdict = await verdict
        if verdict is None:
            verdict = self._refusal(exchange, refusers)
            return await verdict if isinstance(verdict, Awaitable) else verdict
        if not isinstance(verdict, Refusal):
            raise TypeError(f"{refuse.__qualname__} returned a {type(verdict).__name__}, not a Refusal or None")
        return verdict

    def _end(self, exchange: Exchange) -> None:
        exchange.over()
        request = exchange.request
        log.request(
            LEVELS.get(request.event, "warning"),
            request.event,
            request.request_id,
            request.client,
            request.method,
            request.scope["path"],
            exchange.status,
            (time.perf_counter() - request.started_at) * 1000,
            request.log_fields,
        )
        # A cycle would wait for the collector, with all that the server attached to the scope: 20% of the speed.
        request.scope.pop("hardening", None)
