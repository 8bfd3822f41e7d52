# Owned by the template: an update rewrites this file.
"""Variables in texts of Dockerfiles and compose files: `$NAME`, `${NAME}`, `${NAME:-default}`."""

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?([-+?])((?:[^{}]|\{[^{}]*\})*))?\})")


def expanded(text: str, values: Mapping[str, str]) -> str:
    """The text with what is known put in; what is not known, and has no default, stays as it is written."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1] or match[2], "")
        if match[3] == "+":
            return match[4] if found else ""
        if match[3] == "-" and not found:
            return expanded(match[4], values)
        return found or match[0]

    return _VARIABLE.sub(value, text)
