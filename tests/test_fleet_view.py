"""`fleet`: every service in one table and one page, from clones, addresses and forges, and an exit code that holds."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from fleet import template as releases
from fleet.__main__ import main
from fleet.clones import folders

from .edited_service import Services
from .forge import TOKEN, Project, head, served
from .releases import PRESENT, RELEASES, REPOSITORY, commit, git

Run = Callable[..., tuple[int, str]]
NOW = datetime.now(UTC)


def record(folder: Path, outcome: str = "proved", *, only: str = "", days: float = 0, **checks: str) -> dict[str, Any]:
    """What a run of `verify` leaves behind; `checks` are outcomes by step, `audit` is by default proved."""
    found = {"headers": "proved", "audit": "proved", **checks} if not only else {only: checks.get(only, "proved")}
    return {
        "time": (NOW - timedelta(days=days)).isoformat(timespec="seconds"),
        "commit": head(folder),
        "options": {"only": only, "target": "", "thorough": False},
        "outcome": outcome,
        "checks": [
            {"step": step, "name": f"{step} holds", "outcome": each, "seen": "as seen"} for step, each in found.items()
        ],
    }


def leave(folder: Path, found: dict[str, Any]) -> None:
    (folder / ".hardening").mkdir(exist_ok=True)
    (folder / ".hardening" / "last-verify.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def sample(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten services of every release in a folder of clones, each with something to be said of it."""
    root = tmp_path_factory.mktemp("clones")
    answers = [{"example": "minimal", "store": "memory"}, {"ci": "gitlab", "example": "minimal"}]
    versions = list(RELEASES)
    for number in range(10):
        release = PRESENT if number in (3, 7, 9) else versions[number % len(versions)]
        given = {name: value for name, value in answers[number % 2].items() if (release, name) != ("0.1.0", "store")}
        folder = services.lived_in(root / f"service-{number}", release, given, [])
        if number not in (4, 5):
            leave(folder, record(folder))
    (root / "service-7" / "HARDENING.md").unlink()
    with (root / "service-7" / "verify" / "__main__.py").open("a") as file:
        file.write("# ours\n")
    (root / "service-7" / "verify" / "more.py").write_text("1\n")
    commit(root / "service-7", "Edit what is owned")
    leave(root / "service-7", record(root / "service-7"))
    hit = record(root / "service-0", "insecure", audit="insecure")
    hit["checks"][1]["name"] = "requests 2.25.0 has PYSEC-2023-74"
    leave(root / "service-0", hit)
    waived = record(root / "service-1")
    waived["checks"][1]["name"] = "requests 2.25.0 has PYSEC-2023-74, waived until 2099-01-01"
    leave(root / "service-1", waived)
    (root / "service-2" / "audit-waivers.toml").write_text(
        '[[waiver]]\nadvisory = "PYSEC-2023-74"\npackage = "requests"\nreason = "No proxy."\nexpires = 2026-01-01\n'
    )
    commit(root / "service-2", "waive")
    leave(root / "service-2", record(root / "service-2"))
    leave(root / "service-6", record(root / "service-6", days=9))
    (root / "service-8" / "README.md").write_text("# After the proof\n")
    commit(root / "service-8", "ours")
    leave(root / "service-9", record(root / "service-9", "unverified", headers="unverified"))
    other = root / "a-library"
    other.mkdir()
    (other / "README.md").write_text("# no service\n")
    commit(other, "other")
    return root


@pytest.fixture
def run(history: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def fleet(*arguments: str | Path, template: Path = history) -> tuple[int, str]:
        capsys.readouterr()
        code = main([*map(str, arguments), f"--template={template}"])
        told = capsys.readouterr()
        return code, told.out + told.err

    return fleet


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))


