# Owned by the template: an update rewrites this file.
"""Where a name stands that is not there at run time: one that was imported under `TYPE_CHECKING` alone, or is misspelt.
Pydantic says which name it is, but neither which model nor which field.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Annotated, Any, ForwardRef, Literal, get_args, get_origin

from pydantic import BaseModel, PydanticUndefinedAnnotation


def parts(annotation: Any) -> tuple[Any, ...]:
    """What an annotation is made of, without metadata and values, which are no types."""
    origin = get_origin(annotation)
    if origin is Literal:
        return ()
    return get_args(annotation)[:1] if origin is Annotated else get_args(annotation)


def forward_references(annotation: Any) -> Iterator[str]:
    """The text of every name in an annotation that is still only a name; those in its models are not among them."""
    if isinstance(annotation, str | ForwardRef):
        yield annotation if isinstance(annotation, str) else annotation.__forward_arg__
    for part in annotation if isinstance(annotation, list) else parts(annotation):  # a list: of a `Callable`
        yield from forward_references(part)


def explain(error: Exception, annotation: Any, module: str) -> tuple[str, str]:
    """What is wrong with an annotation, and what helps.

    Args:
        error: What Pydantic raised.
        annotation: What it was to make a schema of.
        module: Where the annotation stands.
    """
    if not isinstance(error, PydanticUndefinedAnnotation):
        text = getattr(error, "message", "") or str(error) or repr(error)
        return f"{type(error).__name__}: {text.splitlines()[0]}", "Change its type to one that Pydantic knows."
    owner, field = next(_naming(str(error.name), annotation, set()), (None, ""))
    place = "its annotation" if owner is None else f"the field `{field}` of the model `{owner.__name__}`"
    module = module if owner is None else owner.__module__
    return (
        f"{place} names `{error.name}`, which is not defined at run time.",
        f"Define or import it in `{module}`, and not under `if TYPE_CHECKING:`.",
    )


def _naming(name: str, annotation: Any, seen: set[int]) -> Iterator[tuple[Any, str]]:
    """The classes and fields in an annotation that name something."""
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    fields = _fields(annotation) if isinstance(annotation, type) else {}
    for field, inner in fields.items():
        if any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for text in forward_references(inner)):
            yield annotation, field
    for inner in (*fields.values(), *parts(annotation)):
        yield from _naming(name, inner, seen)


def _fields(owner: type) -> dict[str, Any]:
    if issubclass(owner, BaseModel):
        return {name: info.annotation for name, info in owner.model_fields.items()}
    if is_dataclass(owner):
        return {name: field.type for name, field in owner.__dataclass_fields__.items()}
    if owner.__module__ in sys.stdlib_module_names:
        return {}
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        return get_annotations(owner, format=Format.FORWARDREF)
    return dict(getattr(owner, "__annotations__", {}))
