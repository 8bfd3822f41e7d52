# Owned by the template: an update rewrites this file.
"""The compose file: a container of ours can do no more than it must."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...common.yaml import mapping, pairs, read
from ...result import Check, Rule, UnverifiedError, listed

CONFINED = Rule("configuration", "compose.confined", "the containers of compose are confined")


def checks(path: Path) -> Iterator[Check]:
    """Whether each service that is built here is confined; images of others have needs of their own."""
    try:
        services = mapping(read(path).get("services"))
    except UnverifiedError as error:
        yield CONFINED.unverified(error)
        return
    ours = {name: service for name, service in services.items() if "build" in mapping(service)}
    if not ours:
        yield CONFINED.proved(f"{path.name} builds no image of ours")
    for name, service in ours.items():
        yield _confined(CONFINED.of(name), name, service, path.name)


def _confined(rule: Rule, name: str, service: dict[str, Any], file: str) -> Check:
    if "extends" in service:
        return rule.unverified(f"{name} extends another service", "Write it out.")
    missing = [remedy for remedy, holds in NEEDED.items() if not holds(service)]
    loose = [f"{key}: {service[key]}" for key, value in FORBIDDEN if str(service.get(key, "")).lower() == value]
    loose += [text for _, text in pairs(service) if "docker.sock" in text]
    if not missing and not loose:
        return rule.proved(f"{name}: {listed(NEEDED, 9)}")
    seen = [f"{name} misses {listed(missing, 9)}"] * bool(missing) + [f"has {each}" for each in loose]
    return rule.insecure("; ".join(seen), f"Put it into {file}; memory, CPU and processes may take other bounds.")


def _items(service: dict[str, Any], key: str) -> list[str]:
    value = service.get(key)
    return [str(each) for each in value] if isinstance(value, list) else []


def _limited(service: dict[str, Any], key: str, resource: str) -> bool:
    limits = mapping(mapping(mapping(service.get("deploy")).get("resources")).get("limits"))
    return bool(service.get(key) or limits.get(resource))


NEEDED: dict[str, Callable[[dict[str, Any]], bool]] = {
    "read_only: true": lambda service: str(service.get("read_only")).lower() in ("true", "yes", "on"),
    "cap_drop: [ALL]": lambda service: "ALL" in map(str.upper, _items(service, "cap_drop")),
    "security_opt: [no-new-privileges:true]": lambda service: any(
        re.fullmatch(r"no-new-privileges([:=]true)?", each) for each in _items(service, "security_opt")
    ),
    "mem_limit": lambda service: _limited(service, "mem_limit", "memory"),
    "cpus": lambda service: _limited(service, "cpus", "cpus"),
    "pids_limit": lambda service: _limited(service, "pids_limit", "pids"),
}
FORBIDDEN = (
    ("privileged", "true"),
    ("network_mode", "host"),
    ("pid", "host"),
    ("ipc", "host"),
    ("user", "root"),
    ("user", "0"),
)
