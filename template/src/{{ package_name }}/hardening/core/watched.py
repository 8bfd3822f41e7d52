# Owned by the template: an update rewrites this file.
"""Lists that say so before they change: where a framework keeps its routes, nobody can add one unseen."""

from collections.abc import Callable, Iterable
from typing import Any

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
