# Owned by the template: an update rewrites this file.
"""What nobody notices before it hurts, as warnings: a sign-in that counts no attempts, a page of -1 items, the response
that is a 500 as soon as the data has grown.
"""

import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from types import CodeType
from typing import Any

from fastapi.security import HTTPBasic
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles

from ..core.framework import core_schema_of
from ..core.params import models_of, params_of
from ..core.route import Access, Route
from ..core.schemas import children, known, models_in, walk
from ..models import DEFAULT_BOUND, MAX_ITEMS, QueryModel
from .params import Fault

_PASSWORD = re.compile(r"passw(or)?d|pass(phrase|code)|(^|_)pwd(_|$)", re.IGNORECASE)
_PAGES = frozenset({"limit", "offset", "skip", "take", "page", "size", "pagesize", "perpage", "pagenumber"})
_COUNTS = "sign_in_attempt"
_CSP = "content-security-policy"
_INSTALLED = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


def librarys_hint(name: str, route: Route) -> str:
    """The remedy where an installed package made the route, so that nobody can write anything at it; else nothing."""
    package = _package_of(getattr(route.context, "endpoint", None))
    if not package:  # a route class of its own may hide what stands beneath the path decorator
        package = _package_of(type(getattr(route.context, "original_route", None)))
        if package in ("", "fastapi", "starlette"):
            return ""
    if name == "routes.E001":
        said, other = "public=True", ", or include the router with `dependencies=[Depends(guard)]`"
    else:
        said, other = f'..., insecure_because={{"{name}": reason}}', ""
    return f"{package} made it: say `policy({said})(router)` of its router, or of the route itself{other}."


def _package_of(thing: Any) -> str:
    """The installed package that a function or a class is of, or nothing."""
    module = getattr(thing, "__module__", None) or ""
    package, source = module.partition(".")[0], getattr(sys.modules.get(module), "__file__", None) or ""
    return package if source.startswith(_INSTALLED) and package != __name__.partition(".")[0] else ""


def pages(route: Route) -> Iterator[Fault]:
    """Whether a mount serves pages under the policy of an API."""
    if isinstance(route.app, StaticFiles) and route.app.html and _CSP not in route.policy.headers:
        yield (
            "routes.W005",
            "it serves pages, which a browser shows without their scripts and styles.",
            f'Call it, or the router whose `frontend` it is, with a policy for pages: `policy(headers={{"{_CSP}": ...}})`.',
        )


def advice(route: Route) -> Iterator[Fault]:
    """What a route should have a second look for."""
    params = [param for each in route.dependants() for param in params_of(each)]
    takes_password = route.access is Access.PUBLIC and any(map(_is_password, params))
    takes_password = takes_password or any(isinstance(each.call, HTTPBasic) for each in route.dependants())
    is_counted = route.policy.quota is not None or any(_calls(each.call, set()) for each in route.dependants())
    if takes_password and not is_counted:
        yield (
            "routes.W001",
            "anyone may send it passwords, and it counts no attempts.",
            "Call `sign_in_attempt(request, account)` before the password is looked at, or say `policy(quota=...)`.",
        )
    for each in route.dependants():
        for name, schema in (found for param in each.query_params for found in _fields(param)):
            if name.lower().replace("_", "") in _PAGES and any(_may_be_negative(inner) for inner in walk(schema)):
                yield (
                    "routes.W002",
                    f"the parameter {name} may be negative, which is a 500 in most databases.",
                    f"Give it bounds, `{name}: Annotated[int, Query(ge=0, le=1000)]`, or take a `Page`.",
                )


def growing(routes: Sequence[Route]) -> Iterator[tuple[Route, Fault]]:
    """The lists of responses that end at the default bound, each once; what a client sends as well cannot outgrow it."""
    sent = {
        model for route in routes for model in _models(each for it in route.dependants() for each in it.body_params)
    }
    for route in routes:
        field = getattr(route.context, "response_field", None)
        for model in _models([field] if field is not None else []):
            for name in _defaults_of(model) if model not in sent else ():
                sent.add(model)
                yield (
                    route,
                    (
                        "routes.W003",
                        f"`{model.__name__}.{name}` of its response ends at {MAX_ITEMS:,} items: one more is a 500.",
                        "Bound what is read, with a `Page`, and give it that bound: `Field(max_length=...)`.",
                    ),
                )


def _models(params: Iterable[Any]) -> list[type[BaseModel]]:
    with suppress(Exception):  # whatever a model does when it is read: routes.E008 says so
        return [model for param in params for model in models_in(known(param))]
    return []


def _fields(param: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    models = models_of(param.field_info)
    yield param.alias, {} if models else known(param)
    for schema in walk(known(param)) if any(issubclass(each, QueryModel) for each in models) else ():
        yield from ((name, inner) for key, name, inner in children(schema) if key == "fields")


def _may_be_negative(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "int" and not (schema.get("ge", -1) >= 0 or schema.get("gt", -2) >= -1)


def _is_password(param: Any) -> bool:
    names = {param.name, param.alias} | {name for schema in walk(known(param)) for _, name, _ in children(schema)}
    return any(map(_PASSWORD.search, names))


def _calls(function: Any, seen: set[CodeType]) -> bool:
    """Whether a function counts attempts, itself or by another one of the team's that it names."""
    function = getattr(function, "__func__", getattr(function, "__wrapped__", function))
    if not hasattr(function, "__code__"):  # a class, or an object that is called
        function = getattr(function, "__init__" if isinstance(function, type) else "__call__", None)
        function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType) or code in seen:
        return False
    seen.add(code)
    codes = [code, *(each for each in code.co_consts if isinstance(each, CodeType))]
    names = {name for each in codes for name in each.co_names}
    named = [function.__globals__.get(name) for name in names]
    return _COUNTS in names or any(_calls(each, seen) for each in named if hasattr(each, "__code__"))


def _defaults_of(model: type[BaseModel]) -> Iterator[str]:
    """The fields of a model that are bounded by default, themselves and not only in what they hold."""
    for name, field in (
        (name, inner) for each in _own(model) for key, name, inner in children(each) if key == "fields"
    ):
        if any((each.get("metadata") or {}).get(DEFAULT_BOUND) for each in _value(field)):
            yield name


def _own(model: type[BaseModel]) -> Iterator[dict[str, Any]]:
    schema = next((each for each in walk(core_schema_of(model)) if each.get("cls") is model), {})
    while isinstance(schema.get("schema"), dict) and schema.get("type") != "model-fields":
        schema = schema["schema"]
    yield schema


def _value(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield field
    for key, _, inner in children(field):
        if key in ("schema", "choices") and inner.get("type") not in ("model", "definition-ref"):
            yield from _value(inner)
