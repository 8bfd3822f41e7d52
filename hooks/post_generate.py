"""What happens right after `copier copy`: the new service is locked, installed and verified, and said to be what it is.

Copier deletes what it has just written when this exits with another code than 0. So, but for `checks=strict`, it exits
with 0 whatever happens, and says in words what was not proved.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # PYTHONSAFEPATH would leave it out
sys.path.insert(1, str(Path(__file__).parent.parent / "template"))  # what the hooks and verify share

from hook import VERIFY, Hook, run, shell_quoted
from programs import CannotGoOnError
from report import PROVED
from verify.runner.terminal import printable
from verify.upkeep import larger_repository


class Generated(Hook):
    """One run of this file."""

    operation = "copy"
    nothing = f"Nothing was locked, installed or checked, as checks=off asks for. `{VERIFY}` does it."

    def run_checks(self) -> None:
        uv = self.programs.find_uv()
        self.stages.refuse_a_workspace(uv)
        self.refuse_foreign_venv()
        self.stages.uv("lock", [*uv, "lock"])
        self.stages.uv("install", [*uv, "sync", "--locked"])
        self.stages.verify([*uv, *VERIFY.split()[1:]])

    def refuse_foreign_venv(self) -> None:
        """Stop before uv changes an environment that was here before."""
        if (self.folder / ".venv").exists() and not (self.folder / "uv.lock").exists():
            raise CannotGoOnError(
                "There was a .venv in this folder before, and uv would change what is installed in it. "
                "Move it away, or go on by hand with the commands below; until then nothing is checked."
            )

    def inspect(self) -> None:
        """Note what the next `git` or `copier update` would stumble over."""
        notes = self.report.notes
        source = self.options.source
        if source and not re.match(r"[/\\~]|[^/\\]*:", source):
            try:
                recorded = (self.folder / ".copier-answers.yml").read_text(encoding="utf-8")
            except OSError:
                recorded = ""
            found = re.search(r"^_src_path: (.*)$", recorded, re.MULTILINE)
            notes.append(
                f"The template's address was given as {printable(source)}, and is recorded as "
                f"{printable(found[1]) if found else 'unknown'}: updates work on this machine alone. "
                "For colleagues and CI, set `_src_path` in .copier-answers.yml to the template's URL before you commit."
            )
        if not self.options.version:
            notes.append(
                "The template's version is not known, so `copier update` cannot work. Emit from its git repository."
            )
        git = shutil.which("git")
        if not git or Path(git).absolute().is_relative_to(self.folder):
            notes.append("git was not found; `copier update` needs it, and the service in a git repository.")
            return
        try:
            root = Path(self.programs.ask([git, "rev-parse", "--show-toplevel"]).strip())
        except (OSError, subprocess.SubprocessError):
            notes.append("Put it into git, uv.lock too, with `git init`, `git add --all` and `git commit`.")
        else:
            if not same(root, self.folder):
                notes.append(
                    f"It lies inside the git repository {printable(str(root))}: commit it there, no `git init`."
                )
                if offered := larger_repository.offer(self.folder):
                    notes.append(
                        f"Forges read pipelines at that root alone. There: {'; '.join(map(printable, offered))}"
                    )
        try:
            self.programs.ask([git, "var", "GIT_COMMITTER_IDENT"])
        except (OSError, subprocess.SubprocessError):
            notes.append(
                "git does not know who you are, so it would refuse to commit: "
                "`git config --global user.name NAME`, `git config --global user.email ADDRESS`."
            )

    def next_commands(self) -> list[str]:
        cd = f"cd {shell_quoted(printable(self.options.destination))}"
        serve = f"uv run python -m {self.options.package} serve --dev"
        if self.report.outcome == PROVED:
            return [cd, f"uv run python -m {self.options.package} check", serve]
        if self.report.reached("install"):
            return [cd, VERIFY, serve]
        return [cd, "uv sync", VERIFY]

    def explain_failure(self) -> bool:
        say = self.screen.line
        if not self.will_be_removed():
            say("checks=strict asks for proof, so Copier now fails; it leaves this folder as it is.")
            return True
        again = ["copier", "copy", "--trust", "-d", "checks=warn", self.options.source, self.options.destination]
        say()
        say(f"checks=strict asks for proof, so Copier now removes {printable(str(self.folder))}")
        say("(not a folder that was there before). To keep it, emit it with the same answers and checks=warn,")
        say("or with --skip-tasks:")
        say(f"    {' '.join(shell_quoted(printable(word)) for word in again)}")
        return False

    def will_be_removed(self) -> bool:
        """Whether Copier deletes the folder when this fails: not one with a file from before it cloned the template.

        A folder that was there and empty cannot be told from a new one; the words allow for that.
        """
        if self.options.cleanup != "True":
            return False
        try:
            cloned = Path(__file__).stat().st_ctime
            return all(path.lstat().st_ctime >= cloned for path in self.folder.iterdir())
        except OSError:
            return True


def same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cleanup", default="True", help="whether Copier deletes what it wrote when this fails")
    run(Generated, parser, sys.argv[1:])
