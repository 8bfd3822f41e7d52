# Owned by the template: an update rewrites this file.
"""Cookies that scripts cannot read, plain http cannot carry and other sites cannot use. Whoever sets one, a flag that
is missing is added and logged on the way out; a flag that was chosen stays. ASVS v5.0.0-3.3.1 to 3.3.5; RFC 6265bis.
"""

import re
from collections.abc import Iterable
from typing import Literal

from fastapi import Response

from ..core.headers import HeaderList
from ..core.log import log
from .base import RequestContext, Services, Step

MAX_BYTES = 4096
COOKIE_ID = re.compile(rb"[A-Za-z0-9_-]{43}")
"""What `secrets.token_urlsafe(32)` makes: 256 random bits."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*", re.ASCII)


def set_cookie(
    response: Response,
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    same_site: Literal["strict", "lax"] = "strict",
) -> None:
    """Set `__Host-<name>`: Secure, HttpOnly, Path=/, no Domain, so that no sibling subdomain can set or read it.

    Args:
        response: The response that carries it.
        name: Letters, digits, `-` and `_`, without the prefix.
        value: Printable ASCII without spaces, quotes, commas, semicolons or backslashes.
        max_age: Seconds to live; without it, until the browser closes.
        same_site: `lax` for a cookie that must survive a sign-in by redirect.

    Raises:
        ValueError: A name or value that a cookie cannot hold, or more than 4096 bytes of both.
    """
    response.headers.append("set-cookie", cookie(name, value, max_age=max_age, same_site=same_site))


def cookie(name: str, value: str, *, max_age: int | None = None, same_site: Literal["strict", "lax"] = "strict") -> str:
    """The value of the header that `set_cookie` sets."""
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError("a cookie's name or value has a character that cookies cannot hold")
    full = f"__Host-{name}"
    if len(full) + len(value) > MAX_BYTES:
        raise ValueError(f"a cookie of more than {MAX_BYTES} bytes would be dropped by browsers")
    age = "" if max_age is None else f"; Max-Age={max_age}"
    return f"{full}={value}{age}; Path=/; Secure; HttpOnly; SameSite={same_site.title()}"


def delete_cookie(response: Response, name: str) -> None:
    """Expire what `set_cookie` set."""
    set_cookie(response, name, "", max_age=0)


def read_cookie(cookies: dict[str, str], name: str) -> str | None:
    """The value of `__Host-<name>` in `request.cookies`."""
    return cookies.get(f"__Host-{name}")


def values_of(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Every value that a request has for one cookie: all are returned, so that callers can reject cookie tossing."""
    pairs = [pair.partition(b"=") for header, line in headers if header == b"cookie" for pair in line.split(b";")]
    return [value.strip() for key, _, value in pairs if key.strip() == name]


def add_missing_flags(value: bytes, readable: frozenset[str]) -> tuple[bytes, list[str]]:
    """A `Set-Cookie` value with the missing flags added, and their names.

    Args:
        value: The header's value, whoever wrote it.
        readable: Names of cookies that scripts may read, from the route's policy.
    """
    pair, *attributes = value.split(b";")
    present = {attribute.partition(b"=")[0].strip().lower() for attribute in attributes}
    name = pair.partition(b"=")[0].strip().decode("latin-1")
    missing = []
    if b"secure" not in present:
        missing.append("Secure")
    if b"httponly" not in present and name not in readable:
        missing.append("HttpOnly")
    if b"samesite" not in present:
        missing.append("SameSite=Strict")
    if name.lower().startswith("__host-") and b"path" not in present:
        missing.append("Path=/")
    return b"; ".join([value, *(flag.encode() for flag in missing)]), missing


def secure_cookies(headers: HeaderList, readable: frozenset[str]) -> tuple[HeaderList, list[str]]:
    """Add the missing flags to every `Set-Cookie`, and report what was missing, `name: flags` each."""
    secured, report = [], []
    for name, value in headers:
        if name == b"set-cookie":
            value, missing = add_missing_flags(value, readable)
            if missing:
                report.append(f"{value.partition(b'=')[0].decode('latin-1')}: {' '.join(missing)}")
        secured.append((name, value))
    return secured, report


MAX_TOLD = 1_000


class Cookies(Step):
    """Lets no cookie leave without its flags, whoever set it."""

    name = "cookies"
    respond_triggers = frozenset({b"set-cookie"})

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._told = set[str]()

    def respond(self, request: RequestContext, headers: HeaderList) -> HeaderList:
        """Add the flags that are missing, and log which they were: once for a cookie, not for each response."""
        headers, report = secure_cookies(headers, request.policy.script_cookies)
        report = [each for each in report if each not in self._told]
        if report:
            if len(self._told) < MAX_TOLD:
                self._told.update(report)
            log("warning", "cookie_mended", request_id=request.request_id, path=request.scope["path"], cookies=report)
        return headers
