# Owned by the template: an update rewrites this file.
"""The template that this service came from: which release is recorded, and what that one and newer ones hold.

It is cloned once into a scratch folder, and Copier renders from the clone. Nobody is asked for a password, no task of
the template runs, and no trust is needed or given.
"""

import os
import re
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from ..result import UnverifiedError
from ..runner import subprocesses
from ..runner.subprocesses import NO_UV
from .changelog import Entry, base_of, between, since

COPIER = "copier>=9.18,<10"
"""The Copier that renders, as a requirement: the one place where its bounds stand."""
ANSWERS = ".copier-answers.yml"
UPDATE = f"uvx '{COPIER}' update --trust --defaults"
TIMEOUT = 60.0
"""Seconds that fetching the template, or rendering it once, may take."""

_SHORT = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}  # as Copier has them
# A password or a token in an address; what git says may repeat it.
_HASH = re.compile(r"[0-9a-f]{7,64}")
_CREDENTIALS = re.compile(r"(https?://)[^/@\s]+@|(\w://[^/@:\s]*:)[^/@\s]+@")


def masked(text: str) -> str:
    """A text without the credentials in its addresses."""
    return _CREDENTIALS.sub(lambda match: f"{match[1] or match[2]}***@", text)


def recorded_answers(project: Path, file: str = ANSWERS) -> dict[str, str]:
    """What a service records: its answers, the template's address (`_src_path`) and the release (`_commit`).

    Raises:
        UnverifiedError: The record is gone, or is none.
    """
    back = f"Put {file} back from git; updates need it too."
    try:
        answers = _answers((project / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unverified(f"{file} cannot be read: {error}", back) from None
    for name in ("_src_path", "_commit"):
        if not answers.get(name):
            raise _unverified(f"{file} records no {name}", back)
    return answers


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
    def of(cls, project: Path, scratch: Path) -> "Template":
        """Clone the template that a service records.

        Raises:
            UnverifiedError: Nothing is recorded, or the template cannot be reached.
        """
        found = cls(recorded_answers(project), scratch)
        ran = found._git("clone", "--quiet", "--bare", "--", _expanded(found.address), str(found._clone))
        if not ran.ok:
            said = ran.tail(4) if ran.code is not None else f"no answer within {TIMEOUT:g} s"
            raise _unverified(
                f"the template at {found.address} cannot be reached: {said}",
                f"`git ls-remote {masked(_expanded(found.address))}` has to work here without a question; if the "
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
    def _clone(self) -> Path:
        return self.scratch / "template.git"

    def newer(self) -> str:
        """What an update would take: the tag of the newest release, or the newest commit of a template without any.

        Returns:
            Nothing if the service has it. Pre-releases do not count.

        Raises:
            UnverifiedError: Nothing can be compared.
        """
        releases = {
            version: tag for tag in self._tags() if (version := _version(tag)) is not None and not version.is_prerelease
        }
        head = self._git("rev-parse", "--short", "HEAD", folder=self._clone).out.strip()
        newest = releases[max(releases)] if releases else head
        if releases and self._is_release:
            current = _version(self.base)
            return newest if current is None or max(releases) > current else ""
        commits = (f"{each}^{{commit}}" for each in (newest, self.version))
        ran = self._git("merge-base", "--is-ancestor", *commits, folder=self._clone)
        if ran.code not in (0, 1):
            raise _unverified(
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
            found = between(changelog, self.base, newest, self.answers)
        else:
            older = self.read(self.version, "CHANGELOG.md")
            everything, found = since(changelog, older), since(changelog, older, self.answers)
        if not everything:
            raise _unverified(
                f"CHANGELOG.md of {newest} says nothing of what came after {self.base}",
                f"Take it all the same: `{UPDATE}`.",
            )
        return found

    def _tags(self) -> set[str]:
        return set(self._git("tag", "--list", folder=self._clone).out.split())

    @property
    def _is_release(self) -> bool:
        """Whether what is recorded is a release, or counts from one. A hash may look like a version."""
        return self.base in self._tags() or (_version(self.base) is not None and not _HASH.fullmatch(self.base))

    @property
    def base(self) -> str:
        """The recorded release; of a commit between two, the older one."""
        return base_of(self.version)

    def read(self, ref: str, name: str) -> str:
        """A file of the template's repository.

        Raises:
            UnverifiedError: It is not there.
        """
        ran = self._git("show", f"{ref}:{name}", folder=self._clone)
        if not ran.ok:
            raise _unverified(f"{ref} of the template has no {name}", "Ask those who keep it.")
        return ran.out

    def render(self, answers: Path, folder: Path) -> tuple[set[str], set[str]]:
        """Write what the recorded release emits for these answers into an empty folder.

        Returns:
            The names of the owned files, which the folder then holds, and of the seeds, which it does not.

        Raises:
            UnverifiedError: The release is gone, or Copier does not render it.
        """
        if not self._git("rev-parse", "--verify", "--quiet", f"{self.version}^{{commit}}", folder=self._clone).ok:
            raise _unverified(
                f"the template at {self.address} has no {self.version}",
                "Have its tag brought back, or move to the newest release with "
                f"`uvx '{COPIER}' recopy --trust --defaults --overwrite` and look at `git diff`.",
            )
        folder.mkdir()
        shutil.copyfile(answers, folder / ANSWERS)
        self._recopy(folder)
        # What belongs to the team is for the release to say, and Copier to understand: it leaves a seed that is there.
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        stub = b"there already"
        for name in names - {ANSWERS}:
            (folder / name).write_bytes(stub)
        self._recopy(folder)
        seeds = {name for name in names if (folder / name).read_bytes() == stub}
        for name in seeds:
            (folder / name).unlink()
        return names - seeds, seeds

    def _recopy(self, folder: Path) -> None:
        (self.scratch / "settings.yml").write_text("{}\n", encoding="utf-8")  # those of this machine change nothing
        count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
        address = _expanded(self.address).removesuffix(".git")
        variables = {
            "COPIER_SETTINGS_PATH": str(self.scratch / "settings.yml"),
            "COPIER_CACHE_DIR": str(self.scratch / "cache"),
            # Copier asks for the template at its address, and git gives it our clone.
            f"GIT_CONFIG_KEY_{count}": f"url.{self._clone.with_suffix('').as_posix()}.insteadOf",
            f"GIT_CONFIG_VALUE_{count}": address,
            "GIT_CONFIG_COUNT": str(count + 1),
        }
        copier = ["tool", "run", "--from", COPIER, "copier", "recopy"]
        switches = ["--vcs-ref", ":current:", "--defaults", "--overwrite", "--skip-tasks", "--quiet"]
        try:
            command = [subprocesses.uv(), *copier, *switches, str(folder)]
            ran = subprocesses.run(command, self.scratch, TIMEOUT, {**self._quiet(), **variables})
        except OSError as error:
            raise _unverified(f"uv cannot be started: {error}", NO_UV) from None
        if not ran.ok:
            said = ran.tail() if ran.code is not None else f"no answer within {TIMEOUT:g} s"
            by_hand = f"`uvx '{COPIER}' recopy --vcs-ref :current: --defaults --pretend --skip-tasks`"
            raise _unverified(f"Copier could not render {self.name}: {said}", f"{by_hand} says more.")

    def _git(self, *arguments: str, folder: Path | None = None) -> subprocesses.Ran:
        git = shutil.which("git")
        if git is None:
            raise _unverified("git is not on the PATH", "Install git.")
        return subprocesses.run([git, *arguments], folder or self.scratch, TIMEOUT, self._quiet())

    def _quiet(self) -> dict[str, str]:
        # No question anywhere (ssh has no terminal either), and no repository around the scratch folder.
        return {
            "GIT_TERMINAL_PROMPT": "0",
            "SSH_ASKPASS_REQUIRE": "never",
            "GCM_INTERACTIVE": "never",
            "GIT_CEILING_DIRECTORIES": str(self.scratch),
        }


def _unverified(seen: str, remedy: str) -> UnverifiedError:
    """What stood in the way, without the password or token that an address may have."""
    return UnverifiedError(masked(seen), remedy)


def _answers(text: str) -> dict[str, str]:
    """What the answers file holds, each as the text that stands there.

    Raises:
        ValueError: It is no YAML, or no mapping.
    """
    yaml: Any = import_module("yaml")  # by name: it has no types of its own; an update does without it
    try:
        found = yaml.load(text, yaml.BaseLoader)  # it makes texts, lists and mappings, and nothing else
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(found, dict):
        raise ValueError("it holds no mapping")
    return {str(name): str(value) for name, value in found.items()}


def _expanded(address: str) -> str:
    """The address as git understands it."""
    for short, long in _SHORT.items():
        if address.startswith(short):
            return long + address.removeprefix(short).removeprefix("/")
    return str(Path(address).expanduser()) if address.startswith("~") else address.removeprefix("git+")


def _version(tag: str) -> Version | None:
    try:
        return Version(tag)
    except InvalidVersion:
        return None
