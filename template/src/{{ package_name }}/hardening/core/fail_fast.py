# Owned by the template: an update rewrites this file.
"""A large input is refused at its first mistakes. Pydantic makes an error of each one, for each member of a union, and
FastAPI copies each: a megabyte of unknown names took ten times what a valid one takes. OWASP API4:2023, CWE-770.
"""

from collections.abc import Callable, Iterator
from functools import partial
from math import inf, log
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticKnownError

from .framework import adapter_of, core_schema_of, is_complete, set_validator, validator_in, validator_of
from .mistakes import TOO_MANY, Mistakes
from .problems import MAX_ERRORS
from .schemas import COLLECTIONS, NESTED, children, definitions, known

MANY = 64
"""Values in an input above which it is large, where few mistakes may be made in each; of a smaller one each mistake is listed."""
_MISTAKES = 5 * MANY
"""In an input that is not large: a value may be tried as each member of a union, and lack each field of it."""
_LONG = 5000
"""Letters above which a name in a mapping is long, as no integer is: each mistake below it repeats it."""
_FEW = 6
"""Levels above which an input is large, where a union is within itself: each multiplies the work."""
_EXACT = ("str", "int", "float", "bool")
_SHORT = {"int", "uuid", "date", "enum", "literal"}
_CHANGES = {"function-before", "function-wrap", "function-plain"}
_NAMED = {"model-fields": "fields", "typed-dict": "fields", "dataclass-args": "fields", "arguments": "arguments_schema"}
_OBJECTS = (*_NAMED, "dict")
_LISTS = (*COLLECTIONS, "tuple")
_LIST = "a list"  # among the names of what a schema is within
_MAPPED = ("values_schema", "keys_schema", "extras_schema", "var_kwargs_schema")
_ATTEMPTS = {"union": "choices", "function-wrap": "schema"}


def fail_fast(param: Any) -> None:
    """Let a parameter or a body of FastAPI's stop at its first mistakes, if it may hold several values."""
    adapter, schema = adapter_of(param), known(param)
    for each in _within(schema):
        # Its own `__init__` is called, whose validator is that of the class, whatever the schema around it says.
        if each.get("custom_init") and is_complete(each["cls"]) and not isinstance(validator_in(each["cls"]), FailFast):
            set_validator(each["cls"], FailFast(validator_in(each["cls"]), core_schema_of(each["cls"])))
    if _holds(schema, *_OBJECTS, *_LISTS) and not isinstance(adapter.validator, FailFast):
        adapter.validator = FailFast(adapter.validator, schema)


