# Owned by the template: an update rewrites this file.
"""The template that this service came from: which release is recorded, and what that one and newer ones hold.

It is cloned once into a scratch folder. Nobody is asked for a password, and no trust is needed or given.
"""

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..common.addresses import holds_secret, masked
from ..result import UnverifiedError
from ..runner import subprocesses
from .changelog import HASH, Entry, base_of, between, since, version_or_none

COPIER = "copier>=9.18,<10"
"""The Copier that renders, as a requirement: the one place where its bounds stand."""
ANSWERS = ".copier-answers.yml"
UPDATE = f"uvx '{COPIER}' update --trust --defaults"
TIMEOUT = 60.0
"""Seconds that fetching the template, or rendering it once, may take."""
WAY_OUT = (
    "Replace it where it was made: whoever has a copy of the repository has it. Write the address without it into {file}, "
    "and let git's credential helper answer: HARDENING.md, Drift."
)

_ADDRESS = re.compile(r"[\w+.-]+://[^\s'\"]+")
_SHORT = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}  # as Copier has them


def recorded_answers(project: Path, file: str = ANSWERS) -> dict[str, str]:
    """What a service records: its answers, the template's address (`_src_path`) and the release (`_commit`).

    Raises:
        UnverifiedError: The record is gone, or is none.
    """
    from ..common import yaml  # what updates needs no library that an update brings

    back = f"Put {file} back from git; updates need it too."
    try:
        answers = {name: str(value) for name, value in yaml.read(project / file).items()}
    except UnverifiedError as error:
        raise UnverifiedError(error.seen, back) from None
    for name in ("_src_path", "_commit"):
        if not answers.get(name):
            raise UnverifiedError(f"{file} records no {name}", back)
    return answers


def secrets(project: Path) -> dict[str, list[str]]:
    """The addresses with a password or token, masked, by the file that records them: the answers, also to an overlay."""
    found = {}
    for path in sorted(project.glob(".copier-answers*")):
        with suppress(OSError):
            words = _ADDRESS.findall(path.read_text(encoding="utf-8", errors="replace"))
            found[path.name] = [masked(word) for word in words if holds_secret(word)]
    return found


def refuse_secret(project: Path) -> None:
    """See that no program gets a password or token as an argument, and no patch as a line beside the one that changes.

    Raises:
        UnverifiedError: A recorded address holds one.
    """
    for file, addresses in secrets(project).items():
        if addresses:
            raise UnverifiedError(f"{file} records a password or token: {addresses[0]}", WAY_OUT.format(file=file))


@dataclass(frozen=True, slots=True)
class Template:
    """A clone of the template.

    Args:
        answers: What the service records: its answers, the template's address and the release.
        scratch: A folder of our own, which holds the clone.
    """

    answers: dict[str, str]
    scratch: Path

    @classmethod
    def of(cls, project: Path, scratch: Path, source: str = "") -> "Template":
        """Clone the template that a service records, or a clone of it that is at hand.

        Raises:
            UnverifiedError: Nothing is recorded, or the template cannot be reached.
        """
        found = cls(recorded_answers(project), scratch)
        if not source:
            refuse_secret(project)
        ran = found.git("clone", "--quiet", "--bare", "--", source or expanded(found.address), str(found.clone))
        if not ran.ok:
            said = ran.tail(4) if ran.code is not None else f"no answer within {TIMEOUT:g} s"
            raise UnverifiedError(
                f"the template at {found.address} cannot be reached: {said}",
                f"`git ls-remote {masked(expanded(found.address))}` has to work here without a question (HARDENING.md, Drift); if the "
                f"template has moved, write its new address into {ANSWERS}.",
            )
        return found

    @property
    def address(self) -> str:
        return self.answers["_src_path"]

    @property
    def version(self) -> str:
        """The recorded release, such as `v1.2.0`."""
        return self.answers["_commit"]

    @property
    def name(self) -> str:
        """Address and release, for a person."""
        return f"{self.version} of {masked(self.address)}"

    @property
    def clone(self) -> Path:
        """A bare repository."""
        return self.scratch / "template.git"

    def newer(self) -> str:
        """What an update would take: the tag of the newest release, or the newest commit of a template without any.

        Returns:
            Nothing if the service has it. Pre-releases do not count.

        Raises:
            UnverifiedError: Nothing can be compared.
        """
        releases = {
            version: tag
            for tag in self._tags()
            if (version := version_or_none(tag)) is not None and not version.is_prerelease
        }
        head = self.git("rev-parse", "--short", "HEAD", folder=self.clone).out.strip()
        newest = releases[max(releases)] if releases else head
        if releases and self._is_release:
            current = version_or_none(self.base)
            return newest if current is None or max(releases) > current else ""
        commits = (f"{each}^{{commit}}" for each in (newest, self.version))
        ran = self.git("merge-base", "--is-ancestor", *commits, folder=self.clone)
        if ran.code not in (0, 1):
            raise UnverifiedError(
                f"of the template at {self.address}, {self.version} cannot be compared with {newest}",
                "Take a release: see HARDENING.md.",
            )
        return newest if ran.code else ""

    def changes(self, newest: str) -> list[Entry]:
        """What is new for this service in a release, or in a commit.

        Raises:
            UnverifiedError: Its changelog says nothing of what came after the recorded release.
        """
        changelog = self.read(newest, "CHANGELOG.md")
        if self._is_release and newest in self._tags():
            everything = between(changelog, self.base, newest)
        else:
            everything = since(changelog, self.read(self.version, "CHANGELOG.md"))
        if not everything:
            raise UnverifiedError(
                f"CHANGELOG.md of {newest} says nothing of what came after {self.base}",
                f"Take it all the same: `{UPDATE}`.",
            )
        return [each for each in everything if each.concerns(self.answers)]

    def _tags(self) -> set[str]:
        return set(self.git("tag", "--list", folder=self.clone).out.split())

    @property
    def _is_release(self) -> bool:
        """Whether what is recorded is a release, or counts from one. A hash may look like a version."""
        return self.base in self._tags() or (version_or_none(self.base) is not None and not HASH.fullmatch(self.base))

    @property
    def base(self) -> str:
        """The recorded release; of a commit between two, the older one."""
        return base_of(self.version)

    def read(self, ref: str, name: str) -> str:
        """A file of the template's repository.

        Raises:
            UnverifiedError: It is not there.
        """
        ran = self.git("show", f"{ref}:{name}", folder=self.clone)
        if not ran.ok:
            raise UnverifiedError(f"{ref} of the template has no {name}", "Ask those who keep it.")
        return ran.out

    def git(self, *arguments: str, folder: Path | None = None) -> subprocesses.Ran:
        """Run git in the scratch folder, or in another one; it asks nobody anything."""
        git = shutil.which("git")
        if git is None:
            raise UnverifiedError("git is not on the PATH", "Install git.")
        return subprocesses.run([git, *arguments], folder or self.scratch, TIMEOUT, self.quiet())

    def quiet(self) -> dict[str, str]:
        """Variables: no question anywhere (ssh has no terminal either), and no repository around the scratch folder."""
        return {
            "GIT_TERMINAL_PROMPT": "0",
            "SSH_ASKPASS_REQUIRE": "never",
            "GCM_INTERACTIVE": "never",
            "GIT_CEILING_DIRECTORIES": str(self.scratch),
        }


def expanded(address: str) -> str:
    """The address as git understands it."""
    for short, long in _SHORT.items():
        if address.startswith(short):
            return long + address.removeprefix(short).removeprefix("/")
    return str(Path(address).expanduser()) if address.startswith("~") else address.removeprefix("git+")
