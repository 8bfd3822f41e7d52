"""What happens right after `copier copy`: the new service is locked, installed and verified, and said to be what it is.

Copier deletes what it has just written when this exits with another code than 0. So, but for `checks=strict`, it exits
with 0 whatever happens, and says in words what was not proved. It runs in the new service's folder, by Copier's own
interpreter, which may be an older one than the service needs: standard library, Python 3.10, no shell.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

SPINNER = "|/-\\"
LIMIT = 900.0  # seconds that one command may take
RECORD = Path(".hardening", "hook.json")
VERIFIED = Path(".hardening", "last-verify.json")
VERIFY = "uv run --locked python -m verify"

PROVED, INSECURE, UNVERIFIED, OFF = "proved", "insecure", "unverified", "off"
EXIT_CODES = {PROVED: 0, INSECURE: 1, UNVERIFIED: 2, OFF: 0}
WORDS = {PROVED: "proved", INSECURE: "INSECURE", UNVERIFIED: "NOT VERIFIED"}
COLOURS = {"done": "32", "proved": "32", "INSECURE": "1;31", "failed": "1;31", "NOT VERIFIED": "1;33", "not run": "2"}

# What would make uv or the service look at another project, environment or setting than the one that was just emitted.
# Which index, cache, proxy or Python is to be used stays the user's choice.
SCRUBBED = ("APP_", "COPIER_", "PYTHON", "VERSION_")
SCRUBBED_NAMES = {
    *("STAGE", "VIRTUAL_ENV", "UV_ENV_FILE", "UV_FROZEN", "UV_ISOLATED", "UV_LOCKED", "UV_NO_DEV", "UV_NO_SYNC"),
    *("UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY"),
}

# What uv says when something of the machine is in its way, and what to say instead; the first that fits.
DISASTERS = [
    (
        r"no space left on device|not enough space on the disk|disk quota exceeded",
        "The disk is full.",
        "Free some space, then go on by hand with the commands below.",
    ),
    (
        r"read-only file system|permission denied|access is denied",
        "A folder cannot be written to.",
        "Make it writable (uv names it above), then go on by hand with the commands below.",
    ),
    (
        r"no interpreter found|python requirement|python downloads are|querying python|failed to download.*cpython-3",
        "There is no Python here that the service can run on.",
        "Get one with `uv python install 3.13`, then go on by hand with the commands below.",
    ),
    (
        r"40[13] (unauthorized|forbidden)",
        "The package index refused access.",
        "Check its address and credentials, then go on by hand with the commands below.",
    ),
    (
        r"invalid peer certificate|certificate verify failed",
        "The package index showed a certificate that is not trusted here.",
        "Name your certificates in SSL_CERT_FILE, then go on by hand with the commands below.",
    ),
    (
        r"network (was|connectivity is) disabled|error sending request|failed to (fetch|download)|tcp connect error"
        r"|dns error|could not connect|timed out",
        "The package index could not be reached.",
        "Go online, or name an index that can be reached in UV_DEFAULT_INDEX, then go on with the commands below.",
    ),
]


class Stopped(KeyboardInterrupt):
    """Somebody other than the keyboard told this process alone to stop."""


class CannotGoOnError(Exception):
    """Something that must be there is not; the text is a sentence and its remedy."""


@dataclass
class Stage:
    """One row of the summary."""

    name: str
    result: str
    seconds: float | None = None


@dataclass
class Report:
    """What came of it all."""

    outcome: str = UNVERIFIED
    insecure: int = 0
    stages: list[Stage] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def reached(self, name: str) -> bool:
        return any(stage.name == name and stage.result == "done" for stage in self.stages)


def visible(text: str) -> str:
    """The text without anything that a terminal would obey or that YAML would refuse."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "backslashreplace").decode()
        for letter in text
    )


def typed(path: str) -> str:
    """A path as it is typed after a command."""
    if sys.platform == "win32":
        return f'"{path}"' if re.search(r"[^\w.:\\/-]", path) else path
    return shlex.quote(path)


