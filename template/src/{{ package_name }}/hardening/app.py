# Owned by the template: an update rewrites this file.
"""The FastAPI application that has the perimeter around it, however it is served, mounted or tested."""

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from .asgi.dispatch import Dispatch
from .asgi.health import Health, Probe
from .asgi.perimeter import Perimeter
from .core.findings import Finding, InsecureConfigurationError
from .core.framework import is_frameworks, is_plain
from .core.log import log
from .core.routes import RouteTable
from .docs import add_docs, describe_problems
from .settings import HardeningSettings
from .startup.routes import route_findings, session_findings
from .startup.settings import near_misses, taken_names
from .startup.steps import findings_of, listed, make_steps
from .steps import STEPS
from .steps.base import Services, Step
from .steps.errors import Errors
from .stores import open_sessions, open_store, store_findings

_DEFAULTS = {"docs_url": None, "redoc_url": None, "openapi_url": None, "redirect_slashes": False}


def _telemetry() -> dict[str, Any]:
    """FastAPI's telemetry looks for providers at each request; it is off unless the environment configures it."""
    if any(name.startswith("OTEL_") for name in os.environ):
        return {}
    return {"telemetry": {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}}


def table_of(router: APIRouter) -> RouteTable:
    """Every route of an application's router as it stands now."""
    return RouteTable(router.routes, lambda app: isinstance(app, Hardened))


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
        handlers = {**self._errors.handlers(), **fastapi.pop("exception_handlers", {})}
        super().__init__(exception_handlers=handlers, **{**_DEFAULTS, **_telemetry(), **fastapi})
        if settings.docs:
            add_docs(self)

    def add_steps(self, steps: Sequence[type[Step]]) -> None:
        """Let steps run after those that are there already, as `__main__` does with the steps of an organisation.

        Raises:
            InsecureConfigurationError: One of them is none.
        """
        self._steps = listed((*self._steps, *steps))

    def build_middleware_stack(self) -> ASGIApp:
        """The framework's stack without the layers whose work the perimeter does (the 500 and the body limit)."""
        inherited = super().build_middleware_stack
        if self.exception_handlers.keys() & {500, Exception} or not is_frameworks(inherited):
            return inherited()
        app: ASGIApp = ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)
        if is_plain(self.router):
            routes = self._routes or self.table()
            app = Dispatch(self, routes, partial(table_of, self.router), app)
        for factory, arguments, options in reversed(self.user_middleware):
            app = factory(app, *arguments, **options)
        return app

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with the problems that the perimeter answers."""
        schema = super().openapi()
        if "Problem" not in schema.get("components", {}).get("schemas", {}):
            describe_problems(schema)
        return schema

    def table(self) -> RouteTable:
        """Every route as it stands now."""
        return table_of(self.router)

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
            *taken_names(type(self.settings)),
            *(finding for step in (*STEPS, *self._steps) for finding in findings_of(step, self.settings)),
            *store_findings(self.settings),
            *self.store.findings(),
            *self._own_findings(),
            *session_findings(self.settings, table),
            *route_findings(table, self.insecure_mounts),
        ]

    def _own_findings(self) -> Iterator[Finding]:
        if self.debug and self.settings.is_production:
            yield Finding("errors.E001", "debug=True would show tracebacks to clients.", "Leave it out.")
        if self.exception_handlers.keys() & {500, Exception}:
            yield Finding(
                "errors.W001",
                "A handler of its own answers unexpected errors: its response is not filtered.",
                "Leave it out, or make sure that it exposes no internals; the log has the exception in any case.",
            )
        if self._insecure_details:
            yield Finding(
                "errors.W002",
                f"What HTTPException says with a 4xx is sent to clients: {self._insecure_details}",
                "Leave `insecure_details` out once the words for clients are `Problem`s.",
            )
        if any(getattr(middleware.cls, "__name__", "") == "CORSMiddleware" for middleware in self.user_middleware):
            yield Finding(
                "cors.E005",
                "CORSMiddleware is added: what it grants is dropped at the perimeter.",
                "List the origins in APP_CORS_ORIGINS.",
            )

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
        await perimeter(scope, receive, send)

    async def prepare(self) -> list[Finding]:
        """Do what has to be done once before the service listens, and return what keeps it from starting."""
        return [finding for step in self._prepare for finding in await step()]

    def seal(self) -> Perimeter:
        """Look at everything and build the perimeter; what a lifespan adds by its start is judged then.

        Raises:
            InsecureConfigurationError: One of the team's steps cannot be made; in production, also if settings or
                routes are not safe.
        """
        services = self._services()
        steps = make_steps(self._steps, services)
        for finding in self._judged(services.routes):
            log("warning", "check", id=finding.id, message=finding.message, hint=finding.hint)
        self._routes = services.routes
        self._routes.apply_default_bounds()
        answer, judge = super().__call__, self._judge_lifespan
        self._perimeter = Perimeter(answer, services, *steps, self._health, self._errors, judge, self.root_path)
        return self._perimeter

    def _judge_lifespan(self) -> None:
        """Judge the routes that a lifespan has added by its start, those of an admin say, as all others were."""
        if self.has_lifespan or self.router.on_startup:
            self._judged(self.table())

    def _judged(self, table: RouteTable) -> list[Finding]:
        findings = self._findings(table)
        errors = [finding for finding in findings if finding.level == "error"]
        if errors and self.settings.is_production:
            raise InsecureConfigurationError(errors)
        return findings
