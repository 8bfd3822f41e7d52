"""`uv run python -m benchmarks`: measures, and writes `results.json`, `plot.svg`, and the tables of `README.md` and
of the decision on the server.
"""

import argparse
import fcntl
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import growth, latency, limiter, plot, profiles, report, safety, stacks, throughput
from .bench import Bench, Section
from .check import CheckError
from .load import LoadError, Plan

HERE = Path(__file__).parent
PAGES = (HERE.parent / "README.md", HERE.parent / "docs" / "decisions" / "0002-server.md")
"""Pages elsewhere that show some of the tables."""
SECTIONS: dict[str, Callable[[Bench], Section]] = {
    "instructions": profiles.instructions,
    "hardened": throughput.against_bare,
    "profile": profiles.profile,
    "peers": throughput.against_peers,
    "servers": throughput.beside_servers,
    "safety": safety.safety,
    "refused": throughput.refused,
    "limiter": limiter.decisions,
    "workers": limiter.workers,
    "latency": latency.connections,
    "attack": latency.under_attack,
    "memory": growth.memory,
    "start": growth.start,
    "emit": growth.emitting,
}
MINUTES: dict[str, float] = {
    "instructions": 3.5, "hardened": 4, "profile": 1, "peers": 4, "servers": 6, "safety": 1, "refused": 2,
    "limiter": 1, "workers": 2.5, "latency": 2, "attack": 3, "memory": 2.5, "start": 1, "emit": 1,
}  # fmt: skip
"""What each takes on this command's defaults, to say how long is left."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server is left behind
    options = _parse(arguments)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("This needs two cores: one for the server, one for the load.", file=sys.stderr)
        return 1
    with (stacks.scratch() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another run is at work here: both would spoil each other's figures.", file=sys.stderr)
            return 1
        return _measure(options, cores)


def _measure(options: argparse.Namespace, cores: list[int]) -> int:
    machine = stacks.machine()
    server, load = cores[:2]
    os.sched_setaffinity(0, {load})  # whatever is not the server stays off its core
    rounds, seconds = (2, 2) if options.quick else (options.rounds, options.seconds)
    plan = Plan(rounds, seconds, str(server), str(load), tuple(cores))
    bench = Bench(plan, options.quick)
    results = _stored(options.output / "results.json", machine, every=set(options.only) == set(SECTIONS))
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    if (busy := os.getloadavg()[0]) > 0.5:
        print(f"This machine is at work (load {busy:.1f}): these figures will not be worth much.", file=sys.stderr)
    print(f"server on core {server}, load on core {load}; {plan.rounds} rounds of {plan.seconds:g} s")
    failed = []
    for position, name in enumerate(options.only):
        left = sum(MINUTES[each] for each in options.only[position:])
        ahead = "" if options.quick else f" (about {left:g} minutes left)"
        print(f"{name}: {(SECTIONS[name].__doc__ or '').strip()}{ahead}", flush=True)
        began = time.perf_counter()
        try:
            section = SECTIONS[name](bench)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is said, and the other sections are measured
            print(f"{name} could not be measured: {error}", file=sys.stderr)
            if not isinstance(error, LoadError | CheckError | RuntimeError):
                traceback.print_exc()
            failed.append(name)
            continue
        section["took"] = round(time.perf_counter() - began)
        section.setdefault("how", f"{plan.rounds} rounds of {plan.seconds:g} s")
        section["date"] = time.strftime("%Y-%m-%d")
        results["sections"][name] = section
        results["versions"] |= bench.versions()
        print(f"\n{report.rendered(results, name)}\n\n({section['took']} s)", flush=True)
        if not options.quick:
            _write(options.output, results)
    print(", ".join(f"{key} {value}" for key, value in sorted(results["versions"].items())))
    print(f"Could not be measured: {', '.join(failed)}" if failed else "All were measured.")
    return 1 if failed else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", type=_names, default=list(SECTIONS), help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--quick", action="store_true", help="two short rounds, to try it: prints, and writes nothing")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--seconds", type=int, default=2, help="of each run; whole ones (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of results.json, README.md and plot.svg")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is not one of {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in names]


def _stored(path: Path, machine: dict[str, str], every: bool) -> dict[str, Any]:
    """What is known of this machine; a run of everything begins anew."""
    empty: dict[str, Any] = {"machine": machine, "versions": {}, "sections": {}}
    if every or not path.exists():
        return empty
    results: dict[str, Any] = json.loads(path.read_text())
    if results["machine"] != machine and results["sections"]:
        raise SystemExit(f"{path} is of another machine: run every section, or choose another --output.")
    return results | {"machine": machine}


def _write(folder: Path, results: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "plot.svg").write_text(plot.plot(results))
    (folder / "README.md").write_text(report.written((HERE / "README.md").read_text(), results))
    if folder == HERE:
        for page in PAGES:
            page.write_text(report.written(page.read_text(), results))


if __name__ == "__main__":
    sys.exit(main())
