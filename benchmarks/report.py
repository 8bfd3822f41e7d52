"""Tables of Markdown from `results.json`, between markers in `README.md`."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from .aims import AIMS, ATTACKED, DECISION, LIMITS, REFUSED, judged
from .figures import shown
from .markdown import table
from .short import speed

Section = Mapping[str, Any]


def throughput(section: Section, name: str) -> str:
    """Rates and CPU times of contenders, and their ratios."""
    kinds = list(next(iter(section["measured"].values())))
    head = ["", *(f"{kind}, {what}" for kind in kinds for what in ("requests/s", "CPU µs a request"))]
    rows = [
        [contender, *(shown(figures[kind][key]) for kind in kinds for key in ("rate", "cpu"))]
        for contender, figures in section["measured"].items()
    ]
    compared = [
        [
            pair,
            *(judged(each[kind][key], AIMS.get((name, pair, kind, key))) for kind in kinds for key in ("rate", "cpu")),
        ]
        for pair, each in section["ratios"].items()
    ]
    ratio_head = ["ratio", *(f"{kind}, {what}" for kind in kinds for what in ("requests/s", "CPU"))]
    least = {
        contender: min(each["busy"]["min"] for each in kinds.values())
        for contender, kinds in section["measured"].items()
    }
    busy = ", ".join(f"{contender} {share:.0%}" for contender, share in least.items())
    saturated = f"What its server kept at work of a core, in the run in which that was least: {busy}."
    return f"{table(head, rows)}\n\n{table(ratio_head, compared)}\n\n{saturated}"


def instructions(section: Section, name: str) -> str:
    """Instructions a request, in thousands."""
    rows = [
        [each, *(f"{figures[kind] / 1000:,.0f}" for kind in ("GET", "POST"))]
        for each, figures in section["measured"].items()
    ]
    rows += [
        [each, *(f"{figures[kind]:.2f}" for kind in ("GET", "POST"))] for each, figures in section["ratios"].items()
    ]
    return table(["thousands of instructions a request", "GET", "POST"], rows)


def profile(section: Section, name: str) -> str:
    """Shares of the worker's Python thread."""
    shares = section["shares"]
    places = Counter[str]()
    for each in shares.values():
        places.update(each)
    rows = [[place, *(f"{each.get(place, 0):.1%}" for each in shares.values())] for place, _ in places.most_common()]
    return table(["where", *shares], [row for row in rows if set(row[1:]) != {"0.0%"}])


def safety(section: Section, name: str) -> str:
    """What each server did."""
    rows = section["rows"]
    names = list(next(iter(rows.values())))
    return table(["", *names], [[row, *(answers[each] for each in names)] for row, answers in rows.items()])


def refused(section: Section, name: str) -> str:
    """What each refusal costs beside what is served."""
    rows = []
    for request, figures in section["measured"].items():
        ratio = next(
            (each["cpu"] for pair, each in section["ratios"].items() if pair.startswith(f"{request} / ")), None
        )
        cost = judged(ratio, REFUSED) if ratio else ""
        rows.append([request, shown(figures["rate"]), shown(figures["cpu"]), cost])
    return table(["", "requests/s", "CPU µs a request", "CPU beside a served one"], rows)


def limiter(section: Section, name: str) -> str:
    """Microseconds a decision."""
    aims = {"known, 100,000 keys": DECISION, "newcomer to 100,000 keys": DECISION}
    rows = [[each, judged(value, aims.get(each))] for each, value in section["measured"].items()]
    trips = f"A decision in Redis takes {section['round_trips']:g} round trips."
    return f"{table(['', 'µs a decision'], rows)}\n\n{trips}"


def workers(section: Section, name: str) -> str:
    """Throughput and percentiles on one worker and on two, and on one connection."""
    parts = [section, *([section["alone"]] if "alone" in section else [])]
    tables = [show(part, name) for part in parts for show in (throughput, latency)]
    return "\n\n".join([*tables, section["where"]])


def latency(section: Section, name: str) -> str:
    """Percentiles under connections."""
    rows = [
        [f"{contender}, {kind}", *(shown(figures[key], 1) for key in ("p50", "p99", "p999"))]
        for contender, kinds in section["measured"].items()
        for kind, figures in kinds.items()
    ]
    return table(["", "p50 ms", "p99 ms", "p99.9 ms"], rows)


def attack(section: Section, name: str) -> str:
    """Percentiles of the honest clients."""
    rows = []
    for each, figures in section["measured"].items():
        ratio = section["ratios"].get(f"{each} / at rest", {}).get("p99")
        beside = judged(ratio, ATTACKED) if ratio else ""
        rows.append([each, *(shown(figures[key], 2) for key in ("p50", "p99", "p999")), beside])
    return table(["", "p50 ms", "p99 ms", "p99.9 ms", "p99 beside rest"], rows)


def memory(section: Section, name: str) -> str:
    """MB before and after."""
    rows = []
    for kind, what in (("rss", "resident"), ("pss", "its share of what both processes hold")):
        before, after = section["idle"][kind], section["after"][kind]
        growth = judged(after - before, LIMITS["memory"] if kind == "rss" else None, 1)
        rows.append([what, f"{section['clients']:,}", f"{before:.1f}", f"{after:.1f}", growth])
    return table(["the worker's memory", "distinct clients", "idle MB", "after MB", "growth MB"], rows)


def start(section: Section, name: str) -> str:
    """Seconds until it is ready, and imports."""
    rows = [
        [
            each,
            judged(figures["seconds"], None if each == "bare" else LIMITS["start"]),
            shown(figures["cpu"], 2),
            f"{section['imports'][each]}",
        ]
        for each, figures in section["measured"].items()
    ]
    added = ", ".join(f"`{module}`" for module in section["added"])
    text = f"Top-level modules of the hardened one that bare FastAPI does not load: {added}."
    return f"{table(['', 'seconds', 'CPU seconds', 'modules loaded'], rows)}\n\n{text}"


def emit(section: Section, name: str) -> str:
    """Seconds to copy and to update."""
    rows = [[each, judged(figures["seconds"], LIMITS.get(each))] for each, figures in section["measured"].items()]
    return table(["", "seconds"], rows)


RENDERERS: dict[str, Callable[[Section, str], str]] = {
    "instructions": instructions,
    "hardened": throughput,
    "profile": profile,
    "peers": throughput,
    "servers": throughput,
    "safety": safety,
    "refused": refused,
    "limiter": limiter,
    "workers": workers,
    "latency": latency,
    "attack": attack,
    "memory": memory,
    "start": start,
    "emit": emit,
}


def rendered(results: Mapping[str, Any], name: str) -> str:
    """What stands between the markers of one name."""
    if name == "machine":
        made = [results.get("machine", {}), results.get("versions", {})]
        lines = [", ".join(f"{key} {value}" for key, value in sorted(each.items())) for each in made if each]
        return "\n\n".join(f"{line}." for line in lines)
    if name == "speed":
        return speed(results)
    section = results["sections"].get(name)
    if section is None:
        return "Not measured yet."
    return f"{RENDERERS[name](section, name)}\n\n{section['how']}, {section['date']}."


def written(readme: str, results: Mapping[str, Any]) -> str:
    """The README with every table made again."""

    def made(match: re.Match[str]) -> str:
        return f"<!-- {match[1]} -->\n{rendered(results, match[1])}\n<!-- end -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", made, readme, flags=re.DOTALL)
