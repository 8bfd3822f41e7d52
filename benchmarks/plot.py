"""One picture: requests a second of every stack, readable on a light page and on a dark one."""

from collections.abc import Mapping
from html import escape
from typing import Any

from .contenders import BARE

_STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328 }
    .small { font-size: 11px; fill: #59636e } .ours { font-weight: 700 }
    .GET { fill: #0969da } .POST { fill: #8250df }
    .spread { stroke: #1f2328; stroke-width: 1.5 }
    .axis { stroke: #d1d9e0 }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc } .small { fill: #9198a1 }
      .GET { fill: #4493f8 } .POST { fill: #ab7df8 }
      .spread { stroke: #f0f6fc } .axis { stroke: #3d444d }
    }
""".strip("\n")
_LEFT, _WIDTH, _BAR, _GAP, _TOP = 330, 440, 14, 14, 46


def plot(results: Mapping[str, Any]) -> str:
    """An SVG with a bar for each stack and kind of request: the median, and a line from least to greatest."""
    sections = results["sections"]
    stacks = dict(sections.get("peers", {}).get("measured", {}))
    if BARE in (beside := sections.get("hardened", {}).get("measured", {})):
        stacks[BARE] = beside[BARE]
    stacks = dict(sorted(stacks.items(), key=lambda item: -float(item[1]["GET"]["rate"]["median"])))
    greatest = max((figures[kind]["rate"]["max"] for figures in stacks.values() for kind in figures), default=1.0)
    height = _TOP + len(stacks) * (2 * _BAR + _GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 90} {height}" role="img"'
        ' aria-label="Requests a second of each stack on one core">',
        f"  <style>\n{_STYLE}\n  </style>",
        '  <text x="0" y="18">Requests a second, server on one core: median, least to greatest</text>',
        f'  <rect class="GET" x="{_LEFT}" y="26" width="10" height="10"/>'
        f'<text class="small" x="{_LEFT + 15}" y="35">GET</text>',
        f'  <rect class="POST" x="{_LEFT + 55}" y="26" width="10" height="10"/>'
        f'<text class="small" x="{_LEFT + 70}" y="35">POST, validated</text>',
        f'  <line class="axis" x1="{_LEFT}" y1="{_TOP}" x2="{_LEFT}" y2="{height - 10}"/>',
    ]
    for row, (name, figures) in enumerate(stacks.items()):
        top = _TOP + row * (2 * _BAR + _GAP) + _GAP / 2
        weight = ' class="ours"' if name == "hardened" else ""
        parts.append(f'  <text x="{_LEFT - 8}" y="{top + _BAR + 5:g}" text-anchor="end"{weight}>{escape(name)}</text>')
        for index, kind in enumerate(("GET", "POST")):
            rate, y = figures[kind]["rate"], top + index * _BAR
            low, middle, high = (rate[key] / greatest * _WIDTH for key in ("min", "median", "max"))
            centre = y + _BAR / 2
            parts += [
                f'  <rect class="{kind}" x="{_LEFT}" y="{y:g}" width="{middle:.1f}" height="{_BAR - 1}"/>',
                f'  <path class="spread" d="M{_LEFT + low:.1f} {centre:g}H{_LEFT + high:.1f}"/>',
                f'  <text class="small" x="{_LEFT + high + 6:.1f}" y="{centre + 4:g}">{rate["median"]:,.0f}</text>',
            ]
    return "\n".join([*parts, "</svg>", ""])
