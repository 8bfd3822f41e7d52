"""What a team lives with: one check of one object, with a reason and a last day, and never the proof itself."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from verify import acceptance
from verify.common.entries import is_sentence
from verify.harness.service import declared_environment
from verify.result import Check, Outcome, Rule

from ..conftest import Emit
from ..fake_osv import serving
from .runs import SHORT, Prove, told

TODAY = datetime.now(UTC).date()
USER = Rule("configuration", "docker.user", "the image runs as somebody who is not root")
CHECK = Rule("configuration", "ci.pinned", "every action is pinned", "release.yml").insecure("actions/x@v1", "Pin it.")


def accept(**lines: object) -> str:
    """An acceptance that holds, with these lines in place of its own."""
    given = {
        "check": '"ci.pinned"',
        "object": '"release.yml"',
        "reason": '"Our own action, in our own organisation."',
        "expires": TODAY + timedelta(days=300),
        **lines,
    }
    rows = (f"{name} = {value}" for name, value in given.items() if value is not None)
    return "\n".join(["[[tool.hardening.verify.accept]]", *rows, ""])


def read(folder: Path, *tables: str) -> acceptance.Acceptances:
    (folder / "pyproject.toml").write_text("\n".join(tables))
    return acceptance.read(folder, TODAY)


@pytest.mark.parametrize("outcome", ["insecure", "unverified", "warning", "not_looked_at"])
def test_what_is_accepted_shows_its_reason_and_its_day(tmp_path: Path, outcome: str) -> None:
    found: Check = getattr(Rule(CHECK.step, CHECK.id, CHECK.name, CHECK.object), outcome)("as it is", "Mend it.")

    applied = read(tmp_path, accept()).applied(found)

    assert applied.outcome is Outcome.ACCEPTED
    assert "Our own action" in applied.seen
    assert f"until {(TODAY + timedelta(days=300)).isoformat()}" in applied.seen
    assert "as it is" in applied.seen


@pytest.mark.parametrize(
    "lines",
    [
        {"object": '"Release.yml"'},
        {"object": '"release"'},
        {"object": None},
        {"check": '"ci.permissions"'},
        {"check": '"ci"'},
        {"check": '"ci.*"'},
        {"object": '"*"'},
    ],
)
def test_an_acceptance_is_about_one_check_of_one_object(tmp_path: Path, lines: dict[str, str | None]) -> None:
    accepted = read(tmp_path, accept(**lines))

    assert accepted.applied(CHECK) is CHECK
    assert accepted.wrong or [each.outcome for each in accepted.unused()] == [Outcome.WARNING]


def test_what_is_proved_needs_no_acceptance(tmp_path: Path) -> None:
    accepted = read(tmp_path, accept(check='"docker.user"', object=None))

    assert accepted.applied(USER.proved("USER 10001")).outcome is Outcome.PROVED
    (unused,) = accepted.unused()
    assert unused.outcome is Outcome.WARNING
    assert "unused" in unused.name


@pytest.mark.parametrize(
    ("lines", "line", "because"),
    [
        ({"expires": TODAY - timedelta(days=1)}, 5, "ended on"),
        ({"expires": TODAY + timedelta(days=367)}, 5, "more than 366 days ahead"),
        ({"expires": f'"{TODAY}"'}, 5, "is no date"),
        ({"expires": None}, 1, "has no expires"),
        ({"reason": None}, 1, "has no reason"),
        ({"reason": '""'}, 4, "is empty"),
        ({"reason": '"x"'}, 4, "is no reason"),
        ({"reason": '"TODO"'}, 4, "is no reason"),
        ({"reason": '"ok ok ok ok"'}, 4, "is no reason"),
        ({"check": None}, 1, "has no check"),
        ({"check": '"ci.*"'}, 2, "never a pattern"),
        ({"object": '"*.yml"'}, 3, "never a pattern"),
        ({"checks": '["a"]'}, 6, "`checks` is not known"),
        *[
            ({"check": f'"{each}"'}, 2, "cannot be accepted")
            for each in (
                "tests.yours", "tests.owned", "audit.canary", "audit.vulnerable", "audit.waiver", "lock.current",
                "owned.unchanged", "validation.own-fields", "headers.complete", "server.defaults",
                "attacks.service-starts", "verify.stage-runs", "sessions.replay", "accept.holds",
            )
        ],
        ({"check": '"audit.complete"', "object": None}, 1, "of one package alone"),
        ({"check": '"audit.complete"', "object": '"missing"'}, 3, "is no package"),
        ({"check": '"audit.complete"', "object": '"not understood"'}, 3, "is no package"),
    ],
)  # fmt: skip
def test_an_acceptance_that_does_not_hold_is_red(
    tmp_path: Path, lines: dict[str, object], line: int, because: str
) -> None:
    accepted = read(tmp_path, accept(**lines))

    assert accepted.valid == {}
    assert accepted.wrong
    assert {each.outcome for each in accepted.wrong} == {Outcome.INSECURE}
    assert any(because in each.seen for each in accepted.wrong), accepted.wrong
    assert f"line {line}:" in accepted.wrong[0].seen
    assert all(each.remedy for each in accepted.wrong)


def test_an_acceptance_holds_through_its_last_day(tmp_path: Path) -> None:
    assert read(tmp_path, accept(expires=TODAY), accept(check='"a.b"', expires=TODAY + timedelta(days=366))).valid


@pytest.mark.parametrize("text", ["[tool.hardening.verify]\naccept = 3\n", "[tool.hardening.verify]\naccept = [1]\n"])
def test_what_is_no_list_of_acceptances_is_red(tmp_path: Path, text: str) -> None:
    assert "is no list" in read(tmp_path, text).wrong[0].seen


def test_one_thing_is_accepted_once(tmp_path: Path) -> None:
    assert "already" in read(tmp_path, accept(), accept()).wrong[0].seen


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Leaks no credentials here.", True),
        ("Nur intern erreichbar, ohne Körper.", True),
        ("内部のみで使う", True),
        ("x", False),
        ("wip wip", False),
        ("...", False),
        ("1 2 3 4", False),
    ],
)
def test_a_reason_is_a_sentence(text: str, *, holds: bool) -> None:
    assert is_sentence(text) == holds


# What no advisory service knows

INDEX = """
[[tool.uv.index]]
name = "internal"
url = "https://someone:secret@packages.example.com/simple/"
explicit = true

