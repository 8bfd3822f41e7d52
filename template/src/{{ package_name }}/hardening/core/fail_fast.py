# Owned by the template: an update rewrites this file.
"""A large input is refused at its first mistakes. Pydantic makes an error of each one, for each member of a union, and
FastAPI copies each: a megabyte of unknown names took 43 times what a valid one takes. OWASP API4:2023, CWE-770.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError, PydanticKnownError, SchemaValidator

from .problems import MAX_ERRORS
from .schemas import COLLECTIONS, NESTED, children, definitions, known

MANY = 64
"""Values in an input above which it is large; of a smaller one each mistake is listed."""
_MOST_FAILED = 512  # objects; more than can be open at once, since an open one is not yet known to be right
_FIELDS = {
    "model-fields": "fields",
    "typed-dict": "fields",
    "dataclass-args": "fields",
    "arguments": "arguments_schema",
}
_COUNTED = (*_FIELDS, "dict")
_UNKNOWN_NAMES = PydanticKnownError("extra_forbidden")
_TOO_MANY = PydanticCustomError("too_many_errors", "Input has more errors than are listed")


class _Frame:
    """A union that is being tried: what holds whatever becomes of the member that is tried now."""

    __slots__ = ("failures", "pending", "worst")

    def __init__(self, failures: int) -> None:
        self.failures = self.worst = failures
        self.pending: tuple[tuple[int, int], Any] | None = None


class _Run(threading.local):
    """What is known of the input that a thread is validating."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.failures = 0
        """Objects that were begun and have not been found right."""
        self.frame = _Frame(0)
        self.failed: dict[tuple[int, int], Any] = {}
        """What is known not to be a member of a union, kept so that nothing else gets its id."""

    def conclude(self, frame: _Frame) -> None:
        """Remember the member that was tried last, if it did not succeed."""
        if frame.pending is not None:
            key, self.failed[key] = frame.pending
            frame.pending = None


class FailFast:
    """A validator in the place of Pydantic's own, which takes and returns the same but stops at the first mistakes.

    A collection ends at its first wrong item, an object with too many unknown names at once, all of it after
    `_MOST_FAILED` wrong objects. What a union tries is judged for itself, and never twice where a union may hold itself:
    that would double at each level.
    """

    def __init__(self, validator: Any, schema: Any) -> None:
        self._all = validator
        self._run = _Run()
        self._definitions = definitions(schema)
        self._has_recursive_union = False
        classes = (each["cls"] for each in _within(schema) if isinstance(each.get("cls"), type))
        self._first = _build(self._copy(schema, {}, frozenset()), classes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._all, name)

    def validate_python(self, value: Any, **options: Any) -> Any:
        """Validate as Pydantic's `SchemaValidator` does.

        Raises:
            ValidationError: The input is not valid; a large one may have more mistakes than are listed.
        """
        if not (self._has_recursive_union or _is_large(value)):
            return self._all.validate_python(value, **options)
        self._run.begin()
        try:
            return self._first.validate_python(value, **options)
        except ValidationError as error:
            if error.error_count() <= 10 * MAX_ERRORS:
                raise
        finally:
            self._run.begin()  # let go of the input
        raise ValidationError.from_exception_data("", [{"type": _TOO_MANY, "loc": (), "input": None}])

    def _copy(self, schema: Any, config: Any, within: frozenset[str]) -> Any:
        if isinstance(schema, list):
            return [self._copy(each, config, within) for each in schema]
        if isinstance(schema, tuple):  # a choice of a union and its label
            return (self._copy(schema[0], config, within), *schema[1:])
        if not isinstance(schema, dict) or schema.get("on_error", "raise") != "raise":  # its mistakes are none
            return schema
        kind, config, copy = schema.get("type"), schema.get("config", config), dict(schema)
        within |= {schema.get("ref", "")}
        for key in NESTED:
            nested = schema.get(key)
            if isinstance(nested, dict) and key in ("fields", "choices"):
                copy[key] = {name: self._copy(each, config, within) for name, each in nested.items()}
            elif nested is not None:
                copy[key] = self._copy(nested, config, within)
        if kind in COLLECTIONS or kind == "tuple":
            copy["fail_fast"] = True
        if kind in _COUNTED:
            counted = _around("function-before", self._counted(_most_names(schema, config)), copy)
            return _around("function-after", self._right, counted)
        if kind == "union":
            copy["choices"] = [self._choice(each, within) for each in copy["choices"]]
            return _around("function-wrap", self._tried, copy)
        if kind == "function-wrap":  # may do without what is in it
            copy["schema"] = self._choice(copy["schema"], within)
            return _around("function-wrap", self._tried, copy)
        return copy

    def _counted(self, most_names: float) -> Callable[[Any], Any]:
        run = self._run

        def counted(value: Any) -> Any:
            if run.failures > _MOST_FAILED:
                raise _TOO_MANY
            run.failures += 1
            if isinstance(value, dict) and len(value) > most_names:
                raise _UNKNOWN_NAMES
            return value

        return counted

    def _right(self, value: Any) -> Any:
        self._run.failures -= 1
        return value

    def _tried(self, value: Any, handler: Any) -> Any:
        run = self._run
        if run.failures > _MOST_FAILED:
            raise _TOO_MANY
        outer, run.frame = run.frame, (frame := _Frame(run.failures))
        try:
            valid = handler(value)
        except ValidationError:
            run.failures = max(run.failures, frame.worst)
            raise
        finally:
            run.conclude(frame)
            run.frame = outer
        run.failures = frame.failures
        return valid

    def _choice(self, schema: Any, within: frozenset[str]) -> Any:
        if isinstance(schema, tuple):
            return (self._choice(schema[0], within), *schema[1:])
        run, recurs = self._run, not within.isdisjoint(_refs(schema, self._definitions))
        self._has_recursive_union |= recurs

        def choice(value: Any) -> Any:
            frame = run.frame
            frame.worst, run.failures = max(frame.worst, run.failures), frame.failures
            if recurs:
                run.conclude(frame)
                key = (id(choice), id(value))
                if key in run.failed:
                    raise _TOO_MANY
                frame.pending = key, value
            return value

        def chosen(value: Any) -> Any:
            run.frame.pending = None
            return value

        schema = _around("function-before", choice, schema)
        return _around("function-after", chosen, schema) if recurs else schema


