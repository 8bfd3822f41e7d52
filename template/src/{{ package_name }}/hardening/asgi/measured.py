# Owned by the template: an update rewrites this file.
"""`/metrics` for Prometheus, by `prometheus_client`. What it tells (routes, load, refusals) is for operators alone, so it
is there for a peer in `APP_METRICS_FROM` that asks directly, and for nobody else. Nothing imports this unless that is set.
"""

import asyncio
import os
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send

from ..core.log import request_id
from ..core.peers import Peers, was_forwarded
from ..settings import HardeningSettings
from ..steps.base import RequestContext
from .exchange import Exchange
from .http_exchange import HttpExchange
from .metrics import PATH, SHARED
from .perimeter import LEVELS, Perimeter
from .websocket_exchange import WebSocketExchange

# By name: a type checker need not find what only services with metrics have.
prometheus: Any = import_module("prometheus_client")
multiprocess: Any = import_module("prometheus_client.multiprocess")

RELEASE = "0.13.0"
"""The release of the template that this came with."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds; the last is `APP_REQUEST_TIMEOUT` as it is by default."""
MAX_EVENTS = 100
"""Names that steps of the team may give to what they refuse; more are counted as `other`."""
_INTERVAL = 1.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "WEBSOCKET"})
_LABELS = ["method", "route"]


def _counter(name: str, words: str, *labels: str) -> Any:
    return prometheus.Counter(f"hardening_{name}", words, labels)


def _gauge(name: str, words: str, *labels: str, mode: str = "livesum") -> Any:
    return prometheus.Gauge(f"hardening_{name}", words, labels, multiprocess_mode=mode)


# One set for the process, as `prometheus_client` has it, beside what the team counts there itself.
_REQUESTS = _counter("requests", "Requests that are over, WebSockets too.", "method", "route", "status")
_SECONDS = prometheus.Histogram(
    "hardening_request_duration_seconds", "From a request to the end of its response.", _LABELS, buckets=BUCKETS
)
_REFUSALS = _counter("refusals", "Requests that were refused, or given up, by their log event.", "event")
_SESSIONS = _counter("session_changes", "Sessions that requests began or renewed (kept), or ended.", "change")
_IN_FLIGHT = _gauge("requests_in_flight", "Requests that hold a place.")
_SOCKETS = _gauge("websockets_open", "WebSockets that hold a place.")
_PLACES = _gauge("places", "Places that there are.", "kind")
_STORE = _gauge("store_up", "Whether the store of counts and sessions answers.", mode="livemin")
_HELD = _gauge("sessions", "Sessions that are kept. Those in Redis are not counted.", "store")
_RELEASE = _gauge("template_info", "The release of the template.", "release", mode="livemax")


class Measured(Perimeter):
    """A perimeter that counts, and shows its counts to those who may see them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        settings: HardeningSettings = self.services.settings
        self._scrapers, self._proxies = Peers(settings.metrics_from or ()), Peers(settings.trusted_proxies or ())
        self._events: set[str] = set()
        self._series: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def _may_read(self, exchange: Exchange) -> bool:
        peer = str(exchange.peer[0]) if exchange.peer else ""
        is_direct = not self._proxies.has(peer) and not was_forwarded(exchange.request.headers)
        return is_direct and self._scrapers.has(peer)

    async def _handle(self, exchange: HttpExchange | WebSocketExchange) -> None:
        request = exchange.request
        if request.path != PATH or request.method not in ("GET", "HEAD") or not self._may_read(exchange):
            await super()._handle(exchange)  # there is no such path
            return
        token = request_id.set(request.request_id)
        request.note("metrics")
        try:
            accepted = request.headers.get(b"accept", b"").decode("latin-1")
            encode, media_type = prometheus.exposition.choose_encoder(accepted)
            self._refresh()
            body = await asyncio.to_thread(lambda: encode(_registry()))
            await exchange.answer(200, [(b"content-type", media_type.encode())], body)
        except Exception as error:  # noqa: BLE001 - as for any other request
            await exchange.fail(error)
        finally:
            request_id.reset(token)
            self._end(exchange)
            if exchange.drain is not None:
                await exchange.drain

    def _end(self, exchange: Exchange) -> None:
        super()._end(exchange)
        request = exchange.request
        if request.event in ("health", "metrics"):
            return
        count, seconds = self._series_of(request, exchange.status)
        count.inc()
        if exchange.status != 101:
            seconds.observe(time.perf_counter() - request.started_at)
        if LEVELS.get(request.event, "warning") in ("warning", "error"):
            _REFUSALS.labels(self._event(request.event)).inc()
        for key in request.session_keys.values():
            _SESSIONS.labels("ended" if key is None else "kept").inc()

    def _series_of(self, request: RequestContext, status: int) -> tuple[Any, Any]:
        """What to count a request in. A client chooses neither route nor method, so it makes no series of its own."""
        route = request.route
        is_known = request.method in _METHODS or (route and route.methods and request.method in route.methods)
        labels = request.method if is_known else "other", route.path if route else "none"
        if (series := self._series.get((*labels, status))) is None:
            series = _REQUESTS.labels(*labels, str(status)), _SECONDS.labels(*labels)
            self._series[*labels, status] = series
        return series

    def _event(self, event: str) -> str:
        if len(self._events) < MAX_EVENTS:
            self._events.add(event)
        return event if event in self._events else "other"

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        refreshing = asyncio.ensure_future(self._keep_fresh()) if SHARED in os.environ else None
        try:
            await super()._lifespan(scope, receive, send)
        finally:
            if refreshing is not None:
                refreshing.cancel()

    async def _keep_fresh(self) -> None:
        """Write down what the worker that is asked could not know of this one."""
        while True:
            self._refresh()
            await asyncio.sleep(_INTERVAL)

    def _refresh(self) -> None:
        deadlines = self._deadlines
        _IN_FLIGHT.set(deadlines.requests.held)
        _SOCKETS.set(deadlines.sockets.held)
        _PLACES.labels("requests").set(deadlines.requests.most)
        _PLACES.labels("websockets").set(deadlines.sockets.most)
        _STORE.set(not self.services.store.is_away)
        if (number := self.services.sessions.number) is not None:
            _HELD.labels("memory").set(number)
        _RELEASE.labels(RELEASE).set(1)


def _registry() -> Any:
    """What is shown: of this process, or of all workers together, those that have died included."""
    if (folder := os.environ.get(SHARED)) is None:
        return prometheus.REGISTRY
    for path in Path(folder).glob("gauge_live*_*.db"):
        pid = path.stem.rpartition("_")[2]
        if sys.platform != "win32" and pid.isdecimal() and not _lives(int(pid)):
            with suppress(FileNotFoundError):  # another worker is asked as well
                multiprocess.mark_process_dead(int(pid))
    registry = prometheus.CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return registry


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
