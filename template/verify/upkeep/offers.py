# Owned by the template: an update rewrites this file.
"""Offers: what the template's changelog would change in files of the team's, merged with what the team has made of them.

An entry names such a file in a line `Seed: PATH`. The release that wrote the file and the recorded one are rendered, and
what differs is merged into the present text. Nothing is changed until somebody takes an offer.
"""

import difflib
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

from ..result import UnverifiedError
from ..runner import subprocesses
from .changelog import Entry, parse, since
from .rendering import recopy
from .seeds import Declined, declined, emitted, seed_digest
from .template_repo import ANSWERS, Template

CHANGELOG = "CHANGELOG.md"


@dataclass(frozen=True, slots=True)
class Offer:
    """A change to one file of the team's.

    Args:
        file: The file, as it is called here.
        state: `open`, `declined`, or `gone`: there is no such file here any more.
        release: The release that offers it.
        reason: What the changelog says.
        edited: Whether somebody has edited the file since the template wrote it.
        say: What is offered, or what is in its way, in a sentence.
        digest: SHA-256 of the present text.
        old: The present text.
        new: The text that is offered; `None` if it cannot be merged.
        diff: What the template changed in it.
    """

    file: str
    state: str
    release: str
    reason: str
    edited: bool
    say: str
    digest: str = ""
    old: bytes = field(default=b"", repr=False)
    new: bytes | None = field(default=None, repr=False)
    diff: str = field(default="", repr=False)

    def as_json(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if name not in ("old", "new", "diff")}


