# Owned by the template: an update rewrites this file.
"""One route as it stands, prefixes and inherited dependencies included."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from fastapi import params
from fastapi.dependencies.models import Dependant
from fastapi.routing import RouteContext

from ..models import Bounded
from ..policy import Policy
from .fail_fast import fail_fast
from .form_text import UNDECLARED, Form
from .params import dependants_of, models_of, overriding_query_of, params_of


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
    form: Form = UNDECLARED
    """The fields that it declares, if it reads a form."""
    embedded: frozenset[str] = frozenset()
    """The names of the one model that its JSON body holds, where that is embedded under a name."""
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

    @property
    def has_head(self) -> bool:
        """Whether it takes HEAD itself."""
        return self.methods is not None and "HEAD" in self.methods

    def dependants(self) -> Iterator[Dependant]:
        """The endpoint and all that it depends on; nothing for what is not FastAPI's."""
        if (dependant := getattr(self.context, "dependant", None)) is not None:
            yield from dependants_of(dependant)

    def overridden_query(self) -> dict[str, bool]:
        """As `query`, with what the dependencies take that stand in the place of others just now."""
        provider = getattr(self.context, "dependency_overrides_provider", None)
        overrides = getattr(provider, "dependency_overrides", None)
        found = (overriding_query_of(each, overrides) for each in [*self.dependants()][:1] if overrides)
        return {**(self.query or {}), **next(found, {})}

    def apply_default_bounds(self) -> None:
        """Bound the numbers of its parameters (4,000 digits are an integer to Python, and `nan` is a number), and what
        the mistakes in them cost."""
        for each in self.dependants():
            fields = [
                param
                for param in each.body_params
                if type(param.field_info) is params.Form and not models_of(param.field_info)
            ]
            for param in (*each.path_params, *each.query_params, *each.header_params, *each.cookie_params, *fields):
                metadata = param.field_info.metadata
                is_bounded = any(isinstance(mark, Bounded) for mark in metadata)
                if not is_bounded and not models_of(param.field_info):
                    metadata.append(Bounded())
                    param.__post_init__()  # builds its validator again
            for param in params_of(each):
                fail_fast(param)
