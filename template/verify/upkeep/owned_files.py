# Owned by the template: an update rewrites this file.
"""The list of the owned files of a release with a hash of each, `verify/owned.sha256`, and how the hash is made."""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import all_suffixes
from pathlib import Path

LIST = Path("verify", "owned.sha256")
PACKAGE = "{package}"
"""What stands for the service's package, in a path of the list and in the hashed import lines."""

FOLDERS = ("verify", "tests/hardening", f"src/{PACKAGE}/hardening")
"""Where all files are owned."""
_SEAL = "# SHA-256 of the lines above: "
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


def sealed(lines: str) -> str:
    """A list with its last line, which tells a whole one from one that was cut off, emptied, doubled or edited."""
    return f"{lines}{_SEAL}{hashlib.sha256(lines.encode()).hexdigest()}\n"


def parse(text: str) -> list[Entry]:
    """The entries of a list.

    Raises:
        ValueError: It is not as `sealed` wrote it.
    """
    lines = text.rpartition(_SEAL)[0]
    if sealed(lines) != text:
        raise ValueError("it is cut off, doubled or edited: its last line is not the hash of the lines above it")
    return [Entry(*match.groups("")) for line in lines.splitlines() if (match := _LINE.fullmatch(line))]


def added(project: Path, folders: Iterable[str], owned: Collection[str]) -> Iterator[str]:
    """The files and links in these folders that are not among the owned ones; what Python caches is none of them."""
    for folder in folders:
        for path in (project / folder).rglob("*"):
            name = path.relative_to(project).as_posix()
            is_there = path.is_symlink() or path.is_file()
            if is_there and "__pycache__" not in path.parts and name not in owned:
                yield name


def is_importable(project: Path, name: str) -> bool:
    """Whether Python might import a file, or something through a link to a folder."""
    return name.endswith(tuple(all_suffixes())) or (project / name).is_dir()


def digest(content: bytes, package: str) -> str:
    """SHA-256 of a file's text, whatever line ends git was told to write and whatever the package is called.

    The name stands in import lines alone: no other way to the package is clear to mypy in services of every age.
    """
    imports = re.compile(rb"^([ \t]*(?:from|import) )" + re.escape(package.encode()) + rb"(?=[. ])", re.MULTILINE)
    return hashlib.sha256(imports.sub(rb"\1" + PACKAGE.encode(), content.replace(b"\r\n", b"\n"))).hexdigest()
