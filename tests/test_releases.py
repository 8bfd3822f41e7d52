"""From every release, an update of a service that a team lives in: nothing to merge, nothing lost, all up to date."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.version import Version

from .conftest import in_world_but
from .edited_service import (
    AS_BEFORE,
    AS_BEFORE_AGAIN,
    CONFIGURATION,
    Services,
    bring,
    failing,
    offers,
    proved,
    state,
    update,
    update_and_prove,
    warned,
    wrongly_bounded,
)
from .fake_osv import serving
from .releases import PRESENT, RELEASES, REPOSITORY, Answers, check_history, choices, combinations, commit, git
from .seed_hashes import COMMITTED, written
from .team_edits import EDITS, append

OLDEST, *_, NEWEST = RELEASES


def met(number: int, release: str) -> list[Answers]:
    """What is answered in services of a release: of the oldest and the newest all pairs, of the others one in turn."""
    pairs = combinations(release, "example", "store")
    pipelines = choices(release, "ci")
    some = pairs if release in (OLDEST, NEWEST) else [pairs[number % len(pairs)]]
    return [{**answers, "ci": pipelines[(number + place) % len(pipelines)]} for place, answers in enumerate(some)]


SERVICES = [(release, answers) for number, release in enumerate(RELEASES) for answers in met(number, release)]
CHOSEN = [next(each for each in SERVICES if each[0] == OLDEST), [each for each in SERVICES if each[0] == NEWEST][-1]]
"""Of the oldest and the newest release, one service each: those that plain pytest takes."""
AGAIN = [next(each for each in SERVICES if each[0] == release) for release in RELEASES] + CHOSEN[-1:]
"""One service of each release, which a second update leaves as it is: both sides of it are the newest release."""


def named(value: str | Answers) -> str:
    return value if isinstance(value, str) else "-".join(value.values())


@pytest.mark.parametrize(("release", "answers"), in_world_but(SERVICES, lambda case: case in CHOSEN), ids=named)
def test_an_update_brings_all_that_is_owned_and_touches_nothing_else(
    services: Services, tmp_path: Path, release: str, answers: Answers
) -> None:
    service = services.lived_in(tmp_path / "orders-api", release, answers, EDITS)
    before = state(service)

    update(service)

    assert not services.compare(service, before, release, answers)
    if (release, answers) not in AGAIN:
        return
    commit(service, "update")
    once = state(service)
    update(service)
    assert state(service) == once


def test_every_release_is_in_the_changelog_in_order_and_still_says_what_it_said() -> None:
    now = sections((REPOSITORY / "CHANGELOG.md").read_text())

    assert all(Version(older) < Version(newer) for older, newer in pairwise(RELEASES))
    assert list(RELEASES) == list(now)[::-1][: len(RELEASES)]
    for version, revision in RELEASES.items():
        then = sections(git(REPOSITORY, "show", f"{revision}:CHANGELOG.md"))
        assert now[version] == then[version], f"the entries of {version} are not those of its release"


def sections(changelog: str) -> dict[str, str]:
    """The text of each version, the newest first."""
    parts = re.split(r"(?m)^## \[(\d.*?)\] - \d{4}-\d\d-\d\d$", changelog)
    return dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))


def test_a_shallow_clone_of_the_template_says_how_to_test_updates(tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", REPOSITORY.as_uri(), "shallow")

    with pytest.raises(LookupError, match=r"Release 0\.1\.0 .* is not in this clone: run `git fetch --unshallow`"):
        check_history(tmp_path / "shallow")


WHOLE = (OLDEST, "0.3.1", NEWEST)
"""From these, all that comes after an update and all that a team runs; `fleet.py --hook` has it from every release."""


@pytest.mark.world  # in plain pytest, tests/test_readme.py updates a service with the lines that people type
@pytest.mark.parametrize("release", RELEASES)
def test_an_updated_service_is_bounded_locked_installed_and_proved(
    services: Services, environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(environment))
    answers = combinations(release, "example", "store")[0]
    service = services.lived_in(tmp_path / "orders-api", release, answers, EDITS)
    before = state(service)

    if release in WHOLE:
        with serving() as osv:
            monkeypatch.setenv("AUDIT_OSV_URL", osv.address)
            ended = update_and_prove(service)
        assert ended.returncode == 0, ended.stdout
        assert proved(service) == "proved", ended.stdout
    else:
        update(service)
        bring(service)

    assert not services.compare(service, before, release, answers, hook=True)


PIPELINE = {"github": {".github/workflows/hardening.yml", ".github/workflows/update.yml"}, "gitlab": {".gitlab-ci.yml"}}
BOTH = {".gitignore", "renovate.json"}
DATABASE = {"src/orders_api/database.py", "src/orders_api/migrations/env.py"}
ACCOUNTS = DATABASE | {"Dockerfile"}
UNEDITED = [  # each release, store, example and pipeline; `fleet.py --hook` has all of them together
    ("0.1.0", {"ci": "gitlab"}, BOTH | PIPELINE["gitlab"] | {"Dockerfile"}),
    ("0.2.0", {"store": "redis", "ci": "github"}, BOTH | PIPELINE["github"] | {"Dockerfile"}),
    (
        "0.3.0",
        {"example": "accounts", "store": "memory", "ci": "github"},
        BOTH | PIPELINE["github"] | ACCOUNTS | {"src/orders_api/routes/users.py"},
    ),
    ("0.3.1", {"example": "accounts", "store": "redis", "ci": "gitlab"}, BOTH | PIPELINE["gitlab"] | ACCOUNTS),
    ("0.4.0", {"example": "accounts", "store": "memory", "ci": "gitlab"}, BOTH | ACCOUNTS),
    ("0.5.0", {"store": "memory", "ci": "github"}, ACCOUNTS | BOTH),
    ("0.6.0", {"store": "redis", "ci": "gitlab"}, ACCOUNTS | BOTH),
    ("0.7.0", {"ci": "gitlab"}, BOTH | DATABASE),
    ("0.8.0", {"ci": "github"}, DATABASE),
    ("0.9.0", {"store": "redis", "ci": "none"}, set()),
    ("0.10.0", {"ci": "github"}, set()),
    ("0.11.0", {"ci": "gitlab"}, set()),
    ("0.12.0", {"store": "redis", "ci": "github"}, set()),
    ("0.13.0", {"ci": "none"}, set()),
]


@pytest.mark.world  # in plain pytest, tests/test_offers.py takes an offer of each kind
@pytest.mark.parametrize(("release", "answers", "offered"), UNEDITED, ids=[release for release, *_ in UNEDITED])
def test_a_service_that_nobody_edited_ends_an_update_as_before_and_takes_each_offer(
    services: Services,
    environment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    release: str,
    answers: Answers,
    offered: set[str],
) -> None:
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", str(environment))
    assert [each for each, *_ in UNEDITED] == list(RELEASES)
    service = services.lived_in(tmp_path / "orders-api", release, answers, ())
    update(service)
    bring(service)
    commit(service, "updated")
    before, again = (AS_BEFORE, AS_BEFORE_AGAIN) if release in WHOLE else ((CONFIGURATION,), (CONFIGURATION,))

    assert not (found := failing(service, before)), "\n".join(found.values())
    assert warned(service) == ["seeds.offers"] * bool(offered)
    assert offers(service) == dict.fromkeys(offered, "open")
    if offered:
        assert offers(service, *offered) == {}
        commit(service, "taken")
        assert not (found := failing(service, again)), "\n".join(found.values())
        assert warned(service) == []
    is_minimal = "example: minimal" in (service / ".copier-answers.yml").read_text()
    fresh = services.emit(PRESENT, {**answers, "example": "minimal" if is_minimal else "accounts"})
    assert [name for name in offered if (service / name).read_bytes() != (fresh / name).read_bytes()] == []


def test_the_list_of_what_older_releases_emitted_is_current(services: Services) -> None:
    assert COMMITTED.read_text() == written(services), "run `uv run python -m tests.seed_hashes`"


def test_whatever_an_update_must_not_do_is_found(services: Services, tmp_path: Path) -> None:
    answers = combinations(PRESENT, "example", "store")[0]
    service = services.lived_in(tmp_path / "orders-api", PRESENT, answers, EDITS)
    before = state(service)
    assert not services.compare(service, before, PRESENT, answers)

    append(service / "README.md", "Not ours.\n")
    (service / "logo.png").unlink()
    (service / "bin" / "release").chmod(0o644)
    append(service / "compose.yaml", "# deleted by the team\n")
    append(service / "HARDENING.md", "Ours.\n")
    append(service / "verify" / "ours.py", "")
    append(service / "tests" / "conftest.py", "<<<<<<< before updating\n")
    found = services.compare(service, before, PRESENT, answers)

    assert found.conflicts == ["tests/conftest.py"]
    assert found.lost == ["README.md", "bin/release", "logo.png", "tests/conftest.py"]
    assert [each.split()[0] for each in found.wrong] == ["HARDENING.md", "compose.yaml", "verify/ours.py"]


@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        (r"granian>=2\.8,<999", "granian[uvloop]>=2.8.7"),
        (r"granian>=2\.8,<999", "granian>=2.8,<999"),
        (r'\n    "tzdata.*', ""),
        (r"; sys_platform == 'win32'", ""),
        (r"(?m)^name = .*", 'name = "theirs"'),
        (r'("idna.*)', r'\1\n    "theirs>=1",'),
    ],
)
def test_whatever_is_no_intersection_is_found(services: Services, tmp_path: Path, pattern: str, by: str) -> None:
    answers = combinations(PRESENT, "example", "store")[0]
    service = services.lived_in(tmp_path / "orders-api", PRESENT, answers, EDITS)
    ours, needed = ((service / name).read_text() for name in ("pyproject.toml", "verify/bounds.toml"))
    proper = ours.replace("granian>=2.8,<999", "granian[uvloop]>=2.8.7,<999")
    assert list(wrongly_bounded(ours, proper, needed)) == []

    broken = re.sub(pattern, by, proper if "granian" not in pattern else ours, count=1)

    assert broken != proper
    assert list(wrongly_bounded(ours, broken, needed))
