"""What happens right after `copier update`: what owned code needs is brought into the service, and proved again.

Copier keeps what it has written whatever this exits with, so nothing is lost here either: what was not done is said in
a sentence, with what to do about it. Copier calls an update with conflicts a success; this does not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # PYTHONSAFEPATH would leave it out
sys.path.insert(1, str(Path(__file__).parent.parent / "template"))  # what the hooks and verify share

from hook import VERIFY, Hook, run, shell_quoted
from moved import rejects_of_the_gone, taken_away
from programs import CannotGoOnError
from report import PROVED, UNVERIFIED
from seeds import ANSWERS, follow
from stages import UvFailedError
from verify.runner.files import write_atomically
from verify.runner.terminal import printable
from verify.upkeep.changelog import Entry, base_of, between, parse, since
from verify.upkeep.libraries import OF_ITS_OWN

TEMPLATE = Path(__file__).parent.parent
# In an environment of its own: the service's may be older than the code that has just come.
BOUNDS = [*OF_ITS_OWN, "-m", "verify.bounds", "--format=json"]
BY_HAND = ["uv run python -m verify.bounds", "uv lock", "uv sync --locked", VERIFY]
OFFERS = "uv run --locked python -m verify.update --offers"
FOUND = Path(".hardening", "seeds.json")
SHOWN = 12  # entries of the changelog that neither break anything nor fix a vulnerability


class Updated(Hook):
    """One run of this file."""

    operation = "update"
    nothing = "Nothing was brought into pyproject.toml, locked, installed or checked, as checks=off asks for."
    conflicts = False

    def inspect(self) -> None:
        """Go on over no conflict: what comes after would hide it."""
        names = self.conflicted()
        if names:
            self.conflicts = True
            raise CannotGoOnError(
                f"Conflicts in {printable(', '.join(names))}: nothing was done after the merge. Resolve them and "
                "`git add` them (delete a .rej file, which holds what did not fit), then go on with the commands below."
            )
        self.report.notes += taken_away(self.programs, TEMPLATE, self.options.before)
        try:
            followed = list(follow(self.programs, TEMPLATE, self.options.before))
        except CannotGoOnError as problem:  # the rest can go on
            followed = [str(problem)]
        if followed:
            followed.append(f"`uv run python -m {self.options.package} check` names the settings that they ask for.")
        self.report.notes += followed

    def conflicted(self) -> list[str]:
        """The files in this folder that the merge left unfinished."""
        names: set[str] = set()
        for options in (["--unmerged"], ["--others", "--", "*.rej", ":!.venv"]):
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                listed = self.programs.ask(["git", "ls-files", "-z", *options])
                names |= {line.rpartition("\t")[2] for line in listed.split("\0") if line}
        return sorted(names - set(rejects_of_the_gone(self.folder, names)))

    def run_checks(self) -> None:
        if not (self.folder / "verify" / "__main__.py").is_file():
            raise CannotGoOnError(
                "There is no verify/ in this folder, and an update does not bring back what was deleted. "
                "`copier recopy --trust --skip-tasks` does; then go on with the commands below."
            )
        uv = self.programs.find_uv()
        self.stages.refuse_a_workspace(uv)
        self.bring_bounds_and_lock(uv)
        self.stages.uv("install", [*uv, "sync", "--locked"])
        self.find_offers(uv)
        bounded = not self.report.problems
        self.stages.verify([*uv, *VERIFY.split()[1:]])
        if not bounded and self.report.outcome == PROVED:
            self.report.outcome = UNVERIFIED

    def bring_bounds_and_lock(self, uv: list[str]) -> None:
        """Bring in what owned code needs, unless nothing can be locked with it; move no version that may stay."""
        pyproject = self.folder / "pyproject.toml"
        notes = self.report.notes
        if not pyproject.exists():
            raise CannotGoOnError(
                "There is no pyproject.toml in this folder, so nothing was locked, installed or checked. "
                "verify/bounds.toml lists what owned code needs: ask for it wherever the dependencies are kept."
            )
        before = pyproject.read_bytes()
        if not (self.folder / "uv.lock").exists():
            notes.append(
                "There was no uv.lock, so every version in it is new. Commit it: then only what must move will."
            )
        changed = self.bring_bounds(uv)
        try:
            self.stages.uv("lock", [*uv, "lock"])
        except UvFailedError as error:
            if not changed or "No solution found" not in error.said:
                raise
            write_atomically(pyproject.resolve(), before)
            notes[:] = [note for note in notes if note not in changed]
            notes.append(
                "pyproject.toml is as it was, since nothing can be locked with what owned code needs; `uv` says above "
                f"what it clashes with. Make room, then run `{BY_HAND[0]}` and `uv lock`. Not done: {' '.join(changed)}"
            )
            self.stages.uv("lock", [*uv, "lock"])

    def find_offers(self, uv: list[str]) -> None:
        """Let the service find what the changelog offers for the team's own files. It changes none of them."""
        with contextlib.suppress(OSError, ValueError):
            if not any(each.seeds for each in parse((TEMPLATE / "CHANGELOG.md").read_text(encoding="utf-8"))):
                return
        code, said = self.programs.run([*uv, *OFFERS.split()[1:], f"--template={TEMPLATE}"], "offers")
        try:
            offers = [] if code else json.loads((self.folder / FOUND).read_text(encoding="utf-8"))["offers"]
            waiting = [printable(str(each["say"])) for each in offers if each["state"] == "open"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            code, said, waiting = 2, str(error), []
        if code:
            reason = printable(" ".join(said.split())[-300:])
            self.report.notes.append(
                f"What is offered for your own files is not known: {reason} `{OFFERS}` looks again."
            )
        elif waiting:
            self.report.notes.append(f"Offered for your own files; nothing was changed. {' '.join(waiting)} `{OFFERS}`")

    def bring_bounds(self, uv: list[str]) -> list[str]:
        """Run the service's own `verify.bounds`; what it changed."""
        self.screen.begin("bounds")
        started = time.monotonic()
        _, said = self.programs.run([uv[0], "--quiet", *uv[1:], *BOUNDS], "bounds")
        try:
            found = json.loads(said.strip().rpartition("\n")[2])
            changed, clashes, unverified = (
                list(map(printable, found[key])) for key in ("changed", "clashes", "untold")
            )
        except (ValueError, LookupError, TypeError):
            reason = printable(" ".join(said.split())[-300:])
            changed, clashes = [], []
            unverified = [f"What owned code needs was not brought into pyproject.toml: {reason}"]
        self.stages.end("bounds", "failed" if clashes or unverified else "done", started)
        self.report.problems += [*clashes, *unverified]
        self.report.notes += changed
        return changed

    # What is said

    def print_changes(self) -> None:
        for line in self.changes():
            self.screen.line(line)
        self.screen.line()

    def changes(self) -> Iterator[str]:
        """What has changed for this service, in the order of `between`; all that breaks or fixes a vulnerability."""
        before, after = printable(self.options.before), printable(self.options.version)
        if before == after:
            yield f"The template's version has not changed: {after}."
            return
        try:
            answers = (self.folder / ANSWERS).read_text(encoding="utf-8")
            text = (TEMPLATE / "CHANGELOG.md").read_text(encoding="utf-8")
            given = dict(re.findall(r"^(\w+): (\S+)$", answers, re.MULTILINE))
            entries = self.entries(text, given)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            yield f"What has changed from {before} to {after} could not be read ({printable(str(error))})."
            return
        if not entries:
            yield f"From {before} to {after} the changelog names nothing that changes for this service."
            return
        yield f"What has changed for this service from {before} to {after}:"
        urgent = [entry for entry in entries if entry.urgent]
        rest = [entry for entry in entries if not entry.urgent]
        for entry in urgent + rest[:SHOWN]:
            kind = "BREAKING" if entry.breaking else entry.kind
            yield from textwrap.wrap(
                printable(entry.text),
                110,
                initial_indent=f"  {kind:11}",
                subsequent_indent=" " * 13,
                break_on_hyphens=False,
            )
        if len(rest) > SHOWN:
            yield f"  and {len(rest) - SHOWN} more, in the template's CHANGELOG.md"

    def entries(self, changelog: str, answers: dict[str, str]) -> list[Entry]:
        """What is new in the changelog: by version or, where a commit has no name, by what the older text did not say.

        Raises:
            ValueError: One of the two is no version.
            subprocess.SubprocessError: The older commit has no changelog.
        """
        git = ["git", "-C", str(TEMPLATE)]
        tags = set(self.programs.ask([*git, "tag", "--list"]).split())
        before, after = self.options.before, self.options.version
        if {base_of(before), base_of(after)} <= tags:
            return between(changelog, before, after, answers)
        return since(changelog, self.programs.ask([*git, "show", f"{before}:CHANGELOG.md"]), answers)

    def explain_failure(self) -> bool:
        self.screen.line("checks=strict asks for proof, so Copier now fails; it keeps what the update has written.")
        return True

    def next_commands(self) -> list[str]:
        folder = printable(self.options.destination)
        before = [] if folder == "." else [f"cd {shell_quoted(folder)}"]
        if self.conflicts:
            return [*before, "git status", *BY_HAND]
        if self.report.outcome == PROVED:
            return [*before, "git diff", "git add --all && git commit"]
        return [*before, VERIFY] if self.report.reached("install") else [*before, *BY_HAND]

    @property
    def code(self) -> int:
        return 1 if self.conflicts else super().code


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default="", help="the template's version until now")
    run(Updated, parser, sys.argv[1:])
