# Owned by the template: an update rewrites this file.
"""Every route of the application as it stands, prefixes and inherited dependencies included: what the perimeter looks
up where a request needs other bounds than the rest, and what the start-up checks look at.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute, RouteContext
from starlette.routing import Host, Mount, WebSocketRoute, compile_path
from starlette.types import Scope

from ..policy import DEFAULT, Policy, is_guard, name_of, policy_of
from .framework import Way, has_frontends, identity, may_limit_body, selected
from .params import body_of, dependants_of, names_of, params_of, query_of
from .problems import INPUT_LOCATIONS
from .route import Route
from .schemas import known, models_in


class RouteTable:
    """Every route of an application, in the order in which they match; mounted hardened applications included.

    Args:
        app: Whose routes they are.
        inner: The router of a mounted application whose routes are looked at as well, or `None`.
    """

    def __init__(self, app: FastAPI, inner: Callable[[Any], Any]) -> None:
        self._app, self._inner = app, inner
        self._router = app.router  # the one that the framework's own layers go on with
        self.read()

    def read(self) -> None:
        """Read the routes as they stand now."""
        self.is_stale = False
        """Whether routes have been added or taken away since."""
        self.__dict__.pop("input_names", None)
        way = Way()
        asked = list(self._collect(way, self._router, ""))
        self.routers = way.routers
        self._is_by_path = way.by_path
        self.most_parts = way.most_fields + way.most_files
        """Of a form; one with more is refused by every route whose form is read by the framework."""
        self.is_whole = way.by_path and not any(map(has_frontends, way.routers))
        """Whether path and method alone decide, so that what is not found here is nowhere."""
        self._all = [route for route in asked if route.context is not None]
        self._by_identity = {identity(route.context): route for route in self._all if route.context is not None}
        self.any_embedded = any(route.embedded for route in self._all)
        self.has_timeouts = any(route.policy.body_timeout or route.policy.request_timeout for route in self._all)
        self.has_quotas = any(route.policy.quota is not None for route in self._all)
        self.any_body_overrides = any(
            route.max_body_bytes is not None or route.policy.content_types != DEFAULT.content_types
            for route in self._all
        )
        self.has_headers = any(route.policy.headers for route in self._all)
        by_path = [route for route in asked if route.by_path]
        self._undecided = [route for route in self._all if not (route.by_path or route.is_websocket)]
        self._dynamic = [route for route in by_path if "{" in route.path or route.methods is None]
        # What an exact path may match, shadowing routes with parameters included.
        self._static = {
            route.path: [each for each in by_path if each.regex.match(route.path)]
            for route in by_path
            if "{" not in route.path
        }

    def __iter__(self) -> Iterator[Route]:
        return iter(self._all)

    def apply_default_bounds(self) -> None:
        """Bound the numbers that its routes take as parameters."""
        for route in self._all:
            route.apply_default_bounds()

    def find(self, method: str, path: str, scope: Scope, root_path: str) -> Route | None:
        """The route that will answer, or `None` where it will be 404 or 405.

        FastAPI's own routes are asked from the first on that may decide by more than path and method. HEAD is answered
        as GET, unless a route of its own takes it.
        """
        for each in ("HEAD", "GET") if method == "HEAD" else (method,):
            route = self.find_by_path(each, path)
            if route is None and not self._is_by_path:
                # A mount that has been passed since has changed the scope.
                fresh = {**scope, "root_path": root_path, "app_root_path": root_path, "path_params": {}}
                route = self.search({**fresh, "method": each} if scope["type"] == "http" else fresh)
            if route is not None and (each != "HEAD" or route.has_head):
                return route
        return None

    def search(self, scope: Scope) -> Route | None:
        """The route that FastAPI's own router selects."""
        asked = {**scope, "app": self._app, "router": self._router, "fastapi": {}}
        return self._by_identity.get(selected(self._router, asked, self._inner) or 0)

    def find_by_path(self, method: str, path: str) -> Route | None:
        """The route that will answer, if nothing but path and method has to be asked."""
        exact = self._static.get(path)
        for route in self._dynamic if exact is None else exact:
            if (route.methods is None or method in route.methods) and (exact is not None or route.regex.match(path)):
                return route
        return None

    def methods_at(self, path: str, takes: Callable[[str], Any] = bool) -> list[str]:
        """Every method that a path is answered to, whichever routes they are of (RFC 9110, 15.5.6).

        Args:
            path: Below a root path.
            takes: Whether a route is found for a method of one that may decide by more than path and method.
        """
        others = {each for route in self._undecided if route.regex.match(path) for each in route.methods or ()}
        methods = {each for route in self.at(path) for each in route.methods or ()} | {*filter(takes, others)}
        return sorted(methods | {"HEAD"} if "GET" in methods else methods)

    def at(self, path: str) -> list[Route]:
        """The routes of a path that are no WebSockets, whatever their methods."""
        routes = self._static.get(path) or [route for route in self._dynamic if route.regex.match(path)]
        return [route for route in routes if not route.is_websocket]

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

    def _collect(self, way: Way, router: APIRouter, prefix: str) -> Iterator[Route]:
        for context, by_path in way.walk(router):
            path = prefix + (context.path or "")
            inner = getattr(context, "app", None) if isinstance(context.original_route, Mount | Host) else None
            if isinstance(context.original_route, Host):
                path = f"{prefix}//{context.host}"
            below = compile_path(f"{path}/{{path:path}}")[0]
            if inner is not None and (router_within := self._inner(inner)) is not None:
                yield from self._collect(way, router_within, path)
                if type(context.original_route) is Mount:  # what is below it and not there is nowhere
                    yield Route(path, None, below, DEFAULT, by_path=way.by_path)
            elif inner is not None:
                policy = policy_of(inner, context.original_route)
                yield Route(path, None, below, policy, context, inner, policy.max_body_size, by_path=by_path)
            elif frontends := getattr(context.original_route, "routes", None):
                for each in frontends:
                    place = f"{prefix}{getattr(context, 'frontend_prefix', '')}{each.path}".rstrip("/") + "/"
                    methods = frozenset(each.methods)
                    yield replace(self._route(context, place), methods=methods, app=each.app, query=None)
            elif context.path is None:
                yield Route(
                    f"{prefix}{type(context.original_route).__name__}", None, below, DEFAULT, context, context.route
                )
            else:
                is_ours = by_path and router is self._router and isinstance(context.original_route, APIRoute)
                may_be_kept = is_ours and not may_limit_body(context)
                yield replace(self._route(context, path), by_path=by_path, may_be_kept=may_be_kept)

    @staticmethod
    def _route(context: RouteContext, path: str) -> Route:
        dependant = getattr(context, "dependant", None)
        tree = list(dependants_of(dependant)) if dependant is not None else []
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
            guards=tuple(name_of(each.call) for each in tree if is_guard(each.call)),
            form=form,
            embedded=embedded,
        )