class Search:
    """The offers of one template for one service.

    Args:
        project: The root of the service's repository.
        package: The service's package.
        template: A clone of its template.
    """

    def __init__(self, project: Path, package: str, template: Template) -> None:
        self.project = project
        self.package = package
        self.template = template
        self.declined = {each.file: each for each in declined(project)}  # the last one counts
        self._rendered: dict[str, dict[str, bytes]] = {}

    def offers(self) -> list[Offer]:
        """What is offered, by file.

        Raises:
            UnverifiedError: The template, or one of its releases, does not answer.
            OSError: A file cannot be read.
        """
        changelog = self.template.read(self.template.version, CHANGELOG)
        named = [each for each in parse(changelog) if each.seeds and each.concerns(self.template.answers)]
        if not named:
            return []
        wanted = self.rendered(self.template.version)
        matching = {
            name: [each for each in named if any(fnmatch(name, pattern) for pattern in each.seeds)] for name in wanted
        }
        found = (self._offer(name, wanted[name], entries) for name, entries in sorted(matching.items()) if entries)
        return [each for each in found if each is not None]

    def rendered(self, release: str) -> dict[str, bytes]:
        """What a release emits for the answers of this service."""
        if release not in self._rendered:
            folder = self.template.scratch / f"rendered-{len(self._rendered)}"
            folder.mkdir()
            text = (self.project / ANSWERS).read_text(encoding="utf-8")
            lines = (f"_commit: {release}\n" if line.startswith("_commit:") else line for line in text.splitlines(True))
            (folder / ANSWERS).write_text("".join(lines), encoding="utf-8")
            recopy(replace(self.template, answers={**self.template.answers, "_commit": release}), folder)
            self._rendered[release] = {
                path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
            }
        return self._rendered[release]

    def _offer(self, name: str, wanted: bytes, named: list[Entry]) -> Offer | None:
        known = [each for each in emitted(self.project, self.package) if each.path == name]
        file, raw = self._present(name, {each.digest for each in known})
        plain = raw.replace(b"\r\n", b"\n")
        if plain == wanted:
            return None
        windows = 0 < raw.count(b"\r\n") == raw.count(b"\n")
        theirs = plain if windows else raw  # of a file that mixes line ends, each stays
        same = [each for each in known if each.digest == seed_digest(theirs, self.package) and b"\r" not in theirs]
        versions = {
            each.commit: theirs if same else self.rendered(each.commit).get(name, b"") for each in same or known
        }
        new_here = not file and not self._existed(name, older=bool(known))
        if new_here:
            entries, base = named, b""
        elif not versions:
            return None  # a file of the team's own, under a name that the template has now
        else:
            commit = min(versions, key=lambda each: _distance(versions[each], theirs))
            base = versions[commit]
            newer = since(self.template.read(self.template.version, CHANGELOG), self.template.read(commit, CHANGELOG))
            entries = [each for each in newer if each in named]
        offer = self._answered(name, file or name, entries, edited=not same and bool(file))
        if offer is None or not (file or new_here):
            return offer and replace(
                offer, state="gone", say=f"{name} is not here any more, so nothing is offered for it."
            )
        merged = wanted if theirs == base else _merged(theirs, base, wanted, self.template.scratch)
        if merged == theirs:
            return None
        new = merged.replace(b"\n", b"\r\n") if merged is not None and windows else merged
        offer = replace(offer, digest=seed_digest(raw, self.package), old=raw, new=new, diff=_diff(name, base, wanted))
        return (
            offer if offer.state == "declined" else replace(offer, say=offer.say + self._what(offer, here=bool(file)))
        )

    def _existed(self, name: str, *, older: bool) -> bool:
        """Whether the service has ever had such a file; where its history is cut off, whether an older release has it."""
        cut_off = subprocesses.run(["git", "rev-parse", "--is-shallow-repository"], self.project, 60).out.strip()
        log = subprocesses.run(["git", "log", "-1", "--format=%h", "--", name], self.project, 60).out
        return bool(log) or (older and cut_off == "true")

    def _present(self, name: str, digests: set[str]) -> tuple[str, bytes]:
        """The file's name in this service and its content: of a renamed file that nobody has edited, the new name."""
        path = self.project / name
        if path.is_file():
            return name, path.read_bytes()
        listed = subprocesses.run(["git", "ls-files", "-z", "--", f"*{path.suffix or path.name}*"], self.project, 60)
        for other in filter(None, listed.out.split("\0")) if digests else ():
            candidate = self.project / other
            if candidate.is_file() and seed_digest(candidate.read_bytes(), self.package) in digests:
                return other, candidate.read_bytes()
        return "", b""

    def _answered(self, name: str, file: str, entries: list[Entry], *, edited: bool) -> Offer | None:
        """The offer with the team's answer to it."""
        if not entries:
            return None
        release, reason = self.template.version, " ".join(each.text for each in entries)
        offer = Offer(file, "open", release, reason, edited, "")
        answer = self.declined.get(file) or self.declined.get(name)
        if answer is None:
            return offer
        if answer.release == release or not self._names_again(entries, answer):
            return replace(offer, state="declined", say=f"{file} was declined: {answer.reason}")
        return replace(offer, say=f"{file} was declined up to {answer.release} ({answer.reason}), and is named again. ")

    def _names_again(self, entries: list[Entry], answer: Declined) -> bool:
        try:
            before = self.template.read(answer.release, CHANGELOG)
        except UnverifiedError:
            return True  # nobody knows what was declined
        newer = since(self.template.read(self.template.version, CHANGELOG), before)
        return any(each in newer for each in entries)

    def _what(self, offer: Offer, *, here: bool) -> str:
        if not here:
            return f"{offer.file} is new in the template."
        if not offer.edited:
            return f"{offer.file}: nobody has edited it since the template wrote it."
        if offer.new is not None:
            return f"{offer.file}: what you have edited and what the template has changed fit together."
        return f"{offer.file}: what you have edited is in the way; change it by hand."


def _distance(one: bytes, other: bytes) -> int:
    """How many lines tell two texts apart."""
    lines = difflib.diff_bytes(difflib.unified_diff, one.splitlines(), other.splitlines(), n=0, lineterm=b"")
    return sum(1 for _ in lines)


def _merged(theirs: bytes, base: bytes, wanted: bytes, scratch: Path) -> bytes | None:
    """The three-way merge, if it is clean."""
    names = ("theirs", "base", "wanted")
    for name, content in zip(names, (theirs, base, wanted), strict=True):
        (scratch / name).write_bytes(content)
    ran = subprocesses.run(["git", "merge-file", "--quiet", *names], scratch, 10)
    return (scratch / "theirs").read_bytes() if ran.code == 0 else None


def _diff(name: str, base: bytes, wanted: bytes) -> str:
    old, new = (text.decode("utf-8", "replace").splitlines() for text in (base, wanted))
    return "\n".join(difflib.unified_diff(old, new, name, name, lineterm=""))
