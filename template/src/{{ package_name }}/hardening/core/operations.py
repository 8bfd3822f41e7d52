# Owned by the template: an update rewrites this file.
"""The path operations that the framework would find, in the order in which it asks for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from fastapi.params import Form
from fastapi.routing import APIRoute, APIRouter, RouteContext, _EffectiveRouteContext, _IncludedRouter
from starlette.types import ASGIApp

from .framework import is_frameworks, is_own, is_plain, matches_by_path

version = attrgetter("_routes_version")


@dataclass(slots=True)
class Operation:
    """A path operation, and what the framework would write into the scope on the way to it."""

    app: ASGIApp
    route: APIRoute
    endpoint: Any
    convertors: dict[str, Any]
    fastapi: dict[str, Any]


@dataclass(slots=True)
class Way:
    """A walk through routes and included routers, in the order in which the framework asks them."""

    is_own: bool = True
    """Whether the framework's own classes alone have decided so far, by path and method."""
    routers: list[APIRouter] = field(default_factory=list)

    def walk(
        self, routes: Sequence[Any], within: _IncludedRouter | None = None
    ) -> Iterator[tuple[RouteContext, Operation | None]]:
        """Each route as it stands, with its operation where the framework adds nothing but the search for it."""
        for route in routes:
            if isinstance(route, _IncludedRouter):
                router = route.original_router
                self.routers.append(router)
                self.is_own = self.is_own and is_own(route, _IncludedRouter) and is_plain(router)
                yield from self.walk(route.effective_candidates(), route)
                continue
            is_included = isinstance(route, _EffectiveRouteContext)
            context = RouteContext(route.original_route, route) if is_included else RouteContext(route)
            self.is_own = self.is_own and matches_by_path(context)
            yield context, _operation(context, within) if self.is_own else None


def _operation(context: RouteContext, within: _IncludedRouter | None) -> Operation | None:
    route, body = context.original_route, getattr(context, "body_field", None)
    if not isinstance(route, APIRoute) or not is_frameworks(context.app):
        return None  # an application of somebody's own may raise what only the framework's layers answer
    if context.max_body_size is not None or (body is not None and isinstance(body.field_info, Form)):
        return None  # the routers on the way may have limits for it
    found = {"included_router": within, "effective_route_context": context._route_context} if within else {}
    return Operation(context.app, route, context.endpoint, context.param_convertors, found)
