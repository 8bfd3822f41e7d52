# Owned by the template: an update rewrites this file.
"""What a route says of itself: who may call it, and where it needs other bounds than the rest. Silence is an error,
since the route that forgot its guard is the one that leaks (OWASP API5:2023). `check` lists every policy.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext, iter_route_contexts
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from starlette.routing import BaseRoute, Host, Mount, WebSocketRoute, compile_path

from .errors import PLACES
from .models import Bounded, models_in
from .settings import Quota, seconds

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Policy:
    """What one route is allowed beyond the defaults."""

    public: bool = False
    content_types: tuple[str, ...] = ("application/json",)
    quota: Quota | None = None
    body_timeout: float | None = None
    request_timeout: float | None = None
    script_cookies: frozenset[str] = frozenset()
    insecure_because: Mapping[str, str] = field(default_factory=dict)


DEFAULT = Policy()


def policy(
    *,
    public: bool = False,
    content_types: Iterable[str] = ("application/json",),
    quota: str | None = None,
    body_timeout: str | float | None = None,
    request_timeout: str | float | None = None,
    script_cookies: Iterable[str] = (),
    insecure_because: Mapping[str, str] | None = None,
) -> Callable[[Endpoint], Endpoint]:
    """Say what a route needs, beneath its path decorator. Its body size is FastAPI's own `max_body_size=`.

    Args:
        public: Anyone may call it. Otherwise a dependency marked with `guard` must authenticate the caller.
        content_types: Media types of the request body that it takes; a type ending in `+json` counts as JSON.
        quota: Its own quota, such as `5/15m`, counted for each client beside the service's.
        body_timeout: Seconds, or text such as `2m`, for the whole body to arrive.
        request_timeout: Seconds, or text such as `2m`, until its response starts.
        script_cookies: Cookies that it sets without HttpOnly, because scripts must read them.
        insecure_because: The escape hatch: finding ids that this route accepts, each with the reason.

    Raises:
        ValueError: A quota or duration cannot be read, or a reason is empty.
    """
    reasons = dict(insecure_because or {})
    if not all(reason.strip() for reason in reasons.values()):
        raise ValueError("insecure_because needs a reason for each finding that it accepts")
    made = Policy(
        public,
        tuple(each.lower() for each in content_types),
        None if quota is None else Quota.parse(quota),
        None if body_timeout is None else float(seconds(body_timeout)),
        None if request_timeout is None else float(seconds(request_timeout)),
        frozenset(script_cookies),
        reasons,
    )

    def attach(endpoint: Endpoint) -> Endpoint:
        function: Any = getattr(endpoint, "__func__", endpoint)
        function.__policy__ = made
        return endpoint

    return attach


def public(endpoint: Endpoint) -> Endpoint:
    """Say that anyone may call a route: `@public` beneath its path decorator."""
    return policy(public=True)(endpoint)


def guard(dependency: Endpoint) -> Endpoint:
    """Mark a dependency that authenticates the caller, and raises 401 or 403 when it cannot."""
    dependency.__guard__ = True  # type: ignore[attr-defined]
    return dependency


@dataclass(slots=True)
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
    guards: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{','.join(sorted(self.methods)) if self.methods else 'ANY'} {self.path}"

    @property
    def access(self) -> str:
        if self.policy.public:
            return "public"
        return f"guard {', '.join(self.guards)}" if self.guards else "not said"

    @property
    def is_websocket(self) -> bool:
        return self.methods == frozenset({"WEBSOCKET"})

    def dependants(self) -> Iterator[Dependant]:
        """The endpoint and all that it depends on; nothing for what is not FastAPI's."""
        if (dependant := getattr(self.context, "dependant", None)) is not None:
            yield from _tree(dependant)

    def bound(self) -> None:
        """Bound the numbers of its parameters: 4,000 digits are an integer to Python, and `nan` is a number."""
        for each in self.dependants():
            for param in (*each.path_params, *each.query_params, *each.header_params, *each.cookie_params):
                if not list(models_in(param.field_info.annotation)):
                    param.field_info.metadata.append(Bounded())
                    param.__post_init__()  # builds its validator again

    @property
    def is_special(self) -> bool:
        own = self.policy
        return any(value for value in (own.quota, own.body_timeout, own.request_timeout, own.script_cookies))


