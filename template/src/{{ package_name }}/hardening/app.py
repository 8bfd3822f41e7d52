# Owned by the template: an update rewrites this file.
"""The FastAPI application that has the perimeter around it, however it is served, mounted or tested."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from .asgi.dispatch import Dispatch, admitted
from .asgi.health import Health, Probe
from .asgi.metrics import is_measured, metrics_findings
from .asgi.perimeter import Perimeter
from .core.findings import Finding, InsecureConfigurationError
from .core.framework import settle_telemetry
from .core.log import log
from .core.routes import RouteTable
from .core.watched import Watch
from .docs import add_docs, describe_problems
from .settings import HardeningSettings
from .startup.frameworks import framework_findings
from .startup.routes import app_findings, route_findings, session_findings
from .startup.settings import near_misses, taken_names
from .startup.steps import findings_of, listed, make_steps
from .steps import STEPS
from .steps.base import Services, Step
from .steps.errors import Errors
from .stores import open_sessions, open_store, store_findings

_DEFAULTS = {"docs_url": None, "redoc_url": None, "openapi_url": None, "redirect_slashes": False}
_LONG = 5.0
"""Seconds of a preparation after which the log tells of it, and again each time."""


def _inner(app: Any) -> Any:
    """The router of a mounted application that is behind the perimeter too."""
    if isinstance(app, Hardened):
        return app.router
    if type(app) is Router and app.routes and all(isinstance(each, Mount) and _inner(each.app) for each in app.routes):
        return app  # what FastAPI makes of a host in a router that is included with a prefix
    return None


class Hardened(FastAPI):
    """A FastAPI application behind the perimeter.

    Args:
        settings: What steers the perimeter.
        prepare: Coroutine functions that `serve` calls once, before it listens; what they find keeps it from starting.
        ready: Coroutine functions that say whether what the service needs is there; `/health/ready` asks them.
        insecure_mounts: The escape hatch for mounted applications that are not hardened: path and reason.
        insecure_details: The escape hatch for an application that moves here: why the `detail` of each `HTTPException`
            of a 4xx may be sent. Never that of a 5xx.
        steps: Steps of your own, which run after those of the checklist: subclasses of `Step`, not objects.
        **fastapi: Whatever `FastAPI` takes.

    Raises:
        InsecureConfigurationError: Here, if a step is none; on the first event, if one cannot be made, and in
            production if settings or routes are not safe.
    """

    def __init__(
        self,
        settings: HardeningSettings,
        *,
        prepare: Sequence[Callable[[], Awaitable[Iterable[Finding]]]] = (),
        ready: Sequence[Probe] = (),
        insecure_mounts: dict[str, str] | None = None,
        insecure_details: str = "",
        steps: Sequence[type[Step]] = (),
        **fastapi: Any,
    ) -> None:
        self.settings = settings
        self.insecure_mounts = dict(insecure_mounts or {})
        self._steps = listed(steps)
        self._prepare = prepare
        self.has_lifespan = bool(fastapi.get("lifespan"))
        self.store = open_store(settings)
        self._health = Health([*ready, self.store.is_ready])
        self._insecure_details = insecure_details.strip()
        self._errors = Errors(settings.is_production, sends_details=bool(self._insecure_details))
        self._perimeter: Perimeter | None = None
        self._routes: RouteTable | None = None
        self._reported: set[str] = set()
        handlers = {**self._errors.handlers(), **fastapi.pop("exception_handlers", {})}
        super().__init__(exception_handlers=handlers, **{**_DEFAULTS, **fastapi})
        if settings.docs:
            add_docs(self)

    def add_steps(self, steps: Sequence[type[Step]]) -> None:
        """Let steps run after those that are there already, as `__main__` does with the steps of an organisation.

        Raises:
            InsecureConfigurationError: One of them is none.
        """
        self._steps = listed((*self._steps, *steps))

    def build_middleware_stack(self) -> ASGIApp:
        """The framework's stack as it is; what the perimeter refuses passes by middleware that does more than observe."""
        given = self.user_middleware
        self.user_middleware = [admitted(each) for each in given]
        try:
            return super().build_middleware_stack()
        finally:
            self.user_middleware = given

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with the problems that the perimeter answers."""
        schema = super().openapi()
        if "Problem" not in schema.get("components", {}).get("schemas", {}):
            describe_problems(schema)
        return schema

    def table(self) -> RouteTable:
        """Every route as it stands now."""
        return RouteTable(self, _inner)

    def findings(self) -> list[Finding]:
        """All that is not safe, in the settings and in the routes.

        Raises:
            InsecureConfigurationError: One of the team's steps cannot be made.
        """
        services = self._services()
        make_steps(self._steps, services)
        return self._findings(services.routes)

    def _services(self) -> Services:
        return Services(self.settings, self.store, open_sessions(self.settings, self.store), self.table())

    def _findings(self, table: RouteTable) -> list[Finding]:
        return [
            *near_misses(self.settings),
            *framework_findings(),
            *taken_names(type(self.settings)),
            *(finding for step in (*STEPS, *self._steps) for finding in findings_of(step, self.settings)),
            *store_findings(self.settings),
            *self.store.findings(),
            *metrics_findings(self.settings, table),
            *app_findings(self, self.settings.is_production, self._errors.failure, self._insecure_details),
            *session_findings(self.settings, table),
            *route_findings(table, self.insecure_mounts),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "hardening" in scope:  # mounted in another one, whose perimeter is around it already
            await super().__call__(scope, receive, send)
            return
        if (perimeter := self._perimeter) is None:
            try:
                perimeter = self.seal()
            except InsecureConfigurationError as error:
                if scope["type"] != "lifespan":
                    raise
                await receive()
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                raise  # as Starlette does: a test client would wait for more
            if scope["type"] != "lifespan":  # then the lifespan notes it
                perimeter.note_server()
        elif self._routes is not None and self._routes.is_stale:
            self._look(self._routes)
        await perimeter(scope, receive, send)

    async def prepare(self) -> list[Finding]:
        """Do what has to be done once before the service listens, and return what keeps it from starting.

        The log tells of what takes long, as where somebody else migrates the database.
        """
        found: list[Finding] = []
        for step in self._prepare:
            task = asyncio.ensure_future(step())
            while not (await asyncio.wait({task}, timeout=_LONG))[0]:
                log("warning", "still_preparing", step=getattr(step, "__qualname__", "step"))
            found += task.result()
        return found

    def seal(self) -> Perimeter:
        """Look at everything and build the perimeter. Once the application has started, it is looked at again, and in
        production no route can be added any more.

        Raises:
            InsecureConfigurationError: One of the team's steps cannot be made; in production, also if settings or
                routes are not safe.
        """
        services = self._services()
        steps = make_steps(self._steps, services)
        self._report(self._findings(services.routes))
        self._routes = services.routes
        self._watch = Watch(self._routes)
        self._watch.begin()
        Dispatch(self.router, self._routes, self._start)
        kind = import_module(".asgi.measured", __package__).Measured if is_measured(self.settings) else Perimeter
        self._perimeter = kind(super().__call__, services, *steps, self._health, self._errors, self.root_path)
        return self._perimeter

    def _report(self, findings: Iterable[Finding]) -> None:
        new = [finding for finding in findings if str(finding) not in self._reported]
        errors = [finding for finding in new if finding.level == "error"]
        if errors and self.settings.is_production:
            raise InsecureConfigurationError(errors)
        for finding in new:
            log("warning", "check", id=finding.id, message=finding.message, hint=finding.hint)
        self._reported |= set(map(str, new))

    def _start(self, is_test: bool) -> None:
        """Look at the routes when the application is whole; from now on nobody adds one in production."""
        if self._routes is not None:
            self._look(self._routes)
        if self.settings.is_production and not is_test:
            self._watch.is_frozen = True
            settle_telemetry(self)

    def _look(self, routes: RouteTable) -> None:
        routes.read()
        try:
            self._report([*session_findings(self.settings, routes), *route_findings(routes, self.insecure_mounts)])
        except InsecureConfigurationError:
            routes.is_stale = True  # nothing is answered until it is safe
            raise
        self._watch.begin()
