# Owned by the template: an update rewrites this file.
"""A response as attacks and tests look at it, and the host that they ask for."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import Message

HOST = "api.example.com"


@dataclass
class Answer:
    """A response as it left, header by header."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    messages: list[Message] = field(default_factory=list)

    @classmethod
    def of(cls, messages: list[Message]) -> "Answer":
        """Put together what an application sent."""
        answer = cls(messages=messages)
        for message in messages:
            kind = message["type"].removeprefix("websocket.")
            if kind == "http.response.start":
                if answer.status:
                    raise ValueError("a response began twice")
                answer.status = message["status"]
                answer.headers = [(name.decode(), value.decode("latin-1")) for name, value in message["headers"]]
            elif kind == "http.response.pathsend":
                answer.body += Path(message["path"]).read_bytes()
            elif kind == "http.response.body":
                answer.body += message.get("body", b"")
        return answer

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

    @property
    def is_complete(self) -> bool:
        """Whether the body came to its end."""
        return not self.messages[-1].get("more_body", False)
