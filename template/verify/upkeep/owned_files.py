# Owned by the template: an update rewrites this file.
"""The list of the owned files of a release with a hash of each, `verify/owned.sha256`, and how the hash is made."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

LIST = Path("verify", "owned.sha256")
PACKAGE = "{package}"
"""What stands for the service's package, in a path of the list and in the hashed import lines."""

_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<path>.+?)(?:  # (?P<when>\S+))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the list.

    Args:
        digest: SHA-256 of the text.
        path: Where the file is, with `{package}` for the service's package.
        when: The answers of the services that have it: `store=redis,example=accounts`; empty for all.
    """

    digest: str
    path: str
    when: str = ""

    def __str__(self) -> str:
        return f"{self.digest}  {self.path}{f'  # {self.when}' if self.when else ''}"

    @property
    def asks(self) -> dict[str, str]:
        """The answers of the services that have it, by the name of the question."""
        pairs = (each.partition("=") for each in self.when.split(",") if each)
        return {name: value for name, _, value in pairs}

    def concerns(self, answers: dict[str, str]) -> bool:
        """Whether a service with these answers has it."""
        return all(answers.get(name) == value for name, value in self.asks.items())


def parse(text: str) -> list[Entry]:
    """The lines of a list.

    Raises:
        ValueError: One is neither an entry nor a comment.
    """
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            if match is None:
                raise ValueError(f"it holds the line {line!r}")
            found.append(Entry(match["digest"], match["path"], match["when"] or ""))
    return found


def digest(content: bytes, package: str) -> str:
    """SHA-256 of a file's text, whatever line ends git was told to write and whatever the package is called.

    The name stands in import lines alone: no other way to the package is clear to mypy in services of every age.
    """
    imports = re.compile(rb"^([ \t]*(?:from|import) )" + re.escape(package.encode()) + rb"(?=[. ])", re.MULTILINE)
    return hashlib.sha256(imports.sub(rb"\1" + PACKAGE.encode(), content.replace(b"\r\n", b"\n"))).hexdigest()
