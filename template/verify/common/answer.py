# Owned by the template: an update rewrites this file.
"""A response as attacks and tests look at it, and the host that they ask for."""

import json
from dataclasses import dataclass, field
from typing import Any

HOST = "api.example.com"


@dataclass
class Answer:
    """A response as it left, header by header."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for each, value in self.headers if each.lower() == name]

    def __getitem__(self, name: str) -> str:
        """The one value of a header; fails if there is none, or more than one."""
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    @property
    def json(self) -> Any:
        return json.loads(self.body)
