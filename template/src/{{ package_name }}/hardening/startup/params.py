# Owned by the template: an update rewrites this file.
"""What is examined in each thing that a route reads or answers: whether it can be resolved, and whether it ends.
Whatever goes wrong while a route is examined is a finding as well: what could not be examined is not safe.
"""

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from typing import Any

from ..core.params import params_of
from ..core.route import Route
from ..core.schemas import COLLECTIONS, UNRESOLVED, Open, known, models_in, open_in, schema_of
from ..core.unresolved import explain
from ..models import Bounded

Fault = tuple[str, str, str]
"""Id, sentence and remedy of a finding about a route."""


def examined(route: Route, examine: Callable[[Route], Iterator[Fault]]) -> Iterator[Fault]:
    """What is found, and that it could not be found out: a model of the team's may do anything when it is read."""
    try:
        yield from examine(route)
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing is known of this route
        yield (
            "routes.E008",
            f"cannot be examined: {type(error).__name__}: {error}",
            'See what its models do when Pydantic reads them, or accept it: `policy(insecure_because={"routes.E008": ...})`.',
        )


def unresolved(route: Route) -> Iterator[Fault]:
    """What the route reads or answers that Pydantic cannot validate by, since a name in it is not there."""
    places = [
        (f"the {type(param.field_info).__name__.lower()} {param.name}", param, each.call)
        for each in route.dependants()
        for param in params_of(each)
    ]
    context: Any = route.context
    answers = {"": getattr(context, "response_field", None), " stream": getattr(context, "stream_item_field", None)}
    answers |= {f" {status}": field for status, field in getattr(context, "response_fields", {}).items()}
    places += [(f"its response{which}", field, context.endpoint) for which, field in answers.items() if field]
    for place, param, call in places:
        try:
            schema_of(param)
        except UNRESOLVED as error:
            message, hint = explain(error, param.field_info.annotation, getattr(call, "__module__", ""))
            yield "routes.E008", f"{place} cannot be resolved: {message}", hint


def unbounded(param: Any, name: str, loose: Iterable[type]) -> Iterator[Fault]:
    """What in a parameter or a body has no upper bound; nothing of a model that is found to be loose as a whole."""
    schema = known(param)
    if not any(models_in(schema)):
        _try_bounds(param)
    for each in open_in(schema):
        if not set(loose) & set(each.owners):
            place = f"the field `{each.field}` of `{each.owners[-1].__name__}` in {name}" if each.owners else name
            is_held = f" for its {each.part}" if each.part else ""
            yield "routes.E006", f"{place} has no upper bound{is_held}.", _bound_hint(param, each)


def _bound_hint(param: Any, found: Open) -> str:
    if found.part:
        kind = found.kind if found.kind in ("str", "bytes", *COLLECTIONS) else "tuple"
        return f"Give each of the {found.part} one: `Annotated[{kind}, Field(max_length=100)]`."
    if found.owners:
        return "Give it one: `Field(max_length=100)`."
    kind = type(param.field_info).__name__
    if found.kind not in ("str", "bytes"):
        return f"Give it one: `{kind}(max_length=100)`."
    annotation = param.field_info.annotation
    text = annotation.__name__ if isinstance(annotation, type) else found.kind
    return f"Give it one: `Annotated[{text}, {kind}(max_length=100)]`, or a `pattern`, an enum, a UUID."


def _try_bounds(param: Any) -> None:
    """Build the validator that the parameter gets when the application is sealed, so that it does not fail only then."""
    info = copy(param.field_info)
    if any(isinstance(mark, Bounded) for mark in info.metadata):  # it has it by now
        return
    info.metadata = [*info.metadata, Bounded()]
    type(param)(field_info=info, name=param.name, mode=param.mode, config=param.config)
