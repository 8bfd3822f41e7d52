# Owned by the template: an update rewrites this file.
"""Conditions of pipelines: GitHub's expressions and GitLab's `rules:if`, as far as they can be decided without a run."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_TOKEN = re.compile(
    r"\s*(?:(?P<op>&&|\|\||==|!=|=~|!~|<=|>=|[<>!(),\[\]])|'(?P<single>(?:[^']|'')*)'|\"(?P<double>[^\"]*)\""
    r"|/(?P<regex>(?:\\.|[^/\\])+)/\w*|(?P<name>[$\w.*-]+))"
)
UNKNOWN: Final = object()
"""What only a run can tell."""
_WORDS = {"true": True, "false": False, "null": None}
_FUNCTIONS = {"always": True, "success": True, "failure": False, "cancelled": False}
_TESTS = {"startswith": str.startswith, "endswith": str.endswith, "contains": str.__contains__}


def decided(condition: object, values: Mapping[str, Any]) -> bool | None:
    """Whether a condition holds in a run in which all goes well; nothing if that cannot be told.

    Args:
        condition: Its text, or a value as YAML has it.
        values: What is known, by the names that conditions use.
    """
    text = str(condition).strip()
    if match := re.fullmatch(r"\$\{\{(.*)\}\}", text, re.DOTALL):
        text = match[1]
    reader = _Reader(text, values)
    try:
        found = reader.either()
    except (IndexError, re.error):
        return None
    return None if found is UNKNOWN or reader.at < len(reader.tokens) else _holds(found)


def _holds(value: Any) -> bool:
    return value not in (None, False, "", "0", 0)


class _Reader:
    def __init__(self, text: str, values: Mapping[str, Any]) -> None:
        self.values, self.at = values, 0
        self.tokens = list(_TOKEN.finditer(text.strip()))
        if sum(len(each[0]) for each in self.tokens) < len(text.strip()):
            self.tokens = []  # something is in it that is not understood

    def _next_is(self, *operators: str) -> str:
        if self.at < len(self.tokens) and self.tokens[self.at]["op"] in operators:
            self.at += 1
            return str(self.tokens[self.at - 1]["op"])
        return ""

    def either(self) -> Any:
        return self._joined("||", self._both, decides=True)

    def _both(self) -> Any:
        return self._joined("&&", self.compared, decides=False)

    def _joined(self, operator: str, part: Callable[[], Any], *, decides: bool) -> Any:
        found = part()
        while self._next_is(operator):
            other = part()
            if found is UNKNOWN:
                found = other if other is not UNKNOWN and _holds(other) == decides else UNKNOWN
            elif _holds(found) != decides:
                found = other
        return found

    def compared(self) -> Any:
        found = self.value()
        if operator := self._next_is("==", "!=", "=~", "!~", "<", ">", "<=", ">="):
            other = self.value()
            if UNKNOWN in (found, other) or operator in ("<", ">", "<=", ">="):
                return UNKNOWN
            if operator in ("=~", "!~"):
                return (re.search(str(other), str(found or "")) is not None) == (operator == "=~")
            same = str(found).lower() == str(other).lower()
            return same == (operator == "==")
        return found

    def value(self) -> Any:
        if self._next_is("!"):
            found = self.value()
            return UNKNOWN if found is UNKNOWN else not _holds(found)
        if self._next_is("("):
            found = self.either()
            self._next_is(")")
            return found
        token = self.tokens[self.at]
        self.at += 1
        for kind in ("single", "double", "regex"):
            if token[kind] is not None:
                return token[kind]
        name = token["name"]
        if name is None:
            raise IndexError
        if self._next_is("("):
            given = []
            while not self._next_is(")"):
                if not self._next_is(","):
                    given.append(self.either())
            if name.lower() in _TESTS and len(given) == 2 and UNKNOWN not in given:
                return _TESTS[name.lower()](*(str(each or "").lower() for each in given))
            return _FUNCTIONS.get(name.lower(), UNKNOWN)
        if self._next_is("["):
            self.either()
            self._next_is("]")
            return UNKNOWN
        if name.lower() in _WORDS:
            return _WORDS[name.lower()]
        found = name if name.isdecimal() else self.values.get(name, UNKNOWN)
        return found if name[0] == "$" else _WORDS.get(found, found)  # GitHub has types, GitLab has none
