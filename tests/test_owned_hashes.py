"""`verify/owned.sha256` is that of the working tree, and a plain `verify` finds with it what was done in haste."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from verify.upkeep.owned_files import LIST, digest, parse

from .conftest import Emit, in_world_but
from .edited_service import Services
from .owned_hashes import COMMITTED, owned, written
from .releases import OWNED, PACKAGE, PRESENT, combinations, files, matches
from .team_edits import append
from .test_questions import HOSTILE

HEADERS = "src/orders_api/hardening/models.py"


def ask(service: Path) -> dict[str, str]:
    """What a plain `verify` says of the owned files, by the id of the check."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ended = subprocess.run(
        [sys.executable, "-m", "verify", "--only", "owned", "--format", "json"],
        cwd=service,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return {
        each["id"]: f"{each['outcome'].upper()} {each['id']} {each['seen']} | {each['remedy']}".replace("\n", " ")
        for each in json.loads(ended.stdout)["checks"]
    }


def test_the_list_is_that_of_the_working_tree(services: Services) -> None:
    assert COMMITTED.read_text() == written(services), "run `uv run python -m tests.owned_hashes`"


@pytest.mark.parametrize(
    "answers",
    in_world_but(
        [
            *combinations(PRESENT, "example", "store", "ci"),
            {"package_name": "no", "project_name": HOSTILE, "cors_origins": "https://a.example"},
            {"package_name": "a__b_", "store": "redis", "deploy": "kubernetes"},
        ],
        lambda answers: answers.get("ci") in (None, "github"),  # no pipeline is owned
    ),
    ids=str,
)
def test_every_owned_file_of_every_service_is_in_it(emit: Emit, tmp_path: Path, answers: dict[str, str]) -> None:
    service = shutil.copytree(emit(**answers), tmp_path / "orders-api")  # `verify` leaves a record

    found = ask(service)

    assert found["owned.unchanged"].startswith("PROVED"), found
    assert found["owned.recorded"].startswith("PROVED"), found
    assert found["owned.added"].startswith("PROVED"), found
    listed = int(re.findall(r"owned.unchanged (\d+) files", found["owned.unchanged"])[0])
    assert listed == len([name for name in files(service) if matches(OWNED, name)]) - 2, (
        "all but the answers and the list"
    )


@pytest.fixture
def service(emit: Emit, tmp_path: Path) -> Path:
    return shutil.copytree(emit(), tmp_path / "orders-api")


def emptied(service: Path) -> None:
    (service / HEADERS).write_bytes(b"")


def linked(service: Path) -> None:
    (service / "verify").rename(service / "elsewhere")
    (service / "verify").symlink_to("elsewhere")


def renamed_file(service: Path) -> None:
    (service / HEADERS).rename(service / HEADERS.replace("models", "ours"))


def renamed_package(service: Path) -> None:
    (service / "src/orders_api").rename(service / "src/renamed")
    for path in [*service.glob("src/**/*.py"), *service.glob("tests/**/*.py")]:
        path.write_text(re.sub(r"\borders_api\b", "renamed", path.read_text()))


def without_answers(service: Path) -> None:
    (service / ".copier-answers.yml").unlink()


def without_an_answer(service: Path) -> None:
    answers = service / ".copier-answers.yml"
    answers.write_text(re.sub(r"(?m)^example:.*\n", "", answers.read_text()))


def another_answer(service: Path) -> None:
    answers = service / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace("store: memory", "store: redis"))


def cut(service: Path, kept: slice) -> None:
    """Leave some lines of the list."""
    lines = (service / LIST).read_text().splitlines(keepends=True)
    (service / LIST).write_text("".join(lines[kept]))


NOT_WHOLE = (
    r"UNVERIFIED owned\.unchanged could not tell: verify/owned.sha256 cannot be read: it is cut off, doubled or edited"
    r".* \| `git checkout -- verify/owned.sha256`"
)
HASTE: dict[str, tuple[Callable[[Path], object], str]] = {
    "an edited file": (
        lambda folder: append(folder / HEADERS, "# Ours.\n"),
        rf"INSECURE owned\.unchanged {HEADERS} was changed .*git checkout -- {HEADERS}.*copier.* update",
    ),
    "an emptied file": (emptied, rf"INSECURE owned\.unchanged {HEADERS} was changed"),
    "a renamed file": (renamed_file, rf"INSECURE owned\.unchanged {HEADERS} is missing"),
    "a folder that is a link": (linked, r"INSECURE owned\.unchanged verify/\S+ is a link, or in a folder that is one"),
    "a renamed package": (
        renamed_package,
        r"INSECURE owned\.recorded .* the package orders_api, .* src/renamed \| Name",
    ),
    "no record of answers": (
        without_answers,
        r"UNVERIFIED owned\.recorded could not tell: .copier-answers.yml cannot be read.*Put .copier-answers.yml back",
    ),
    "an answer taken out": (without_an_answer, r"UNVERIFIED owned\.unchanged .*no answer to example, which .* \| Put"),
    "an answer edited by hand": (another_answer, r"INSECURE owned\.unchanged .*redis\S*\.py is missing"),
    "no list": (
        lambda folder: (folder / LIST).unlink(),
        r"UNVERIFIED owned\.unchanged could not tell: verify/owned.sha256",
    ),
    "a broken list": (
        lambda folder: append(folder / LIST, "all\n"),
        NOT_WHOLE,
    ),
    "an empty list": (lambda folder: (folder / LIST).write_text(""), NOT_WHOLE),
    "a list without its last line": (lambda folder: cut(folder, slice(-1)), NOT_WHOLE),
    "a list without its first lines": (lambda folder: cut(folder, slice(9, None)), NOT_WHOLE),
    "a list that is cut off": (lambda folder: cut(folder, slice(40)), NOT_WHOLE),
    "a list that is there twice": (lambda folder: append(folder / LIST, (folder / LIST).read_text()), NOT_WHOLE),
    "a list with the marks of a conflict": (
        lambda folder: (folder / LIST).write_text(f"<<<<<<< HEAD\n{(folder / LIST).read_text()}"),
        NOT_WHOLE,
    ),
}


