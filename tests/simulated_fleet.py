"""Look at a large fleet, and say what it took: seconds, calls of the API, failures.

    uv run python -m tests.simulated_fleet [--services 100] [--source clones|github|gitlab] [--update]
    uv run python -m tests.simulated_fleet --services 1000 --distinct 12 --source github

Services are emitted from every release and edited as `tests/fleet.py` does. With `--distinct` only so many are emitted,
and the forge on loopback shows each of them under many names. That forge asks git anew at each call: slower than a real
one, and nearer.
"""

import argparse
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet.__main__ import main as fleet

from .edited_service import Services
from .fleet import plans
from .forge import TOKEN, Project, head, served
from .releases import make_history, nothing_of_this_machine


def leave_record(folder: Path) -> dict[str, Any]:
    """What a run of `verify` would have left behind, a minute ago."""
    record: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": head(folder),
        "options": {"only": "", "target": ""},
        "outcome": "proved",
        "checks": [{"step": step, "name": "holds", "outcome": "proved", "seen": ""} for step in ("audit", "headers")],
    }
    (folder / ".hardening").mkdir(exist_ok=True)
    (folder / ".hardening" / "last-verify.json").write_text(json.dumps(record))
    return record


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--distinct", type=int, help="how many of them are emitted (default: all)")
    parser.add_argument("--source", choices=("clones", "github", "gitlab"), default="clones")
    parser.add_argument("--seed", type=int, default=1, help="which fleet (default: %(default)s)")
    parser.add_argument("--update", action="store_true", help="update them too (clones)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, nothing_of_this_machine(Path(name)):
        root = Path(name).resolve()
        history = make_history(root / "template")
        services = Services(history, root / "emitted")
        (root / "clones").mkdir()
        projects = []
        began = time.monotonic()
        for plan in plans(min(options.services, options.distinct or options.services), options.seed):
            folder = services.lived_in(root / "clones" / f"s{plan.number:04}", plan.release, plan.answers, plan.edits)
            projects.append(Project(plan.number + 1, f"org/{folder.name}", folder, [leave_record(folder)]))
        print(f"{len(projects)} services emitted in {time.monotonic() - began:.0f} s", flush=True)
        for number in range(len(projects), options.services):
            like = projects[number % len(projects)]
            projects.append(Project(number + 1, f"org/s{number:04}", like.folder, like.records))
        return look(options, root, history, projects)


def look(options: argparse.Namespace, root: Path, history: Path, projects: list[Project]) -> int:
    """Run the fleet over them, and print what it took."""
    source = ["--clones", str(root / "clones")]
    os.environ |= {"GH_TOKEN": TOKEN, "GITLAB_TOKEN": TOKEN}
    common = [f"--template={history}", f"--state={root / 'state.json'}"]
    with served(projects, page=50 if options.source == "github" else 100) as forge:
        if options.source != "clones":
            api = {"github": "/api/v3", "gitlab": "/api/v4"}[options.source]
            source = [f"--{options.source}", "org", "--api", forge.url + api]
        told = io.StringIO()
        began = time.monotonic()
        with contextlib.redirect_stdout(told):
            code = fleet([*source, *common, f"--html={root / 'fleet.html'}"])
        seconds = time.monotonic() - began
        last = next(line for line in told.getvalue().splitlines() if re.match(r"\d+ services: ", line))
        calls = len(forge.asked)
        failures = told.getvalue().count("could not be read")
        size = (root / "fleet.html").stat().st_size
        print(f"{options.source}: {last} Exit code {code}.")
        print(f"{seconds:.1f} s, {calls} calls of the API, {failures} failures, a page of {size / 1000:.0f} kB")
    if options.update:
        began = time.monotonic()
        with contextlib.redirect_stdout(told := io.StringIO()):
            code = fleet([*source, *common, "--update"])
        print(f"--update: {told.getvalue().splitlines()[-1]} Exit code {code}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
