"""A changelog is read for the person who updates: what breaks first, and nothing that is not new to them."""

from pathlib import Path

import pytest
from verify.upkeep.changelog import Entry, between, parse, since, version_key

from .conftest import REPOSITORY

CHANGELOG = """\
# Changelog

Text above the sections, with a list:

- that is no entry

## [Unreleased]

### Added

- Coming.

## [0.3.0] - 2027-02-01

### Added

- A long one, which goes
  on in the next line.

  And after a gap.
- A second one.
Lazily continued.

### Security

- A hole is closed.

### Changed

- **Breaking** The default is stricter.
- **Breaking:** So is `another`. (store=redis)
- For sessions (see below). (store=redis, example=accounts)

A paragraph that belongs to nothing.

## 0.2.0rc1

### Fixed

* Another bullet.

## [0.2.0] - 2027-01-01 [YANKED]

### deprecated

- Old name.

## [0.1.0] - 2026-11-23

### Added

- All of it.

[Unreleased]: https://example.com/compare
[0.1.0]: https://example.com/0.1.0
"""


def texts(after: str, upto: str, **answers: str) -> list[str]:
    return [entry.text for entry in between(CHANGELOG, after, upto, answers)]


def test_every_entry_is_read_with_its_version_kind_and_wrapped_lines() -> None:
    assert list(parse(CHANGELOG)) == [
        Entry("Unreleased", "Added", False, "Coming."),
        Entry("0.3.0", "Added", False, "A long one, which goes on in the next line. And after a gap."),
        Entry("0.3.0", "Added", False, "A second one. Lazily continued."),
        Entry("0.3.0", "Security", False, "A hole is closed."),
        Entry("0.3.0", "Changed", True, "The default is stricter."),
        Entry("0.3.0", "Changed", True, "So is `another`.", (("store", "redis"),)),
        Entry("0.3.0", "Changed", False, "For sessions (see below).", (("store", "redis"), ("example", "accounts"))),
        Entry("0.2.0rc1", "Fixed", False, "Another bullet."),
        Entry("0.2.0", "Deprecated", False, "Old name."),
        Entry("0.1.0", "Added", False, "All of it."),
    ]


def test_what_breaks_comes_first_then_security_then_what_is_no_more() -> None:
    assert texts("0.1.0", "0.3.0", store="redis", example="minimal") == [
        "The default is stricter.",
        "So is `another`.",
        "A hole is closed.",
        "Old name.",
        "A long one, which goes on in the next line. And after a gap.",
        "A second one. Lazily continued.",
        "Another bullet.",
    ]


def test_what_is_for_other_services_is_left_out_and_an_unknown_answer_hides_nothing() -> None:
    assert "So is `another`." not in texts("0.2.0", "0.3.0", store="memory")
    assert "For sessions (see below)." in texts("0.2.0", "0.3.0", store="redis", example="accounts")
    assert "For sessions (see below)." not in texts("0.2.0", "0.3.0", store="redis", example="minimal")
    assert "For sessions (see below)." in texts("0.2.0", "0.3.0")


@pytest.mark.parametrize(
    ("after", "upto", "expected"),
    [
        ("0.1.0", "0.2.0", ["Old name.", "Another bullet."]),
        ("v0.1.0", "v0.2.0", ["Old name.", "Another bullet."]),
        ("0.1.0", "0.2.0rc1", ["Another bullet."]),
        ("0.2.0rc1", "0.2", ["Old name."]),
        ("0.3.0", "0.3.0", []),
        ("0.3.0", "0.1.0", []),
        ("0.3.0", "0.3.0-2-gabc1234", ["Coming."]),
        ("0.3.0-2-gabc1234", "0.3.0-5-gdef5678", ["Coming."]),
        ("0.3.0-2-gabc1234", "0.3.0-2-gabc1234", []),
        ("0.3.0", "0.4.0.dev1", ["Coming."]),
        ("0.3.0", "0.3.0.post2.dev0+abc1234", ["Coming."]),
        ("0.3.0-5-gabc1234", "0.4.0", ["Coming."]),
    ],
)
def test_only_what_lies_between_two_versions(after: str, upto: str, expected: list[str]) -> None:
    assert texts(after, upto) == expected


def test_versions_are_in_the_order_of_pep_440() -> None:
    order = (
        *("0.9", "1.0.dev1", "1.0a1.dev1", "1.0a1", "1.0-alpha.2", "1.0b1", "1.0rc1", "1.0c2", "1.0.0", "1.0-3-gabc1"),
        *("1.0.post4", "1.0.1", "v1.2", "1.10", "2.0"),
    )
    keys = [version_key(version) for version in order]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert version_key("v1.2") == version_key("1.2.0") == version_key("1.2+local")


@pytest.mark.parametrize("version", ["", "HEAD", "abc1234", "1.0 beta?", "one"])
def test_what_is_no_version_is_said_to_be_none(version: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        between(CHANGELOG, "0.1.0", version)


def test_the_changelog_of_this_template_can_be_read() -> None:
    text = Path(REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")

    first = [entry for entry in parse(text) if entry.version == "0.1.0"]
    assert len(first) == text.split("## [0.1.0]")[1].split("\n## ")[0].count("\n- ")
    assert all(entry.kind == "Added" and entry.text.endswith(".") for entry in first)


def test_what_an_older_text_did_not_say_is_new_wherever_it_stands_now() -> None:
    older = CHANGELOG.replace("- A second one.\nLazily continued.\n", "")
    newer = CHANGELOG.replace("## [Unreleased]\n", "## [0.4.0] - 2027-03-01\n")

    assert [entry.text for entry in since(newer, older)] == ["A second one. Lazily continued."]
    assert since(newer, CHANGELOG) == []
    assert [entry.kind for entry in since(CHANGELOG, "")][:3] == ["Changed", "Changed", "Security"]
    assert len(since(CHANGELOG, "", {"store": "memory"})) == len(since(CHANGELOG, "")) - 2