class FailFast:
    """A validator in the place of Pydantic's own, which takes and returns the same but stops at the first mistakes.

    A list ends at its `MAX_ERRORS`th wrong item, other collections at their first, an object with too many unknown names
    at once. Where the mistakes of one value may grow with the input (a mapping of objects, an object within itself) all of
    it ends after some hundreds of wrong objects; what a union tries is judged for itself there, and never twice where
    the union may be within itself: that would double the work at each level.
    """

    _mistakes = Mistakes()
    """Of all of them: a class with its own `__init__` is validated within whatever holds it."""

    def __init__(self, validator: Any, schema: Any) -> None:
        self._all = validator
        self._definitions = definitions(schema)
        texts = [each for each in _within(schema) if each.get("type") == "json"]
        exact = (_refs(each, self._definitions) for each in texts if self._is_otherwise_of_json(each, {}))
        self._exact = frozenset[str]().union(*exact)
        """What such a text refers to."""
        self._most_each: dict[str, tuple[int, int]] = {}
        self._most_levels: float = inf
        self._most_values: float = min(MANY, _MISTAKES / max(self._most_mistakes(schema)))
        classes = {id(each["cls"]): each["cls"] for each in _within(schema) if isinstance(each.get("cls"), type)}
        self._first = validator_of(self._copy(schema, {}, frozenset(), False), classes.values())
        self._sized: Any = (dict, list, str) if _holds(schema, "json") else (dict, list)
        self._has_names = any(not each.keys().isdisjoint(_MAPPED) for each in _within(schema))
        # What a character of JSON may be: half of a value, half of a level.
        self._of_text = max(0.5, self._most_values / max(2 * self._most_levels, 1))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._all, name)

    def __reduce__(self) -> Any:
        """A copy of a class, or one in another process, has Pydantic's own."""
        return self._all.__reduce__()

    def validate_python(self, value: Any, **options: Any) -> Any:
        """Validate as Pydantic's `SchemaValidator` does.

        Raises:
            ValidationError: The input is not valid; a large one may have more mistakes than are listed.
        """
        if not self._is_large(value):
            return self._all.validate_python(value, **options)
        try:
            # Pydantic gives no other option to an `__init__`: what gives one asks for something else.
            with self._mistakes.apart(is_within=options.keys() == {"self_instance"}):
                return self._first.validate_python(value, **options)
        except ValidationError as error:
            if error.error_count() <= 10 * MAX_ERRORS:
                raise
        raise ValidationError.from_exception_data("", [{"type": TOO_MANY, "loc": (), "input": None}])

    def _is_large(self, value: Any) -> bool:
        left, levels = self._most_values, self._most_levels
        level: list[Any] = [value]
        while level:
            held: list[Any] = []
            for each in level:
                if isinstance(each, self._sized):
                    left -= len(each) * self._of_text if type(each) is str else len(each)
                    if left < 0 or (self._has_names and type(each) is dict and _has_long_name(each, _LONG)):
                        return True
                    held += () if type(each) is str else each.values() if isinstance(each, dict) else each
            levels -= bool(held)
            if levels < 0:
                return True
            level = held
        return False

    def _most_mistakes(self, schema: dict[str, Any]) -> tuple[int, int]:
        """Of a value itself, and of any that is in it: for a union those of each member."""
        kind = schema.get("type", "")
        if kind == "definition-ref":
            ref = schema["schema_ref"]
            if ref not in self._most_each:
                self._most_each[ref] = 1, 1  # within itself
                self._most_each[ref] = self._most_mistakes(self._definitions.get(ref, {}))
            return self._most_each[ref]
        inner = [self._most_mistakes(each) for key, _, each in children(schema) if key != "definitions"]
        own, most = [each for each, _ in inner] or [1], max((each for _, each in inner), default=1)
        if kind == "union":
            return sum(own), len(own) * most
        if kind in _NAMED:
            return max(1, sum(map(_is_required, children(schema)))), max(*own, most)
        return (1, max(*own, most)) if kind in (*_LISTS, "dict") else (max(own), most)

    def _copy(self, schema: Any, config: Any, within: frozenset[str], is_counted: bool) -> Any:
        if isinstance(schema, list):
            return [self._copy(each, config, within, is_counted) for each in schema]
        if isinstance(schema, tuple):  # a choice of a union and its label
            return (self._copy(schema[0], config, within, is_counted), *schema[1:])
        if not isinstance(schema, dict) or schema.get("on_error", "raise") != "raise":  # its mistakes are none
            return schema
        kind, config, copy = schema.get("type", ""), schema.get("config", config), dict(schema)
        if schema.get("ref") in self._exact or (kind == "json" and self._is_otherwise_of_json(schema, config)):
            return _ending(schema)
        is_within_list, within = _LIST in within, within | {schema.get("ref", ""), _LIST if kind in _LISTS else ""}
        is_tried = kind in _ATTEMPTS and _holds(schema, *_OBJECTS, "definition-ref")
        grows = self._grows(schema)
        is_object = is_tried or kind in (*_OBJECTS, "definition-ref")
        is_inner_counted = grows or (is_counted and not is_object)
        for key in NESTED:
            nested = schema.get(key)
            if is_tried and grows and key == _ATTEMPTS[kind]:
                copy[key] = self._members(nested, config, within)
            elif isinstance(nested, dict) and key in ("fields", "choices"):
                copy[key] = {name: self._copy(each, config, within, is_inner_counted) for name, each in nested.items()}
            elif nested is not None:  # a definition that does not grow counts, or not, where it is referred to
                copy[key] = self._copy(nested, config, within, is_inner_counted and key != "definitions")
        if kind in _LISTS:
            copy["fail_fast"] = True
        if kind == "list" and not is_within_list:
            return _around("function-wrap", self._mistakes.in_list, copy)
        if is_tried and grows:
            return _around("function-wrap", self._mistakes.attempt, copy)
        if is_object:
            most_names = _most_names(schema, config)
            if (longest := _longest_name(schema.get("keys_schema", {}))) < inf:
                copy = _around("function-before", partial(_check_names, longest), copy)
            if (kind != "definition-ref") if grows else is_counted:
                begun = _around("function-before", self._mistakes.begun(most_names), copy)
                return _around("function-after", self._mistakes.right, begun)
            if most_names < inf:
                return _around("function-before", self._mistakes.named(most_names), copy)
        return copy

    def _grows(self, schema: dict[str, Any]) -> bool:
        """Whether what is wrong in one value may be as much as there is in it, for each member of a union in it."""
        refs = _refs(schema, self._definitions)
        for each in (schema, *(self._definitions[ref] for ref in refs if ref in self._definitions)):
            if each.get("ref") in refs and each["ref"] in _refs(each, self._definitions):
                return True
            for inner in _within(each):
                mapped = [inner[key] for key in _MAPPED if isinstance(inner.get(key), dict)]
                if any(_holds(values, *_OBJECTS, "definition-ref") for values in mapped):
                    return True
        return False

    def _is_otherwise_of_json(self, schema: dict[str, Any], config: Any) -> bool:
        """Whether what is strict takes from a text of JSON what it does not take from Python: a function would be between."""
        every = [schema, *(self._definitions.get(ref, {}) for ref in _refs(schema, self._definitions))]
        inner = [each for one in every for each in _within(one)]
        configs = [config, *(each["config"] for each in inner if "config" in each)]
        return any(each.get("strict") and each["type"] not in _EXACT for each in inner) or any(
            each.get("strict") or "val_json_bytes" in each for each in configs
        )

    def _members(self, schema: Any, config: Any, within: frozenset[str], times: int = 1) -> Any:
        if isinstance(schema, list):
            times = sum(self._is_recursive(each, within) for each in schema)
            return [self._members(each, config, within, times) for each in schema]
        if isinstance(schema, tuple):
            return (self._members(schema[0], config, within, times), *schema[1:])
        grows = self._grows(schema)
        copy = self._copy(schema, config, within, grows)
        if not grows:
            return copy
        is_recursive = self._is_recursive(schema, within)
        if is_recursive:
            few = _FEW if times < 2 else log(self._most_values, times)
            self._most_levels = min(self._most_levels, few)
        copy = _around("function-before", self._mistakes.member(is_recursive, schema.get("schema_ref", "")), copy)
        return _around("function-after", self._mistakes.is_member, copy) if is_recursive else copy

    def _is_recursive(self, member: Any, within: frozenset[str]) -> bool:
        schema = member[0] if isinstance(member, tuple) else member
        return not within.isdisjoint(_refs(schema, self._definitions))


