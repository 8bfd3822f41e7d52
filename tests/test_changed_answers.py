"""A changed answer does what one expects of a service that a team lives in, and loses none of the team's edits."""

from pathlib import Path

import pytest

from .edited_service import Services, conflicts, state, state_of_emission, update_and_prove
from .releases import OWNED, PRESENT, RELEASES, Answers, choices, combinations, matches
from .team_edits import EDITS, Edit

OLDEST, *_ = RELEASES
BORN = {**combinations(OLDEST, "example", "store")[0], "ci": "github", "checks": "off"}
DEFAULTS = {"deploy": "container"}
"""What was not asked when it was born."""
CHANGES = [
    {question: answer}
    for question in ("store", "ci", "deploy")
    for answer in choices(PRESENT, question)
    if answer != {**DEFAULTS, **BORN}[question]
]


@pytest.mark.parametrize(
    "edits", [pytest.param((), id="as emitted", marks=pytest.mark.world), pytest.param(EDITS, id="lived in")]
)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "".join(change.values()))
def test_files_follow_a_changed_answer_unless_the_team_has_edited_them(
    services: Services, tmp_path: Path, change: Answers, edits: tuple[Edit, ...]
) -> None:
    service = services.lived_in(tmp_path / "orders-api", OLDEST, BORN, edits)
    old, wanted = (state_of_emission(services.emit(PRESENT, answers)) for answers in (BORN, {**BORN, **change}))
    emitted, before = state_of_emission(services.emit(OLDEST, BORN)), state(service)

    ended = update_and_prove(service, *(word for name, answer in change.items() for word in ("-d", f"{name}={answer}")))

    assert ended.returncode == 0, ended.stdout
    assert conflicts(service) == []
    after = state(service)
    for name in {*before, *after, *wanted} - {"pyproject.toml"}:  # the bounds come by their own way
        edited, asked_for = before.get(name) != emitted.get(name), old.get(name) != wanted.get(name)
        if matches(OWNED, name):
            assert after.get(name) == wanted.get(name), f"{name} is not as in a fresh copy with these answers"
        elif edited or not asked_for:
            assert after.get(name) == before.get(name), f"{name} belongs to the team"
        else:
            assert after.get(name) == wanted.get(name), f"{name} did not follow the answer"
        if edited and asked_for and name in before:
            assert f"{name} is yours and stays as it is" in " ".join(ended.stdout.split())
    assert after["pyproject.toml"] == before["pyproject.toml"], "with checks=off nothing is brought into it"
