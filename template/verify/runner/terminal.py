# Owned by the template: an update rewrites this file.
"""What a person sees: a line as a stage begins and its result as it ends; on a terminal something that moves."""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from ..result import Check, Outcome, overall

WORDS = {Outcome.PROVED: "proved", Outcome.INSECURE: "INSECURE", Outcome.UNVERIFIED: "NOT VERIFIED"}
_COLOURS = {Outcome.PROVED: "32", Outcome.INSECURE: "31;1", Outcome.UNVERIFIED: "33;1"}
_FRAMES = "|/-\\"


class Screen:
    """Writes the progress to a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._moves = is_terminal and sys.platform != "win32"
        self._colours = self._moves and not os.environ.get("NO_COLOR")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._note = ""

    def line(self, text: str = "") -> None:
        """Write a line, as far as the stream can hold it."""
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
            self._stream.flush()
        except OSError:
            pass  # nobody reads it any more; the record is written all the same

    def begin(self, stage: str) -> None:
        self._note = ""
        if not self._moves:
            self.line(f"{stage} ...")
            return
        self._stop.clear()
        self._thread = threading.Thread(target=self._spin, args=(stage, time.monotonic()), daemon=True)
        self._thread.start()

    def note(self, check: Check) -> None:
        """Say what was looked at last."""
        self._note = check.name

    def end(self, stage: str, checks: Sequence[Check], seconds: float) -> None:
        self.halt()
        outcome = overall(checks)
        counted = Counter(check.outcome for check in checks)
        numbers = ", ".join(f"{counted[each]} {WORDS[each].lower()}" for each in Outcome if counted[each])
        self.line(f"{stage:14} {self.word(outcome):>{12 + self._width(outcome)}} {seconds:6.1f} s  {numbers}")

    def halt(self) -> None:
        """End what moves."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
            self._stream.write("\r\x1b[K")

    def word(self, outcome: Outcome) -> str:
        word = WORDS[outcome]
        return f"\x1b[{_COLOURS[outcome]}m{word}\x1b[0m" if self._colours else word

    def _width(self, outcome: Outcome) -> int:
        return len(self.word(outcome)) - len(WORDS[outcome])

    def _spin(self, stage: str, began: float) -> None:
        turn = 0
        while not self._stop.wait(0.1):
            turn += 1
            note = _printable(self._note)[:56]
            seconds = time.monotonic() - began
            self._stream.write(f"\r\x1b[K{stage:14} {_FRAMES[turn % 4]} {seconds:4.1f} s  {note}")
            self._stream.flush()

    def check(self, check: Check) -> None:
        """A check in full: what was tried, what was seen, and the remedy."""
        self.line(f"{self.word(check.outcome)}  {check.step}: {_printable(check.name)}")
        for row in check.seen.splitlines():
            self.line(f"    {_printable(row)}")
        if check.remedy and check.outcome is not Outcome.PROVED:
            self.line(f"    Remedy: {_printable(check.remedy)}")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
