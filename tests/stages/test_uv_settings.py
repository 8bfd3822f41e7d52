"""What uv is told: a setting that weakens the lock is named wherever it stands, and a file from elsewhere."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from verify.result import Check, Outcome
from verify.stages.configuration import uv_settings
from verify.upkeep import bounds

LATELY = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()
LOOSE = {
    "an index at random": ("pyproject.toml", '[tool.uv]\nindex-strategy = "unsafe-best-match"\n'),
    "any certificate": ("pyproject.toml", '[tool.uv]\nallow-insecure-host = ["pip.acme.com"]\n'),
    "no hashes": ("pyproject.toml", "[tool.uv.pip]\nverify-hashes = false\n"),
    "nothing newer for years": ("pyproject.toml", '[tool.uv]\nexclude-newer = "2024-01-31T00:00:00Z"\n'),
    "nothing newer, as a date": ("uv.toml", "exclude-newer = 2024-01-31\n"),
    "in a file of uv": ("uv.toml", 'index-strategy = "unsafe-first-match"\n'),
    "in another file": ("ci/uv.toml", 'allow-insecure-host = ["x"]\n'),
}
HONEST = {
    "nothing": ("pyproject.toml", ""),
    "the safe ones": ("pyproject.toml", '[tool.uv]\nindex-strategy = "first-index"\nallow-insecure-host = []\n'),
    "a week of patience": ("pyproject.toml", '[tool.uv]\nexclude-newer = "7 days"\n'),
    "not so long ago": ("uv.toml", f'exclude-newer = "{LATELY}"\n'),
    "an index of one's own": (
        "uv.toml",
        '[[index]]\nname = "acme"\nurl = "https://pip.acme.com/simple"\nexplicit = true\n',
    ),
    "what is no TOML": ("ci/uv.toml", "[[["),
}


def checked(folder: Path, name: str, text: str) -> list[Check]:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return list(uv_settings.checks(folder))


@pytest.mark.parametrize("name", LOOSE)
def test_a_setting_that_weakens_the_lock_is_named(tmp_path: Path, name: str) -> None:
    (found,) = checked(tmp_path, *LOOSE[name])
    assert (found.id, found.object, found.outcome) == ("uv.settings", LOOSE[name][0], Outcome.INSECURE)
    assert "accept" in found.remedy


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_setting_is_not(tmp_path: Path, name: str) -> None:
    assert {each.outcome for each in checked(tmp_path, *HONEST[name])} <= {Outcome.PROVED}


def test_a_file_of_the_lock_from_another_host_is_named(service: Path) -> None:
    assert {each.outcome for each in uv_settings.checks(service)} == {Outcome.PROVED}
    lock = service / "uv.lock"
    lock.write_text(
        re.sub(r'(\{ url = "https?://)[^/"]+([^"]*/click-)', r"\1files.elsewhere.example\2", lock.read_text(), count=1)
    )

    (found,) = (each for each in uv_settings.checks(service) if each.outcome is not Outcome.PROVED)

    assert (found.id, found.outcome) == ("uv.hosts", Outcome.INSECURE)
    assert re.search(r"click [\d.]+ from files.elsewhere.example", found.seen), found.seen


@pytest.mark.parametrize(
    ("override", "outcome"),
    [
        ("fastapi>=0.1", Outcome.INSECURE),
        ("fastapi>=0.1; python_version < '3.13'", Outcome.INSECURE),
        ("fastapi>=0.1; platform_machine == 'aarch64'", Outcome.INSECURE),
        ("fastapi>=0.1; python_version < '3.9'", Outcome.PROVED),
        ("fastapi>=0.1; sys_platform == 'win32'", Outcome.PROVED),
        ("idna>=3", Outcome.PROVED),
    ],
)
def test_an_override_that_undoes_a_bound_is_named(service: Path, override: str, outcome: Outcome) -> None:
    pyproject = service / "pyproject.toml"
    pyproject.write_text(f'{pyproject.read_text()}\n[tool.uv]\noverride-dependencies = ["{override}"]\n')
    found = bounds.check(service)
    assert found.outcome is outcome, found.seen
    assert outcome is Outcome.PROVED or "undoes fastapi" in found.seen