[tool.hardening.audit]
"""
# A package from the index of the company, in the lock.
PRIVATE = (
    SHORT
    + """
own = audit.own_packages
from verify.stages.lockfile import Package
acme = Package("Acme_Billing", "1.0.0", {"registry": "https://packages.example.com/simple"}, {"": ()}, ())
def with_acme(project):
    lock = few(project)
    return replace(lock, packages=(*lock.packages, acme))
audit.Lock.read = with_acme
"""
)


@pytest.mark.parametrize(
    "said",
    [
        'own = ["acme-*"]',
        'own = ["acme-billing"]',
        'own = ["ACME.*"]',
        'own_indexes = ["internal"]',
        'own_indexes = ["https://packages.example.com/simple"]',
    ],
)
def test_a_private_package_is_shown_as_own_and_asked_for_nowhere(prove: Prove, service: Path, said: str) -> None:
    with (service / "pyproject.toml").open("a") as pyproject:
        pyproject.write(INDEX + said + "\n")
    with serving() as osv:
        checks = prove("audit", osv=osv.address, prepare=PRIVATE)
        asked = json.dumps(osv.asked)

    (own,) = (check for check in checks if check["id"] == "audit.own")
    assert own["outcome"] == "not_looked_at", told(checks)
    assert "secret" not in told(checks)
    assert "acme" not in asked.lower()
    assert "jinja2" in asked
    assert {check["outcome"] for check in checks} == {"proved", "not_looked_at"}, told(checks)


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ('own = ["*"]', "too wide"),
        ('own = ["ac*"]', "too wide"),
        ('own = ["*-billing"]', "too wide"),
        ('own = "acme"', "too wide"),
        ('own_indexes = ["elsewhere"]', "is called elsewhere"),
        ('owned = ["acme-*"]', "`owned` is not known"),
        ('own = ["click"]', "where anybody may publish"),
        ('own = ["fast*", "star*", "pyd*"]', "where anybody may publish|names everything"),
        ('own_indexes = ["https://PyPI.org/simple"]', "where anybody may publish|names everything"),
    ],
)
def test_nothing_public_becomes_own(prove: Prove, service: Path, said: str, because: str) -> None:
    with (service / "pyproject.toml").open("a") as pyproject:
        pyproject.write(INDEX + said + "\n")
    with serving() as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT if "fast" not in said else "")

    bad = [check for check in checks if check["outcome"] == "insecure"]
    assert re.search(because, told(bad)), told(checks)


def test_a_package_without_an_advisory_source_can_be_vouched_for(prove: Prove, service: Path) -> None:
    skipped = SHORT + (
        "understood = pip_audit._understood\n"
        "def one_is_unknown(ran, service):\n"
        "    found = understood(ran, service)\n"
        "    clean = frozenset(each for each in found.audited if each[0] != 'click')\n"
        "    return replace(found, audited=clean, skipped=(('click', '404 Client Error'),))\n"
        "pip_audit._understood = one_is_unknown\n"
    )
    with serving() as osv:
        checks = prove("audit", osv=osv.address, prepare=skipped)

    (gap,) = (check for check in checks if check["outcome"] == "unverified")
    assert (gap["id"], gap["object"]) == ("audit.complete", "click")
    assert 'object = "click"' in gap["remedy"]
    reason = '"Built by us from a repository that we watch."'
    accepted = read(service, accept(check='"audit.complete"', object='"click"', reason=reason))
    whole = Check(**{**gap, "outcome": Outcome.UNVERIFIED})
    assert accepted.applied(whole).outcome is Outcome.ACCEPTED


def test_the_example_of_an_acceptance_is_one(emit: Emit, tmp_path: Path) -> None:
    page = (emit() / "HARDENING.md").read_text()
    (example,) = re.findall(r"```toml\n(\[\[tool\.hardening\.verify\.accept\]\].*?)```", page, re.DOTALL)
    (day,) = re.findall(r"expires = (.*)", example)
    assert date.fromisoformat(day)
    assert read(tmp_path, example.replace(day, str(TODAY))).valid


# The table of values for verify

TABLE = """
[tool.hardening.verify.environment]
APP_DOCS = "false"
app_max_body_bytes = "1048576"
APP_RATE_LIMIT = "5/1s"
APP_DATABASE_URL = "postgresql://127.0.0.1/x"
APP_PAYMENT_URL = "https://payments.example.com"
APP_LOG_LEVEL = "error"
FASTAPI_ENV = "test"
"""


def test_the_table_of_values_hides_no_setting_of_the_template(prove: Prove, service: Path) -> None:
    settings = service / "src/orders_api/settings.py"
    declared = "    docs: Annotated[\n        bool, 1\n    ] = True\n    log_level: str\n"
    settings.write_text(f"from typing import Annotated\n{settings.read_text()}\n{declared}")
    with (service / "pyproject.toml").open("a") as pyproject:
        pyproject.write(TABLE)

    handed_on = declared_environment(service)
    checks = [each for each in prove("configuration") if each["id"] == "settings.table"]

    assert handed_on.keys() == {"APP_RATE_LIMIT", "APP_DATABASE_URL", "APP_PAYMENT_URL", "APP_LOG_LEVEL", "FASTAPI_ENV"}
    found = {check["object"]: (check["outcome"], check["seen"]) for check in checks}
    assert {name: outcome for name, (outcome, _) in found.items()} == dict.fromkeys(
        ("APP_DOCS", "app_max_body_bytes", "APP_RATE_LIMIT"), "warning"
    )
    assert "verify uses up 5/1s, and without the table production has 100/15m" in found["APP_RATE_LIMIT"][1]