def _is_required(child: tuple[str, str, dict[str, Any]]) -> bool:
    return child[2].get("schema", {}).get("type") != "default" and child[2].get("required") is not False


def _around(kind: str, function: Callable[..., Any], schema: dict[str, Any]) -> dict[str, Any]:
    around = {"type": kind, "function": {"type": "no-info", "function": function}, "schema": schema}
    if "ref" in schema:
        around["ref"] = schema.pop("ref")
    return around


def _ending(schema: Any) -> Any:
    """The same with collections that end at their first mistake, and no function between."""
    if isinstance(schema, list):
        return [_ending(each) for each in schema]
    if isinstance(schema, tuple):
        return (_ending(schema[0]), *schema[1:])
    if not isinstance(schema, dict):
        return schema
    copy = {**schema, "fail_fast": True} if schema.get("type") in _LISTS else dict(schema)
    for key in NESTED:
        nested = schema.get(key)
        if isinstance(nested, dict) and key in ("fields", "choices"):
            copy[key] = {name: _ending(each) for name, each in nested.items()}
        elif nested is not None:
            copy[key] = _ending(nested)
    return copy


def _most_names(schema: Any, config: Any) -> float:
    """How many names an object may have before more than `MAX_ERRORS` are unknown; no limit where none is a mistake."""
    declared = schema.get(_NAMED.get(schema.get("type", ""), ""))
    forbids = schema.get("extra_behavior", config.get("extra_fields_behavior")) == "forbid"
    if schema["type"] == "arguments":
        forbids = "var_kwargs_schema" not in schema
    return len(declared) + MAX_ERRORS if declared is not None and forbids else inf


def _longest_name(names: dict[str, Any]) -> float:
    """How long a name in a mapping may be before it is wrong and long; no limit where the schema does not say it."""
    kind, bound = names.get("type", ""), int(names.get("max_length", 0))
    if kind in _CHANGES or names.get("strip_whitespace"):
        return inf
    if kind in _SHORT or bound:
        return max(_LONG, bound)
    return max((_longest_name(inner) for _, _, inner in children(names)), default=inf)


def _has_long_name(value: dict[Any, Any], most: float) -> bool:
    return any(type(name) is str and len(name) > most for name in value)


def _check_names(most: float, value: Any) -> Any:
    """Refuse a mapping for a name alone: it would stand in each mistake of what is under it."""
    if isinstance(value, dict) and _has_long_name(value, most):
        raise PydanticKnownError("string_too_long", {"max_length": int(most)})
    return value


def _within(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for _, _, inner in children(schema):
        yield from _within(inner)


def _holds(schema: dict[str, Any], *kinds: str) -> bool:
    return any(each.get("type") in kinds for each in _within(schema))


def _refs(schema: dict[str, Any], named: dict[str, dict[str, Any]]) -> set[str]:
    """What a schema refers to, and what that refers to in turn."""
    found, todo = set[str](), [schema]
    while todo:
        refs = {each["schema_ref"] for each in _within(todo.pop()) if each.get("type") == "definition-ref"}
        todo += [named[ref] for ref in refs - found if ref in named]
        found |= refs
    return found
