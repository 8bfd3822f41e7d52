# Owned by the template: an update rewrites this file.
"""`pyproject.toml` belongs to the team, so a change to one requirement leaves every other byte as it was.

The text is not written anew from what was read. A change replaces one text in one list or adds one, and is taken back
unless reading the file again shows that change and nothing else.
"""

import re
import tomllib
from copy import deepcopy
from typing import Any

Path = tuple[str, ...]
"""The keys that lead to a value, such as `("project", "dependencies")`."""
Span = tuple[int, int]

_TEXT = r'"""(?:\\.|[^\\])*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
_WORD = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY = re.compile(rf"{_WORD}(?:[ \t]*\.[ \t]*{_WORD})*")
_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_TOKEN = re.compile(rf"(?P<text>{_TEXT})|#[^\n]*|(?P<mark>[\[\]{{}},])|[^\s\[\]{{}},#\"']+|\s+", re.DOTALL)


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
        self.text = content.decode("utf-8")
        self.data = tomllib.loads(self.text)

    def __bytes__(self) -> bytes:
        return self.text.encode("utf-8")

    def get(self, path: Path) -> Any:
        """What stands at a path, or `None`."""
        value: Any = self.data
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def replace(self, path: Path, number: int, text: str) -> None:
        """Put a text in the place of another one in a list.

        Raises:
            CannotChangeError: The list is written in another way than that.
        """
        start, end = self._items(path)[number]
        self._change(path, slice(number, number + 1), text, [(start, end, _quoted(text, self.text[start]))])

    def add(self, path: Path, text: str) -> None:
        """Add a text to a list: in its place if the list is in alphabetical order, else at the end.

        Raises:
            CannotChangeError: The list is not there, or written in another way than as a list.
        """
        items = self._items(path)
        if not items:
            self._change(path, slice(0, 0), text, [self._first(path, text)])
            return
        names = [str(item).casefold() for item in self.get(path)]
        smaller = [number for number, name in enumerate(names) if name < text.casefold()]
        before = smaller[-1] if smaller and names == sorted(names) else len(items) - 1
        start, end = items[before]
        line = self.text.rfind("\n", 0, start) + 1
        quote = self.text[start] if self.text[start] in "\"'" else '"'
        comma = re.compile(rf"({_BLANK.pattern}),").match(self.text, end)
        rest = re.compile(r"[ \t]*(?:#[^\n]*)?\r?\n").match(self.text, comma.end() if comma else end)
        indent = self.text[line:start]
        if indent.strip() or not rest:  # several on one line
            added = [(end, end, f", {_quoted(text, quote)}")]
        else:
            new = f"{indent}{_quoted(text, quote)}{',' if comma else ''}{self._newline}"
            added = [(rest.end(), rest.end(), new)]
            if not comma:
                added.insert(0, (end, end, ","))
        self._change(path, slice(before + 1, before + 1), text, added)

    def _first(self, path: Path, text: str) -> tuple[int, int, str]:
        start, end = self._values()[path]
        inside = self.text[start + 1 : end - 1].rstrip(" \t")
        if not inside.strip():
            inside = self._newline
        elif not inside.endswith("\n"):
            inside += self._newline
        new = _quoted(text, '"')
        return start, end, f"[{inside}    {new},{self._newline}]"

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _change(self, path: Path, place: slice, text: str, edits: list[tuple[int, int, str]]) -> None:
        changed = self.text
        for start, end, new in sorted(edits, reverse=True):
            changed = changed[:start] + new + changed[end:]
        wanted = deepcopy(self.data)
        value = wanted
        for key in path:
            value = value[key]
        value[place] = [text]  # type: ignore[index]  # it is a list, as _items has found
        try:
            data = tomllib.loads(changed)
        except tomllib.TOMLDecodeError:
            data = {}
        if data != wanted:
            raise CannotChangeError
        self.text, self.data = changed, data

    def _items(self, path: Path) -> list[Span]:
        """Where the items of a list stand."""
        value, span = self.get(path), self._values().get(path)
        if not isinstance(value, list) or span is None:
            raise CannotChangeError
        found: list[Span] = []
        depth, begun = 0, 0
        for token in _TOKEN.finditer(self.text, *span):
            mark = token["mark"] or ""
            if depth == 1 and (token["text"] or mark in ("[", "{")):
                begun = token.start()
            depth += (mark in ("[", "{")) - (mark in ("]", "}"))
            if depth == 1 and (token["text"] or mark in ("]", "}")):
                found.append((begun, token.end()))
        if len(found) != len(value):
            raise CannotChangeError
        return found

    def _values(self) -> dict[Path, Span]:
        """Where the value of each key stands, but for keys of inline tables."""
        found: dict[Path, Span] = {}
        table: Path = ()
        at = _end(_BLANK, self.text, 0)
        while at < len(self.text):
            header = len(re.compile(r"\[{0,2}[ \t]*").match(self.text, at)[0])  # type: ignore[index]  # it may be empty
            end = _end(_KEY, self.text, at + header)
            key = _path(self.text[at + header : end])
            if self.text[at] == "[":
                table = key
                at = _end(re.compile(r"[ \t]*\]{1,2}"), self.text, end)
            else:
                start = _end(re.compile(r"[ \t]*=[ \t]*"), self.text, end)
                at = self._end_of_value(start)
                found[table + key] = (start, at)
            at = _end(_BLANK, self.text, at)
        return found

    def _end_of_value(self, start: int) -> int:
        depth = 0
        for token in _TOKEN.finditer(self.text, start):
            depth += (token["mark"] in ("[", "{")) - (token["mark"] in ("]", "}"))
            if depth == 0:
                return token.end() if token["mark"] or token["text"] else _end(re.compile(r"[^\n#]*"), self.text, start)
        raise CannotChangeError


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    if not found:
        raise CannotChangeError
    return found.end()


def _path(key: str) -> Path:
    """A key as it is written, `a."b.c"`, as the keys that it stands for."""
    value: Any = tomllib.loads(f"{key} = 0")
    path: Path = ()
    while isinstance(value, dict):
        name = next(iter(value))
        path, value = (*path, name), value[name]
    return path


def _quoted(text: str, quote: str) -> str:
    if quote == "'" and "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
