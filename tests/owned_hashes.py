"""The list of hashes of the owned files, `verify/owned.sha256`: `uv run python -m tests.owned_hashes` writes it anew.

Each owned file has one text a release, whatever the service is called. Where an answer decides which of two texts a
service gets, or whether it gets the file, the line names the answer.
"""

import sys
from pathlib import Path

from .edited_service import Services
from .releases import OWNED, PRESENT, REPOSITORY, Answers, combinations, files, make_history, matches, rewrite
from .releases import PACKAGE as NAME

sys.path.insert(0, str(REPOSITORY / "template"))

from verify.upkeep.owned_files import LIST, PACKAGE, Entry, digest, sealed

COMMITTED = REPOSITORY / "template" / LIST
HEADER = """\
# Owned by the template: an update rewrites this file.
# SHA-256 of every owned file of this release, with the ends of lines as Unix has them and `{package}` for the package's
# name in import lines. What follows a # names the answers of the services that have that text.
"""
QUESTIONS = ("example", "store")
"""What decides which owned files there are."""


def owned(folder: Path) -> dict[str, str]:
    """The hash of each owned file of a service; not of the record of its answers, nor of the list."""
    names = [name for name in files(folder) if matches(OWNED, name)]
    return {
        name.replace(f"src/{NAME}/", f"src/{PACKAGE}/"): digest((folder / name).read_bytes(), NAME)
        for name in names
        if name not in (".copier-answers.yml", LIST.as_posix())
    }


def entries(emitted: list[tuple[Answers, dict[str, str]]]) -> list[Entry]:
    """The lines of the list, for what is emitted for every combination of answers.

    Raises:
        ValueError: No answer, and no two of them, tell who gets a text.
    """
    texts = sorted({(path, each) for _, hashes in emitted for path, each in hashes.items()})
    return [Entry(each, path, when(path, each, emitted)) for path, each in texts]


def when(path: str, text: str, emitted: list[tuple[Answers, dict[str, str]]]) -> str:
    """The answers of exactly the services that have this text."""
    having = [answers for answers, hashes in emitted if hashes.get(path) == text]
    common = {name: value for name, value in having[0].items() if all(answers[name] == value for answers in having)}
    if [answers for answers, _ in emitted if common.items() <= answers.items()] != having:
        raise ValueError(f"{path} is the same for services that no answers tell from the others")
    return ",".join(f"{name}={value}" for name, value in common.items())


def written(services: Services) -> str:
    """The list for the working tree."""
    emitted = [(each, owned(services.emit(PRESENT, each))) for each in combinations(PRESENT, *QUESTIONS)]
    return sealed(HEADER + "".join(f"{entry}\n" for entry in entries(emitted)))


def written_in(folder: Path) -> str:
    """The same, in an empty folder."""
    return written(Services(make_history(folder / "template"), folder / "emitted"))


if __name__ == "__main__":
    sys.exit(rewrite(COMMITTED, written_in))
