"""A waiver holds for its advisory, with a reason and until its day; one that does not is named."""

import re
import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from ..conftest import Emit
from ..fake_osv import UNFIXED, advisory, serving
from .runs import SHORT, Prove, outcomes, told


def waiver(**lines: object) -> str:
    """A waiver that holds, with these lines in place of its own."""
    soon = datetime.now(UTC).date() + timedelta(days=30)
    given = {"advisory": '"PYSEC-0000-1"', "reason": '"Not reached."', "expires": soon, **lines}
    return "\n".join(["[[waiver]]", *(f"{name} = {value}" for name, value in given.items() if value is not None), ""])


def test_a_waiver_holds_for_any_name_of_the_advisory(prove: Prove, vulnerable: Path) -> None:
    (vulnerable / "audit-waivers.toml").write_text(
        waiver(advisory='"ghsa-m2qf-hxjv-5gpq"', package='"Flask"', reason='"No session cookie here."')
        + waiver(advisory='"CVE-2020-28493"')
        + waiver(advisory='"PYSEC-2023-87"', package='"sqlparse"')
        + waiver(advisory='"CVE-0000-0001"')
        + waiver(advisory='"PYSEC-1999-1"')
    )
    with serving(UNFIXED) as osv:
        checks = prove("audit", osv=osv.address)

    assert outcomes(checks) == {"proved", "accepted", "warning"}, told(checks)
    assert {each["outcome"] for each in checks if "waived until" in each["name"]} == {"accepted"}
    assert "No session cookie here." in told(checks)
    assert told(checks).count("waived until") == 4
    (unused,) = (check for check in checks if "unused" in check["name"])
    assert unused["name"].startswith("audit-waivers.toml:19 waives PYSEC-1999-1")
    assert "Delete" in unused["remedy"]


def test_a_waiver_of_another_package_or_day_waives_nothing(prove: Prove, service: Path) -> None:
    (service / "audit-waivers.toml").write_text(
        waiver(advisory='"PYSEC-0000-9"', package='"jinja2"') + waiver(advisory='"CVE-0000-0009"', expires="2020-01-01")
    )
    with serving(advisory("PYSEC-0000-9", "click", "99", "CVE-0000-0009")) as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT)

    bad = [check["name"] for check in checks if check["outcome"] == "insecure"]
    assert len(bad) == 2, told(checks)
    assert "audit-waivers.toml:9" in bad[0]
    assert "PYSEC-0000-9" in bad[1]


def test_nothing_is_called_unused_when_the_audit_could_not_tell(prove: Prove, service: Path) -> None:
    (service / "audit-waivers.toml").write_text(waiver())
    with serving(fault="empty") as osv:
        assert "unused" not in told(prove("audit", osv=osv.address, prepare=SHORT))


TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize(
    ("text", "line", "because"),
    [
        (waiver(expires=TODAY - timedelta(days=1)), 4, "ended on"),
        (waiver(expires=TODAY + timedelta(days=91)), 4, "more than 90 days ahead"),
        (waiver(expires=f'"{TODAY}"'), 4, "is no date"),
        (waiver(expires=f"{TODAY}T00:00:00Z"), 4, "is no date"),
        (waiver(expires=None), 1, "has no expires"),
        (waiver(reason=None), 1, "has no reason"),
        (waiver(reason='"  "'), 3, "`reason` is empty"),
        (waiver(reason="3"), 3, "`reason` is empty or no text"),
        (waiver(advisory=None), 1, "has no advisory"),
        (waiver(package='""'), 5, "`package` is empty"),
        (waiver(until=1), 5, "`until` is not known"),
        ("# a\nignore = 1\n" + waiver(), 2, "`ignore` is not known"),
        ("waiver = 3\n", 1, "`waiver` is no list"),
        (waiver() + waiver(), 5, "is waived in line 1 already"),
        (waiver() + waiver(advisory='"pysec-0000-1"'), 5, "is waived in line 1 already"),
        ("\n\n[[waiver]\n", 3, "is not TOML"),
        (waiver(reason='"""\nopen\n'), 6, "is not TOML"),
        (waiver(reason='"""\n[[waiver]]\nreason = 3\n"""') + waiver(reason='""'), 10, "`reason` is empty"),
        ("waiver = [\n  {},\n]\n", 3, "has no advisory"),
        ("# \xe4".encode("latin-1") + b"\n", 1, "is not UTF-8"),
        ("a = " + "[" * 5_000, 1, "is not TOML"),
    ],
)
def test_a_waiver_that_does_not_hold_is_named_with_its_line(
    prove: Prove, service: Path, text: str | bytes, line: int, because: str
) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    (service / "audit-waivers.toml").write_bytes(content)
    only_waivers = "def off(*_): raise audit.UnverifiedError('off', 'off')\npip_audit.questions = off"

    checks = [check for check in prove("audit", prepare=only_waivers) if check["outcome"] == "insecure"]

    assert checks
    assert checks[0]["name"].startswith(f"audit-waivers.toml:{line} "), told(checks)
    assert because in checks[0]["seen"]
    assert f"line {line}" in checks[0]["seen"]
    assert checks[0]["remedy"]


def test_a_waiver_holds_through_its_last_day(prove: Prove, service: Path) -> None:
    (service / "audit-waivers.toml").write_text(
        waiver(expires=TODAY) + waiver(advisory='"b"', expires=TODAY + timedelta(days=89))
    )
    only_waivers = "def off(*_): raise audit.UnverifiedError('off', 'off')\npip_audit.questions = off"

    assert outcomes(prove("audit", prepare=only_waivers)) == {"unverified"}


def test_the_example_of_a_waiver_is_one(emit: Emit, prove: Prove, service: Path) -> None:
    text = (emit() / "audit-waivers.toml").read_text()
    assert tomllib.loads(text) == {}
    example = text[text.index("# [[waiver]]") :].replace("# ", "")
    (found,) = tomllib.loads(example)["waiver"]
    assert isinstance(found["expires"], date)
    (service / "audit-waivers.toml").write_text(re.sub(r"expires = .*", f"expires = {TODAY}", example))

    assert outcomes(
        prove("audit", prepare="def off(*_): raise audit.UnverifiedError('', '')\npip_audit.questions = off")
    ) == {"unverified"}
