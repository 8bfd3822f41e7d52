# Owned by the template: an update rewrites this file.
"""What the log may not repeat of a text or an exception: secrets, and the data of a failed response."""

import re
import traceback
from collections.abc import Iterable

from fastapi.exceptions import ResponseValidationError

from .problems import MAX_ERRORS

MAX_TEXT = 16_384
_FRAMES, _LINKS = 60, 20  # of a traceback, the last ones, and of the exceptions that led to it
# As they are, whatever a class puts in their place.
_traceback_of, _name_of = vars(BaseException)["__traceback__"].__get__, vars(type)["__name__"].__get__
# Bounded and possessive throughout: this runs over text that a client may have written.
_SECRET = re.compile(
    r"""(?ix)
        (?P<name> (?:password|passwd|secret|token|api[_-]?key|authorization|cookie|session) [\w-]{0,64}+ ["']? )
        (?P<mark> [ \t]{0,8}+ [:=,] \s{0,8}+ )
        (?: b?["'] [^"']{0,512}+ ["'] | (?:(?:bearer|basic)\s{1,8}+)? [^\s,;&"')\]}]{1,4096}+ )
      | (?P<scheme> \b(?:bearer|basic)\s{1,8}+ ) [\w.~+/=-]{8,4096}+
      | (?P<user> ://[^/\s:@]{0,256}+: ) [^/\s]{1,512} (?=@)
      | (?P<query> [?&][\w.\[\]-]{1,64}+= ) [^\s"'&]{1,4096}+ """
)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace passwords, tokens, cookies, credentials in addresses, query values and the given secrets by `***`."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return _SECRET.sub(_masked, text[:MAX_TEXT])


def _masked(match: re.Match[str]) -> str:
    name = "".join(match[group] or "" for group in ("name", "mark", "scheme", "user", "query"))
    return f"{name}***"


def describe(exc: BaseException) -> str:
    """The traceback for the log; without the data that a failed response model would repeat."""
    try:
        if isinstance(exc, ResponseValidationError):
            lines = traceback.format_tb(exc.__traceback__, -_FRAMES)
            faults = ", ".join(f"{error['type']} at {error['loc']}" for error in exc.errors()[:MAX_ERRORS])
            return "".join([*lines, f"ResponseValidationError: {faults}"])
        # All of a recursion would not fit, and all of a long chain takes seconds, in which nobody is answered.
        return "".join(traceback.format_exception(exc, limit=-_FRAMES, chain=_links(exc) < _LINKS))
    except BaseException:  # noqa: BLE001 - its own attributes may raise what they like
        lines = traceback.format_tb(_traceback_of(exc), -_FRAMES)
        return "".join([*lines, f"{_name_of(type(exc))}, which cannot be described"])


def _links(exc: BaseException | None) -> int:
    """How many exceptions led to it, as far as that matters."""
    number = 0
    while number < _LINKS and (exc := exc and (exc.__cause__ or exc.__context__)) is not None:
        number += 1
    return number
