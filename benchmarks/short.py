"""The short version of the tables, for the page of the repository: ratios alone, since these are the claim."""

from collections.abc import Mapping
from typing import Any

from .contenders import BARE, EXPRESS, FASTIFY, USUAL
from .markdown import table

GROWN = f"{BARE}, behind 50 routes"
BESIDE = {BARE: "hardened", GROWN: "hardened", EXPRESS: "peers", FASTIFY: "peers", USUAL: "peers"}
"""Whom the short version shows, and the sections that they were measured in."""


def speed(results: Mapping[str, Any]) -> str:
    """Ratios of requests a second and of CPU time, as far as they were measured."""
    rows = []
    for peer, name in BESIDE.items():
        ours = "hardened, behind 50 routes" if peer == GROWN else "hardened"
        kinds = results["sections"].get(name, {}).get("ratios", {}).get(f"{ours} / {peer}")
        if kinds is not None:
            figures = [kinds[kind][key]["median"] for kind in ("GET", "POST") for key in ("rate", "cpu")]
            rows.append([peer, *(f"{each:.2f}" for each in figures)])
    if not rows:
        return "Not measured yet."
    head = ["the template beside", "GET, requests/s", "GET, CPU time", "POST, requests/s", "POST, CPU time"]
    return table(head, rows)
