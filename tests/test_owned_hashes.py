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

from .conftest import Emit
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


def test_the_list_is_that_of_the_working_tree(tmp_path: Path) -> None:
    assert COMMITTED.read_text() == written(tmp_path), "run `uv run python -m tests.owned_hashes`"


@pytest.mark.parametrize(
    "answers",
    [
        *combinations(PRESENT, "example", "store", "ci"),
        {"package_name": "no", "project_name": HOSTILE, "cors_origins": "https://a.example"},
        {"package_name": "a__b_", "store": "redis"},
    ],
    ids=str,
)
def test_every_owned_file_of_every_service_is_in_it(emit: Emit, answers: dict[str, str]) -> None:
    service = emit(**answers)

    found = ask(service)

    assert found["owned.unchanged"].startswith("PROVED"), found
    assert found["owned.recorded"].startswith("PROVED"), found
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
    "an answer taken out": (without_an_answer, r"UNVERIFIED owned\.unchanged .*no answer to example \| Put"),
    "an answer edited by hand": (another_answer, r"INSECURE owned\.unchanged .*redis\S*\.py is missing"),
    "no list": (
        lambda folder: (folder / LIST).unlink(),
        r"UNVERIFIED owned\.unchanged could not tell: verify/owned.sha256",
    ),
    "a broken list": (
        lambda folder: append(folder / LIST, "all\n"),
        r"UNVERIFIED owned\.unchanged .*holds the line 'all'",
    ),
    "an empty list": (lambda folder: (folder / LIST).write_text(""), r"UNVERIFIED owned\.unchanged .*names no file"),
}


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
