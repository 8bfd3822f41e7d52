"""The list of what older releases emitted where the changelog has an offer: `uv run python -m tests.seed_hashes`.

`verify/seeds.sha256` tells a service whether somebody has edited such a file since, and which release it is from.
"""

import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import cycle
from pathlib import Path

from .edited_service import Services
from .releases import (
    PACKAGE,
    PRESENT,
    RELEASES,
    REPOSITORY,
    Answers,
    choices,
    combinations,
    make_history,
    matches,
    rewrite,
    seeds,
)

sys.path.insert(0, str(REPOSITORY / "template"))

from verify.upkeep.changelog import Entry, between
from verify.upkeep.owned_files import PACKAGE as PLACEHOLDER
from verify.upkeep.seeds import LIST, Emitted, seed_digest

COMMITTED = REPOSITORY / "template" / LIST
HEADER = """\
# Owned by the template: an update rewrites this file.
# SHA-256 of what older releases emitted where the changelog offers a change to a file of the team's: path, the newest
# release that emitted it, its commit, the section of the changelog that names the file, and the kinds of its entries.
"""


def services_of(release: str) -> Iterator[Answers]:
    """Answers that bring every text of every seed which does not hold an answer itself."""
    pipelines = choices(release, "ci")
    for answers, ci in zip(combinations(release, "example", "store"), cycle(pipelines), strict=False):
        yield {**answers, "ci": ci}
    for ci in pipelines[1:]:
        yield {**combinations(release, "example", "store")[0], "ci": ci}


def offered(release: str, answers: Answers) -> list[Entry]:
    """The entries of the changelog after a release that name a seed of such a service, the newest first."""
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    return [each for each in between(changelog, release, PRESENT.removeprefix("v"), answers) if each.seeds]


def lines(services: Services) -> list[Emitted]:
    """The lines of the list."""
    found: dict[tuple[str, str], Emitted] = {}
    for release, commit in RELEASES.items():  # the oldest first: the newest that emitted a text is kept
        for answers in services_of(release):
            old, new = services.emit(release, answers), services.emit(PRESENT, answers)
            named = offered(release, answers)
            for name in (path.relative_to(old).as_posix() for path in old.rglob("*") if path.is_file()):
                entries = [each for each in named if any(fnmatch(name, seed) for seed in each.seeds)]
                text = seed_digest((old / name).read_bytes(), PACKAGE)
                if not entries or text == seed_digest((new / name).read_bytes(), PACKAGE):
                    continue
                if not matches(seeds(PRESENT), name):
                    raise ValueError(f"the changelog names {name}, which is no seed")
                path = name.replace(f"src/{PACKAGE}/", f"src/{PLACEHOLDER}/")
                kinds = tuple(sorted({each.kind for each in entries}))
                found[path, text] = Emitted(text, path, release, commit, _newest(entries), kinds)
    return sorted(found.values(), key=lambda each: (each.path, each.release, each.digest))


def _newest(entries: list[Entry]) -> str:
    """The newest section, in the order of the changelog."""
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    return min((each.version for each in entries), key=lambda version: changelog.index(f"## [{version}]"))


def written(services: Services) -> str:
    """The list for the working tree."""
    return HEADER + "".join(f"{each}\n" for each in lines(services))


def written_in(folder: Path) -> str:
    """The same, in an empty folder."""
    return written(Services(make_history(folder / "template"), folder / "emitted"))


if __name__ == "__main__":
    sys.exit(rewrite(COMMITTED, written_in))