def put(service: Path, name: str) -> None:
    """Put a file of the team there."""
    (service / name).parent.mkdir(parents=True, exist_ok=True)
    (service / name).write_text("ours = True\n")


ADDED = {
    "verify/target/__init__.py",
    "verify/stages/audit.abi3.so",
    "verify/attacks/ours.py",
    "verify/sitecustomize.py",
    "tests/hardening/test_ours.py",
    "tests/hardening/deeper/conftest.py",
    "src/orders_api/hardening/settings/__init__.py",
    "src/orders_api/hardening/steps/cors.pyc",
    "src/orders_api/__main__/__init__.py",
    "src/orders_api/__main__.abi3.so",
}


@pytest.mark.parametrize("name", sorted(ADDED))
def test_a_module_among_the_owned_ones_is_found(service: Path, name: str) -> None:
    put(service, name)

    found = ask(service)

    assert re.match(rf"INSECURE owned\.added {re.escape(name)} \| Move it", found["owned.added"]), found
    assert found["owned.unchanged"].startswith("PROVED")


def test_a_link_to_a_folder_of_modules_is_found(service: Path) -> None:
    put(service, "ours/__init__.py")
    (service / "verify/target").symlink_to(service / "ours")

    assert ask(service)["owned.added"].startswith("INSECURE owned.added verify/target")


def test_what_a_team_puts_elsewhere_is_its_own(service: Path) -> None:
    for name in (
        "verify.py",
        "sitecustomize.py",
        "verifying/target.py",
        "tests/conftest.py",
        "tests/hardening_of_ours/test_ours.py",
        "src/orders_api/hardening.py",
        "src/orders_api/main.py",
        "src/orders_api/verify/target.py",
        "src/hardening/settings.py",
        "verify/README.txt",
        "verify/__pycache__/target.cpython-311.pyc",
    ):
        put(service, name)

    assert ask(service)["owned.added"].startswith("PROVED"), ask(service)


@pytest.mark.parametrize(("deed", "said"), HASTE.values(), ids=HASTE)
def test_what_was_done_in_haste_is_found_without_the_template(
    service: Path, deed: Callable[[Path], object], said: str
) -> None:
    deed(service)

    assert [line for line in ask(service).values() if re.match(said, line)], ask(service)


def test_line_ends_of_windows_and_files_of_the_team_are_no_change(service: Path) -> None:
    for name in files(service):
        if matches(OWNED, name):
            (service / name).write_bytes((service / name).read_bytes().replace(b"\n", b"\r\n"))
    append(service / "src/orders_api/app.py", "# Ours.\n")
    append(service / "tests/conftest.py", "# Ours.\n")
    (service / "Dockerfile").unlink()

    assert all(line.startswith("PROVED") for line in ask(service).values()), ask(service)


def test_the_name_of_the_package_counts_for_nothing_in_import_lines_alone() -> None:
    text = b"from no.hardening import a\n    import no.b\nfrom nobody import c\nno = 'no'\n"
    other = b"from api.hardening import a\n    import api.b\nfrom nobody import c\nno = 'no'\n"

    assert digest(text, "no") == digest(other, "api")
    assert digest(text.replace(b"'no'", b"'api'"), "no") != digest(other, "api")


def test_each_line_is_one_text_and_names_the_answers_that_bring_it(emit: Emit) -> None:
    entries = parse(COMMITTED.read_text())

    assert len({(entry.path, entry.digest) for entry in entries}) == len(entries)
    assert {entry.when for entry in entries} >= {"", "store=redis", "example=accounts"}
    assert owned(emit()).items() <= {(entry.path, entry.digest) for entry in entries}
    assert PACKAGE not in COMMITTED.read_text()