def _tree(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _tree(each)


def params_of(dependant: Dependant) -> Iterator[Any]:
    """Every parameter that one endpoint or dependency reads from a request."""
    for kind in ("path_params", "query_params", "header_params", "cookie_params", "body_params"):
        yield from getattr(dependant, kind)


def _names(name: str, info: FieldInfo) -> Iterator[str]:
    alias = info.validation_alias or info.alias or name
    yield from (str(choice) for choice in alias.choices) if isinstance(alias, AliasChoices) else (str(alias),)


def _repeats(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, list | set | frozenset | tuple):
        return True
    return any(_repeats(argument) for argument in get_args(annotation))


def _query(dependant: Dependant) -> dict[str, bool]:
    declared: dict[str, bool] = {}
    for each in _tree(dependant):
        for param in each.query_params:
            annotation = param.field_info.annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                fields: Iterable[tuple[str, FieldInfo]] = annotation.model_fields.items()
            else:
                fields = [(param.name, param.field_info)]
            for name, info in fields:
                declared.update(dict.fromkeys(_names(name, info), _repeats(info.annotation)))
    return declared


class Routes:
    """Every route of an application, in the order in which they match; mounted hardened applications included."""

    def __init__(self, routes: Iterable[BaseRoute], is_hardened: Callable[[Any], bool]) -> None:
        self._all = list(self._collect(list(routes), "", is_hardened))
        self.has_special = any(route.is_special for route in self._all)
        self.has_bodies = any(
            route.max_body_bytes is not None or route.policy.content_types != DEFAULT.content_types
            for route in self._all
        )
        self._dynamic = [route for route in self._all if "{" in route.path or route.methods is None]
        # What an exact path may match, shadowing routes with parameters included.
        self._static = {
            route.path: [each for each in self._all if each.regex.match(route.path)]
            for route in self._all
            if "{" not in route.path
        }

    def __iter__(self) -> Iterator[Route]:
        return iter(self._all)

    def find(self, method: str, path: str) -> Route | None:
        """The route that will answer, or `None` where it will be 404 or 405."""
        exact = self._static.get(path)
        for route in self._dynamic if exact is None else exact:
            if (route.methods is None or method in route.methods) and (exact is not None or route.regex.match(path)):
                return route
        return None

    def declared(self) -> frozenset[str]:
        """Every name that a route declares for its input: the only ones that a 422 may repeat."""
        names = set(PLACES)
        for route in self._all:
            for each in route.dependants():
                for param in params_of(each):
                    names |= {param.name, param.alias}
                    for model in models_in(param.field_info.annotation):
                        for name, info in model.model_fields.items():
                            names |= {name, *_names(name, info)}
        return frozenset(names)

    def _collect(self, routes: list[BaseRoute], prefix: str, is_hardened: Callable[[Any], bool]) -> Iterator[Route]:
        for context in iter_route_contexts(routes):
            path = prefix + (context.path or "")
            inner = getattr(context, "app", None) if isinstance(context.original_route, Mount | Host) else None
            if inner is not None and is_hardened(inner):
                yield from self._collect(list(inner.routes), path, is_hardened)
            elif inner is not None:
                yield Route(path, None, compile_path(f"{path}/{{path:path}}")[0], DEFAULT, context, inner)
            elif context.path is not None:
                yield self._route(context, path)

    @staticmethod
    def _route(context: RouteContext, path: str) -> Route:
        dependant = getattr(context, "dependant", None)
        tree = list(_tree(dependant)) if dependant is not None else []
        guards = (each.call for each in tree if getattr(each.call, "__guard__", False))
        is_websocket = isinstance(context.original_route, WebSocketRoute)
        methods = {"WEBSOCKET"} if is_websocket else getattr(context, "methods", None)
        return Route(
            path,
            frozenset(methods) if methods else None,
            compile_path(path)[0],
            getattr(context.endpoint, "__policy__", DEFAULT),
            context,
            max_body_bytes=getattr(context, "max_body_size", None),
            query=_query(dependant) if dependant is not None else None,
            guards=tuple(getattr(call, "__name__", type(call).__name__) for call in guards),
        )


def is_form(info: FieldInfo) -> bool:
    """Whether a body parameter is read from a form."""
    return isinstance(info, params.Form)