def test_clones_in_one_table_of_80_columns_and_one_page(sample: Path, run: Run, tmp_path: Path) -> None:
    code, text = run("--clones", sample, "--html", tmp_path / "fleet.html")

    assert code == 1
    table = text.split("\n\n")[0].splitlines()
    assert len(table) == 11
    assert max(map(len, table)) <= 80
    assert re.search(r"service-3 +well +v999\.0\.0 +- +proved (now|\d+ min) +- +- +\? +\?$", line_of(text, "service-3"))
    assert re.search(r"service-7 +ACT +v999\.0\.0 +3 +proved", line_of(text, "service-7"))
    for said in ("HARDENING.md was deleted", "verify/__main__.py was changed", "verify/more.py was added"):
        assert said in text
    assert re.search(r"service-0 +ACT .* insecure (now|\d+ min) +1 ", line_of(text, "service-0"))
    assert "advisory: requests, PYSEC-2023-74: 2 of 10: service-0, service-1 (until" in text
    assert re.search(r"service-2 +ACT", line_of(text, "service-2"))
    assert "2026-01-01 ENDED" in text
    assert re.search(r"service-9 +unknown .* unproved (now|\d+ min)", line_of(text, "service-9"))
    assert "no audit in the last 8 days" in text
    assert "no run of verify is known: no .hardening/last-verify.json in this clone" in text
    assert re.search(r"verify ran on [0-9a-f]{9}, not on [0-9a-f]{9}", text)
    assert "1 other repositories are no services of this template." in text
    assert re.search(r"10 services: \d well, \d to act upon, \d unknown\.", text)
    page = (tmp_path / "fleet.html").read_text()
    for each in ("service-3", "requests", "PYSEC-2023-74", "2026-01-01 ENDED", "No proxy.", "unknown"):
        assert each in page


def test_the_exit_code_says_well_only_of_what_is_known_to_be(sample: Path, run: Run, tmp_path: Path) -> None:
    for name, expected in (("service-3", 0), ("service-9", 2), ("service-7", 1)):
        shutil.copytree(sample / name, tmp_path / str(expected) / name)
        assert run("--clones", tmp_path / str(expected))[0] == expected
    shutil.copytree(sample / "service-3", tmp_path / "2" / "service-3")
    assert run("--clones", tmp_path / "2")[0] == 2
    shutil.copytree(sample / "service-3", tmp_path / "1" / "service-3")
    assert run("--clones", tmp_path / "1")[0] == 1


def test_a_link_to_a_clone_is_no_second_one(tmp_path: Path) -> None:
    (tmp_path / "orders" / ".git").mkdir(parents=True)
    (tmp_path / "again").symlink_to(tmp_path / "orders")

    assert folders(tmp_path) == [tmp_path / "orders"]


