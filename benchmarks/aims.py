"""What was aimed at, so that the page says itself what was missed."""

from collections.abc import Mapping
from typing import Any

from .figures import shown

AIMS = {
    # (section, ratio, kind, figure): at least or at most
    ("hardened", "hardened / bare FastAPI, same server", "GET", "rate"): (">=", 0.90),
    ("hardened", "hardened / bare FastAPI, same server", "POST", "rate"): (">=", 0.90),
    ("hardened", "hardened / bare FastAPI, same server", "GET", "cpu"): ("<=", 1.10),
    ("hardened", "hardened / bare FastAPI, same server", "POST", "cpu"): ("<=", 1.10),
    ("peers", "hardened / Express with helmet, express-rate-limit, cors, joi", "GET", "rate"): (">=", 2.5),
    ("peers", "hardened / Express with helmet, express-rate-limit, cors, joi", "POST", "rate"): (">=", 1.8),
    ("peers", "hardened / Fastify with its plugins", "GET", "rate"): (">=", 0.9),
    ("peers", "hardened / Fastify with its plugins", "POST", "rate"): (">=", 0.9),
    ("peers", "hardened / FastAPI with secure, slowapi, CORS, TrustedHost", "GET", "rate"): (">=", 2.5),
    ("peers", "hardened / FastAPI with secure, slowapi, CORS, TrustedHost", "POST", "rate"): (">=", 2.5),
}
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
