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
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .core.framework import bounds, is_complete
from .core.json_text import json_in_text
from .core.schemas import COLLECTIONS, NESTED, WRAPPERS, walk

MAX_STRING = 10_000
MAX_ITEMS = 1_000
_INT64 = 2**63
DEFAULT_BOUND = "default_bound"


def _text_or(native: tuple[type, ...], expected: str, shape: re.Pattern[str] | None, value: Any) -> Any:
    if isinstance(value, str):
        if shape is None or shape.match(value):
            return value
    elif (
        isinstance(value, native)
        and not isinstance(value, bool)
        and (expected != "date" or type(value) is not datetime)
    ):
        return value
    raise PydanticCustomError(f"{expected}_type", "Input should be a valid {expected}", {"expected": expected})


def _one_of(types: frozenset[type], value: Any) -> Any:
    if isinstance(value, Enum) or type(value) in types:
        return value
    raise PydanticCustomError("enum", "Input should be one of the declared values")


def _text(expected: str, *native: type, shape: str = "") -> Any:
    return partial(_text_or, native, expected, re.compile(shape, re.ASCII) if shape else None)


# What a type takes from JSON: text of its own shape, or a value of the type itself where code makes one.
_VALIDATORS: dict[str, Any] = {
    "date": _text("date", date, shape=r"\d{4}-\d\d-\d\d\Z"),
    "datetime": _text("datetime", datetime, shape=r"\d{4}-\d\d-\d\d[Tt ]"),
    "time": _text("time", time, shape=r"\d\d:\d\d"),
    "timedelta": _text("time_delta", timedelta, shape=r"[-+]?P|[-+]?\d+:|\d+ ?d"),
    "decimal": _text("decimal", Decimal, int),
    "uuid": _text("uuid", UUID),
    "bytes": _text("bytes", bytes),
    "json": json_in_text,
}
_BOUNDS: dict[str, dict[str, Any]] = {
    "str": {"strict": True, "max_length": MAX_STRING},
    "int": {"strict": True, "ge": -_INT64, "le": _INT64 - 1},
    "float": {"strict": True, "allow_inf_nan": False},
    "bool": {"strict": True},
    "decimal": {"allow_inf_nan": False, "max_digits": 64},
    "bytes": {"max_length": MAX_STRING},
    "url": {"max_length": MAX_STRING},
    "multi-host-url": {"max_length": MAX_STRING},
    "typed-dict": {"extra_behavior": "forbid"},
    "dataclass-args": {"extra_behavior": "forbid"},
    **{kind: {"max_length": MAX_ITEMS} for kind in COLLECTIONS},
}
_EXCLUSIVE = {"ge": "gt", "le": "lt"}


def has_validator(schema: dict[str, Any]) -> bool:
    """Whether a model or dataclass is validated by what it has built already, whatever a schema around it says.

    pydantic-core does so for every class that is complete, but not for a dataclass with type arguments.
    """
    kind, cls = schema.get("type"), schema.get("cls")
    if kind not in ("model", "dataclass") or not isinstance(cls, type):
        return False
    return is_complete(cls) and not (kind == "dataclass" and "generic_origin" in schema)


def dataclasses_in(schema: dict[str, Any]) -> Iterator[type]:
    """Every dataclass in a schema that no model around it can make exact, each once."""
    yield from dict.fromkeys(
        each["cls"] for each in walk(schema) if each.get("type") == "dataclass" and has_validator(each)
    )


class _Hardener:
    """Walks a core schema and makes it bounded and, if `strict`, exact, in place.

    Models, dataclasses and the like are done once, wherever they are referred to.
    """

    def __init__(self, handler: GetCoreSchemaHandler, strict: bool) -> None:
        self._handler = handler
        self._strict = strict

    def __call__(self, schema: Any, around: frozenset[str] = frozenset()) -> Any:
        if isinstance(schema, list):
            return [self(item, around) for item in schema]
        if isinstance(schema, tuple):  # a choice of a union and its label
            return (self(schema[0], around), *schema[1:])
        if not isinstance(schema, dict):
            return schema
        target: Any = schema
        while target.get("type") == "definition-ref":  # an alias may refer to another one
            try:
                target = self._handler.resolve_ref_schema(target)
            except LookupError:  # a model that refers to itself: its own walk is under way
                return schema
            around = frozenset()  # others may refer to it as well, with no bound around them
        self._descend(target, around)
        validator = self._validator_for(target) if self._strict or target.get("type") == "json" else None
        return schema if validator is None else core_schema.no_info_before_validator_function(validator, schema)

    def _descend(self, schema: dict[str, Any], around: frozenset[str]) -> None:
        kind = schema.get("type", "")
        if has_validator(schema):  # all that hold it share its schema, which would only look bounded
            return
        if kind == "model" or "ref" in schema:
            metadata = schema.setdefault("metadata", {})
            if metadata.get("hardened"):
                return
            metadata["hardened"] = True
        present = around | schema.keys()
        if kind in COLLECTIONS and "max_length" not in present:
            schema.setdefault("metadata", {})[DEFAULT_BOUND] = True
        schema |= {
            key: bound
            for key, bound in _BOUNDS.get(kind, {}).items()
            if (self._strict or key != "strict") and not present & {key, _EXCLUSIVE.get(key)}
        }
        if "variadic_item_index" in schema and "max_length" not in present:
            schema.setdefault("max_length", MAX_ITEMS)
        around = around | bounds(schema).keys() if kind in WRAPPERS else frozenset()
        for key in NESTED:
            nested = schema.get(key)
            if key == "keys_schema":  # the names of a JSON object are strings, so 1 arrives as "1"
                if nested is not None:
                    schema[key] = _Hardener(self._handler, strict=False)(nested)
            elif isinstance(nested, dict) and key in ("fields", "choices"):
                schema[key] = {name: self(item, around) for name, item in nested.items()}
            elif nested is not None:
                schema[key] = self(nested, around)

    @staticmethod
    def _validator_for(schema: dict[str, Any]) -> Any:
        kind = schema.get("type", "")
        if kind not in ("enum", "literal"):
            return _VALIDATORS.get(kind)
        declared = schema["members" if kind == "enum" else "expected"]
        types = frozenset(type(item.value if isinstance(item, Enum) else item) for item in declared)
        return None if types == {str} else partial(_one_of, types)  # nothing is taken for a string


class ApiModel(BaseModel):
    """Base of every request and response body: exact types, no unknown names, bounded strings, lists and numbers.

    Dates, UUIDs, enums, decimals and bytes arrive as JSON strings (decimals lose no digit). A field may set its own
    bounds; where it does not, strings end at 10,000 characters, collections at 1,000 items, integers at 64 bits.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, from_attributes=True, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _Hardener(handler, strict=True)(handler(source))
        return schema


class QueryModel(BaseModel):
    """Base of a query-parameter model, `Annotated[Model, Query()]`: bounded, no unknown names; text becomes numbers."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _Hardener(handler, strict=False)(handler(source))
        return schema


class Page(QueryModel):
    """Which part of a list is asked for: `page: Annotated[Page, Query()]`. Inherit it for more parameters."""

    limit: Annotated[int, Field(ge=1, le=MAX_ITEMS)] = 100
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Bounded:
    """Annotation of a parameter: 64-bit integers, finite numbers, and whatever bounds it did not set itself."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: CoreSchema = _Hardener(handler, strict=False)(handler(source))
        return schema
