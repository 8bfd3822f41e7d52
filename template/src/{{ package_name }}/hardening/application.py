# Owned by the template: an update rewrites this file.
"""The FastAPI application that has the perimeter around it, however it is served, mounted or tested."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from .checks import Finding, InsecureConfigurationError, settings_findings
from .cors import CrossOrigin
from .docs import add_docs
from .errors import Errors
from .headers import SecurityHeaders
from .health import Health, Probe
from .logging import log
from .models import models_in
from .perimeter import Perimeter
from .policy import Routes, dependants
from .rate_limit import RateLimit
from .route_checks import route_findings
from .settings import HardeningSettings
from .validation import Validation


class Hardened(FastAPI):
    """A FastAPI application behind the perimeter.

    Args:
        settings: What steers the perimeter.
        ready: Coroutine functions that say whether what the service needs is there; `/health/ready` asks them.
        insecure_mounts: The escape hatch for mounted applications that are not hardened: path and reason.
        **fastapi: Whatever `FastAPI` takes.

    Raises:
        InsecureConfigurationError: On the first event, in production, if settings or routes are not safe.
    """

    def __init__(
        self,
        settings: HardeningSettings,
        *,
        ready: Sequence[Probe] = (),
        insecure_mounts: dict[str, str] | None = None,
        **fastapi: Any,
    ) -> None:
        self.settings = settings
        self.insecure_mounts = dict(insecure_mounts or {})
        self._health = Health(ready)
        self._errors = Errors(settings.is_production)
        self._perimeter: Perimeter | None = None
        handlers = {**self._errors.handlers(), **fastapi.pop("exception_handlers", {})}
        defaults = {"docs_url": None, "redoc_url": None, "openapi_url": None, "redirect_slashes": False}
        super().__init__(exception_handlers=handlers, **{**defaults, **fastapi})
        if settings.docs:
            add_docs(self)

    def table(self) -> Routes:
        """Every route as it stands now."""
        return Routes(self.routes, lambda app: isinstance(app, Hardened))

    def findings(self) -> list[Finding]:
        """All that is not safe, in the settings and in the routes."""
        steps = (Validation.check, RateLimit.check, CrossOrigin.check, SecurityHeaders.check)
        return [*settings_findings(self.settings, steps), *route_findings(self.table(), self.insecure_mounts)]

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
                return
        await perimeter(scope, receive, send)

    def seal(self) -> Perimeter:
        """Look at everything and build the perimeter; what is added to the application later is not protected by it.

        Raises:
            InsecureConfigurationError: In production, if settings or routes are not safe.
        """
        findings = self.findings()
        errors = [finding for finding in findings if finding.level == "error"]
        if errors and self.settings.is_production:
            raise InsecureConfigurationError(errors)
        for finding in findings:
            log("warning", "check", id=finding.id, message=finding.message, hint=finding.hint)
        table = self.table()
        self._errors.declared = frozenset(_declared(table))
        self._perimeter = Perimeter(super().__call__, self.settings, table, self._health)
        return self._perimeter


def _declared(table: Routes) -> set[str]:
    """Every name that a route declares for its input: the only ones that a 422 may repeat."""
    names = {"body", "query", "path", "header", "cookie"}
    for route in table:
        dependant = getattr(route.context, "dependant", None)
        for each in dependants(dependant) if dependant is not None else ():
            for param in (
                *each.path_params,
                *each.query_params,
                *each.header_params,
                *each.cookie_params,
                *each.body_params,
            ):
                names |= {param.name, param.alias}
                for model in models_in(param.field_info.annotation):
                    names |= {
                        name for field, info in model.model_fields.items() for name in (field, info.alias or field)
                    }
    return names
