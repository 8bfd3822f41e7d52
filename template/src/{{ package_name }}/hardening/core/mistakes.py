# Owned by the template: an update rewrites this file.
"""How many objects of an input were found wrong while Pydantic validates it, and when that is enough."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError

from .problems import MAX_ERRORS

_MOST_FAILED = 512  # more than can be open at once, since an open object is not yet known to be right
_UNKNOWN_NAMES = PydanticKnownError("extra_forbidden")
TOO_MANY = PydanticCustomError("too_many_errors", "Input has more errors than are listed")


class _Attempt:
    """A union, or a validator that may do without what it tries: the mistakes in that are none of the input's yet."""

    __slots__ = ("failures", "member", "worst")

    def __init__(self, failures: int) -> None:
        self.failures = self.worst = failures
        self.member: tuple[tuple[str | int, int], Any] | None = None
        """What is tried now, where it may hold the union itself."""


class Mistakes(threading.local):
    """What is known of the input that a thread is validating. Its methods are put around the parts of a schema."""

    def __init__(self) -> None:
        self._begin({}, False)

    def _begin(self, failed: dict[tuple[str | int, int], Any], is_at_work: bool) -> None:
        self._failures = 0  # objects that were begun and have not been found right
        self._attempt = _Attempt(0)
        self._failed = failed  # no such member; kept, so that nothing else gets its id
        self._is_at_work = is_at_work

    @contextmanager
    def apart(self, *, is_within: bool) -> Iterator[None]:
        """Validate an input by itself, and let go of it; what has failed in the one around it fails in a part of that, too."""
        outer = self._failures, self._attempt, self._failed, self._is_at_work
        self._begin(self._failed if is_within and self._is_at_work else {}, True)
        try:
            yield
        finally:
            self._failures, self._attempt, self._failed, self._is_at_work = outer

    def named(self, most_names: float) -> Callable[[Any], Any]:
        """What looks at an object before its validator: too many names in it are unknown, whatever they are."""

        def look(value: Any) -> Any:
            if isinstance(value, dict) and len(value) > most_names:
                raise _UNKNOWN_NAMES
            return value

        return look

    def begun(self, most_names: float) -> Callable[[Any], Any]:
        """The same, for an object that counts."""

        def look(value: Any) -> Any:
            if self._failures > _MOST_FAILED:
                raise TOO_MANY
            self._failures += 1
            if isinstance(value, dict) and len(value) > most_names:
                raise _UNKNOWN_NAMES
            return value

        return look

    def right(self, value: Any) -> Any:
        """After the validator of an object that is right."""
        self._failures -= 1
        return value

    def in_list(self, value: Any, handler: Any) -> Any:
        """Around a list that ends at its first wrong item: goes on behind that while there are few of them."""
        found: list[InitErrorDetails] = []
        start, rest = 0, value
        while True:
            try:
                valid = handler(rest)
            except ValidationError as error:
                if not isinstance(value, list) or (index := _index(error)) is None:
                    if not found:
                        raise
                    break
                found += _details(error, start)
                start += index + 1
                if len(found) >= MAX_ERRORS or start >= len(value):
                    break
                if rest is value:
                    rest = value[start:]
                else:
                    del rest[: index + 1]
            else:
                if not found:
                    return valid
                break
        raise ValidationError.from_exception_data("", found)

    def attempt(self, value: Any, handler: Any) -> Any:
        """Around a union, or around a validator that may do without what is in it."""
        if self._failures > _MOST_FAILED:
            raise TOO_MANY
        outer, self._attempt = self._attempt, (attempt := _Attempt(self._failures))
        try:
            valid = handler(value)
        except ValidationError:
            self._failures = max(self._failures, attempt.worst, attempt.failures + 1)
            raise
        finally:
            self._conclude(attempt)
            self._attempt = outer
        self._failures = attempt.failures
        return valid

    def member(self, is_once: bool, name: str = "") -> Callable[[Any], Any]:
        """What looks at a value before it is tried as a member; if `is_once`, what failed as one fails at once, also where
        it is tried as what has this name for another union.
        """

        def look(value: Any) -> Any:
            attempt = self._attempt
            attempt.worst, self._failures = max(attempt.worst, self._failures), attempt.failures
            if is_once:
                self._conclude(attempt)
                key = (name or id(look), id(value))
                if key in self._failed:
                    raise TOO_MANY
                attempt.member = key, value
            return value

        return look

    def is_member(self, value: Any) -> Any:
        """After a member that is to be tried once."""
        self._attempt.member = None
        return value

    def _conclude(self, attempt: _Attempt) -> None:
        if attempt.member is not None:
            key, self._failed[key] = attempt.member
            attempt.member = None


def _index(error: ValidationError) -> int | None:
    """The item of a list that is wrong, if it is not the list itself."""
    (first, *_) = (*error.errors(include_url=False, include_input=False)[0]["loc"], None)
    return first if isinstance(first, int) else None


def _details(error: ValidationError, start: int) -> Iterator[InitErrorDetails]:
    for each in error.errors(include_url=False):
        kind = PydanticCustomError(each["type"], each["msg"], each.get("ctx"))
        yield {"type": kind, "loc": (start + int(each["loc"][0]), *each["loc"][1:]), "input": each["input"]}