def fail_fast(param: Any) -> None:
    """Let a parameter or a body of FastAPI's stop at its first mistakes, if it may hold several values."""
    adapter, schema = param._type_adapter, known(param)
    has_many = any(each.get("type") in (*_COUNTED, *COLLECTIONS, "tuple") for each in _within(schema))
    if has_many and not isinstance(adapter.validator, FailFast):
        adapter.validator = FailFast(adapter.validator, schema)


def _is_large(value: Any) -> bool:
    left, todo = MANY, [value]
    while todo:
        each = todo.pop()
        if isinstance(each, dict | list):
            left -= len(each)
            if left < 0:
                return True
            todo.extend(each.values() if isinstance(each, dict) else each)
    return False


def _around(kind: str, function: Callable[..., Any], schema: dict[str, Any]) -> dict[str, Any]:
    around = {"type": kind, "function": {"type": "no-info", "function": function}, "schema": schema}
    if "ref" in schema:
        around["ref"] = schema.pop("ref")
    return around


def _most_names(schema: Any, config: Any) -> float:
    """How many names an object may have before more than `MAX_ERRORS` are unknown; no limit where none is a mistake."""
    declared = schema.get(_FIELDS.get(schema["type"], ""))
    forbids = schema.get("extra_behavior", config.get("extra_fields_behavior")) == "forbid"
    if schema["type"] == "arguments":
        forbids = "var_kwargs_schema" not in schema
    return len(declared) + MAX_ERRORS if declared is not None and forbids else float("inf")


def _within(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for _, _, inner in children(schema):
        yield from _within(inner)


def _refs(schema: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> set[str]:
    """What a schema refers to, and what that refers to in turn."""
    found, todo = set[str](), [schema]
    while todo:
        refs = {each["schema_ref"] for each in _within(todo.pop()) if each.get("type") == "definition-ref"}
        todo += [definitions[ref] for ref in refs - found if ref in definitions]
        found |= refs
    return found


def _build(schema: Any, classes: Iterable[type]) -> SchemaValidator:
    """A validator of this very schema: where a class is complete, pydantic-core takes the validator that it has."""
    complete = [cls for cls in dict.fromkeys(classes) if vars(cls).get("__pydantic_complete__")]
    try:
        for cls in complete:
            cls.__pydantic_complete__ = False  # type: ignore[attr-defined]
        return SchemaValidator(schema)
    finally:
        for cls in complete:
            cls.__pydantic_complete__ = True  # type: ignore[attr-defined]
