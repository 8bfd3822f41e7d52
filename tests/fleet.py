"""Update a fleet: emit services from mixed releases, let teams edit them, update all, count what went wrong.

    uv run python tests/fleet.py [--services 100] [--seed 1] [--hook]

The same seed gives the same fleet. With `--hook` each update also brings dependency bounds in, locks, installs and
verifies, as `copier update --trust --defaults` does; that takes a package index and some seconds a service.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.edited_service import Services, UpdateFaults, failing, proved, state, update, update_and_prove
from tests.fake_osv import serving
from tests.releases import RELEASES, Answers, choices, make_history, nothing_of_this_machine
from tests.team_edits import EDITS, Edit

PACKAGES = ("orders_api", "billing", "a", "x" * 40)
ORIGINS = ("", "https://app.example.com", "https://a.example,http://localhost:3000")
NAMES = ("Orders", """Müller's "API" {{ 7*7 }}""", "日本")


@dataclass(frozen=True)
class Plan:
    """A service to be: where it comes from, how the questions were answered, and what its team did to it."""

    number: int
    release: str
    answers: Answers
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Outcome:
    """What an update of it did, and the seconds that it took."""

    plan: Plan
    found: UpdateFaults
    failure: str
    seconds: float


def plans(count: int, seed: int) -> list[Plan]:
    """The same services for the same seed; every release takes its turn."""
    chance = random.Random(seed)  # noqa: S311 - the same again for the same seed
    releases = list(RELEASES)
    return [
        Plan(
            number,
            release := releases[number % len(releases)],
            {
                **{question: chance.choice(choices(release, question)) for question in ("example", "store", "ci")},
                "package_name": chance.choice(PACKAGES),
                "cors_origins": chance.choice(ORIGINS),
                "project_name": chance.choice(NAMES),
            },
            tuple(edit for edit in EDITS if chance.random() < (0.5 if number % 5 < 4 else 0)),
        )
        for number in range(count)
    ]


def run(plan: Plan, history: Path, folder: Path, *, hook: bool) -> Outcome:
    """Make one service, update it, and compare it with what it has to be."""
    began = time.monotonic()
    found, failure = UpdateFaults(), ""
    own = folder / str(plan.number)
    try:
        services = Services(history, own / "emitted")
        service = services.lived_in(own / "orders-api", plan.release, plan.answers, plan.edits)
        before = state(service)
        began = time.monotonic()
        if hook:
            said = update_and_prove(service).stdout
            failure = "" if proved(service) == "proved" else f"not proved: {said}"
            if not plan.edits:  # what nobody edited ends as it was
                failure = failure or "\n".join(failing(service, ("ruff check", "mypy", "pytest -q")).values())
        else:
            update(service)
        seconds = time.monotonic() - began
        found = services.compare(service, before, plan.release, plan.answers, hook=hook)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a failure of this service and of no other
        failure = f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - began
    finally:
        shutil.rmtree(own, ignore_errors=True)
    return Outcome(plan, found, failure, seconds)


def report(outcomes: list[Outcome]) -> bool:
    """Print the figures and whatever was found; return whether nothing was."""
    found = [outcome.found for outcome in outcomes]
    failures = sum(1 for outcome in outcomes if outcome.failure or outcome.found.wrong)
    conflicts, lost = sum(len(each.conflicts) for each in found), sum(len(each.lost) for each in found)
    seconds = sorted(outcome.seconds for outcome in outcomes)
    middle, late = (
        (quantiles(seconds, n=20, method="inclusive")[i] for i in (9, 18)) if len(seconds) > 1 else seconds * 2
    )
    print(f"{'services':>10}{'conflicts':>12}{'lost edits':>12}{'failures':>10}{'median s':>10}{'p95 s':>8}")
    print(f"{len(outcomes):10}{conflicts:12}{lost:12}{failures:10}{middle:10.1f}{late:8.1f}")
    for outcome in outcomes:
        if outcome.found or outcome.failure:
            made = ", ".join(edit.__name__ for edit in outcome.plan.edits)
            print(f"\n{outcome.plan.number} from {outcome.plan.release} with {outcome.plan.answers}, after {made}:")
            print(f"  {outcome.failure or outcome.found}")
    return not (conflicts or lost or failures)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=100, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which fleet (default: %(default)s)")
    parser.add_argument("--hook", action="store_true", help="lock, install and verify each service too")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name,
        nothing_of_this_machine(Path(name)),
        serving() as osv,
    ):
        os.environ["AUDIT_OSV_URL"] = osv.address
        folder = Path(name)
        work = partial(run, history=make_history(folder / "template"), folder=folder, hook=options.hook)
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
            outcomes = list(pool.map(work, plans(options.services, options.seed)))
    return 0 if report(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
