# Owned by the template: an update rewrites this file.
"""What an endpoint and its dependencies read from a request, as FastAPI decides it."""

from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_origin

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant
from fastapi.openapi.models import APIKey, APIKeyIn
from pydantic import AliasChoices, AliasPath, BaseModel, Json
from pydantic.fields import FieldInfo

from .form_text import MULTIPART, UNDECLARED, URLENCODED, Form
from .unresolved import parts

JSON = "application/json"


def dependants_of(dependant: Dependant) -> Iterator[Dependant]:
    """The dependency (or endpoint) itself, and all that it depends on."""
    yield dependant
    for each in dependant.dependencies:
        yield from dependants_of(each)


def params_of(dependant: Dependant) -> Iterator[Any]:
    """Every parameter that one endpoint or dependency reads from a request."""
    for kind in ("path_params", "query_params", "header_params", "cookie_params", "body_params"):
        yield from getattr(dependant, kind)


def names_of(name: str, info: FieldInfo) -> Iterator[str]:
    """The names under which a request may send a field."""
    alias = info.validation_alias or info.alias or name
    for choice in alias.choices if isinstance(alias, AliasChoices) else [alias]:
        yield str(choice.path[0]) if isinstance(choice, AliasPath) else choice


def _repeats(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, list | set | frozenset | tuple):
        return True
    return any(map(_repeats, parts(annotation)))


def models_of(info: FieldInfo) -> list[type[BaseModel]]:
    """The models whose fields are parameters each, as FastAPI decides it: one or, in a form, a union of them, and not JSON."""
    is_union = get_origin(info.annotation) in (Union, UnionType)
    choices = [each for each in parts(info.annotation) if each is not type(None)] if is_union else [info.annotation]
    models: list[Any] = [parts(each)[0] if get_origin(each) is Annotated else each for each in choices]
    is_json = any(type(each) is Json for each in info.metadata)
    are_models = all(isinstance(each, type) and issubclass(each, BaseModel) for each in models)
    return models if are_models and not is_json else []


def _declared(params: Iterable[Any]) -> dict[str, bool]:
    """Every name that parameters take, those of a model's fields in its place, and whether it may repeat."""
    declared: dict[str, bool] = {}
    for param in params:
        models = models_of(param.field_info)
        for model in models:
            for name, info in model.model_fields.items():
                by_name = any(model.model_config.get(key) for key in ("populate_by_name", "validate_by_name"))
                by_name = by_name or model.model_config.get("validate_by_alias") is False
                names = {*names_of(name, info), *([name] if by_name else [])}
                declared.update(dict.fromkeys(names, _repeats(info.annotation)))
        if not models:
            declared.update(
                dict.fromkeys(names_of(param.name, param.field_info), _repeats(param.field_info.annotation))
            )
    return declared


def query_of(dependant: Dependant) -> dict[str, bool]:
    """Every query parameter of an endpoint by its name, that of a security scheme too, and whether it may repeat."""
    declared = _declared(param for each in dependants_of(dependant) for param in each.query_params)
    for each in dependants_of(dependant):
        scheme = getattr(each.call, "model", None)
        if isinstance(scheme, APIKey) and scheme.in_ is APIKeyIn.query:
            declared.setdefault(scheme.name, False)
    return declared


def overriding_query_of(dependant: Dependant, overrides: Mapping[Any, Any]) -> dict[str, bool]:
    """What stands in the place of an endpoint's dependencies takes as query parameters; see `query_of`."""
    declared: dict[str, bool] = {}
    for each in dependants_of(dependant):
        if (override := overrides.get(each.call)) is not None and override is not each.call:
            replacing = get_dependant(path=each.path or "", call=override)
            declared |= query_of(replacing) | overriding_query_of(replacing, overrides)
    return declared


def body_of(context: Any, *, is_open: bool) -> tuple[Form, frozenset[str], tuple[str, ...]]:
    """What the body of a route is, as FastAPI reads its signature.

    Args:
        context: The route.
        is_open: It has accepted that a form model takes what it does not declare.

    Returns:
        The fields if it is a form; the names under which a JSON body holds its one model, if it is embedded; the media
        types that the signature says, none where that is JSON alone.
    """
    dependant: Any = getattr(context, "dependant", None)
    info = getattr(getattr(context, "body_field", None), "field_info", None)
    fields = [param for each in dependants_of(dependant) for param in each.body_params] if info is not None else []
    if isinstance(info, params.Form):
        form = Form(_declared(fields), is_open and any(models_of(field.field_info) for field in fields))
        files = [field.field_info for field in fields if isinstance(field.field_info, params.File)]
        is_multipart = any(each.is_required() for each in files) or (not files and info.media_type == MULTIPART)
        return form, frozenset(), (MULTIPART,) if is_multipart else (URLENCODED, MULTIPART)
    media_type = getattr(info, "media_type", JSON)
    one = fields[0] if len({field.name for field in fields}) == 1 else None
    embedded = names_of(one.name, one.field_info) if one is not None and getattr(one.field_info, "embed", False) else ()
    types = () if media_type == JSON or media_type.endswith("+json") else (JSON, media_type)
    return UNDECLARED, frozenset(embedded), types
