"""From every release, an update of a service that a team lives in: nothing to merge, nothing lost, all up to date."""

from itertools import cycle
from pathlib import Path

import pytest

from .edits import EDITS
from .lived_in import Services, state, update
from .releases import RELEASES, Answers, choices, combinations, commit

SERVICES = [
    pytest.param(release, {**answers, "ci": ci}, id=f"{release}-{'-'.join(answers.values())}-{ci}")
    for release in RELEASES
    for answers, ci in zip(combinations(release, "example", "store"), cycle(choices(release, "ci")), strict=False)
]


@pytest.mark.parametrize(("release", "answers"), SERVICES)
def test_an_update_brings_all_that_is_owned_and_touches_nothing_else(
    services: Services, tmp_path: Path, release: str, answers: Answers
) -> None:
    service = services.lived_in(tmp_path / "orders-api", release, answers, EDITS)
    before = state(service)

    update(service)

    assert not services.compare(service, before, release, answers)
    commit(service, "update")
    once = state(service)
    update(service)
    assert state(service) == once
