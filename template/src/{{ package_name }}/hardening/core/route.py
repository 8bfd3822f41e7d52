# Owned by the template: an update rewrites this file.
"""One route as it stands, prefixes and inherited dependencies included."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext

from ..models import Bounded
from ..policy import Policy
from .params import dependants_of
from .schemas import known, models_in


class Access(Enum):
    """Who may call a route."""

    PUBLIC = "public"
    GUARDED = "guard"
    UNDECLARED = None


@dataclass(slots=True, eq=False)
class Route:
    """One route as it stands, prefixes and inherited dependencies included."""

    path: str
    methods: frozenset[str] | None
    regex: re.Pattern[str]
    policy: Policy
    context: RouteContext | None = None
    app: Any = None
    max_body_bytes: int | None = None
    query: dict[str, bool] | None = None
    """Declared query parameters and whether each may repeat; `None` where nothing is declared, as for a mount."""
    guards: tuple[str, ...] = ()
    by_path: bool = False
    """Whether nothing but path and method decides, here and before it, whether FastAPI asks it."""
    may_be_kept: bool = False
    """Whether what FastAPI has answered for it once is so each time."""

    def __str__(self) -> str:
        return f"{','.join(sorted(self.methods)) if self.methods else 'ANY'} {self.path}"

    @property
    def access(self) -> Access:
        """Who may call it, as the route declares it."""
        if self.policy.public:
            return Access.PUBLIC
        return Access.GUARDED if self.guards else Access.UNDECLARED

    @property
    def is_websocket(self) -> bool:
        return self.methods == frozenset({"WEBSOCKET"})

    def dependants(self) -> Iterator[Dependant]:
        """The endpoint and all that it depends on; nothing for what is not FastAPI's."""
        if (dependant := getattr(self.context, "dependant", None)) is not None:
            yield from dependants_of(dependant)

    def apply_default_bounds(self) -> None:
        """Bound the numbers of its parameters: 4,000 digits are an integer to Python, and `nan` is a number."""
        for each in self.dependants():
            for param in (*each.path_params, *each.query_params, *each.header_params, *each.cookie_params):
                metadata = param.field_info.metadata
                is_bounded = any(isinstance(mark, Bounded) for mark in metadata)
                if not is_bounded and not any(models_in(known(param))):
                    metadata.append(Bounded())
                    param.__post_init__()  # builds its validator again
