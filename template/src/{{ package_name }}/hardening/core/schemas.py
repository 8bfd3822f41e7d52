# Owned by the template: an update rewrites this file.
"""What a parameter, a body or a response is made of, read from the core schema that Pydantic validates by. An annotation
is not what is validated: a validator, an alias, a generic or a name that comes later may stand between them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import core_schema

from .framework import adapter_of, bounds
from .unresolved import forward_references

UNRESOLVED = (PydanticUserError, PydanticUndefinedAnnotation)

UNKNOWN = core_schema.any_schema()
TEXT = ("str", "bytes")
COLLECTIONS = (
    "list", "set", "frozenset", "dict", "generator", "deque", "frozendict", "ordered-dict", "counter",
)  # fmt: skip
NESTED = (
    "schema", "items_schema", "values_schema", "keys_schema", "lax_schema", "strict_schema", "json_schema",
    "python_schema", "extras_schema", "extras_keys_schema", "arguments_schema", "var_args_schema", "var_kwargs_schema",
    "fields", "choices", "definitions", "steps",
)  # fmt: skip
"""Where one schema holds another that input passes. What is for output (`serialization`, `computed_fields`) or only
describes (`json_schema_input_schema`) is not among them."""
_NESTED = frozenset(NESTED)  # looked into for each key of each schema

# Through these one and the same value passes, so a bound on the outside of one holds for what is inside.
WRAPPERS = (
    "function-before", "function-after", "function-wrap", "nullable", "default", "lax-or-strict", "json-or-python",
    "chain", "union", "tagged-union", "custom-error", "json", "definitions",
)  # fmt: skip
_PARTS = {"items_schema": "items", "keys_schema": "keys", "values_schema": "values"}


@dataclass(frozen=True, slots=True)
class Open:
    """A text or a collection that may be of any length."""

    kind: str
    """`str`, `bytes` or the collection, as the core schema calls it."""
    part: str = ""
    """`items`, `keys` or `values` if what is held in a collection is meant."""
    owners: tuple[type, ...] = ()
    """The models and the like that it is a field of, from the outside in."""
    field: str = ""


def schema_of(param: Any) -> Any:
    """The core schema that a parameter, a body or a response of FastAPI's is validated by.

    Raises:
        PydanticUndefinedAnnotation: A name in it cannot be resolved.
        PydanticUserError: Pydantic can make no schema of it.
    """
    adapter = adapter_of(param)
    if not adapter.pydantic_complete:
        for text in forward_references(param.field_info.annotation):
            raise PydanticUndefinedAnnotation(text, f"name {text!r} is not defined")
        adapter.rebuild(raise_errors=True, _types_namespace={})  # the names of this function are not the team's
    if not adapter.pydantic_complete:
        raise PydanticUserError("its definition is not complete", code=None)
    return adapter.core_schema


def known(param: Any) -> Any:
    """As `schema_of`, but `UNKNOWN` for what cannot be resolved: a finding of its own says so."""
    try:
        return schema_of(param)
    except UNRESOLVED:
        return UNKNOWN


def children(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What a schema is made of: the key, the name where the key holds several with names, and the schema."""
    for key, nested in schema.items():
        if key not in _NESTED:
            continue
        if isinstance(nested, dict) and key in ("fields", "choices"):
            yield from ((key, str(name), each) for name, each in nested.items() if isinstance(each, dict))
        elif isinstance(nested, dict):
            yield key, "", nested
        elif isinstance(nested, list):
            for each in nested:
                inner = each[0] if isinstance(each, tuple) else each  # a choice of a union and its label
                if isinstance(inner, dict):
                    yield key, str(inner.get("name", "")), inner


def definitions(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every schema in one that others refer to, by its name."""
    found, todo, seen = {schema.get("ref", ""): schema}, [schema], set[int]()
    while todo:
        each = todo.pop()
        if id(each) not in seen:
            seen.add(id(each))
            for key, _, inner in children(each):
                if "ref" in inner and (key == "definitions" or inner["ref"] not in found):  # not a model's own copy
                    found[inner["ref"]] = inner
                todo.append(inner)
    return found


def walk(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and every schema in it, each definition once."""
    named, todo, seen = None, [schema], set[int]()
    while todo:
        each = todo.pop()
        if each.get("type") == "definition-ref":
            named = definitions(schema) if named is None else named
            each = named.get(each["schema_ref"], each)
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            todo.extend(reversed([inner for _, _, inner in children(each)]))


def models_in(schema: dict[str, Any]) -> Iterator[type[BaseModel]]:
    """Every Pydantic model that a schema is made of, nested ones too, each once."""
    yield from dict.fromkeys(each["cls"] for each in walk(schema) if each.get("type") == "model")


def is_of_models(schema: dict[str, Any]) -> bool:
    """Whether a value is a model, a list of such values, or nothing, whatever validators and unions stand around it."""
    named, todo, seen = definitions(schema), [schema], set[int]()
    while todo:
        each = todo.pop()
        if each.get("type") == "definition-ref":
            each = named.get(each["schema_ref"], each)
        if id(each) in seen:
            continue
        seen.add(id(each))
        kind = each.get("type")
        if kind in WRAPPERS or (kind == "list" and "items_schema" in each):
            todo.extend(inner for key, _, inner in children(each) if key != "definitions")
        elif kind not in ("model", "none", "is-instance"):  # of a class: nothing that comes as JSON is an instance
            return False
    return True


def open_in(schema: dict[str, Any]) -> Iterator[Open]:
    """Every text and collection in a schema that may be of any length."""
    yield from dict.fromkeys(_Search(definitions(schema))(schema, False, Open("")))


class _Search:
    def __init__(self, definitions: dict[str, dict[str, Any]]) -> None:
        self._definitions = definitions
        self._seen: set[tuple[int, bool]] = set()

    def __call__(self, schema: dict[str, Any], bounded: bool, at: Open) -> Iterator[Open]:
        if schema.get("type") == "definition-ref":
            schema = self._definitions.get(schema["schema_ref"], schema)
        if (id(schema), bounded) in self._seen:
            return
        self._seen.add((id(schema), bounded))
        kind = schema.get("type", "")
        bounded = bounded or _is_bounded(schema)
        if not bounded and (kind in TEXT or kind in COLLECTIONS or "variadic_item_index" in schema):
            yield Open(kind, at.part, at.owners, at.field)
        owners = (*at.owners, schema["cls"]) if isinstance(schema.get("cls"), type) else at.owners
        for key, name, inner in children(schema):
            if key == "definitions":  # walked where it is referred to
                continue
            part = at.part if kind in WRAPPERS else _PARTS.get(key, at.part if key == "schema" else "")
            field = name if key in ("fields", "arguments_schema") else at.field
            yield from self(inner, bounded and kind in WRAPPERS, Open("", part, owners, field))


def _is_bounded(schema: dict[str, Any]) -> bool:
    if schema.keys() & {"max_length", "pattern"} or "max_length" in bounds(schema):
        return True
    if schema.get("type") == "chain":  # the same value passes every step
        return any(_is_bounded(step) for step in schema["steps"])
    return schema.get("type") in WRAPPERS and "schema" in schema and _is_bounded(schema["schema"])
