# Owned by the template: an update rewrites this file.
"""What is looked at in the team's own routes before the service starts: the code that is written next year must be
as safe as the example. Each finding has an id, a sentence and a remedy.
"""

from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from fastapi.params import Form
from pydantic import BaseModel, TypeAdapter
from starlette.staticfiles import StaticFiles

from ..core.findings import Finding
from ..core.problems import BODILESS
from ..core.routes import Access, Route, RouteTable
from ..models import ApiModel, QueryModel, models_in
from ..policy import DEFAULT
from ..settings import HardeningSettings
from ..steps.sessions import Sessions

_NO_SCHEMA = ("default", "expected", "members", "metadata", "serialization")
_BODY_HINT = "Take one `ApiModel`, not embedded: `async def create(user: NewUser)`."


def route_findings(routes: RouteTable, insecure_mounts: Mapping[str, str]) -> Iterator[Finding]:
    """What the team's own routes say; a route may accept a finding with `policy(insecure_because={id: reason})`."""
    for route in routes:
        found = _mount(route, insecure_mounts) if route.app is not None else _route(route)
        for name, message, hint in found:
            if name not in route.policy.insecure_because:
                yield Finding(name, f"{route}: {message}", hint)


def session_findings(settings: HardeningSettings, routes: RouteTable) -> Iterator[Finding]:
    """What the sessions say that the routes depend on."""
    if settings.session_idle > settings.session_lifetime:
        yield Finding(
            "sessions.E001",
            "APP_SESSION_IDLE is longer than APP_SESSION_LIFETIME: no session would ever be idle for too long.",
            "Set it to less, such as 30m with a lifetime of 12h.",
        )
    kinds = {each.call for route in routes for each in route.dependants() if isinstance(each.call, Sessions)}
    if len({kind.name for kind in kinds}) < len(kinds):
        yield Finding(
            "sessions.E002",
            "Two `Sessions` have the same name: a session of the one would be taken for one of the other.",
            'Use one object everywhere, or give the other kind a name: `Sessions(..., name="admin")`.',
        )
    if kinds and settings.store_url.startswith("memory:"):
        yield Finding(
            "sessions.W001",
            "APP_STORE_URL=memory:// keeps sessions in the process: a restart signs everyone out.",
            "Keep them in Redis or Valkey, or accept it.",
        )


def _mount(route: Route, insecure_mounts: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    if not isinstance(route.app, StaticFiles) and not insecure_mounts.get(route.path, "").strip():
        yield (
            "routes.E005",
            "the mounted application is not hardened: its errors echo input and its routes say nothing.",
            "Mount a `Hardened` application, or accept it with `Hardened(insecure_mounts={path: reason})`.",
        )


def _route(route: Route) -> Iterator[tuple[str, str, str]]:
    if route.access is Access.UNDECLARED:
        yield (
            "routes.E001",
            "does not say who may call it.",
            "Put `@public` beneath its path decorator, or depend on a function marked with `@guard`.",
        )
    if getattr(route.context, "dependant", None) is None:
        return
    if not route.is_websocket and not _has_response_model(route):
        yield (
            "routes.E003",
            "has no response model: its response is not filtered.",
            "Annotate what it returns with an `ApiModel`, `None` or a response class.",
        )
    everything = list(route.dependants())
    yield from _body([param for each in everything for param in each.body_params], route)
    for each in everything:
        for param in each.query_params:
            if any(not issubclass(model, QueryModel) for model in models_in(param.field_info.annotation)):
                yield "routes.E002", f"the query model of {param.name} lets unknown names in.", "Inherit `QueryModel`."
        for param in (*each.path_params, *each.query_params, *each.header_params, *each.cookie_params):
            if _unbounded(param):
                yield (
                    "routes.E006",
                    f"the parameter {param.name} has no upper bound.",
                    "Give it one: `Annotated[str, Query(max_length=100)]`, or a `pattern`, an enum, a UUID.",
                )


def _has_response_model(route: Route) -> bool:
    context: Any = route.context
    if context.response_model is not None or context.stream_item_type is not None:
        return not _is_vague(context.response_model)
    annotations = getattr(context.endpoint, "__annotations__", {})
    return context.status_code in BODILESS or not _is_vague(annotations.get("return", Any))


def _is_vague(annotation: Any) -> bool:
    return annotation in (Any, object, dict, list, Mapping, BaseModel) or any(map(_is_vague, get_args(annotation)))


def _is_exact(annotation: Any) -> bool:
    """Whether a body is made of models alone: beside one, a number or a string is coerced."""
    if get_origin(annotation) in (Union, UnionType, list):
        return all(_is_exact(argument) for argument in get_args(annotation) if argument is not NoneType)
    if get_origin(annotation) is Annotated:
        return _is_exact(get_args(annotation)[0])
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _body(params: list[Any], route: Route) -> Iterator[tuple[str, str, str]]:
    forms = [param for param in params if isinstance(param.field_info, Form)]
    params = [param for param in params if param not in forms]
    if forms and route.policy.content_types == DEFAULT.content_types:
        yield (
            "routes.E007",
            "reads a form, but its policy takes JSON only: every request would be 415.",
            "Say `policy(content_types=[...])` beneath its path decorator.",
        )
    names = {param.name for param in params}
    if len(names) > 1 or any(param.field_info.embed for param in params):
        yield "routes.E004", "its body is embedded under a name, so unknown keys beside it are accepted.", _BODY_HINT
    for param in params:
        models = list(models_in(param.field_info.annotation))
        if not _is_exact(param.field_info.annotation):
            yield "routes.E004", f"its body {param.name} is no model: it is coerced and unbounded.", _BODY_HINT
        elif _unbounded(param):
            yield "routes.E006", f"its body {param.name} has no upper bound.", "Give it one: `Body(max_length=100)`."
        for model in models:
            if not issubclass(model, ApiModel) or model.model_config.get("extra") != "forbid":
                yield (
                    "routes.E002",
                    f"the body model {model.__name__} takes unknown fields or other types.",
                    "Inherit `ApiModel`, and leave `extra` as it is.",
                )


def _unbounded(param: Any) -> bool:
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[param.field_info.annotation, "", *param.field_info.metadata])
    return _is_open(adapter.core_schema)


def _is_open(schema: Any) -> bool:
    if isinstance(schema, list | tuple):
        return any(map(_is_open, schema))
    if not isinstance(schema, dict):
        return False
    kind = schema.get("type")
    if kind in ("str", "bytes") and not schema.keys() & {"max_length", "pattern"}:
        return True
    is_collection = kind in ("list", "set", "frozenset", "dict") or "variadic_item_index" in schema
    if is_collection and "max_length" not in schema:
        return True
    return any(_is_open(child) for key, child in schema.items() if key not in _NO_SCHEMA)
