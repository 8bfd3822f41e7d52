"""A sample of the fleet: `tests/fleet.py` updates as many as it is told to."""

from pathlib import Path

import pytest

from .conftest import in_world_but
from .edited_service import UpdateFaults
from .fleet import Outcome, Plan, plans, report, run


@pytest.mark.parametrize(
    "plan",
    in_world_but(plans(10, seed=7), lambda plan: not plan.number),
    ids=lambda plan: f"{plan.number}-{plan.release}",
)
def test_a_service_of_the_fleet_is_updated_without_loss(history: Path, tmp_path: Path, plan: Plan) -> None:
    outcome = run(plan, history, tmp_path, hook=False)

    assert not outcome.failure
    assert not outcome.found


def test_the_fleet_is_the_same_for_the_same_seed() -> None:
    assert plans(20, seed=3) == plans(20, seed=3) != plans(20, seed=4)


def test_whatever_went_wrong_is_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    (plan,) = plans(1, seed=1)
    fine = Outcome(plan, UpdateFaults(), "", 2.0)
    found = UpdateFaults(conflicts=["one", "two"], lost=["README.md"], wrong=["HARDENING.md is not as in a fresh copy"])

    assert report([fine, fine])
    assert not report([fine, Outcome(plan, found, "", 4.0), Outcome(plan, UpdateFaults(), "OSError: full", 3.0)])

    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split() == ["2", "0", "0", "0", "2.0", "2.0"]
    assert ["3", "2", "1", "2", "3.0", "3.9"] in [line.split() for line in printed.splitlines()]
    assert "HARDENING.md is not as in a fresh copy" in printed
    assert "OSError: full" in printed
