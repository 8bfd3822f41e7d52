"""Texts of others, made safe to show, and addresses, made comparable."""

import re
from datetime import datetime

# A password or a token in an address; what git says may repeat it.
_CREDENTIALS = re.compile(r"(?i)(https?://)[^/?#\s\"<>]+@|(\w://[^/?#:@\s]*:)[^/?#\s\"<>]+@")
_SHORT = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}  # as Copier has them
_SSH = re.compile(r"(?:[\w.-]+@)([\w.-]+):(?!//)(.+)")


class UsageError(Exception):
    """What was asked for cannot be done; the message has the remedy."""


class UnreadableError(Exception):
    """Something of a service, or of the template, cannot be read; `remedy` says what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(masked(reason))
        self.remedy = remedy


def masked(text: str) -> str:
    """A text without the credentials in its addresses."""
    return _CREDENTIALS.sub(lambda match: f"{match[1] or match[2]}***@", text)


def printable(text: str) -> str:
    """A text in one line that moves no cursor and turns no direction."""
    return "".join(each if each.isprintable() else " " if each.isspace() else "?" for each in masked(text))


def expanded(address: str) -> str:
    """An address of Copier's as git understands it."""
    for short, long in _SHORT.items():
        if address.startswith(short):
            return long + address.removeprefix(short).removeprefix("/")
    return address.removeprefix("git+")


def place(address: str) -> str:
    """What an address means, whichever way it is written: `github.com/org/name`, or a path."""
    text = expanded(address.strip())
    if match := _SSH.fullmatch(text):
        text = f"ssh://{match[1]}/{match[2]}"
    scheme, found, rest = text.partition("://")
    if found and scheme != "file":
        host, _, path = rest.rpartition("@")[2].partition("/") if "@" in rest.partition("/")[0] else rest.partition("/")
        text = f"{host.lower()}/{path}"
    elif found:
        text = rest
    return text.rstrip("/").removesuffix(".git").rstrip("/")


def age(then: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that says something."""
    seconds = max(0.0, (now - then).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def wait_seconds(retry_after: str | None, reset: str | None, now: float) -> float | None:
    """The seconds that a server asks a client to wait, by `Retry-After` or by when its limit is whole again.

    Args:
        retry_after: The field's value: seconds, or nothing.
        reset: Seconds since 1970, or nothing.
        now: Seconds since 1970.
    """
    for text, offset in ((retry_after, 0.0), (reset, now)):
        if text and re.fullmatch(r"\d{1,12}", text.strip()):
            return max(0.0, int(text) - offset)
    return None
