# Owned by the template: an update rewrites this file.
"""Models that take a value for what it is. `"1"` is no integer, `true` no number, an unknown field no accident:
coercion and silent extras are how a request comes to mean two things. ASVS v5.0.0-2.2.1, 15.3.3, 15.3.5.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MAX_STRING = 10_000
MAX_ITEMS = 1_000
_INT64 = 2**63


def _text_or(native: tuple[type, ...], expected: str, shape: re.Pattern[str] | None, value: Any) -> Any:
    if isinstance(value, str):
        if shape is None or shape.match(value):
            return value
    elif type(value) in native:
        return value
    raise PydanticCustomError(f"{expected}_type", "Input should be a valid {expected}", {"expected": expected})


_GUARDS: dict[str, Any] = {
    "date": partial(_text_or, (date,), "date", re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)),
    "datetime": partial(_text_or, (datetime,), "datetime", re.compile(r"\d{4}-\d\d-\d\d[Tt ]", re.ASCII)),
    "time": partial(_text_or, (time,), "time", re.compile(r"\d\d:\d\d", re.ASCII)),
    "timedelta": partial(_text_or, (timedelta,), "time_delta", re.compile(r"[-+]?P|[-+]?\d+:|\d+ ?d", re.ASCII)),
    "decimal": partial(_text_or, (Decimal, int), "decimal", None),
    "uuid": partial(_text_or, (UUID,), "uuid", None),
    "bytes": partial(_text_or, (bytes,), "bytes", None),
}
_BOUNDS: dict[str, dict[str, Any]] = {
    "str": {"strict": True, "max_length": MAX_STRING},
    "int": {"strict": True, "ge": -_INT64, "le": _INT64 - 1},
    "float": {"strict": True, "allow_inf_nan": False},
    "bool": {"strict": True},
    "decimal": {"allow_inf_nan": False, "max_digits": 64},
    "bytes": {"max_length": MAX_STRING},
    **{kind: {"max_length": MAX_ITEMS} for kind in ("list", "set", "frozenset", "dict")},
}
_EXCLUSIVE = {"ge": "gt", "le": "lt"}
_NESTED = ("schema", "items_schema", "values_schema", "lax_schema", "json_schema", "extras_schema")


def _one_of(types: frozenset[type], value: Any) -> Any:
    if isinstance(value, Enum) or type(value) in types:
        return value
    raise PydanticCustomError("enum", "Input should be one of the declared values")


def _harden(schema: Any, strict: bool) -> Any:
    """Make a core schema exact (when `strict`) and bounded, in place; models that did it themselves are left alone."""
    kind = schema.get("type")
    metadata = schema.setdefault("metadata", {}) if kind == "model" else {}
    if metadata.get("hardened"):
        return schema
    metadata["hardened"] = True
    for key, bound in _BOUNDS.get(kind, {}).items():
        if (strict or key != "strict") and _EXCLUSIVE.get(key) not in schema:
            schema.setdefault(key, bound)
    if kind == "tuple" and "variadic_item_index" in schema:
        schema.setdefault("max_length", MAX_ITEMS)
    for key in _NESTED:
        if isinstance(schema.get(key), dict):
            schema[key] = _harden(schema[key], strict)
    if "keys_schema" in schema:  # the names of a JSON object are strings, so 1 arrives as "1"
        schema["keys_schema"] = _harden(schema["keys_schema"], strict=False)
    for key in ("fields", "choices", "definitions", "steps"):
        nested = schema.get(key)
        if isinstance(nested, dict):
            schema[key] = {
                name: _harden(item, strict) if isinstance(item, dict) else item for name, item in nested.items()
            }
        elif isinstance(nested, list):
            schema[key] = [
                (_harden(item[0], strict), *item[1:]) if isinstance(item, tuple) else _harden(item, strict)
                for item in nested
            ]
    if kind == "tuple":
        schema["items_schema"] = [_harden(item, strict) for item in schema["items_schema"]]
    if strict and kind in _GUARDS:
        return core_schema.no_info_before_validator_function(_GUARDS[kind], schema)
    if strict and kind in ("enum", "literal"):
        declared = schema["members" if kind == "enum" else "expected"]
        types = frozenset(type(item.value if isinstance(item, Enum) else item) for item in declared)
        return core_schema.no_info_before_validator_function(partial(_one_of, types), schema)
    return schema


class ApiModel(BaseModel):
    """Base of every request and response body: exact types, no unknown names, bounded strings, lists and numbers.

    Dates, UUIDs, enums, decimals and bytes arrive as JSON strings (decimals lose no digit). A field may set its own
    bounds; where it does not, strings end at 10,000 characters, collections at 1,000 items, integers at 64 bits.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, from_attributes=True, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _harden(handler(source), strict=True)
        return schema


class QueryModel(BaseModel):
    """Base of a query-parameter model, `Annotated[Model, Query()]`: bounded, no unknown names; text becomes numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _harden(handler(source), strict=False)
        return schema


def models_in(annotation: Any, seen: set[Any] | None = None) -> Iterator[type[BaseModel]]:
    """Every Pydantic model that a type is made of, nested ones too."""
    seen = set() if seen is None else seen
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation, seen)
    for argument in get_args(annotation):
        yield from models_in(argument, seen)
