# Owned by the template: an update rewrites this file.
"""Where a framework keeps its routes, nobody can add one unseen: lists that say so before they change."""

from collections.abc import Callable, Iterable
from typing import Any

from .framework import lists_of
from .routes import RouteTable

_CHANGES = (
    "append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse", "__setitem__", "__delitem__", "__iadd__",
    "__imul__",
)  # fmt: skip


class Watched(list[Any]):
    """A list that calls `changing` with what is added or taken away, before it does; what that raises keeps it as it is."""

    def __init__(self, items: Iterable[Any], changing: Callable[[tuple[Any, ...]], None]) -> None:
        super().__init__(items)
        self.changing = changing


def _watched(name: str) -> Callable[..., Any]:
    inherited = getattr(list, name)

    def change(self: Watched, *arguments: Any, **options: Any) -> Any:
        self.changing(arguments)
        return inherited(self, *arguments, **options)

    return change


for _name in _CHANGES:
    setattr(Watched, _name, _watched(_name))


def _described(changed: Any) -> str:
    of_router = getattr(changed, "include_context", None)
    path = getattr(changed, "path", None) or getattr(of_router, "prefix", None)
    methods = ",".join(sorted(getattr(changed, "methods", None) or ()))
    return f"{methods} {path}".strip() if path else str(changed) if isinstance(changed, int) else type(changed).__name__


class Watch:
    """Notices that the routes of an application change, or does not let them."""

    is_frozen = False
    """Whether adding or taking away raises."""

    def __init__(self, routes: RouteTable) -> None:
        self._routes = routes

    def begin(self) -> None:
        """Watch every router that there is by now, whose routes have the bounds of all."""
        self._routes.apply_default_bounds()
        for owner, name in (each for router in self._routes.routers for each in lists_of(router)):
            if not isinstance(getattr(owner, name), Watched):
                setattr(owner, name, Watched(getattr(owner, name), self._changing))

    def _changing(self, changed: tuple[Any, ...]) -> None:
        if self.is_frozen:
            names = ", ".join(map(_described, changed))
            raise RuntimeError(
                f"The routes of an application that serves in production do not change: {names}. Add it in create_app, "
                "or in a lifespan before it yields: nobody has looked at what comes later."
            )
        self._routes.is_stale = True
