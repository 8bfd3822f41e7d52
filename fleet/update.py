"""`copier update` in many services: each in a copy of its own, and a branch that appears whole or not at all.

Nobody's working tree is touched. What a run changes in a repository is one reference, `hardening-update`, after all
else is done. So a run that is stopped anywhere, by whatever signal, leaves a repository as it was or wholly updated.
"""

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import records
from .model import ANSWERS, Reading, branch_of
from .overlay import ANSWERS as OVERLAY
from .programs import AUTHOR, Credentials, Programs, Ran, StoppedError, environment
from .state import Progress, alone
from .template import Template, answers_of
from .words import UnreadableError, expanded, printable

if TYPE_CHECKING:
    from .__main__ import Fleet

TITLE = "Update the hardening"
# The weekly pipelines commit as these; whoever else has committed to the branch has worked on it.
OURS = (AUTHOR[1], "41898282+github-actions[bot]@users.noreply.github.com")
LONGEST = 1800.0
"""Seconds that Copier may take for one service, with the template's hook."""
DONE = ("updated", "current")


class LeftError(Exception):
    """A service is left alone; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service's repository is, and how it is reached.

    Args:
        address: What git clones.
        folder: The clone that somebody works in, if it is one.
        credentials: For a server that asks for them.
        node: What the forge's list says of it, for opening a request.
        prefix: The folder of the service in its repository.
    """

    address: str
    folder: Path | None
    credentials: Credentials | None
    node: Any
    prefix: str = ""

    @property
    def branch(self) -> str:
        return branch_of(self.prefix)


