# Owned by the template: an update rewrites this file.
"""Every route of the application as it stands, prefixes and inherited dependencies included: what the perimeter looks
up where a request needs other bounds than the rest, and what the start-up checks look at.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext
from starlette.routing import BaseRoute, Host, Mount, WebSocketRoute, compile_path

from ..models import Bounded
from ..policy import DEFAULT, Policy, policy_of
from .fail_fast import fail_fast
from .form_text import UNDECLARED, Form
from .operations import Operation, Way, version
from .params import body_of, dependants_of, models_of, names_of, overriding_query_of, params_of, query_of
from .problems import INPUT_LOCATIONS
from .schemas import known, models_in


class Access(Enum):
    """Who may call a route."""

    PUBLIC = "public"
    GUARDED = "guard"
    UNDECLARED = None


@dataclass(slots=True, eq=False)
class Route:
    """One route as it stands, prefixes and inherited dependencies included."""

    path: str
    methods: frozenset[str] | None
    regex: re.Pattern[str]
    policy: Policy
    context: RouteContext | None = None
    app: Any = None
    max_body_bytes: int | None = None
    query: dict[str, bool] | None = None
    """Declared query parameters and whether each may repeat; `None` where nothing is declared, as for a mount."""
    form: Form = UNDECLARED
    """The fields that it declares, if it reads a form."""
    embedded: frozenset[str] = frozenset()
    """The names of the one model that its JSON body holds, where that is embedded under a name."""
    guards: tuple[str, ...] = ()
    operation: Operation | None = None
    """What answers, where the framework adds nothing but the search for it."""

    def __str__(self) -> str:
        return f"{','.join(sorted(self.methods)) if self.methods else 'ANY'} {self.path}"

    @property
    def access(self) -> Access:
        """Who may call it, as the route declares it."""
        if self.policy.public:
            return Access.PUBLIC
        return Access.GUARDED if self.guards else Access.UNDECLARED

    @property
    def is_websocket(self) -> bool:
        return self.methods == frozenset({"WEBSOCKET"})

    @property
    def is_head_only(self) -> bool:
        """Whether it was declared for HEAD, and is not just a GET that answers it too."""
        return self.methods is not None and "HEAD" in self.methods and "GET" not in self.methods

    def dependants(self) -> Iterator[Dependant]:
        """The endpoint and all that it depends on; nothing for what is not FastAPI's."""
        if (dependant := getattr(self.context, "dependant", None)) is not None:
            yield from dependants_of(dependant)

    def overridden_query(self) -> dict[str, bool]:
        """As `query`, with what the dependencies take that stand in the place of others just now."""
        provider = getattr(self.context, "dependency_overrides_provider", None)
        overrides = getattr(provider, "dependency_overrides", None)
        found = (overriding_query_of(each, overrides) for each in [*self.dependants()][:1] if overrides)
        return {**(self.query or {}), **next(found, {})}

    def apply_default_bounds(self) -> None:
        """Bound the numbers of its parameters (4,000 digits are an integer to Python, and `nan` is a number), and what
        the mistakes in them cost."""
        for each in self.dependants():
            fields = [
                param
                for param in each.body_params
                if type(param.field_info) is params.Form and not models_of(param.field_info)
            ]
            for param in (*each.path_params, *each.query_params, *each.header_params, *each.cookie_params, *fields):
                metadata = param.field_info.metadata
                is_bounded = any(isinstance(mark, Bounded) for mark in metadata)
                if not is_bounded and not models_of(param.field_info):
                    metadata.append(Bounded())
                    param.__post_init__()  # builds its validator again
            for param in params_of(each):
                fail_fast(param)


