"""The template's releases: which is the newest, what a newer one fixes, and what a release emits for given answers.

The template is cloned once, from the address that this run was given; an address that a service records is never
followed. Copier renders without tasks, so that nothing of the template runs and no trust is needed.
"""

import hashlib
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import yaml
from packaging.version import InvalidVersion, Version
from pathspec import GitIgnoreSpec

from .model import ANSWERS
from .programs import Credentials, Programs, environment
from .words import UnreadableError, expanded, masked, place

RENDERING = 120.0
"""Seconds that Copier may take for one service."""

_SECTION = re.compile(r"##\s+\[?([^\]\s]+)")
_KIND = re.compile(r"###\s+(.+)")
_ENTRY = re.compile(r"[-*+]\s+(.*)")
_SEED = re.compile(r"\s+Seed:\s+(.+)")
_LINK = re.compile(r"\[[^\]]+\]:")
_ONLY = re.compile(r"\s*\((\w+=[\w-]+(?:,\s*\w+=[\w-]+)*)\)\.?$")
_AFTER_TAG = re.compile(r"(.+)-\d+-g[0-9a-f]{4,}")

Ids = tuple[str, str]
"""The object id of a file, and that of the same text with the line ends of Windows."""


class Rendering:
    """The owned files of a release for some answers, and the folders that hold owned files alone."""

    def __init__(self, owned: dict[str, Ids], seeds: Iterable[str]) -> None:
        self.owned = owned
        shared = {folder for name in seeds for folder in PurePosixPath(name).parents}
        self.folders = {folder for name in owned for folder in PurePosixPath(name).parents} - shared

    def drift(self, tree: Mapping[str, str]) -> list[str]:
        """How a service differs from it, a line a file."""
        found = []
        for name, ids in sorted(self.owned.items()):
            if name not in tree:
                found.append(f"{name} was deleted")
            elif tree[name] not in ids:
                found.append(f"{name} was changed")
        added = (name for name in sorted(tree) if self.folders.intersection(PurePosixPath(name).parents))
        return found + [f"{name} was added" for name in added if name not in self.owned]


class Template:
    """A clone of the template.

    Args:
        address: Where it is.
        scratch: A folder of our own, which holds the clone and what is rendered.

    Raises:
        UnreadableError: It cannot be cloned, or has no releases.
    """

    def __init__(self, address: str, scratch: Path, programs: Programs, credentials: Credentials | None = None) -> None:
        self.address = expanded(address)
        self._scratch = scratch
        self._programs = programs
        self.clone = scratch / "template.git"
        self._renderings: dict[tuple[str, tuple[tuple[str, str], ...]], Rendering] = {}
        self._locks: dict[tuple[str, tuple[tuple[str, str], ...]], threading.Lock] = {}
        self._lock, self._checkout = threading.Lock(), threading.Lock()
        ran = programs.git(
            "clone", "--quiet", "--bare", "--", self.address, self.clone, folder=scratch, credentials=credentials
        )
        if not ran.ok:
            raise UnreadableError(
                f"the template at {address} cannot be cloned: {ran.last()}",
                "Name it by --template; `git ls-remote` of that address has to work here without a question.",
            )
        self.releases = dict(sorted(self._tags()))
        if not self.releases:
            raise UnreadableError(
                f"the template at {address} has no release", "Fetch its tags (`git fetch --tags`), or name another."
            )
        self.newest = self.releases[max(self.releases)]
        try:
            self._changelog = self.read(self.newest, "CHANGELOG.md")
        except UnreadableError:
            self._changelog = ""
        origin = self._programs.git("remote", "get-url", "origin", folder=Path(self.address)) if self.is_local else None
        self.places = {place(self.address)} | ({place(origin.text.strip())} if origin and origin.ok else set())

    @property
    def is_local(self) -> bool:
        return Path(self.address).is_dir()

    def _tags(self) -> Iterable[tuple[Version, str]]:
        for tag in self._git("tag", "--list").split():
            version = version_of(tag)
            if version is not None and not version.is_prerelease:
                yield version, tag

    def is_source_of(self, address: str) -> bool:
        """Whether an address that a service records means this template."""
        return place(address) in self.places

    def read(self, ref: str, name: str) -> str:
        """A file of the template.

        Raises:
            UnreadableError: It is not there.
        """
        ran = self._programs.git("show", f"{ref}:{name}", folder=self.clone)
        if not ran.ok:
            raise UnreadableError(f"{ref} of the template has no {name}", "Ask those who keep it.")
        return ran.text

    def is_behind(self, release: str) -> bool | None:
        """Whether a newer release than this one is out; `None` if it is no release."""
        base = version_of(base_of(release))
        return None if base is None else base < max(self.releases)

    def fixes(self, release: str, answers: Mapping[str, str]) -> list[str]:
        """What stands under Security in the changelog since this release, for a service with these answers."""
        base = version_of(base_of(release))
        return [] if base is None else security(self._changelog, base, max(self.releases), answers)

    def rendering(self, release: str, answers: Mapping[str, str]) -> Rendering:
        """What a release emits for these answers.

        Raises:
            UnreadableError: The release is gone, or Copier does not render it.
        """
        given = {name: value for name, value in answers.items() if not name.startswith("_")}
        key = (release, tuple(sorted(given.items())))
        with self._lock:
            own = self._locks.setdefault(key, threading.Lock())
        with own:
            if key not in self._renderings:
                self._renderings[key] = self._rendered(release, given, f"{len(self._renderings)}-{id(own)}")
            return self._renderings[key]

    def _source(self, release: str) -> Path:
        """A folder with the template as a release has it."""
        if not re.fullmatch(r"[\w.+-]+", release) or release.startswith("-"):
            raise UnreadableError(f"{release!r} is no release", f"Put {ANSWERS} back from git.")
        folder = self._scratch / "releases" / release
        with self._checkout:
            if folder.is_dir():
                return folder
            commit = release
            if match := re.fullmatch(r".+-g([0-9a-f]{4,})", release):
                commit = match[1]
            listed = self._programs.git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", folder=self.clone)
            if not listed.ok:
                raise UnreadableError(
                    f"the template at {self.address} has no {release}",
                    "Have its tag brought back, or move the service to the newest release.",
                )
            part = folder.with_name(f"{release}.part")
            part.mkdir(parents=True)
            self._git("--work-tree", str(part), "checkout", "--quiet", "--force", listed.text.strip(), "--", ".")
            part.rename(folder)
        return folder

    def _rendered(self, release: str, answers: Mapping[str, str], name: str) -> Rendering:
        source = self._source(release)
        folder = self._scratch / "rendered" / name
        data = self._scratch / "rendered" / f"{name}.yml"
        data.parent.mkdir(exist_ok=True)
        data.write_text(yaml.safe_dump(dict(answers)), encoding="utf-8")
        (self._scratch / "settings.yml").write_text("{}\n", encoding="utf-8")  # those of this machine change nothing
        switches = ["--skip-tasks", "--defaults", "--quiet", f"--data-file={data}"]
        command = [sys.executable, "-P", "-m", "copier", "copy", *switches, str(source), str(folder)]
        variables = {**environment(), "COPIER_SETTINGS_PATH": str(self._scratch / "settings.yml")}
        ran = self._programs.run(command, self._scratch, RENDERING, variables)
        if not ran.ok:
            raise UnreadableError(
                f"Copier could not render {release} of the template: {ran.last(1)}",
                f"Look at {ANSWERS}: it has to hold what the questions admit.",
            )
        configuration = yaml.safe_load((source / "copier.yml").read_text(encoding="utf-8"))
        team = GitIgnoreSpec.from_lines(configuration.get("_skip_if_exists", []))
        owned, seeds = {}, []
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                relative = path.relative_to(folder).as_posix()
                if team.match_file(relative):
                    seeds.append(relative)
                elif relative != ANSWERS:  # each service writes its own
                    owned[relative] = ids(path.read_bytes())
        return Rendering(owned, seeds)

    def _git(self, *arguments: str) -> str:
        ran = self._programs.git(*arguments, folder=self.clone)
        if not ran.ok:
            raise UnreadableError(f"git {arguments[0]} failed in the template: {ran.last()}", "Try again.")
        return ran.text


