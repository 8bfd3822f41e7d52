# Owned by the template: an update rewrites this file.
"""How an event is written: as JSON for machines, as words for a person. Neither lets a control character through."""

import json
from typing import Any

from pydantic_core import PydanticSerializationError, to_json


def encode(log_fields: dict[str, Any]) -> str:
    """One JSON object in ASCII."""
    try:
        line = to_json(log_fields, ensure_ascii=True, inf_nan_mode="null", fallback=str).decode()
        return line.replace("\x7f", "\\u007f")  # the one control character that the encoder lets through
    except PydanticSerializationError:  # half a surrogate pair or bytes: rare, and worth the slower encoder
        return json.dumps(log_fields, separators=(",", ":"), default=repr, skipkeys=True)


def readable(stamp: str, level: str, event: str, log_fields: dict[str, Any]) -> str:
    """The same for a person, without the date; an exception stands below it."""
    exception = log_fields.pop("exception", "")
    words = " ".join(
        f"{name}={_printable(str(value))}" for name, value in log_fields.items() if value not in ("", None)
    )
    trace = "".join(f"\n    {_printable(row)}" for row in exception.splitlines())
    return f"{stamp[11:23]} {level.upper():7} {_printable(event)}  {words}{trace}"


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
