# Owned by the template: an update rewrites this file.
"""What of the application is not the template's where the proof relies on it, and which middleware may answer by itself."""

import inspect
from collections.abc import Iterator
from typing import Any

from ..app import Hardened
from ..core.framework import is_frameworks, teams_layer
from ..core.params import dependants_of
from ..policy import is_guard, name_of
from ..steps.errors import Errors

_PROVED = ("__call__", "add_steps", "build_middleware_stack", "findings", "seal", "table")
"""What looks at the application or stands around it, beside the methods that begin with `_`."""


def replaced(app: Hardened) -> Iterator[str]:
    """The methods of `Hardened` that a subclass, an attribute or a patch puts others in the place of."""
    here = inspect.getfile(Hardened)
    yield from overridden(app)
    for name, method in vars(Hardened).items():
        if not callable(method) or (name not in _PROVED and (not name.startswith("_") or name.startswith("__"))):
            continue
        found: Any = inspect.getattr_static(app, name)
        if found is not method or method.__code__.co_filename != here:
            kind = next((each for each in type(app).__mro__ if name in vars(each)), type(app))
            yield f"{kind.__module__}.{kind.__qualname__}.{name}"


def overridden(app: Hardened) -> Iterator[str]:
    """The guards, and what they depend on, for which `dependency_overrides` has something else, as a test may."""
    guards = (each for route in app.table() for each in route.dependants() if is_guard(each.call))
    below = {each.call for guard in guards for each in dependants_of(guard)}
    for each in app.dependency_overrides:
        if is_guard(each) or each in below:
            yield f"dependency_overrides[{name_of(each)}]"


def middleware(app: Hardened) -> Iterator[str]:
    """The middleware of the team's own, by its name."""
    for each in app.user_middleware:
        if (thing := teams_layer(each)) is not None:
            name = getattr(thing, "__qualname__", type(thing).__name__)
            yield f"{getattr(thing, '__module__', '')}.{name}"


def handlers(app: Hardened) -> Iterator[str]:
    """The team's own handlers of exceptions and statuses, and what answers where no route does."""
    for kind, handler in app.exception_handlers.items():
        if not (is_frameworks(handler) or isinstance(getattr(handler, "__self__", None), Errors)):
            yield f"{kind if isinstance(kind, int) else kind.__name__}: {name_of(handler)}"
    if not is_frameworks(app.router.default):
        yield f"not found: {name_of(app.router.default)}"
