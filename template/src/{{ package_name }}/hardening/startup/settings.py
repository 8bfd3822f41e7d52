# Owned by the template: an update rewrites this file.
"""What is looked at before the service starts. A setting or a route that is not safe has an id, a sentence and a
remedy, in the manner of Django's system checks; production starts on none of them.
"""

import os
import re
import warnings
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from pydantic import SecretBytes, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from ..core.findings import Finding, InsecureConfigurationError
from ..settings import PREFIX, HardeningSettings, secret_names, secrets_dir
from .address import HOST, PORT, ROOT_PATH

# However it was written: a password with a slash ends an address early for whoever parses it.
_IN_ADDRESS = re.compile(r"://[^/\s:@]*:(.+)@")
_ALONE = re.compile(r"^(?:redis|unix)[^:]*://([^/\s:@]+)@")  # no user of Redis: a password whose colon was forgotten
_IN_QUERY = re.compile(r"[?&]\w*password=([^&#]+)")
_CLOSER = {"METRICS_FROM": 0.9, "RATE_LIMIT_APART": 0.9}
"""How like a setting a name has to be, where services have names of their own that begin so: `APP_METRICS_FORMAT`."""
SettingsT = TypeVar("SettingsT", bound=HardeningSettings)


def load(settings: type[SettingsT]) -> SettingsT:
    """Read the settings from the environment and from `APP_SECRETS_DIR`.

    Raises:
        InsecureConfigurationError: A value cannot be read; all of them are named.
    """
    folder = secrets_dir()
    if folder is not None and not os.path.isdir(folder):  # noqa: PTH112 - of Path, a parent that is closed is an error
        message = f"APP_SECRETS_DIR is {folder}, which is no folder that {_user()} can reach."
        raise InsecureConfigurationError([Finding("settings.E003", message, "Mount it, or unset it.")])
    try:
        with warnings.catch_warnings():
            # Of a folder, or a link that leads out or nowhere, in the place of a file, whose setting would have its default.
            warnings.filterwarnings("error", "attempted to load secret file")
            return settings(_secrets_dir=folder)
    except SettingsError as error:
        raise InsecureConfigurationError([_not_taken(error, folder)]) from None
    except ValidationError as error:
        raise InsecureConfigurationError(
            map(_unreadable, error.errors(include_input=False, include_url=False))
        ) from None


def _user() -> str:
    return f"user {os.geteuid()}" if hasattr(os, "geteuid") else "the user"  # Windows has none


def _not_taken(error: SettingsError, folder: Path | None) -> Finding:
    """Why the sources gave no value: a file of `APP_SECRETS_DIR` that cannot be read, or a value in the wrong notation."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        message = f"{cause.filename or folder} cannot be read: {cause.strerror}."
        return Finding("settings.E003", message, f"Let {_user()}, who runs the service, read it.")
    if isinstance(cause, UserWarning | AssertionError):
        return Finding("settings.E003", f"{error}: {cause}", "Mount the file itself into APP_SECRETS_DIR.")
    if isinstance(cause, UnicodeDecodeError):
        message = f"{error}: the file in APP_SECRETS_DIR is not UTF-8."
        return Finding("settings.E003", message, "Write it again as UTF-8.")
    return Finding("settings.E001", f"{error}.", "A list of your own needs `CommaSeparated`, or a JSON value.")


def _unreadable(error: ErrorDetails) -> Finding:
    name = f"{PREFIX}{'_'.join(map(str, error['loc'][:1]))}".upper()
    reason = error["msg"].removeprefix("Value error, ")
    hint = "`.env.example` shows a value for each setting of the template's; your own are in settings.py."
    written = (text for each, text in os.environ.items() if each.upper() == name)
    return Finding("settings.E001", f"{name} cannot be read: {reason}.", next(map(_left_by, written), "") or hint)


def _left_by(written: str) -> str:
    """What stands in a value because it was written for a shell, and nobody has taken it off."""
    text = written.strip()
    if not text:
        return "It is empty: unset it, and its default holds."
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return "Take the quotes away: nobody has, so they are part of the value."
    if " #" in text:
        return "Take the comment away: what stands behind a value is part of it."
    return "Take the blanks around it away." if text != written else ""


def near_misses(settings: HardeningSettings) -> Iterator[Finding]:
    """Names in the environment, or of secrets, that are nearly a setting. Other `APP_` names are the platform's."""
    known = {f"{PREFIX}{name}".upper() for name in type(settings).model_fields} | {f"{PREFIX}SECRETS_DIR"}
    spelt: dict[str, str] = {}
    for name in sorted({*os.environ, *secret_names()}):
        upper, first = name.upper(), spelt.setdefault(name.upper(), name)
        if upper in known and name in os.environ and os.environ.get(first, os.environ[name]) != os.environ[name]:
            yield Finding("settings.E004", f"{first} and {name} differ, and are one setting.", f"Unset {name}.")
        own = upper.removeprefix("\ufeff")  # with which a file of Windows begins, and so its first name
        if own.startswith(PREFIX) and upper not in known | {HOST, PORT, ROOT_PATH} and (meant := _meant(own, known)):
            yield Finding("settings.E002", f"{ascii(name)[1:-1]} is not a setting.", f"Did you mean {meant}?")


