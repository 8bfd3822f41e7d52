"""Offers: what a release would change in files of the team's is asked for, and nothing of theirs is ever lost."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import verify.upkeep.offers as searching
from copier import run_copy
from verify.result import Options, Outcome, Rule
from verify.runner.files import write_atomically
from verify.upkeep import answering, open_offers
from verify.upkeep.seeds import LIST, Emitted, seed_digest, softened
from verify.upkeep.update import _offers

from .conftest import commit, files, git
from .edited_service import update
from .mini_template import release, service_of, small_template

OLD = '"""A seed."""\n\nONE = 1\nTWO = 2\nTHREE = 3\nFOUR = 4\nFIVE = 5\n'
NEW = OLD.replace("ONE = 1", "ONE = 11")
APP = "src/orders_api/app.py"
OFFERED = "Counts from eleven.\n  Seed: src/*/app.py\n  Seed: README.md\n  Seed: .gitignore"
REASON = "Counts from eleven."
Service = Path
Run = Callable[..., int]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template whose second release offers changes to three seeds, one of them new."""
    folder = small_template(tmp_path_factory.mktemp("offering") / "template")
    app = folder / "template/src/{{ package_name }}/app.py"
    app.write_text(OLD)
    (folder / "template/README.md").unlink()
    commit(folder, "before")
    git(folder, "tag", "--force", "v1.0.0")
    head = git(folder, "rev-parse", "HEAD").strip()
    ignored = (folder / "template/.gitignore").read_bytes()
    app.write_text(NEW)
    (folder / "template/README.md").write_text("# A seed that is new\n")
    (folder / "template/.gitignore").write_bytes(ignored + b"/cookies\n")
    texts = ((OLD.encode(), "src/{package}/app.py"), (ignored, ".gitignore"))
    lines = (Emitted(seed_digest(old, "orders_api"), path, "1.0.0", head, "1.1.0", ("Fixed",)) for old, path in texts)
    (folder / "template" / LIST).write_text("# Owned\n" + "".join(f"{line}\n" for line in lines))
    release(folder, "1.1.0", "Fixed", OFFERED)
    return folder


