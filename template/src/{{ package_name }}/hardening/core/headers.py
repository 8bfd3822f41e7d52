# Owned by the template: an update rewrites this file.
"""Header fields as ASGI has them, and the names that need care."""

import re
from typing import Any

HeaderList = list[tuple[bytes, bytes]]
"""Names in lower case, and values."""
FINGERPRINT_HEADERS = frozenset(
    (
        b"server x-powered-by powered-by x-generator x-framework x-generated-by x-runtime x-aspnet-version "
        b"x-aspnetmvc-version x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid x-php-version x-sourcemap "
        b"sourcemap x-xss-protection expect-ct public-key-pins feature-policy"
    ).split()
)
"""What names the software that answers; no response carries one with a value."""
SINGLETON_HEADERS = frozenset(
    (
        b"host content-type content-length content-encoding origin authorization sec-fetch-site transfer-encoding "
        b"sec-websocket-key sec-websocket-version"
    ).split()
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
