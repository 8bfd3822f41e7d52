# Owned by the template: an update rewrites this file.
"""How uv is set, and where the lock has its files from: nothing weakens what the lock promises."""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...common.yaml import mapping
from ...result import Check, Rule, UnverifiedError, listed
from ..lockfile import Lock, folder_of
from .start import files_of_team

SETTINGS = Rule("configuration", "uv.settings", "no setting of uv weakens what the lock promises")
HOSTS = Rule("configuration", "uv.hosts", "every locked file comes from where the others of its index do")
_OLD = timedelta(days=180)


def _is_old(value: Any) -> bool:
    try:
        return datetime.now(UTC) - datetime.fromisoformat(str(value)[:10]).replace(tzinfo=UTC) > _OLD
    except ValueError:  # `7 days` moves on
        return False


LOOSE: dict[str, Callable[[Any], bool]] = {
    "index-strategy": lambda value: str(value).startswith("unsafe"),  # whoever registers a name there is asked too
    "allow-insecure-host": bool,
    "no-verify-hashes": bool,
    "verify-hashes": lambda value: value is False,
    "exclude-newer": _is_old,  # no later release that mends something can be locked
}


def checks(project: Path) -> Iterator[Check]:
    """What uv's settings weaken, by file; and each locked file from a host that no other of its index is from."""
    project, folder = project.resolve(), folder_of(project)
    configs = [each for each in files_of_team(project) if each.name.endswith("uv.toml")]
    for path in dict.fromkeys([project / "pyproject.toml", folder / "pyproject.toml", folder / "uv.toml", *configs]):
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # which uv tells
            continue
        if path.name == "pyproject.toml":
            settings = mapping(mapping(settings.get("tool")).get("uv"))
        both = {**mapping(settings.get("pip")), **settings}
        name = path.relative_to(project).as_posix() if path.is_relative_to(project) else f"{path}"
        if loose := [f"{key} = {both[key]}" for key, is_loose in LOOSE.items() if key in both and is_loose(both[key])]:
            remedy = "Take it out, or accept it with the reason for which you need it."
            yield SETTINGS.of(name).insecure(listed(loose), remedy)
        elif path.name == "pyproject.toml":
            yield SETTINGS.of(name).proved("no index is taken at random, and hashes and certificates are looked at")
    yield from _hosts(project)


def _hosts(project: Path) -> Iterator[Check]:
    try:
        published = Lock.read(project).published
    except UnverifiedError:  # which the stage of the lock tells
        return
    by_index: dict[str, list[tuple[str, str]]] = {}
    for package in published:
        hosts = {urlsplit(address).hostname or "" for address, _ in package.files}
        by_index.setdefault(package.source.get("registry", ""), []).extend((host, str(package)) for host in hosts)
    for index, found in by_index.items():
        count = Counter(host for host, _ in found)
        odd = [f"{name} from {host}" for host, name in found if count[host] < 2 and host != urlsplit(index).hostname]
        if index and len(found) > 9 and odd:
            remedy = "See who wrote it into uv.lock: `git log -S<host> uv.lock`. If the index has it there, accept it."
            yield HOSTS.of(index).insecure(f"of {len(count)} hosts, {listed(odd)}", remedy)
