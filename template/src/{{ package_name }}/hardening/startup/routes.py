# Owned by the template: an update rewrites this file.
"""What is looked at in the team's own routes before the service starts: the code that is written next year must be
as safe as the example. Each finding has an id, a sentence and a remedy.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.utils import get_typed_return_annotation
from fastapi.params import File, Form
from pydantic import BaseModel, RootModel
from starlette.routing import BaseRoute, Host
from starlette.staticfiles import StaticFiles

from ..core.findings import Finding
from ..core.form_text import MULTIPART, URLENCODED
from ..core.framework import is_frameworks
from ..core.params import models_of
from ..core.problems import BODILESS
from ..core.route import Access, Route
from ..core.routes import RouteTable
from ..core.schemas import UNKNOWN, is_of_models, known, models_in, walk
from ..core.unresolved import parts
from ..models import ApiModel, QueryModel, dataclasses_in
from ..settings import HardeningSettings
from ..steps.sessions import Sessions
from .advice import advice, growing, librarys_hint, pages
from .params import Fault, examined, unbounded, unresolved

_SHAPELESS = ("any", "dict")
_ROOT_HINT = "Inherit `ApiModel`, and give what `RootModel` holds a field of its own."
_BODY_HINT = "Take one `ApiModel`, not embedded: `async def create(user: NewUser)`."


def route_findings(routes: RouteTable, insecure_mounts: Mapping[str, str]) -> Iterator[Finding]:
    """What is not safe in the team's own routes; a route may accept a finding with `policy(insecure_because={id: reason})`."""
    for route in routes:
        found = _mount(route, insecure_mounts) if route.app is not None else examined(route, _route)
        for name, message, hint in dict.fromkeys((*found, *pages(route))):
            if name not in route.policy.insecure_because:
                yield Finding(name, f"{route}: {message}", librarys_hint(name, route) or hint)
    for route, (name, message, hint) in growing(list(routes)):
        if name not in route.policy.insecure_because:
            yield Finding(name, f"{route}: {message}", hint)


def app_findings(app: FastAPI, is_production: bool, failure: Any, insecure_details: str) -> Iterator[Finding]:
    """What is not safe in what an application is given beside its routes; `failure` handles what nobody else does."""
    if app.debug and is_production:
        yield Finding("errors.E001", "debug=True would show tracebacks to clients.", "Leave it out.")
    if any(app.exception_handlers.get(kind, failure) != failure for kind in (500, Exception)):
        yield Finding(
            "errors.W001",
            "A handler of its own answers unexpected errors: its response is not filtered.",
            "Leave it out, or make sure that it exposes no internals; the log has the exception in any case.",
        )
    if insecure_details:
        yield Finding(
            "errors.W002",
            f"What HTTPException says with a 4xx is sent to clients: {insecure_details}",
            "Leave `insecure_details` out once the words for clients are `Problem`s.",
        )
    if any(getattr(middleware.cls, "__name__", "") == "CORSMiddleware" for middleware in app.user_middleware):
        yield Finding(
            "cors.E005",
            "CORSMiddleware is added: what it grants is dropped at the perimeter.",
            "List the origins in APP_CORS_ORIGINS.",
        )


def session_findings(settings: HardeningSettings, routes: RouteTable) -> Iterator[Finding]:
    """What is not safe about the sessions that the routes depend on."""
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


def _mount(route: Route, insecure_mounts: Mapping[str, str]) -> Iterator[Fault]:
    place = route.path
    if isinstance(original := getattr(route.context, "original_route", None), Host) and place not in insecure_mounts:
        place = place.removesuffix(f"//{original.host}")  # as a reason was given before the host was part of the path
    if isinstance(route.app, StaticFiles) or insecure_mounts.get(place, "").strip():
        return
    if isinstance(route.app, BaseRoute):
        yield (
            "routes.W004",
            "is no route of FastAPI's or Starlette's: it answers what it likes, and says nothing of who may call it.",
            "Make it a path operation, or see that it asks who calls, and say so with `insecure_mounts={name: reason}`.",
        )
    else:
        yield (
            "routes.E005",
            "the mounted application is not hardened: its errors echo input and its routes say nothing.",
            "Mount a `Hardened` application, or accept it in its policy, which also says what it takes: `app.mount(path, "
            'policy(content_types=[...], insecure_because={"routes.E005": reason})(application))`.',
        )


