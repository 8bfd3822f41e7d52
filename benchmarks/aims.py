"""What was aimed at, so that the page says itself what was missed."""

from collections.abc import Mapping
from typing import Any

from .contenders import BARE, EXPRESS, FASTIFY, USUAL
from .figures import shown

AIMS = {
    # (section, ratio, kind, figure): at least or at most
    (section, f"hardened / {peer}", kind, figure): aim
    for section, peer, figure, aims in (
        ("hardened", BARE, "rate", {"GET": (">=", 0.90), "POST": (">=", 0.90)}),
        ("hardened", BARE, "cpu", {"GET": ("<=", 1.10), "POST": ("<=", 1.10)}),
        ("peers", EXPRESS, "rate", {"GET": (">=", 2.5), "POST": (">=", 1.8)}),
        ("peers", FASTIFY, "rate", {"GET": (">=", 0.9), "POST": (">=", 0.9)}),
        ("peers", USUAL, "rate", {"GET": (">=", 2.5), "POST": (">=", 2.5)}),
    )
    for kind, aim in aims.items()
} | {("workers", "Redis, 1 worker / memory, 1 worker", kind, "rate"): (">=", 0.75) for kind in ("GET", "POST")}
DECISION = ("<=", 1.5)
ATTACKED = ("<=", 3.0)
REFUSED = ("<=", 0.5)
LIMITS = {"memory": ("<=", 40.0), "start": ("<=", 1.0), "copy": ("<=", 2.0), "update": ("<=", 6.0)}


def judged(value: Any, aim: tuple[str, float] | None, digits: int = 2) -> str:
    """A figure, its aim, and whether the median meets it."""
    text = shown(value, digits)
    if aim is None:
        return text
    middle = value["median"] if isinstance(value, Mapping) else value
    met = middle >= aim[1] if aim[0] == ">=" else middle <= aim[1]
    return f"{text}; aim {'≥' if aim[0] == '>=' else '≤'} {aim[1]:g}: {'met' if met else '**missed**'}"