def _meant(name: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches  # seldom needed

    suffixes = {each.removeprefix(PREFIX): each for each in sorted(known)}
    own = name.removeprefix(PREFIX)
    in_file = own.removesuffix("_FILE")  # as images of databases are told where a secret is
    if "_" in in_file and in_file in suffixes:
        return suffixes[in_file]
    close = get_close_matches(own, suffixes, n=3, cutoff=0.8)
    return next((suffixes[each] for each in close if get_close_matches(own, [each], 1, _CLOSER.get(each, 0.8))), None)


def taken_names(settings: type[HardeningSettings]) -> Iterator[Finding]:
    """Fields of the team's that `serve` reads as well, or that have another type than the template's of that name."""
    for name in (HOST, PORT):
        if (field := name.removeprefix(PREFIX).lower()) in settings.model_fields:
            message = f"Your setting `{field}` is read from {name}, and `serve` listens there too."
            yield Finding("settings.W001", message, f"Give it another name, or start with `serve --{field}`.")
    for field, of_template in HardeningSettings.model_fields.items():
        if settings.model_fields[field].annotation != of_template.annotation:
            message = f"Your setting `{field}` has the name of one of the template's, and another type."
            yield Finding("settings.W002", message, "Give it another name, or keep the type, and change the default.")


def workers_finding(settings: HardeningSettings, workers: int) -> Iterator[Finding]:
    """Several processes that each count for themselves multiply every quota."""
    if workers > 1 and settings.store_url.startswith("memory:"):
        yield Finding(
            "store.E001",
            f"{workers} workers with APP_STORE_URL=memory:// would each grant the whole quota.",
            "Set APP_STORE_URL to a Redis that they share, or use --workers 1.",
        )


def exposure_finding(settings: HardeningSettings, host: str) -> Iterator[Finding]:
    """In development errors are told and the documentation is open; the client chooses the name in `Host`."""
    if not settings.is_production and not (host == "localhost" or _is_loopback(host)):
        yield Finding(
            "server.W002",
            f"In development {host} lets every machine that reaches this one read tracebacks and documentation.",
            "Listen on 127.0.0.1, or serve as in production.",
        )


def unix_socket_finding(has_websockets: bool) -> Iterator[Finding]:
    """What is not bounded where the kernel tells of no connection how much of it was read."""
    if has_websockets:
        yield Finding(
            "server.W003",
            "On a Unix socket a WebSocket's message is bounded when it is whole: up to 64 MiB of each are kept until then.",
            "Listen on 127.0.0.1, where one that is larger than APP_MAX_BODY_BYTES is cut off (on Linux).",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def secrets_in(settings: HardeningSettings) -> Iterator[str]:
    """The secret values of the settings, so that the log can mask them wherever they turn up."""
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        secrets: list[str] = []
        if isinstance(value, SecretStr):
            secrets = [value.get_secret_value()]
        elif isinstance(value, SecretBytes):
            secrets = [value.get_secret_value().decode("latin-1")]
        elif isinstance(value, str) and "://" in value:
            secrets = [*_IN_ADDRESS.findall(value), *_ALONE.findall(value), *_IN_QUERY.findall(value)]
        for secret in filter(None, secrets):
            yield from {secret, unquote(secret)}
