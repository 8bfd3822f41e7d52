"""Where the hooks' lines go: a terminal, a log, or nobody who still reads."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys

SPINNER = "|/-\\"
COLOURS = {"done": "32", "proved": "32", "INSECURE": "1;31", "failed": "1;31", "NOT VERIFIED": "1;33", "not run": "2"}


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