class RouteTable:
    """Every route of an application, in the order in which they match; mounted hardened applications included."""

    def __init__(self, routes: Iterable[BaseRoute], is_hardened: Callable[[Any], bool]) -> None:
        way = Way()
        self.listed = list(routes)
        asked = list(self._collect(way, self.listed, "", is_hardened))
        self.routers = way.routers
        """Every router that is included, nested ones too, and beside it the version that was looked at."""
        self.versions = list(map(version, way.routers))
        self.is_whole = way.is_own and not any(router._low_priority_routes for router in way.routers)
        """Whether path and method alone decide, so that what is not found here is nowhere."""
        self._all = [route for route in asked if route.context is not None]
        self.any_embedded = any(route.embedded for route in self._all)
        self.has_timeouts = any(route.policy.body_timeout or route.policy.request_timeout for route in self._all)
        self.any_body_overrides = any(
            route.max_body_bytes is not None or route.policy.content_types != DEFAULT.content_types
            for route in self._all
        )
        self.has_headers = any(route.policy.headers for route in self._all)
        self._dynamic = [route for route in asked if "{" in route.path or route.methods is None]
        # What an exact path may match, shadowing routes with parameters included.
        self._static = {
            route.path: [each for each in asked if each.regex.match(route.path)]
            for route in self._all
            if "{" not in route.path
        }

    def __iter__(self) -> Iterator[Route]:
        return iter(self._all)

    def apply_default_bounds(self) -> None:
        """Bound the numbers that its routes take as parameters."""
        for route in self._all:
            route.apply_default_bounds()

    def find(self, method: str, path: str) -> Route | None:
        """The route that will answer, or `None` where it will be 404 or 405."""
        exact = self._static.get(path)
        for route in self._dynamic if exact is None else exact:
            if (route.methods is None or method in route.methods) and (exact is not None or route.regex.match(path)):
                return route
        return None

    def methods_at(self, path: str) -> list[str]:
        """Every method that a path is answered to, whichever routes they are of (RFC 9110, 15.5.6)."""
        routes = self._static.get(path) or [route for route in self._dynamic if route.regex.match(path)]
        return sorted({method for route in routes for method in route.methods or () if method != "WEBSOCKET"})

    @cached_property
    def input_names(self) -> frozenset[str]:
        """Every name that a route declares for its input: the only ones that a 422 may repeat."""
        names = set(INPUT_LOCATIONS)
        for route in self._all:
            for each in route.dependants():
                for param in params_of(each):
                    names |= {param.name, param.alias}
                    for model in models_in(known(param)):
                        for name, info in model.model_fields.items():
                            names |= {name, *names_of(name, info)}
        return frozenset(names)

    def _collect(
        self, way: Way, routes: list[BaseRoute], prefix: str, is_hardened: Callable[[Any], bool]
    ) -> Iterator[Route]:
        for context, operation in way.walk(routes):
            path = prefix + (context.path or "")
            inner = getattr(context, "app", None) if isinstance(context.original_route, Mount | Host) else None
            if inner is not None and is_hardened(inner):
                yield from self._collect(Way(is_own=False), list(inner.routes), path, is_hardened)
                if type(context.original_route) is Mount:  # what is below it and not there is nowhere
                    yield Route(path, None, compile_path(f"{path}/{{path:path}}")[0], DEFAULT)
            elif inner is not None:
                policy, below = policy_of(inner, context.original_route), compile_path(f"{path}/{{path:path}}")[0]
                yield Route(path, None, below, policy, context, inner, policy.max_body_size)
            elif context.path is not None:
                yield self._route(context, path, operation)

    @staticmethod
    def _route(context: RouteContext, path: str, operation: Operation | None) -> Route:
        dependant = getattr(context, "dependant", None)
        tree = list(dependants_of(dependant)) if dependant is not None else []
        guards = (each.call for each in tree if getattr(each.call, "__guard__", False))
        policy: Policy = policy_of(context.endpoint, context.original_route)
        form, embedded, types = body_of(context, is_open="routes.E002" in policy.insecure_because)
        if policy.content_types == DEFAULT.content_types and types:
            policy = replace(policy, content_types=types)
        is_websocket, size = isinstance(context.original_route, WebSocketRoute), getattr(context, "max_body_size", None)
        methods = {"WEBSOCKET"} if is_websocket else getattr(context, "methods", None)
        return Route(
            path,
            frozenset(methods) if methods else None,
            compile_path(path)[0],
            policy,
            context,
            max_body_bytes=policy.max_body_size if size is None else size,
            query=None if dependant is None or policy.unchecked_query else query_of(dependant),
            guards=tuple(getattr(call, "__name__", type(call).__name__) for call in guards),
            operation=operation,
            form=form,
            embedded=embedded,
        )