def test_nothing_of_a_service_runs_when_it_is_looked_at(sample: Path, run: Run, tmp_path: Path) -> None:
    service = tmp_path / "clones" / "service-3"
    shutil.copytree(sample / "service-3", service)
    trap = f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n"
    for hook in ("post-checkout", "pre-commit", "reference-transaction", "post-merge"):
        (service / ".git" / "hooks").mkdir(exist_ok=True)
        (service / ".git" / "hooks" / hook).write_text(trap)
        (service / ".git" / "hooks" / hook).chmod(0o755)
    (service / "monitor").write_text(trap)
    (service / "monitor").chmod(0o755)
    git(service, "config", "core.fsmonitor", str(service / "monitor"))
    (service / "verify" / "__init__.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (service / "conftest.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    git(service, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-am", "trap")
    answers = service / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("_src_path: ", "_src_path: ext::touch@"))

    code, text = run("--clones", tmp_path / "clones")

    assert code == 1
    assert "verify/__init__.py was changed" in text
    assert not (tmp_path / "ran").exists()


def test_addresses_are_cloned_for_the_look_and_a_dead_one_is_no_good_one(
    sample: Path, run: Run, tmp_path: Path
) -> None:
    listed = tmp_path / "fleet.txt"
    found = [sample / "service-7", f"{sample / 'service-3'} # the shop", tmp_path / "gone", sample / "a-library"]
    listed.write_text("# ours\n" + "".join(f"{each}\n" for each in found))

    code, text = run("--addresses", listed)

    assert code == 1
    assert "verify/__main__.py was changed" in text
    assert "an address alone has no pipeline" in re.sub(r"\s+", " ", text)
    assert "could not be read" in text
    assert "has no .copier-answers.yml" in re.sub(r"\s+", " ", text)
    assert "4 services: 0 well, 1 to act upon, 3 unknown." in text


class _Outside(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object", "embed", "form", "base"):
            self.wrong.append(tag)
        self.wrong += [name for name, _ in attrs if name.startswith("on") or name in ("src", "style")]
        self.wrong += [str(value) for name, value in attrs if name == "href" and not str(value).startswith("http")]
        self.opened.append(tag)


def test_the_page_stands_by_itself_and_shows_hostile_texts_as_texts(
    services: Services, run: Run, tmp_path: Path
) -> None:
    evil = '<img src=x onerror="alert(1)">\x1b[31m\u202e'
    folder = services.lived_in(tmp_path / "clones" / "orders & <b>", PRESENT, {"example": "minimal"}, [])
    found = record(folder, "insecure", headers="insecure")
    found["checks"][0] |= {"name": evil, "seen": evil}
    leave(folder, found)
    page = tmp_path / "fleet.html"

    code, text = run("--clones", folder.parent, "--html", page)

    shown = page.read_text()
    parser = _Outside()
    parser.feed(shown)
    assert code == 1
    assert not parser.wrong
    assert "onerror=&quot;" in shown
    assert "\x1b" not in shown + text
    assert "\u202e" not in shown + text
    assert not re.search(r"url\(|@import|https?://", shown.replace(str(tmp_path), ""))
    for part in (
        "lang=",
        "viewport",
        "prefers-color-scheme: dark",
        "@media print",
        "max-width: 46rem",
        "<caption>",
        'scope="row"',
    ):
        assert part in shown
    assert "default-src &#x27;none&#x27;" in shown


# Forges


def projects(sample: Path) -> list[Project]:
    """The sample as repositories of an organisation, with what their pipelines recorded."""
    found = []
    for number, folder in enumerate(sorted(sample.iterdir()), 1):
        kept = folder / ".hardening" / "last-verify.json"
        records = [json.loads(kept.read_text())] if kept.exists() else []
        found.append(Project(number * 10, f"org/{folder.name}", folder, records))
    return found


@pytest.mark.parametrize(("kind", "api"), [("github", "/api/v3"), ("gitlab", "/api/v4")])
def test_an_organisation_says_the_same_as_its_clones(
    sample: Path, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, api: str
) -> None:
    monkeypatch.setenv({"github": "GH_TOKEN", "gitlab": "GITLAB_TOKEN"}[kind], TOKEN)
    _, clones = run("--clones", sample)
    page = tmp_path / "fleet.html"
    with served(projects(sample)) as forge:
        forge.requests["org/service-3"] = f"{forge.url}/org/service-3/pull/7"
        code, text = run(f"--{kind}", "org", "--api", forge.url + api, "--html", page)

    assert code == 1
    for number in range(10):
        here, there = line_of(clones, f"service-{number}"), line_of(text, f"org/service-{number}")
        assert here.split()[1:5] == there.split()[1:5]
    assert line_of(text, "org/service-3").endswith(" open")
    assert line_of(text, "org/service-9").endswith(" -")
    assert "/org/service-3/pull/7" in text
    assert "1 other repositories" in text
    storage = forge.storage
    assert storage
    assert not any(each.authorization for each in storage.asked), "the token goes to the API alone"
    assert TOKEN not in text + page.read_text() + "".join(each.path for each in forge.asked)
    if kind == "github":
        assert storage.asked, "downloads are redirected"
        assert len(forge.asked) <= 6 + 10 * 3


def test_an_artifact_of_a_fork_proves_nothing(sample: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GH_TOKEN", TOKEN)
    (own,) = (each for each in projects(sample) if each.name == "org/service-3")
    own.forked = True
    with served([own]) as forge:
        code, text = run("--github", "org", "--api", f"{forge.url}/api/v3")

    assert code == 2
    assert "no run of verify is known" in text


def test_a_night_that_looked_at_the_drift_alone_hides_no_whole_run(
    sample: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
    (own,) = (each for each in projects(sample) if each.name == "org/service-3")
    own.records = [
        record(own.folder, only="drift"),
        record(own.folder, only="audit", days=0.1),
        record(own.folder, days=30),
    ]
    with served([own]) as forge:
        code, text = run("--gitlab", "org", "--api", f"{forge.url}/api/v4")
        assert code == 0, text
        assert "proved 30 d" in text
        own.records = [record(own.folder, "insecure", only="audit", audit="insecure"), record(own.folder, days=30)]
        assert run("--gitlab", "org", "--api", f"{forge.url}/api/v4")[0] == 1


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_limit_is_waited_for_and_a_failure_tried_again(
    sample: Path, run: Run, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv({"github": "GH_TOKEN", "gitlab": "GITLAB_TOKEN"}[kind], TOKEN)
    monkeypatch.setattr("fleet.api.PAUSE", 0.01)
    failures = iter([(429, {"Retry-After": "0"}), (502, {}), (403, {"Retry-After": "0"}), (503, {"Retry-After": "0"})])
    own = [each for each in projects(sample) if each.name == "org/service-3"]
    with served(own) as forge:
        forge.fail = lambda _: next(failures, None) if len(forge.asked) % 2 else None
        code, text = run(f"--{kind}", "org", "--api", forge.url + {"github": "/api/v3", "gitlab": "/api/v4"}[kind])

    assert code == 0, text
    assert next(failures, None) is None


def test_a_limit_of_an_hour_is_said_and_what_was_read_is_shown(
    sample: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GH_TOKEN", TOKEN)
    reset = str(int((NOW + timedelta(hours=1)).timestamp()))
    own = [each for each in projects(sample) if each.name in ("org/service-3", "org/service-4", "org/service-5")]
    with served(own) as forge:
        limited = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
        forge.fail = lambda path: (403, limited) if "service-4" in path else None
        code, text = run("--github", "org", "--api", f"{forge.url}/api/v3")

    assert code in (1, 2)
    assert re.search(r"org/service-3 +well", text)
    assert "the server's limit for this token is used up until" in re.sub(r"\s+", " ", text)


def test_words_for_what_cannot_work(run: Run, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    bad = tmp_path / "bad.txt"
    for content, said in (
        ("--upload-pack=x\n", "line 1: '--upload-pack=x' is no address"),
        ("ext::sh\n", "no address that git can clone"),
        ("# nothing\n", "holds no address. Write one a line"),
        (f"https://me:{TOKEN}@example.com/x\n", "take the password or token out of the address"),
    ):
        bad.write_text(content)
        code, text = run("--addresses", bad)
        assert (code, said in text) == (2, True), text
        assert TOKEN not in text
    for arguments, said in (
        (["--clones", tmp_path / "none"], "is no folder. --clones takes"),
        (["--clones", tmp_path / "empty"], "No repository stands in"),
        (["--addresses", tmp_path / "none"], "is a text file with one address a line"),
        (["--github", "org"], "There is no token: set GH_TOKEN or GITHUB_TOKEN"),
        (["--gitlab", "org"], "There is no token: set GITLAB_TOKEN"),
        (["--clones", sample, "--html", tmp_path / "no" / "x.html"], "Name a file in a folder that exists"),
    ):
        code, text = run(*arguments)
        assert (code, said in text) == (2, True), text
    code, text = run("--clones", sample, template=tmp_path / "none")
    assert (code, "cannot be cloned" in text, "Name it by --template" in text) == (2, True, True)
    monkeypatch.setenv("GH_TOKEN", TOKEN)
    for api in ("ftp://x", f"https://me:{TOKEN}@host/api/v3", "host"):
        code, text = run("--github", "org", "--api", api)
        assert (code, "write it as https://HOST/api/v3" in text, TOKEN in text) == (2, True, False)
    with served([]) as forge:
        code, text = run("--github", "nobody", "--api", f"{forge.url}/api/v3")
        assert (code, "there is no organisation nobody" in re.sub(r"\s+", " ", text)) == (2, True)
        monkeypatch.setenv("GH_TOKEN", "wrong")
        code, text = run("--github", "org", "--api", f"{forge.url}/api/v3")
        assert (code, "the token is not admitted" in re.sub(r"\s+", " ", text)) == (2, True)


def test_the_changelog_says_to_the_fleet_what_it_says_to_a_service() -> None:
    (path,) = (REPOSITORY / "template" / "verify").rglob("changelog.py")
    spec = spec_from_file_location("changelog_of_verify", path)
    assert spec
    assert spec.loader
    sys.modules["changelog_of_verify"] = module = module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (REPOSITORY / "CHANGELOG.md").read_text() + (
        "\n## [9.1.0] - 2027-01-01\n\n### Security\n\n- One, which goes\n  on. (store=redis)\n- Two.\n\n## [9.0.0]\n\n"
        "### Added\n\n- No.\n\n### Security\n\n- Three.\n"
    )
    for answers in ({}, {"store": "redis"}, {"store": "memory"}):
        for after in (*RELEASES, "9.0.0"):
            theirs = [each for each in module.between(text, after, "9.1.0", answers) if each.kind == "Security"]
            ours = releases.security(text, Version(after), Version("9.1.0"), answers)
            assert sorted(ours) == sorted(f"{each.version}: {each.text}" for each in theirs)


def test_fleet_runs_from_a_clone(sample: Path, history: Path) -> None:
    command = [sys.executable, "-m", "fleet", "--clones", str(sample / "service-3"), f"--template={history}"]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert (ran.returncode, "1 service: 1 well" in ran.stdout) == (0, True), ran.stdout + ran.stderr


def test_the_wheel_holds_the_fleet_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(["uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path, REPOSITORY], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()

    assert {name.split("/")[0] for name in names} == {"fleet", "hardened_fastapi-0.dist-info"}
    assert "fleet = fleet.__main__:main" in entry
    assert not any("test" in name for name in names)
