# Owned by the template: an update rewrites this file.
"""What a waiver and an acceptance have in common: tables of TOML with a reason and a last day. The standard library alone."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

SENTENCE = "Write a sentence that a colleague understands in a year."


@dataclass(frozen=True, slots=True)
class Form:
    """What a table must look like.

    Args:
        kind: What it is, in a word: `waiver`.
        needed: The keys that it has to have.
        optional: The keys that it may have.
        longest: Days that it may run.
    """

    kind: str
    needed: tuple[str, ...]
    optional: tuple[str, ...]
    longest: int

    def problems(self, table: dict[str, Any], today: date) -> Iterator[tuple[str, str, str]]:
        """What is wrong with a table: the key, a sentence, a remedy."""
        known = (*self.needed, *self.optional)
        for name in table.keys() - set(known):
            may = f" and, if it likes, {', '.join(self.optional)}" if self.optional else ""
            yield name, f"`{name}` is not known", f"A {self.kind} has {', '.join(self.needed)}{may}."
        for name in self.needed:
            if name not in table:
                yield name, f"a {self.kind} has no {name}", f"Add a line `{name} = ...`."
        for name in known:
            value = table.get(name, "-")
            if name != "expires" and (not isinstance(value, str) or not value.strip()):
                yield name, f"`{name}` is empty or no text", f'Write {name} = "...".'
        expires = table.get("expires", today)
        last = today + timedelta(days=self.longest)
        if isinstance(expires, datetime) or not isinstance(expires, date):
            yield "expires", "`expires` is no date", f"Write the day without quotes: expires = {last.isoformat()}"
        elif expires < today:
            seen = f"the {self.kind} of {table.get(self.needed[0], 'something')} ended on {expires.isoformat()}"
            yield "expires", seen, "Do what it put off; or say again why it can wait, and until when."
        elif expires > last:
            seen = f"`expires` is more than {self.longest} days ahead"
            yield "expires", seen, f"The last possible day is {last.isoformat()}."


def is_sentence(text: str) -> bool:
    """Whether a reason says something: three different words, or as many letters of a script without spaces."""
    return len({each.casefold() for each in re.findall(r"[A-Za-z]{2,}|[^\W\d_A-Za-z]", text)}) >= 3


class Lines:
    """Line numbers of TOML keys: `tomllib` has none, so the shortest prefix that has the key is searched for."""

    def __init__(self, text: str) -> None:
        self._cut: list[tuple[int, dict[str, Any]]] = []
        lines = text.split("\n")
        for number in range(1, len(lines) + 1):
            try:
                self._cut.append((number, tomllib.loads("\n".join(lines[:number]))))
            except tomllib.TOMLDecodeError:  # in the middle of a text or of a list
                continue

    def of(self, *path: str | int) -> int:
        """The line in which the last part of a path appears; that of its table where it never does."""
        while path:
            for line, data in self._cut:
                if _holds(data, path):
                    return line
            path = path[:-1]
        return 1


def _holds(data: Any, path: Sequence[str | int]) -> bool:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True
