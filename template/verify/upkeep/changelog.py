# Owned by the template: an update rewrites this file.
"""What an update brings, out of the template's changelog: what breaks and what fixes a vulnerability is said first.

The text is a [Keep a Changelog](https://keepachangelog.com/en/1.1.0/). An entry that begins with `**Breaking**` asks
for work; one that ends in `(store=redis)` is for services with that answer alone; a line `Seed: Dockerfile` below it
names a file of the team's that it would change too. Copier's own interpreter loads this file too, after an update:
Python 3.10, and what Copier itself requires.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.version import InvalidVersion, Version

UNRELEASED = "Unreleased"
HASH = re.compile(r"[0-9a-f]{7,64}")
"""What `git describe` says of a commit with no tag before it; it may look like a version."""

_SECTION = re.compile(r"##\s+\[?([^\]\s]+)")
_KIND = re.compile(r"###\s+(.+)")
_ENTRY = re.compile(r"[-*+]\s+(.*)")
_LINK = re.compile(r"\[[^\]]+\]:")
_BREAKING = re.compile(r"\*\*breaking\b:?\*\*:?\s*", re.IGNORECASE)
_ONLY = re.compile(r"\s*\((\w+=[\w-]+(?:,\s*\w+=[\w-]+)*)\)\.?$")
_SEED = re.compile(r"\s+Seed:\s+(.+)")
_COMMITS_AFTER = re.compile(r"-(\d+)-g[0-9a-f]+$")

_ORDER = {"Security": 0, "Removed": 1, "Deprecated": 2, "Changed": 3}
"""What is first after what breaks; what was added or fixed can wait."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a changelog.

    Args:
        version: The section that it stands in: `0.2.0`, or `Unreleased`.
        kind: `Added`, `Changed`, `Deprecated`, `Removed`, `Fixed` or `Security`.
        breaking: Whether it asks for work, as an entry that begins with `**Breaking**` does.
        text: What it says, in one line, without that mark and without what it is only for.
        only: The answers of the services that it is for; none means every service.
        seeds: The files of the team's that it would change too, `*` for the package: what is offered to services that
            exist.
    """

    version: str
    kind: str
    breaking: bool
    text: str
    only: tuple[tuple[str, str], ...] = ()
    seeds: tuple[str, ...] = ()

    @property
    def urgent(self) -> bool:
        """Whether it comes first: it breaks something, or fixes a vulnerability."""
        return self.breaking or self.kind == "Security"

    def concerns(self, answers: Mapping[str, object]) -> bool:
        """Whether it is for a service with these answers. An answer that is not known hides nothing."""
        return all(answers.get(name, value) == value for name, value in self.only)


def parse(changelog: str) -> Iterator[Entry]:
    """Every entry of a changelog in the order of the text."""
    version = kind = ""
    lines: list[str] = []
    seeds: list[str] = []
    gap = False
    for line in [*changelog.splitlines(), "##"]:  # the heading ends the last entry
        entry = _ENTRY.match(line)
        if lines and (line.startswith("#") or entry or _LINK.match(line) or (gap and line[:1].strip())):
            yield _entry(version, kind, " ".join(lines), seeds)
            lines, seeds = [], []
        gap = not line.strip()
        if section := _SECTION.match(line):
            version, kind = section[1], ""
        elif heading := _KIND.match(line):
            kind = heading[1].strip().capitalize()
        elif entry and version:
            lines = [entry[1].strip()]
        elif lines and (named := _SEED.fullmatch(line)):
            seeds.append(named[1].strip().strip("`"))
        elif lines and not gap:
            lines.append(line.strip())


def _entry(version: str, kind: str, text: str, seeds: Iterable[str]) -> Entry:
    breaking = _BREAKING.match(text)
    text = text[breaking.end() :] if breaking else text
    only = _ONLY.search(text)
    pairs = [pair.partition("=") for pair in re.split(r",\s*", only[1])] if only else []
    return Entry(
        version,
        kind,
        breaking is not None,
        text[: only.start()] if only else text,
        tuple((name, value) for name, _, value in pairs),
        tuple(seeds),
    )


def between(changelog: str, after: str, upto: str, answers: Mapping[str, object] | None = None) -> list[Entry]:
    """What changed between two versions, and of the same kind the newest first.

    What breaks comes first, then what fixes a vulnerability, then what is removed, deprecated or changed, then
    the rest.

    Args:
        changelog: The text of the newer version's CHANGELOG.md.
        after: The older version, whose entries are left out: `0.1.0`, `v0.1.0`, or what `git describe` says of a
            commit after it, such as `0.1.0-3-gabc1234`.
        upto: The newer version, whose entries are taken in. If it has no section of its own, it lies between two
            releases, and what stands under `Unreleased` is in it.
        answers: The service's answers to the template's questions; what is only for others is left out.

    Raises:
        ValueError: One of the two is no version.
    """
    low, high = version_key(after), version_key(upto)
    entries = list(parse(changelog))
    keys = {name: version_or_none(name) for name in dict.fromkeys(entry.version for entry in entries)}
    # Not the entries alone: a section may be empty, and stands for its release all the same.
    released = high in {version_or_none(name) for name in _SECTION.findall(changelog)}

    def is_in(name: str) -> bool:
        if name.casefold() == UNRELEASED.casefold():
            return not released and low < high
        key = keys[name]
        return key is not None and low < key <= high

    return _in_order(each for each in entries if is_in(each.version) and each.concerns(answers or {}))


def since(changelog: str, older: str, answers: Mapping[str, object] | None = None) -> list[Entry]:
    """What a changelog says that an older one did not, in the order of `between`.

    For commits without a release: a template that has no tags, or a service that came from a commit between two.

    Args:
        changelog: The text of the newer CHANGELOG.md.
        older: The text of the older one.
        answers: The service's answers to the template's questions; what is only for others is left out.
    """
    known = {replace(each, version="") for each in parse(older)}  # what was unreleased has a version by now
    entries = (each for each in parse(changelog) if replace(each, version="") not in known)
    return _in_order(each for each in entries if each.concerns(answers or {}))


def _in_order(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda each: (not each.breaking, _ORDER.get(each.kind, len(_ORDER))))


def base_of(version: str) -> str:
    """The tag in what `git describe --tags --always` says: of a commit after a release, the release; else the same."""
    return _COMMITS_AFTER.sub("", version)


def version_key(version: str) -> Version:
    """Something that compares as the versions do (PEP 440, and `git describe` as so many commits after a release).

    Raises:
        ValueError: It is no version.
    """
    try:
        return Version(Version(_COMMITS_AFTER.sub(r".post\1", version.strip())).public)
    except InvalidVersion:
        raise ValueError(f"{version!r} is not a version") from None


def version_or_none(version: str) -> Version | None:
    """The same; nothing for what is no version."""
    try:
        return version_key(version)
    except ValueError:
        return None