def ids(content: bytes) -> Ids:
    """The object ids that git gives to a text, as it is and with the line ends of Windows."""

    def one(content: bytes) -> str:
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()

    return one(content), one(content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def answers_of(text: str) -> dict[str, str]:
    """What an answers file holds, as texts.

    Raises:
        UnreadableError: It is no YAML, or no mapping.
    """
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UnreadableError(
            f"{ANSWERS} is no YAML: {' '.join(str(error).split())[:120]}", "Restore it from git."
        ) from None
    if not isinstance(found, dict) or not found.get("_src_path"):
        raise UnreadableError(f"{ANSWERS} records no _src_path", "Put it back from git; updates need it too.")
    return {str(name): "" if value is None else str(value) for name, value in found.items()}


def base_of(release: str) -> str:
    """A release; of a commit between two, the older one."""
    match = _AFTER_TAG.fullmatch(release)
    return match[1] if match else release


def version_of(tag: str) -> Version | None:
    try:
        return Version(tag)
    except InvalidVersion:
        return None


def security(changelog: str, after: Version, upto: Version, answers: Mapping[str, str]) -> list[str]:
    """The entries under Security of the releases after one and up to another, for a service with these answers.

    `verify` reads the same text for one service (`between`); a test holds the two to the same answer.
    """
    found: list[tuple[str, str]] = []
    section = kind = ""
    lines: list[str] = []
    gap = False
    for line in [*changelog.splitlines(), "##"]:
        entry = _ENTRY.match(line)
        if lines and (line.startswith("#") or entry or _LINK.match(line) or (gap and line[:1].strip())):
            found.append((section, " ".join(lines)))
            lines = []
        gap = not line.strip()
        if heading := _SECTION.match(line):
            section, kind = heading[1], ""
        elif heading := _KIND.match(line):
            kind = heading[1].strip().capitalize()
        elif entry and kind == "Security":
            lines = [entry[1].strip()]
        elif lines and not gap and not _SEED.fullmatch(line):
            lines.append(line.strip())
    texts = []
    for section, text in found:
        version = version_of(section)
        only = _ONLY.search(text)
        pairs = [pair.partition("=") for pair in re.split(r",\s*", only[1])] if only else []
        if version is None or not after < version <= upto:
            continue
        if all(answers.get(name, value) == value for name, _, value in pairs):
            texts.append(f"{section}: {masked(text[: only.start()] if only else text)}")
    return texts