def _route(route: Route) -> Iterator[Fault]:
    if route.access is Access.UNDECLARED:
        yield (
            "routes.E001",
            "does not say who may call it.",
            "Put `@public` beneath its path decorator, or depend on a function marked with `@guard`.",
        )
    if getattr(route.context, "dependant", None) is None:
        return
    yield from unresolved(route)
    if not route.is_websocket and not _has_response_model(route):
        yield (
            "routes.E003",
            "has no response model: its response is not filtered.",
            "Annotate what it returns with an `ApiModel`, `None` or a response class; say `response_model=` beside the path "
            "where a decorator hides that.",
        )
    yield from advice(route)
    everything = list(route.dependants())
    body = getattr(route.context, "body_field", None)
    if body is not None and isinstance(body.field_info, Form):
        yield from _form(everything, route)
    else:
        yield from _body([param for each in everything for param in each.body_params])
    for each in everything:
        for param in (*each.path_params, *each.query_params, *each.header_params, *each.cookie_params):
            is_query = param in each.query_params
            bases = (QueryModel,) if models_of(param.field_info) else (ApiModel, QueryModel)  # those of a JSON text
            loose = [model for model in models_in(known(param)) if is_query and not issubclass(model, bases)]
            if loose:
                yield "routes.E002", f"the query model of {param.name} lets unknown names in.", "Inherit `QueryModel`."
            yield from unbounded(param, f"the parameter {param.name}", loose)


def _has_response_model(route: Route) -> bool:
    context: Any = route.context
    if context.response_model is not None or context.stream_item_type is not None:
        return not _is_vague(context.response_model)
    if context.status_code in BODILESS:
        return True
    found = inspect.signature(context.endpoint).return_annotation
    return not _is_vague(Any if found is inspect.Signature.empty else get_typed_return_annotation(context.endpoint))


def _is_vague(annotation: Any) -> bool:
    vague = (Any, object, dict, list, Mapping, BaseModel)
    return any(annotation is each for each in vague) or any(map(_is_vague, parts(annotation)))


def _form(everything: list[Any], route: Route) -> Iterator[Fault]:
    if not {URLENCODED, MULTIPART} & set(route.policy.content_types):
        yield (
            "routes.E007",
            "reads a form, but its policy takes none: every request would be 415.",
            "Leave `content_types` out of its policy: the form says them.",
        )
    params = [(each.call, param) for each in everything for param in each.body_params]
    models = [model for _, param in params for model in models_of(param.field_info)]
    names = {param.name for _, param in params}
    if len(names) > 1 and any(model.model_config.get("extra") == "forbid" for model in models):
        yield (
            "routes.E004",
            "its form is a model with other fields beside it, which that model refuses.",
            "Make each a field of the model: a file may be one too, `file: UploadFile`.",
        )
    for call, param in params:
        schema, is_file = known(param), isinstance(param.field_info, File)
        loose = [model for model in models_in(schema) if not _is_strict(model, ApiModel, QueryModel)]
        if not isinstance(param.field_info, Form):
            yield "routes.E004", f"it reads {param.name} as JSON out of a form.", "Make it a field of the form."
        elif not (is_file or models_of(param.field_info) or schema is UNKNOWN) and any(
            each.get("type") in _SHAPELESS or (each.get("type") == "json" and "schema" not in each)
            for each in walk(schema)
        ):
            message = f"its form field {param.name} may be anything."
            yield "routes.E004", message, "Say what it is, or inherit `QueryModel`."
        elif not is_file and not is_frameworks(getattr(call, "__init__", None) if isinstance(call, type) else call):
            yield from unbounded(param, f"the form field {param.name}", loose)
        for model in loose:
            yield "routes.E002", f"the form model {model.__name__} lets unknown fields in.", "Inherit `QueryModel`."


def _body(params: list[Any]) -> Iterator[Fault]:
    names = {param.name for param in params}
    if len(names) > 1:
        yield "routes.E004", "its body is embedded under names, so unknown keys beside them are accepted.", _BODY_HINT
    for param in params:
        schema = known(param)
        loose: list[type] = [model for model in models_in(schema) if not _is_strict(model)]
        loose += dataclasses_in(schema)
        if schema is not UNKNOWN and not is_of_models(schema):  # beside a model, a number or a string is coerced
            yield "routes.E004", f"its body {param.name} is no model: it is coerced and unbounded.", _BODY_HINT
        else:
            yield from unbounded(param, f"its body {param.name}", loose)
        for model in loose:
            yield (
                "routes.E002",
                f"the body model {model.__name__} takes unknown fields or other types.",
                _remedy(model),
            )


def _remedy(model: type) -> str:
    if not issubclass(model, BaseModel):
        return "Make it an `ApiModel`: a dataclass is validated by rules of its own."
    return _ROOT_HINT if issubclass(model, RootModel) else "Inherit `ApiModel`, and leave `extra` as it is."


def _is_strict(model: type[BaseModel], *bases: type[BaseModel]) -> bool:
    return issubclass(model, bases or ApiModel) and model.model_config.get("extra") == "forbid"
