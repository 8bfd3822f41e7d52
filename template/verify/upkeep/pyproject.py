# Owned by the template: an update rewrites this file.
"""`pyproject.toml` belongs to the team, so a change to one requirement leaves every other byte as it was.

tomlkit changes one text in one list or adds one. The change is taken back unless reading the file again shows that
change and nothing else.
"""

import tomllib
from copy import deepcopy
from typing import Any

import tomlkit
from tomlkit.items import Array

Path = tuple[str, ...]
"""The keys that lead to a value, such as `("project", "dependencies")`."""


class CannotChangeError(Exception):
    """The list is not there, or written in a way that is not changed here."""


class Pyproject:
    """The text of a `pyproject.toml`, and what it says.

    Args:
        content: The bytes of the file.

    Raises:
        ValueError: It is no TOML in UTF-8.
    """

    def __init__(self, content: bytes) -> None:
        text = content.decode("utf-8")
        # tomlkit adds lines that end as on Unix.
        self._newline = "\r\n" if text.count("\r\n") == text.count("\n") > 0 else "\n"
        self.text = text.replace("\r\n", "\n") if self._newline == "\r\n" else text
        self.data = tomllib.loads(self.text)

    def __bytes__(self) -> bytes:
        return self.text.replace("\n", self._newline).encode("utf-8")

    def get(self, path: Path) -> Any:
        """What stands at a path, or `None`."""
        return _at(self.data, path)

    def replace(self, path: Path, number: int, text: str) -> None:
        """Put a text in the place of another one in a list.

        Raises:
            CannotChangeError: The list is written in another way than that.
        """
        document, items = self._items(path)
        items[number] = _quoted(text, items[number].as_string())
        self._change(path, slice(number, number + 1), text, document.as_string())

    def add(self, path: Path, text: str) -> None:
        """Add a text to a list: in its place if the list is in alphabetical order, else at the end.

        Raises:
            CannotChangeError: The list is not there, or written in another way than as a list.
        """
        document, items = self._items(path)
        names = [str(item).casefold() for item in self.get(path)]
        smaller = [number for number, name in enumerate(names) if name < text.casefold()]
        place = smaller[-1] + 1 if smaller and names == sorted(names) else len(names)
        if names:
            items.insert(place, _quoted(text, str(items[max(0, place - 1)].as_string())))
        else:
            items.add_line(text)
            if not items.as_string().endswith("\n]"):
                items.add_line(indent="")
        self._change(path, slice(place, place), text, document.as_string())

    def _items(self, path: Path) -> tuple[tomlkit.TOMLDocument, Array]:
        document = tomlkit.parse(self.text)
        items = _at(document, path)
        if not isinstance(items, Array):
            raise CannotChangeError
        return document, items

    def _change(self, path: Path, place: slice, text: str, changed: str) -> None:
        wanted = deepcopy(self.data)
        _at(wanted, path)[place] = [text]
        try:
            found = tomllib.loads(changed)
        except tomllib.TOMLDecodeError:
            found = {}
        if found != wanted:
            raise CannotChangeError
        self.text, self.data = changed, wanted


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _quoted(text: str, like: str) -> Any:
    return tomlkit.string(text, literal=like.startswith("'") and "'" not in text)
