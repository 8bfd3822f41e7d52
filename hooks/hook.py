"""What both hooks do: run uv and `verify` in the service, and say what came of it.

A hook runs in the service's folder, by Copier's own interpreter, which may be an older one than the service needs:
the standard library and what Copier requires, Python 3.10, no shell. It never takes silence for proof.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from programs import CannotGoOnError, Programs
from report import EXIT_CODES, INSECURE, OFF, PROVED, UNVERIFIED, WORDS, Report
from stages import VERIFIED, Stages
from verify.runner import certificates
from verify.runner.files import write_atomically
from verify.runner.terminal import Terminal, printable

RECORD = Path(".hardening", "hook.json")
VERIFY = "uv run --locked python -m verify"
IN_ADDRESS = (
    "The template's address was given with a password or token, and is recorded without it. Replace it where it was "
    "made: lists of processes and the history of your shell had it. HARDENING.md, Drift, says how git gets the new one."
)


def shell_quoted(path: str) -> str:
    """A path as it is typed after a command."""
    if sys.platform == "win32":
        return f'"{path}"' if re.search(r"[^\w.:\\/-]", path) else path
    return shlex.quote(path)


class Stopped(KeyboardInterrupt):
    """Somebody other than the keyboard told this process alone to stop."""


class Hook:
    """One run of a hook."""

    operation: str
    """What Copier does: `copy` or `update`."""
    nothing: str
    """What to say when `checks=off` asked for nothing."""

    def __init__(self, options: argparse.Namespace, folder: Path, screen: Terminal) -> None:
        self.options = options
        self.folder = folder
        self.screen = screen
        self.report = Report()
        certificates.trust(folder)
        self.programs = Programs(folder)
        self.stages = Stages(self.programs, screen, self.report)
        self.started = time.monotonic()

    # What differs between the two

    def inspect(self) -> None:
        """Look at what is there, whether anything is to be checked or not.

        Raises:
            CannotGoOnError: Something is in the way.
        """

    def run_checks(self) -> None:
        """Do what `checks=off` leaves out.

        Raises:
            CannotGoOnError: Something is in the way.
        """
        raise NotImplementedError

    def print_changes(self) -> None:
        """Say what has to be read first."""

    def explain_failure(self) -> bool:
        """Say what Copier does because this fails; whether there is anything left to do."""
        return True

    def next_commands(self) -> list[str]:
        """What to type next."""
        raise NotImplementedError

    # What is said

    def verdict(self) -> str:
        """The result in one sentence, for this summary and for Copier's last words."""
        count, apart = self.report.insecure, self.report.apart
        return {
            PROVED: "Locked, installed, audited and attacked: "
            + (f"all else was proved; {apart}." if apart else "all of it was proved."),
            INSECURE: f"INSECURE: {count} finding{'s' if count != 1 else ''} to fix before this service is used.",
            UNVERIFIED: "NOT VERIFIED: not everything could be checked, so nobody knows if this service is secure.",
            OFF: self.nothing,
        }[self.report.outcome]

    def summary(self) -> None:
        say = self.screen.line
        report = self.report
        say()
        self.print_changes()
        if report.stages:
            say(f"{'stage':14} {'result':>12} {'time':>8}")
            for stage in report.stages:
                say(self.screen.row(stage.name, stage.result, stage.seconds))
            say(self.screen.row("all", "", time.monotonic() - self.started))
            say()
        for problem in report.problems[:10]:
            say(f"  - {problem}")
        if len(report.problems) > 10:
            say(f"  - and {len(report.problems) - 10} more, in {VERIFIED.as_posix()}")
        if report.problems and report.notes:
            say()
        for note in report.notes:
            say(f"  - {note}")
        if report.problems or report.notes:
            say()
        say(self.screen.paint(self.verdict(), WORDS.get(report.outcome, "")))
        if self.fails and not self.explain_failure():
            return
        say("Next:")
        for command in self.next_commands():
            say(f"    {command}", whole=True)

    @property
    def code(self) -> int:
        """What the hook ends with."""
        return EXIT_CODES[self.report.outcome] if self.fails else 0

    @property
    def fails(self) -> bool:
        """Whether `checks=strict` asks for proof and there is none."""
        return self.options.checks == "strict" and self.report.outcome != PROVED

    def record(self) -> None:
        """Leave the result to Copier's last words, whole or not at all: half a file would end them in a traceback."""
        record = {
            "operation": self.operation,
            "version": printable(self.options.version),
            "run": self.options.run,
            "outcome": self.report.outcome,
            "say": " ".join([self.verdict(), "; ".join(self.report.problems[:3])]).rstrip(),
        }
        path = self.folder / RECORD
        try:
            path.parent.mkdir(exist_ok=True)
            (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")  # the folder's own may not know of it
            write_atomically(path, (json.dumps(record, ensure_ascii=False, indent=2) + "\n").encode())
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                path.unlink()

    # The whole

    def main(self) -> int:
        """Run the hook; the exit code is 0, or what `checks=strict` asks for."""
        for name in ("SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) == signal.SIG_IGN):
                continue  # `nohup` ignores it for what it starts
            signal.signal(number, stop)
        try:
            with contextlib.suppress(OSError):
                (self.folder / RECORD).unlink()
            self.work()
            self.record()
            self.summary()
        except KeyboardInterrupt as stopped:
            self.interrupted(stopped)
        return self.code

    def work(self) -> None:
        report = self.report
        if self.options.secret:
            report.notes.append(IN_ADDRESS)
        try:
            self.inspect()
            if self.options.checks == OFF:
                report.outcome = OFF
            else:
                self.run_checks()
        except CannotGoOnError as problem:
            report.problems.append(str(problem))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the project with it
            report.outcome = UNVERIFIED
            report.problems.append(
                f"The hook itself failed ({printable(f'{type(error).__name__}: {error}')[:200]}). "
                "Go on by hand with the commands below, and report it to the template."
            )
        finally:
            self.screen.halt()

    def interrupted(self, stopped: KeyboardInterrupt) -> None:
        """Say so at once: Copier, which got the same Ctrl-C, gives this process a quarter of a second to end."""
        heeded = signal.getsignal(signal.SIGINT)  # as it was: a shell ignores it for a job in the background
        with contextlib.suppress(ValueError, OSError):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.report.outcome = UNVERIFIED
        self.report.problems = ["Stopped before all was checked."]
        self.screen.halt()
        self.screen.line()
        self.screen.line(f"Stopped. {self.verdict()}")
        self.screen.line("Copier keeps the project when Ctrl-C stops it. Next:")
        for command in self.next_commands():
            self.screen.line(f"    {command}")
        self.record()
        signal.signal(signal.SIGINT, heeded)
        with contextlib.suppress(KeyboardInterrupt):
            self.programs.end_child(signalled=not isinstance(stopped, Stopped))


def run(hook: type[Hook], parser: argparse.ArgumentParser, arguments: Sequence[str]) -> NoReturn:
    """Run a hook with the arguments that both take, and those of its own that the parser has, and end."""
    parser.add_argument("--package", required=True)
    parser.add_argument("--checks", choices=["warn", "strict", OFF], required=True)
    parser.add_argument("--destination", required=True, help="the folder, as it was typed")
    parser.add_argument("--source", default="", help="the template's address, as it was typed, but for a secret")
    parser.add_argument("--secret", default="", help="`yes` if that address was given with a password or token")
    parser.add_argument("--version", default="", help="the template's version")
    parser.add_argument("--run", default="", help="what tells this run from others")
    code = hook(
        parser.parse_args(arguments), Path.cwd(), Terminal(sys.stdout, "Ctrl-C stops this and keeps the project")
    ).main()
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    sys.exit(code)


def stop(number: int, _: object) -> NoReturn:
    raise Stopped(number)