class Updates:
    """Updates every service of a fleet that is not at the newest release.

    Args:
        fleet: What was read.
        say: Writes a line of progress.
    """

    def __init__(self, fleet: "Fleet", say: Callable[[str], None]) -> None:
        self.fleet = fleet
        self.say = say
        self.programs: Programs = fleet.programs
        self.goal = fleet.template.newest
        self.scratch = fleet.scratch / "updates"

    def run(self) -> int:
        """Update, and say what came of each; the exit code."""
        path: Path = self.fleet.options.state
        with alone(path):
            overlay = f", {self.fleet.overlay.newest} of the overlay" if self.fleet.overlay else ""
            progress = Progress(path, self.goal + overlay)
            self.scratch.mkdir()
            counted: Counter[str] = Counter()
            stopped = False
            with ThreadPoolExecutor(self.fleet.options.jobs) as pool:
                work = [
                    pool.submit(self._recorded, number, each, progress)
                    for number, each in enumerate(self.fleet.readings)
                ]
                for future in work:
                    try:
                        counted[future.result()] += 1
                    except StoppedError:
                        stopped = True
            for note in self.fleet.notes:
                self.say(note)
            told = ", ".join(f"{count} {word}" for word, count in sorted(counted.items()))
            print(f"{len(self.fleet.readings)} services, to {self.goal}{overlay}: {told or 'none reached'}.")
        if stopped:
            print(f"Stopped before its end. The same command goes on from {path}.")
        if counted["left alone"] or counted["conflict"]:
            return 1
        return 2 if stopped or counted["failed"] else 0

    def _recorded(self, number: int, reading: Reading, progress: Progress) -> str:
        """Update one service and keep what came of it; the outcome in a word."""
        if self.programs.stopped.is_set():
            raise StoppedError
        earlier = progress.services.get(reading.name, {})
        if earlier.get("outcome") in DONE and earlier.get("head") == reading.head:
            outcome, reason = str(earlier["outcome"]), "before"
        else:
            folder = self.scratch / str(number)
            try:
                outcome, reason = self._update(reading, folder)
            except LeftError as error:
                outcome, reason = "left alone", str(error)
            except UnreadableError as error:
                outcome, reason = "failed", f"{error}. {error.remedy}"
            except OSError as error:
                outcome, reason = "failed", f"{error}. Make room, or look at the rights there"
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            progress.record(reading.name, outcome=outcome, reason=reason, head=reading.head)
        print(printable(f"{outcome:10}  {reading.name}" + (f": {reason}" if reason else "")), flush=True)
        return outcome

    def _update(self, reading: Reading, folder: Path) -> tuple[str, str]:
        """Update one service in a folder that does not exist yet."""
        if reading.problem:
            raise UnreadableError(f"it could not be read: {reading.problem}", reading.remedy)
        template = self.fleet.template
        behind = template.is_behind(reading.release)
        overlay = self.fleet.overlay
        current = ("current", f"at {reading.release}")
        if behind is False and not (overlay and overlay.may_be_in(reading)):
            return current
        if behind is None:
            raise LeftError(f"{reading.release or 'nothing'} is no release: set _commit in {ANSWERS} to one")
        if not template.is_source_of(reading.template):
            raise LeftError(
                f"it records another address of its template, {reading.template}, and what stands there would be run: "
                "name it by --template if you trust it, or correct _src_path"
            )
        place = self._place(reading)
        if place.folder:
            self._refuse_work_in_progress(place.folder, place.branch)
        self._clone(place, reading, folder)
        service = folder / place.prefix
        lags = bool(overlay and overlay.lags_in(service))
        if not (behind or lags):
            return current
        git = self._git(folder)
        head = git("rev-parse", "HEAD").strip()
        earlier = self._earlier_branch(place, folder, head)
        goals = {ANSWERS: self.goal} | ({OVERLAY: overlay.newest} if overlay and lags else {})
        if earlier and self._is_the_same(place, folder, earlier, head, goals):
            return "updated", f"{place.branch} had it already"
        git("checkout", "--quiet", "-B", place.branch, head)
        told: list[str] = []
        note = "not locked, not verified"
        if overlay and lags:  # first: the template's hook proves both
            recorded = overlay.recorded_by(service)
            command = ["--skip-tasks", f"--answers-file={OVERLAY}", f"--vcs-ref={overlay.newest}"]
            self._copier(service, folder, overlay, recorded["_src_path"], command)
            if found := self._unmerged(folder, command[1]):
                return found
            told.append(f"From {recorded['_commit']} to {overlay.newest} of the overlay.")
            self._commit(git, told)
        if behind:
            note = self._from_template(service, folder, reading)
            if found := self._unmerged(folder, "--trust"):
                return found
            if answers_of((service / ANSWERS).read_text(encoding="utf-8")).get("_commit") != self.goal:
                raise UnreadableError(f"Copier did not reach {self.goal}: {note}", "Run `copier update --trust` there.")
            told.insert(0, f"From {reading.release} to {self.goal} of the template.")
            self._commit(git, told)
        return "updated", self._publish(place, reading, folder, earlier, note, " ".join(told))

    def _commit(self, git: Callable[..., str], told: list[str]) -> None:
        """Commit what has changed; what was updated in two steps is one commit all the same."""
        git("add", "--all", "--", ".")
        text = "\n".join(told)
        git("commit", "--quiet", *(["--amend"] if told[1:] else []), f"--message={TITLE}\n\n{text}\n")

    def _unmerged(self, folder: Path, option: str) -> tuple[str, str] | None:
        """What is said of a service in which somebody has to merge; nothing where nobody has."""
        names = sorted(set(self._conflicts(folder)))
        by_hand = f"run `copier update {option} --defaults` there and resolve them by hand"
        return ("conflict", f"{', '.join(names)}: {by_hand}") if names else None

    # Where a service is

    def _place(self, reading: Reading) -> Place:
        found = self.fleet.found[reading.name]
        if self.fleet.forge:
            return Place(self.fleet.forge.clone_address(found), None, self.fleet.forge.credentials(), found)
        if isinstance(found, Path):
            prefix = reading.name.removeprefix(found.name).lstrip("/")
            return Place(str(found.resolve()), found, None, None, prefix)
        address = Path(found).resolve().as_uri() if Path(found).is_dir() else found
        return Place(address, None, None, None, reading.name.removeprefix(found).lstrip("/"))

    def _refuse_work_in_progress(self, folder: Path, branch: str) -> None:
        """Leave a clone alone in which something is not committed, or in which the branch is being worked on."""
        bare = self.programs.git("rev-parse", "--is-bare-repository", folder=folder)
        if bare.text.strip() == "true":
            return
        status = self.programs.git("status", "--porcelain", folder=folder)
        if not status.ok:
            raise UnreadableError(f"git status failed: {status.last()}", "Run it there.")
        if status.out:
            first = status.text.splitlines()[0][3:]
            raise LeftError(f"it has uncommitted work ({first}): commit or stash it")
        at = self.programs.git("symbolic-ref", "--quiet", "--short", "HEAD", folder=folder)
        if at.text.strip() == branch:
            raise LeftError(f"{branch} is checked out: merge it, and go back to your main branch")

    def _clone(self, place: Place, reading: Reading, folder: Path) -> None:
        depth = [] if place.folder else ["--depth=1"]
        command = ["clone", "--quiet", "--no-tags", *depth, "--", place.address, str(folder)]
        ran = self.programs.git(*command, folder=self.scratch, credentials=place.credentials)
        if not ran.ok:
            raise UnreadableError(f"it cannot be cloned: {ran.last()}", "`git clone` of it has to work here.")
        if place.folder:  # whatever is checked out there, detached or not
            self._git(folder)("checkout", "--quiet", "--detach", reading.head)

    def _git(self, folder: Path) -> Callable[..., str]:
        def git(*arguments: str) -> str:
            ran = self.programs.git(*arguments, folder=folder)
            if not ran.ok:
                what = next((each for each in arguments if not each.startswith("-") and "=" not in each), "")
                raise UnreadableError(f"git {what} failed: {ran.last()}", "Run it again.")
            return ran.text

        return git

    def _earlier_branch(self, place: Place, folder: Path, head: str) -> str:
        """The commit that the branch of an earlier proposal is at; nothing if there is none, or it is merged."""
        found = self.programs.git(
            "ls-remote", "origin", f"refs/heads/{place.branch}", folder=folder, credentials=place.credentials
        )
        if not found.ok:
            raise UnreadableError(f"its branches cannot be listed: {found.last()}", "Run it again.")
        earlier = found.text.split()[0] if found.text.strip() else ""
        if earlier and earlier != head:
            command = [
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                *([] if place.folder else ["--depth=2"]),
            ]
            command += ["origin", f"refs/heads/{place.branch}:refs/fleet/earlier"]
            fetched = self.programs.git(*command, folder=folder, credentials=place.credentials)
            if not fetched.ok:
                raise UnreadableError(f"{place.branch} cannot be fetched: {fetched.last()}", "Run it again.")
            by = self._git(folder)("log", "-1", "--format=%ce", earlier).strip()
            merged = self.programs.git("merge-base", "--is-ancestor", earlier, head, folder=folder).ok
            if by not in OURS and not merged:
                raise LeftError(f"somebody has worked on {place.branch} ({by}): merge or delete that branch")
        return earlier

    def _is_the_same(self, place: Place, folder: Path, earlier: str, head: str, goals: Mapping[str, str]) -> bool:
        """Whether an earlier proposal is this one: on the same commit, to the same releases."""
        parents = self._git(folder)("log", "-1", "--format=%P", earlier).split()
        shown = {
            goal: self.programs.git("show", f"{earlier}:{place.prefix}/{file}".replace(":/", ":"), folder=folder)
            for file, goal in goals.items()
        }
        return parents == [head] and all(each.ok and f"_commit: {goal}\n" in each.text for goal, each in shown.items())

    # The update itself

    def _copier(
        self,
        service: Path,
        folder: Path,
        template: Template,
        address: str,
        options: Sequence[str],
        *,
        may_fail: bool = False,
    ) -> Ran:
        """Update from a template in the copy."""
        settings = folder.with_name(f"{folder.name}.yml")
        settings.write_text("{}\n", encoding="utf-8")  # those of this machine change nothing
        # Copier asks for the template at the address that is recorded, and git gives it our clone.
        instead = (f"url.{template.clone.with_suffix('').as_posix()}.insteadOf", expanded(address).removesuffix(".git"))
        variables = {
            **environment([instead]),
            "COPIER_SETTINGS_PATH": str(settings),
            "COPIER_CACHE_DIR": str(folder.with_name(f"{folder.name}.cache")),
        }
        # -P: what stands in the service is no module of ours.
        command = [sys.executable, "-P", "-m", "copier", "update", "--defaults", *options]
        ran = self.programs.run(command, service, LONGEST, variables)
        shutil.rmtree(folder.with_name(f"{folder.name}.cache"), ignore_errors=True)
        if ran.code is None or not (ran.ok or may_fail):
            raise UnreadableError(f"copier update failed: {ran.last()}", "Run it there by hand; it says more.")
        return ran

    def _from_template(self, service: Path, folder: Path, reading: Reading) -> str:
        """Update from the template; what the proof said, if one was asked for."""
        trust: bool = self.fleet.options.trust
        options = ["--trust", f"--vcs-ref={self.goal}", *([] if trust else ["--skip-tasks"])]
        ran = self._copier(service, folder, self.fleet.template, reading.template, options, may_fail=trust)
        if not trust:
            return "not locked, not verified"
        try:
            record = records.parse((service / ".hardening" / "last-verify.json").read_bytes())
        except OSError:
            record = None
        return f"verify: {record.get('outcome')}" if record else f"not verified: {ran.last()}"

    def _conflicts(self, folder: Path) -> Iterator[str]:
        """The files that somebody would have to merge."""
        git = self._git(folder)
        for line in git("ls-files", "-z", "--unmerged").split("\0"):
            if line:
                yield line.partition("\t")[2]
        yield from (name for name in git("ls-files", "-z", "--others", "--", "*.rej").split("\0") if name)

    def _publish(self, place: Place, reading: Reading, folder: Path, earlier: str, note: str, told: str) -> str:
        """Let the branch appear where the service is, in one step; what is said of it."""
        commit = self._git(folder)("rev-parse", "HEAD").strip()
        if place.folder:
            git = self._git(place.folder)
            git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(folder), f"refs/heads/{place.branch}")
            # It fails if somebody has moved the branch meanwhile.
            git("update-ref", "-m", "fleet: update", f"refs/heads/{place.branch}", commit, earlier or "0" * len(commit))
            return f"branch {place.branch}, {note}"
        lease = f"--force-with-lease=refs/heads/{place.branch}:{earlier}"
        target = f"HEAD:refs/heads/{place.branch}"
        pushed = self.programs.git(
            "push", "--quiet", lease, "origin", target, folder=folder, credentials=place.credentials
        )
        if not pushed.ok:
            raise UnreadableError(
                f"{place.branch} cannot be pushed: {pushed.last()}", "The token has to be allowed to write."
            )
        if not self.fleet.forge:
            return f"{place.branch} was pushed, {note}"
        if reading.request:
            return f"{reading.request}, {note}"
        body = f"{told.rstrip('.')}; {note}. Its pipeline verifies it."
        try:
            return f"{self.fleet.forge.propose(reading, place.node, TITLE, body)}, {note}"
        except UnreadableError as error:
            raise UnreadableError(f"{place.branch} was pushed, but no request opened: {error}", error.remedy) from None
