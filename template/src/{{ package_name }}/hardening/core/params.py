# Owned by the template: an update rewrites this file.
"""What an endpoint and its dependencies read from a request, as FastAPI decides it."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_origin

from fastapi.dependencies.models import Dependant
from pydantic import AliasChoices, AliasPath, BaseModel, Json
from pydantic.fields import FieldInfo

from .unresolved import parts


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


def _models(info: FieldInfo) -> list[type[BaseModel]]:
    """The model whose fields are query parameters each, as FastAPI decides it: alone or beside `None`, and not JSON."""
    is_optional = get_origin(info.annotation) in (Union, UnionType)
    choices = parts(info.annotation) if is_optional else [info.annotation]
    is_json = any(type(each) is Json for each in info.metadata)
    return [] if is_json else [each for each in choices if isinstance(each, type) and issubclass(each, BaseModel)]


def query_of(dependant: Dependant) -> dict[str, bool]:
    """Every query parameter of an endpoint by its name, and whether it may repeat."""
    declared: dict[str, bool] = {}
    for each in dependants_of(dependant):
        for param in each.query_params:
            models = _models(param.field_info)
            model_fields = [each for model in models for each in model.model_fields.items()]
            for name, info in model_fields if models else [(param.name, param.field_info)]:
                declared.update(dict.fromkeys(names_of(name, info), _repeats(info.annotation)))
    return declared