class Screen:
    """Where the lines go: with a spinner on a terminal, plain elsewhere, and nowhere when there is no reader left."""

    def __init__(self) -> None:
        self.output = sys.stdout
        self.terminal = bool(self.output and self.output.isatty()) and os.environ.get("TERM") != "dumb"
        coloured = sys.platform != "win32" or bool(os.environ.get("WT_SESSION"))
        self.colours = self.terminal and coloured and not os.environ.get("NO_COLOR")
        self.turns = 0
        reconfigure = getattr(self.output, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")

    def write(self, text: str) -> None:
        try:
            if self.output:
                self.output.write(text)
                self.output.flush()
        except (OSError, ValueError):  # a full disk, or whoever read this has gone: that must not harm the project
            self.output = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - it stays open until the end
            self.terminal = False
            with contextlib.suppress(OSError, ValueError):
                os.dup2(self.output.fileno(), sys.stdout.fileno())

    def line(self, text: str = "") -> None:
        self.write(f"{text}\n")

    def paint(self, text: str, result: str) -> str:
        colour = COLOURS.get(result)
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colours and colour else text

    def begin(self, name: str) -> None:
        if self.terminal:
            self.turn(name, 0)
        else:
            self.line(f"{name} ...")

    def turn(self, name: str, seconds: float) -> None:
        if self.terminal:
            self.turns += 1
            hint = "  Ctrl-C stops this and keeps the project" if seconds > 5 else ""
            self.write(f"\r{name:14} {SPINNER[self.turns % 4]} {seconds:4.1f} s{hint}")

    def end(self, name: str, result: str, seconds: float) -> None:
        start = "\r\x1b[K" if self.colours else f"\r{'':<70}\r" if self.terminal else ""
        self.line(f"{start}{self.row(name, result, seconds)}")

    def row(self, name: str, result: str, seconds: float | None) -> str:
        taken = "" if seconds is None else f"{seconds:6.1f} s"
        return f"{name:14} {self.paint(f'{result:>12}', result)} {taken}".rstrip()


class Hook:
    """One run of this file."""

    def __init__(self, given: argparse.Namespace, folder: Path, screen: Screen) -> None:
        self.given = given
        self.folder = folder
        self.screen = screen
        self.report = Report()
        self.child: subprocess.Popen[str] | None = None
        self.started = time.monotonic()
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name.upper() not in SCRUBBED_NAMES and not name.upper().startswith(SCRUBBED)
        }

    # The stages

    def lock_install_and_verify(self) -> None:
        uv = self.find_uv()
        self.refuse_to_touch_what_is_not_ours(uv)
        self.uv_stage("lock", [*uv, "lock"])
        self.uv_stage("install", [*uv, "sync", "--locked"])
        self.verify([*uv, *VERIFY.split()[1:]])

    def find_uv(self) -> list[str]:
        """The uv on PATH, or else the one that is installed beside Copier. One that does not answer is none."""
        for found in self.candidates():
            if Path(found).is_relative_to(self.folder):
                continue  # on Windows the current folder is searched first, and it may hold anything
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                self.ask([found, "--version"])
                # `verify` and the service's own tools look for it by name.
                self.environment["PATH"] = os.pathsep.join([self.environment.get("PATH", ""), str(Path(found).parent)])
                return [found]
        raise CannotGoOnError(
            "uv was found neither on PATH nor beside Copier, so nothing was locked, installed or checked. "
            "Install it (https://docs.astral.sh/uv/), then go on with the commands below."
        )

    def candidates(self) -> Iterator[str]:
        on_path = shutil.which("uv")
        if on_path:
            yield str(Path(on_path).absolute())
        with contextlib.suppress(ImportError, AttributeError, OSError):
            yield importlib.import_module("uv").find_uv_bin()

    def refuse_to_touch_what_is_not_ours(self, uv: Sequence[str]) -> None:
        """Stop before uv rewrites the lock file of a workspace around us, or an environment that was here before."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            root = Path(self.ask([*uv, "workspace", "dir"]).strip())
            if root.is_dir() and not root.samefile(self.folder):
                raise CannotGoOnError(
                    f"The uv workspace {visible(str(root))} takes this folder in as a member, so uv would lock that "
                    "workspace, not this service. Exclude this folder there or emit the service elsewhere; "
                    "until then nothing is locked, installed or checked."
                )
        if (self.folder / ".venv").exists() and not (self.folder / "uv.lock").exists():
            raise CannotGoOnError(
                "There was a .venv in this folder before, and uv would change what is installed in it. "
                "Move it away, or go on by hand with the commands below; until then nothing is checked."
            )

    def uv_stage(self, name: str, command: list[str]) -> None:
        self.screen.begin(name)
        started = time.monotonic()
        code, said = self.run(command, name)
        seconds = time.monotonic() - started
        result = "failed" if code else "done"
        self.report.stages.append(Stage(name, result, seconds))
        self.screen.end(name, result, seconds)
        if code:
            # uv breaks long lines, and a path that is in the way may stand on the next one.
            errors = re.split(r"\s+(?=(?:error|cause|hint): )", " " + " ".join(said.split()))
            told = [error for error in errors if error.startswith(("error", "cause"))] or errors
            for line in dict.fromkeys(told[:1] + told[-1:]):
                self.screen.line(f"    uv: {visible(line)[:400]}")
            raise CannotGoOnError(explained(said, name))

    def verify(self, command: list[str]) -> None:
        """Run the proof that the service brings along. It prints its own lines; its record says what came of it."""
        with contextlib.suppress(OSError):
            (self.folder / VERIFIED).unlink()
        self.screen.line()
        started = time.monotonic()
        code, _ = self.run(command)
        seconds = time.monotonic() - started
        try:
            record = json.loads((self.folder / VERIFIED).read_text(encoding="utf-8"))
            outcome = str(record["outcome"])
            stages = list(verified_stages(record))
            if EXIT_CODES[outcome] != code or (outcome == PROVED) != all(stage.result == PROVED for stage in stages):
                raise ValueError(outcome)
            self.report.stages += stages
            self.report.problems += list(found_by(record))
            self.report.insecure = sum(check["outcome"] == INSECURE for check in record["checks"])
            self.report.outcome = outcome
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            self.report.stages.append(Stage("verify", WORDS[UNVERIFIED], seconds))
            raise CannotGoOnError(
                f"verify ended with code {code} and left no record that agrees, so nothing is known. "
                "Run it again by hand with the commands below."
            ) from None

    # Other programs

    def ask(self, command: Sequence[str]) -> str:
        """What a program prints that answers at once."""
        return subprocess.run(  # noqa: S603 - a list of our own words, and no shell
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=30,
            check=True,
        ).stdout

    def run(self, command: list[str], stage: str = "") -> tuple[int, str]:
        """Run a command: quietly and with a spinner if it has the name of a stage, else with its own lines."""
        output = subprocess.PIPE if stage else None
        environment = {**self.environment, "NO_COLOR": "1"} if stage else self.environment
        started = time.monotonic()
        self.child = subprocess.Popen(  # noqa: S603 - a list of our own words, and no shell
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if stage else None,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, _ = self.child.communicate(timeout=0.1)
                return self.child.returncode, said or ""
            seconds = time.monotonic() - started
            if stage:
                self.screen.turn(stage, seconds)
            if seconds > LIMIT:
                self.end_child()
                raise CannotGoOnError(
                    f"{stage or 'verify'} took more than {LIMIT / 60:.0f} minutes and was stopped. "
                    "Go on by hand with the commands below."
                )

    def end_child(self, *, told: bool = False) -> None:
        """End what still runs; what has been told to stop by the same Ctrl-C gets some time to clean up."""
        child = self.child
        if child is None or child.poll() is not None:
            return
        try:
            if not told:
                child.terminate()
            for wait in (5, 2):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(wait)
                    return
                child.terminate()
        finally:
            if child.poll() is None:
                child.kill()

    # What is said

    def look_around(self) -> None:
        """Note what the next `git` or `copier update` would stumble over."""
        notes = self.report.notes
        source = self.given.source
        if source and not re.match(r"[/\\~]|[^/\\]*:", source):
            try:
                recorded = (self.folder / ".copier-answers.yml").read_text(encoding="utf-8")
            except OSError:
                recorded = ""
            found = re.search(r"^_src_path: (.*)$", recorded, re.MULTILINE)
            notes.append(
                f"The template's address was given as {visible(source)}, and is recorded as "
                f"{visible(found[1]) if found else 'unknown'}: updates work on this machine alone. "
                "For colleagues and CI, set `_src_path` in .copier-answers.yml to the template's URL before you commit."
            )
        if not self.given.version:
            notes.append(
                "The template's version is not known, so `copier update` cannot work. Emit from its git repository."
            )
        git = shutil.which("git")
        if not git or Path(git).absolute().is_relative_to(self.folder):
            notes.append("git was not found; `copier update` needs it, and the service in a git repository.")
            return
        for name in [name for name in self.environment if name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")]:
            del self.environment[name]
        try:
            root = Path(self.ask([git, "rev-parse", "--show-toplevel"]).strip())
        except (OSError, subprocess.SubprocessError):
            notes.append("Put it into git, uv.lock too, with `git init`, `git add --all` and `git commit`.")
        else:
            if not same(root, self.folder):
                notes.append(f"It lies inside the git repository {visible(str(root))}: commit it there, no `git init`.")
        try:
            self.ask([git, "var", "GIT_COMMITTER_IDENT"])
        except (OSError, subprocess.SubprocessError):
            notes.append(
                "git does not know who you are, so it would refuse to commit: "
                "`git config --global user.name NAME`, `git config --global user.email ADDRESS`."
            )

    def next_commands(self) -> list[str]:
        cd = f"cd {typed(visible(self.given.destination))}"
        serve = f"uv run python -m {self.given.package} serve --dev"
        if self.report.outcome == PROVED:
            return [cd, f"uv run python -m {self.given.package} check", serve]
        if self.report.reached("install"):
            return [cd, VERIFY, serve]
        return [cd, "uv sync", VERIFY]

    def verdict(self) -> str:
        """The result in one sentence, for this summary and for Copier's last words."""
        count = self.report.insecure
        return {
            PROVED: "Locked, installed, audited and attacked: all of it was proved.",
            INSECURE: f"INSECURE: {count} finding{'s' if count != 1 else ''} to mend before this service is used.",
            UNVERIFIED: "NOT VERIFIED: not everything could be checked, so nobody knows if this service is secure.",
            OFF: f"Nothing was locked, installed or checked, as checks=off asks for. `{VERIFY}` does it.",
        }[self.report.outcome]

    def summary(self) -> None:
        say = self.screen.line
        report = self.report
        say()
        if report.stages:
            say(f"{'stage':14} {'result':>12} {'time':>8}")
            for stage in report.stages:
                say(self.screen.row(stage.name, stage.result, stage.seconds))
            say(self.screen.row("all", "", time.monotonic() - self.started))
            say()
        say(self.screen.paint(self.verdict(), WORDS.get(report.outcome, "")))
        for problem in report.problems[:10]:
            say(f"  - {problem}")
        if len(report.problems) > 10:
            say(f"  - and {len(report.problems) - 10} more, in {VERIFIED.as_posix()}")
        if self.fails and self.will_be_removed():
            again = ["copier", "copy", "--trust", "-d", "checks=warn", self.given.source, self.given.destination]
            say()
            say(f"checks=strict asks for proof, so Copier now removes {visible(str(self.folder))}")
            say("(not a folder that was there before). To keep it, emit it with the same answers and checks=warn,")
            say("or with --skip-tasks:")
            say(f"    {' '.join(typed(visible(word)) for word in again)}")
            return
        if self.fails:
            say("checks=strict asks for proof, so Copier now fails; it leaves this folder as it is.")
        for note in report.notes:
            say(f"  - {note}")
        say()
        say("Next:")
        for command in self.next_commands():
            say(f"    {command}")

    @property
    def fails(self) -> bool:
        return self.given.checks == "strict" and self.report.outcome != PROVED

    def will_be_removed(self) -> bool:
        """Whether Copier deletes the folder when this fails: not one with a file from before it cloned the template.

        A folder that was there and empty cannot be told from a new one; the words allow for that.
        """
        if self.given.cleanup != "True":
            return False
        try:
            cloned = Path(__file__).stat().st_ctime
            return all(path.lstat().st_ctime >= cloned for path in self.folder.iterdir())
        except OSError:
            return True

    def record(self) -> None:
        """Leave the result to Copier's last words, whole or not at all: half a file would end them in a traceback."""
        record = {
            "operation": "copy",
            "version": visible(self.given.version),
            "run": self.given.run,
            "outcome": self.report.outcome,
            "say": " ".join([self.verdict(), "; ".join(self.report.problems[:3])]).rstrip(),
        }
        path = self.folder / RECORD
        unfinished = path.with_suffix(".unfinished")
        try:
            path.parent.mkdir(exist_ok=True)
            (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")  # the folder's own may not know of it
            unfinished.write_text(json.dumps(record, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            unfinished.replace(path)
        except (OSError, ValueError):
            for leftover in (path, unfinished):
                with contextlib.suppress(OSError):
                    leftover.unlink()

    # The whole

    def main(self) -> int:
        for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), stop)
        try:
            with contextlib.suppress(OSError):
                (self.folder / RECORD).unlink()
            self.work()
            self.record()
            self.summary()
        except KeyboardInterrupt as stopped:
            self.interrupted(stopped)
        return EXIT_CODES[self.report.outcome] if self.fails else 0

    def work(self) -> None:
        report = self.report
        try:
            self.look_around()
            if self.given.checks == OFF:
                report.outcome = OFF
            else:
                self.lock_install_and_verify()
        except CannotGoOnError as problem:
            report.problems.append(str(problem))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the project with it
            report.outcome = UNVERIFIED
            report.problems.append(
                f"The hook itself failed ({visible(f'{type(error).__name__}: {error}')[:200]}). "
                "Go on by hand with the commands below, and report it to the template."
            )

    def interrupted(self, stopped: KeyboardInterrupt) -> None:
        """Say so at once: Copier, which got the same Ctrl-C, gives this process a quarter of a second to end."""
        with contextlib.suppress(ValueError, OSError):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.report.outcome = UNVERIFIED
        self.report.problems = ["Stopped before all was checked."]
        self.screen.line()
        self.screen.line(f"Stopped. {self.verdict()}")
        self.screen.line("Copier keeps the project when Ctrl-C stops it. Next:")
        for command in self.next_commands():
            self.screen.line(f"    {command}")
        self.record()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            self.end_child(told=not isinstance(stopped, Stopped))


def stop(number: int, _: object) -> NoReturn:
    raise Stopped(number)


def same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def explained(said: str, stage: str) -> str:
    """A sentence and its remedy for what uv printed when it failed."""
    for pattern, sentence, remedy in DISASTERS:
        if re.search(pattern, " ".join(said.split()), re.IGNORECASE):
            return f"{sentence} {remedy}"
    command = "uv lock" if stage == "lock" else "uv sync --locked"
    return f"`{command}` failed. Run it in the folder to see all of what it says, then go on with the commands below."


def verified_stages(record: dict[str, Any]) -> Iterator[Stage]:
    """The stages of verify with their times; whatever belongs to none of them by name is an attack."""
    seconds: dict[str, float] = record["seconds"]
    found: dict[str, set[str]] = {name: set() for name in seconds}
    for check in record["checks"]:
        name = check["step"] if check["step"] in found else "attacks"
        found.setdefault(name, set()).add(check["outcome"])
    for name, outcomes in found.items():
        if name == "lock" and outcomes == {PROVED}:
            continue  # this hook has just made it
        worst = INSECURE if INSECURE in outcomes else PROVED if outcomes == {PROVED} else UNVERIFIED
        taken = seconds.get(name)
        yield Stage(visible(name), WORDS[worst], None if taken is None else float(taken))


def found_by(record: dict[str, Any]) -> Iterator[str]:
    """What verify could not prove, the worst first. It has printed what it saw and the remedy."""
    for outcome in (INSECURE, UNVERIFIED):
        for check in record["checks"]:
            if check["outcome"] == outcome:
                yield visible(f"{check['step']}: {check['name']}")[:200]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", required=True)
    parser.add_argument("--checks", choices=["warn", "strict", OFF], required=True)
    parser.add_argument("--destination", required=True, help="the folder, as it was typed")
    parser.add_argument("--source", default="", help="the template's address, as it was typed")
    parser.add_argument("--version", default="", help="the template's version")
    parser.add_argument("--run", default="", help="what tells this run from others")
    parser.add_argument("--cleanup", default="True", help="whether Copier deletes what it wrote when this fails")
    return Hook(parser.parse_args(arguments), Path.cwd(), Screen()).main()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    sys.exit(code)
