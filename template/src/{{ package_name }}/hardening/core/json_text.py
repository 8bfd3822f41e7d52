# Owned by the template: an update rewrites this file.
"""One dialect of JSON: UTF-8, unique names, finite numbers, bounded depth. RFC 8259, RFC 7493 (I-JSON)."""

import json
import re
from codecs import BOM_UTF8
from math import isinf
from typing import Any

from pydantic_core import PydanticCustomError

from .problems import BODY_INVALID, FIELD_UNKNOWN, Refusal

MAX_DEPTH = 64
_NESTING = (dict, list)
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u(?:[dD][89a-fA-F]|0000)")


class InvalidBodyError(ValueError):
    """A body that two parsers may read differently; its reason is for the log."""

    refusal: Refusal = BODY_INVALID


class UndeclaredFieldError(InvalidBodyError):
    """The body has a field that its route does not declare."""

    refusal = FIELD_UNKNOWN


class InvalidJSONError(InvalidBodyError):
    """The body is not one unambiguous JSON text in UTF-8."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJSONError("a name stands twice in one object")
    return members


def _no_constant(name: str) -> Any:
    raise InvalidJSONError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise InvalidJSONError("a number is too large")
    return number


def _is_deep(value: Any) -> bool:
    level = [value] if isinstance(value, _NESTING) else []
    for _ in range(MAX_DEPTH):
        held = (item.values() if type(item) is dict else item for item in level)
        level = [each for several in held for each in several if type(each) in _NESTING]
    return bool(level)


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite).raw_decode


def json_in_text(value: Any) -> Any:
    """Validate a text that holds JSON as a body of JSON is: its parser would take a name twice, and NaN."""
    if isinstance(value, str | bytes | bytearray):
        try:
            check_json(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
        except InvalidJSONError:
            raise PydanticCustomError("json_invalid", "Is not valid JSON.") from None
    return value


def check_json(body: bytes | bytearray) -> Any:
    """Refuse what JSON parsers read differently: other encodings, repeated names, NaN, 1e999, half surrogates, depth.

    Returns:
        What the body says, as `json.loads` has it.

    Raises:
        InvalidJSONError: With a reason that repeats nothing of the body.
    """
    try:
        text = body.decode().strip(" \t\n\r")
        value, end = _decode(text)
    except InvalidJSONError:
        raise
    except (ValueError, RecursionError) as error:
        is_marked = body.startswith(BOM_UTF8)
        raise InvalidJSONError("a byte order mark" if is_marked else "not JSON in UTF-8") from error
    if end != len(text):
        raise InvalidJSONError("not JSON in UTF-8")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise InvalidJSONError(f"nested deeper than {MAX_DEPTH}")
    if b"\\u" in body and _ESCAPED.search(body):
        text = json.dumps(value, ensure_ascii=False)
        if "\\u0000" in text:
            raise InvalidJSONError("a NUL character")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidJSONError("half of a surrogate pair") from error
    return value
