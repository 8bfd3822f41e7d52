# Owned by the template: an update rewrites this file.
"""Header fields as ASGI has them, and the names that need care."""

import re
from typing import Any

HeaderList = list[tuple[bytes, bytes]]
"""Names in lower case, and values."""
FINGERPRINT_HEADERS = frozenset(
    {
        b"server",
        b"x-powered-by",
        b"powered-by",
        b"x-generator",
        b"x-framework",
        b"x-generated-by",
        b"x-runtime",
        b"x-aspnet-version",
        b"x-aspnetmvc-version",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-spanid",
        b"x-b3-traceid",
        b"x-php-version",
        b"x-sourcemap",
        b"sourcemap",
        b"x-xss-protection",
        b"expect-ct",
        b"public-key-pins",
        b"feature-policy",
    }
)
"""What names the software that answers; no response carries one with a value."""
SINGLETON_HEADERS = frozenset(
    {
        b"host",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"origin",
        b"authorization",
        b"sec-fetch-site",
        b"transfer-encoding",
    }
)
"""What a request may have once: two parsers would choose differently among two."""

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")


def is_field(name: Any, value: Any) -> bool:
    """Whether a server can send this: a token in lower case as name, a value without controls (RFC 9110, 5.1, 5.5)."""
    return is_field_name(name) and isinstance(value, bytes) and _VALUE.fullmatch(value) is not None


def is_field_name(name: Any) -> bool:
    """Whether this is the name of a header as ASGI has it."""
    return isinstance(name, bytes) and _NAME.fullmatch(name) is not None