@pytest.fixture(scope="module")
def updated(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service of the first release that nobody edited, after an update of its files alone."""
    service = service_of(template, tmp_path_factory.mktemp("updated") / "orders-api", vcs_ref="v1.0.0")
    update(service)
    commit(service, "updated")
    return service


@pytest.fixture
def service(updated: Service, tmp_path: Path) -> Service:
    return shutil.copytree(updated, tmp_path / "orders-api", symlinks=True)


@pytest.fixture(scope="module")
def renderings(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What both releases emit."""
    found: dict[str, dict[str, bytes]] = {}
    for ref in ("v1.0.0", "v1.1.0"):
        folder = tmp_path_factory.mktemp("rendered") / "orders-api"
        data = {"project_name": "orders-api", "checks": "off"}
        run_copy(str(template), folder, vcs_ref=ref, data=data, defaults=True, quiet=True, skip_tasks=True)
        content = {name: (folder / name).read_bytes() for name in files(folder)}
        found |= {ref: content, git(template, "rev-parse", f"{ref}^{{commit}}").strip(): content}
    return found


@pytest.fixture
def run(service: Service, renderings: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in this process, with what Copier renders at hand."""
    monkeypatch.setattr(searching.Search, "rendered", lambda _, ref: renderings[ref])
    return lambda *arguments: answering.main(service, arguments)


def states(service: Service) -> dict[str, str]:
    """The state of each offer by file, as the fleet reads it."""
    found = json.loads((service / ".hardening/seeds.json").read_text())["offers"]
    return {each["file"]: each["state"] for each in found}


def said(service: Service) -> tuple[Outcome, str]:
    """What `verify` says of offers."""
    check = open_offers.check(Options(service, "orders_api"))
    assert check.id == "seeds.offers"
    return check.outcome, check.seen


def test_what_nobody_has_edited_is_offered_and_taken_with_one_command(service: Service, run: Run) -> None:
    before = {name: (service / name).read_bytes() for name in files(service)}

    assert run("--offers") == 0

    assert states(service) == dict.fromkeys((".gitignore", "README.md", APP), "open")
    assert {name: (service / name).read_bytes() for name in before} == before
    assert said(service) == (Outcome.WARNING, f"open: .gitignore, README.md, {APP}")
    assert run("--take", APP, "README.md", ".gitignore") == 0
    assert (service / APP).read_text() == NEW
    assert (service / "README.md").read_text() == "# A seed that is new\n"
    assert (states(service), said(service)) == ({}, (Outcome.PROVED, "none is open"))
    commit(service, "taken")
    assert run("--offers") == 0
    assert states(service) == {}


def test_the_patch_is_one_that_git_applies_in_a_folder_of_a_repository(
    service: Service, run: Run, tmp_path: Path
) -> None:
    shutil.rmtree(service / ".git")
    folder = tmp_path / os.fsdecode(b"caf\xe9")  # no UTF-8
    folder.mkdir()
    moved = Path(shutil.move(service, folder))
    commit(tmp_path, "all services in one repository")

    answering.main(moved, ["--offers"])
    git(moved, "apply", ".hardening/seeds.patch")
    shutil.move(moved, service)

    assert (service / APP).read_text() == NEW
    assert "/cookies" in (service / ".gitignore").read_text()


def test_edits_are_merged_with_what_is_offered(service: Service, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (service / APP).write_text(OLD.replace("FIVE = 5", "FIVE = 55"))
    commit(service, "ours")

    assert run("--offers") == 0

    assert "fit together" in capsys.readouterr().out
    assert APP in said(service)[1]
    assert run("--take", APP) == 0
    assert (service / APP).read_text() == NEW.replace("FIVE = 5", "FIVE = 55")


def test_edits_that_are_in_the_way_stay_and_the_diff_is_shown_with_the_reason(
    service: Service, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = OLD.replace("ONE = 1", "ONE = 111")
    (service / APP).write_text(ours)
    commit(service, "ours")

    run("--offers")

    out = capsys.readouterr().out
    assert "in the way; change it by hand" in out
    assert "-ONE = 1\n" in out
    assert "+ONE = 11\n" in out
    assert REASON in out
    assert APP not in (service / ".hardening/seeds.patch").read_text()
    assert run("--take", APP) == 2
    assert "in the way; change it by hand" in capsys.readouterr().err
    assert (service / APP).read_text() == ours
    (service / APP).write_text(NEW)
    run("--offers")
    assert APP not in states(service)


def test_line_ends_of_windows_stay(service: Service, run: Run) -> None:
    (service / APP).write_bytes(OLD.replace("\n", "\r\n").encode())
    git(service, "commit", "--quiet", "--all", "--message", "for Windows")

    run("--offers")

    assert APP in said(service)[1]
    git(service, "apply", "--check", ".hardening/seeds.patch")
    assert run("--take", APP) == 0
    assert (service / APP).read_bytes() == NEW.replace("\n", "\r\n").encode()


@pytest.mark.parametrize("ours", [OLD, OLD.replace("THREE", "OUR_THREE")])
def test_of_a_file_that_mixes_line_ends_each_stays(service: Service, run: Run, ours: str) -> None:
    (service / APP).write_bytes(ours.replace("FIVE = 5\n", "FIVE = 5\r\n").encode())
    git(service, "commit", "--quiet", "--all", "--message", "mixed")

    assert run("--take", APP) == 0

    wanted = ours.replace("ONE = 1", "ONE = 11").replace("FIVE = 5\n", "FIVE = 5\r\n")
    assert (service / APP).read_bytes() == wanted.encode()


def dirty(service: Service) -> None:
    (service / APP).write_text(f"{OLD}SIX = 6\n")


def linked(service: Service) -> None:
    (service / APP).rename(service / "elsewhere.txt")
    (service / APP).symlink_to(service / "elsewhere.txt")
    commit(service, "a link")


def read_only(service: Service) -> None:
    (service / APP).chmod(0o444)


def deleted(service: Service) -> None:
    (service / APP).unlink()
    commit(service, "we do without")


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (dirty, "has edits that are not committed: commit or stash them first."),
        (linked, "is a link, or in a folder that is one"),
        (read_only, f"is read-only: `chmod u+w {APP}` first."),
        (deleted, f"{APP} is not here any more, so nothing is offered for it."),
    ],
)
def test_what_is_in_the_way_of_an_offer_is_said_and_nothing_is_changed(
    service: Service, run: Run, capsys: pytest.CaptureFixture[str], prepare: Callable[[Path], None], sentence: str
) -> None:
    prepare(service)
    before = {name: (service / name).read_bytes() for name in files(service)}

    assert run("--take", ".gitignore", APP) == 2

    assert sentence in capsys.readouterr().err
    assert {name: (service / name).read_bytes() for name in before} == before
    assert states(service)[APP] == ("gone" if prepare is deleted else "open")


def test_what_is_edited_while_offers_are_looked_for_stays(
    service: Service, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = answering.look

    def meanwhile(project: Path, source: str) -> list[searching.Offer]:
        found = look(project, source)
        (service / APP).write_text(f"{OLD}SIX = 6\n")
        git(service, "commit", "--quiet", "--all", "--message", "meanwhile")
        return found

    monkeypatch.setattr(answering, "look", meanwhile)

    assert run("--take", APP) == 2
    assert "has changed while offers were looked for" in capsys.readouterr().err
    assert (service / APP).read_text() == f"{OLD}SIX = 6\n"


def test_without_git_it_is_not_said_that_there_are_edits(
    service: Service, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(service / ".git")

    assert run("--take", APP) == 2
    assert f"Whether {APP} has edits that are not committed, git does not say" in capsys.readouterr().err


def test_of_several_offers_all_are_taken_or_none(service: Service, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {name: (service / name).read_bytes() for name in files(service)}

    def fail(path: Path, content: bytes) -> None:
        if path.name == ".gitignore" and b"cookies" in content:
            raise OSError(28, "No space left on device")
        write_atomically(path, content)

    monkeypatch.setattr(answering, "write_atomically", fail)

    assert run("--take", "README.md", APP, ".gitignore") == 2
    assert {name: (service / name).read_bytes() for name in files(service) if ".hardening" not in name} == before


def test_a_deleted_file_is_not_new_where_the_history_is_cut_off(service: Service, run: Run, tmp_path: Path) -> None:
    (service / APP).unlink()
    commit(service, "we do without")
    git(service, "commit", "--quiet", "--allow-empty", "--message", "later")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", service.as_uri(), str(shallow))

    assert answering.main(shallow, ["--offers"]) == 0
    assert states(shallow)[APP] == "gone"


def test_nobody_has_looked_is_not_said_to_be_proved(service: Service, run: Run) -> None:
    (service / APP).write_text(f"{OLD}SIX = 6\n")
    commit(service, "ours")

    assert run("--take", ".gitignore", "README.md") == 0
    shutil.rmtree(service / ".hardening")  # as in a clone

    outcome, seen = said(service)
    assert outcome is Outcome.PROVED
    assert seen.startswith("none is open of files that nobody has edited; whether there is one for .gitignore, ")
    assert APP in seen


@pytest.mark.parametrize("text", [b'{"release": ', b"[" * 100_000, b"\xff"])
def test_what_cannot_be_read_ends_no_stage(service: Service, run: Run, text: bytes) -> None:
    assert run("--offers") == 0
    (service / ".hardening/seeds.json").write_bytes(text)
    with (service / LIST).open("ab") as file:
        file.write(b"\xff")
    assert said(service)[0] is Outcome.WARNING

    run("--offers")
    (service / ".copier-answers.yml").unlink()
    assert said(service)[0] is Outcome.WARNING


def test_a_file_that_cannot_be_written_is_said(
    service: Service, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(28, "No space left on device", APP)

    def fail(path: Path, _: bytes) -> None:
        if path.name == "app.py":
            raise full

    assert run("--offers") == 0
    monkeypatch.setattr(answering, "record", lambda *_: None)
    monkeypatch.setattr(answering, "write_atomically", fail)

    assert run("--take", APP) == 2
    assert "No space left on device" in capsys.readouterr().err


def test_a_renamed_file_is_found_under_its_new_name(service: Service, run: Run) -> None:
    (service / APP).rename(service / "src/orders_api/main.py")
    commit(service, "renamed")

    run("--offers")

    assert states(service)["src/orders_api/main.py"] == "open"
    assert run("--take", "src/orders_api/main.py") == 0
    assert (service / "src/orders_api/main.py").read_text() == NEW
    assert not (service / APP).exists()


def test_a_file_of_the_teams_own_under_a_name_of_the_templates_is_let_be(service: Service, run: Run) -> None:
    (service / "README.md").write_text("# Ours\n")
    commit(service, "ours")

    run("--offers")

    assert "README.md" not in states(service)


def test_what_is_declined_is_remembered_with_the_reason_until_a_release_names_it_again(
    service: Service, run: Run, capsys: pytest.CaptureFixture[str], template: Path
) -> None:
    assert run("--decline", APP) == 2
    assert "Say why" in capsys.readouterr().err
    assert run("--decline", APP, "--reason", "caf\udce9") == 2
    assert "Nothing was changed. The reason is not UTF-8" in capsys.readouterr().err
    assert run("--decline", "nothing.py", "--reason", "no") == 2
    assert "There is no offer for nothing.py; offered is" in capsys.readouterr().err

    assert run("--decline", APP, "--reason", 'We "count" \\ from one 🙂') == 0

    assert said(service) == (
        Outcome.WARNING,
        f'open: .gitignore, README.md; {APP} was declined: We "count" \\ from one 🙂',
    )
    commit(service, "declined")
    shutil.rmtree(service / ".hardening")  # as in a clone
    assert APP in said(service)[1].partition("declined")[0]
    run("--offers")
    assert states(service)[APP] == "declined"
    project = service / "pyproject.toml"
    project.write_text(project.read_text().replace('release = "v1.1.0"', 'release = "v1.0.0"'))
    run("--offers")
    assert states(service)[APP] == "open"
    assert "was declined up to v1.0.0" in capsys.readouterr().out
    assert said(service) == (Outcome.WARNING, f"open: .gitignore, README.md, {APP}")


@pytest.mark.parametrize("release", ["1234567", "abc1234", "0" * 40])
def test_what_was_declined_before_there_was_a_release_is_asked_again_by_the_first(
    service: Service, run: Run, release: str
) -> None:
    assert run("--decline", APP, "--reason", "not yet") == 0
    assert f"{APP} was declined: not yet" in said(service)[1]
    project = service / "pyproject.toml"
    project.write_text(project.read_text().replace('release = "v1.1.0"', f'release = "{release}"'))
    shutil.rmtree(service / ".hardening")  # as in a clone

    assert said(service) == (Outcome.WARNING, f"open: .gitignore, {APP}")

    answers = service / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("v1.1.0", release))  # it is that commit still
    assert f"{APP} was declined: not yet" in said(service)[1]


@pytest.mark.parametrize("new", [False, True])
def test_a_file_that_git_ignores_is_not_taken(
    service: Service, run: Run, capsys: pytest.CaptureFixture[str], *, new: bool
) -> None:
    name = "README.md" if new else APP
    with (service / ".gitignore").open("a") as file:
        file.write(f"/{name}\n")
    if not new:
        git(service, "rm", "--quiet", "--cached", name)
    commit(service, "ignored")
    before = (service / name).read_bytes() if not new else None

    assert run("--take", name) == 2

    assert f"{name} is ignored by git" in capsys.readouterr().err
    assert ((service / name).read_bytes() if not new else None) == before
    assert (service / name).exists() is not new


def test_a_table_that_takes_no_more_is_said(service: Service, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    project = service / "pyproject.toml"
    project.write_text(f"{project.read_text()}\n[tool.hardening]\ndeclined = []\n")
    before = project.read_bytes()

    assert run("--decline", APP, "--reason", "ours is better") == 2

    assert "takes no [[tool.hardening.declined]]" in capsys.readouterr().err
    assert project.read_bytes() == before


def test_the_pull_request_has_a_second_patch(service: Service, run: Run) -> None:
    assert _offers(service) == ""
    run("--offers")

    told = _offers(service)

    assert told.startswith("Offered for your own files, and not part of this proposal")
    assert f"- {APP}: nobody has edited it since the template wrote it. v1.1.0: {REASON}" in told
    assert "+ONE = 11\n" in told
    assert len(told) < 9_000


def test_without_tags_offers_are_found_by_commit(service: Service, run: Run, template: Path, tmp_path: Path) -> None:
    bare = tmp_path / "no-tags"
    git(tmp_path, "clone", "--quiet", "--no-tags", template.as_uri(), str(bare))
    head = git(bare, "rev-parse", "HEAD").strip()
    answers = service / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("v1.1.0", head).replace(str(template), bare.as_uri()))

    with pytest.MonkeyPatch.context() as patch:
        original = searching.Search.rendered
        patch.setattr(searching.Search, "rendered", lambda self, ref: original(self, "v1.1.0" if ref == head else ref))
        assert run("--offers") == 0

    assert states(service)[APP] == "open"


def test_the_command_renders_with_copier_and_a_template_that_is_away_is_said(service: Service) -> None:
    def command(*options: str) -> subprocess.CompletedProcess[str]:
        python = "import sys; from pathlib import Path; from verify.upkeep import answering; sys.exit("
        code = f"{python}answering.main(Path.cwd(), sys.argv[1:]))"
        run = ["uv", "run", "--quiet", "--with=packaging,tomlkit,pyyaml", "python", "-c", code, *options]
        return subprocess.run(run, cwd=service, capture_output=True, text=True, check=False)

    looked = command("--offers")
    assert looked.returncode == 0, looked.stderr
    assert states(service) == dict.fromkeys((".gitignore", "README.md", APP), "open")

    answers = service / ".copier-answers.yml"
    answers.write_text(re.sub(r"(?m)^_src_path: .*$", "_src_path: /nowhere", answers.read_text()))
    away = command("--offers")
    assert away.returncode == 2
    assert "the template at /nowhere cannot be reached" in away.stderr
    assert not (service / ".hardening/seeds.json").exists()


@pytest.mark.parametrize("kinds", [("Fixed",), ("Fixed", "Security")])
@pytest.mark.parametrize("edited", [False, True])
def test_what_a_check_finds_in_a_file_that_nobody_edited_is_a_warning_until_an_entry_under_security(
    service: Service, kinds: tuple[str, ...], *, edited: bool
) -> None:
    line = Emitted(seed_digest(OLD.encode(), "orders_api"), "src/{package}/app.py", "1.0.0", "0" * 40, "1.1.0", kinds)
    (service / LIST).write_text(f"{line}\n")
    if edited:
        (service / APP).write_text(f"{OLD}# ours\n")
    failed = Rule("configuration", "app.counts", "it counts").insecure("it does not", "Count.")

    (check,) = softened([failed], service, "orders_api", APP)

    asked_for = edited or "Security" in kinds
    assert check.outcome is (Outcome.INSECURE if asked_for else Outcome.WARNING)
    assert ("verify.update --offers" in check.remedy) is not asked_for
