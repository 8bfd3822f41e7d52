# Owned by the template: an update rewrites this file.
"""What a person sees: a line as a stage begins and its result as it ends; on a terminal something that moves.

The hooks use this too, in Copier's interpreter: Python 3.10, and the standard library.
"""

import contextlib
import os
import re
import shutil
import sys
import textwrap
import threading
import time
import unicodedata
from typing import TextIO

from ..common.addresses import masked

_COLOURS = {
    "done": "32",
    "proved": "32",
    "INSECURE": "31;1",
    "failed": "31;1",
    "NOT VERIFIED": "33;1",
    "warning": "33",
    "accepted": "33",
    "not looked at": "2",
    "not run": "2",
}
_PAINTED = re.compile(r"(\x1b\[[\d;]+m)(.*?)\x1b\[0m")
_FRAMES = "|/-\\"
_HINT_AFTER = 5.0


def printable(text: str) -> str:
    """The text without anything that a terminal would obey or that YAML would refuse."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "backslashreplace").decode()
        for letter in text
    )


def _spread(text: str) -> str:
    """The text as long as it is wide: what takes two columns, as Chinese does, has a filler before it."""
    return "".join(f"\1{letter}" if unicodedata.east_asian_width(letter) in "WF" else letter for letter in text)


class Terminal:
    """Writes progress to a stream: with a spinner on a terminal, plain elsewhere, nowhere once nobody reads it.

    Args:
        stream: Where the lines go.
        hint: What to say beside the spinner of a stage that takes long.
    """

    def __init__(self, stream: TextIO | None, hint: str = "") -> None:
        self._stream = stream
        self._hint = hint
        self._breaks = bool(stream and stream.isatty())
        self._moves = self._breaks and os.environ.get("TERM") != "dumb"
        obeys = self._moves and (sys.platform != "win32" or bool(os.environ.get("WT_SESSION")))
        self._colours = obeys and not os.environ.get("NO_COLOR")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._note = ""
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")

    def line(self, text: str = "", *, whole: bool = False) -> None:
        """Write a line; on a terminal it is broken between words, unless it is a command to copy, as are those in backticks.
        No password or token of an address is in it.
        """
        text = masked(text)
        plain = _spread(_PAINTED.sub(r"\2", text))
        if not self._breaks or whole or len(plain) < self._width:
            self._write(f"{text}\n")
            return
        indent = " " * (len(plain) - len(plain.lstrip()) + 4)
        kept = re.sub(r"`[^`]*`", lambda match: match[0].replace(" ", "\0"), plain)
        rows = textwrap.wrap(
            kept, self._width - 1, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        said = "\n".join(rows).replace("\0", " ").replace("\1", "")
        for colour, painted in _PAINTED.findall(text):
            said = said.replace(painted, f"{colour}{painted}\x1b[0m", 1)
        self._write(f"{said}\n")

    def document(self, text: str) -> None:
        """Write what another program reads: as it is, and in UTF-8."""
        if reconfigure := getattr(self._stream, "reconfigure", None):
            reconfigure(encoding="utf-8")
        self._write(text)

    @property
    def _width(self) -> int:
        own = 80
        with contextlib.suppress(OSError, ValueError, AttributeError):  # standard output may be a file, and this is not
            own = os.get_terminal_size(self._stream.fileno()).columns or own  # type: ignore[union-attr]
        return max(20, shutil.get_terminal_size((own, 24)).columns)

    def begin(self, stage: str) -> None:
        """Say that a stage begins; on a terminal, until `end` or `halt`, show that it goes on."""
        self._note = ""
        if not self._moves:
            self.line(f"{stage} ...")
            return
        self._stop.clear()
        self._thread = threading.Thread(target=self._spin, args=(stage, time.monotonic()), daemon=True)
        self._thread.start()

    def note(self, text: str) -> None:
        """Show beside the spinner what was looked at last."""
        self._note = printable(text)

    def end(self, stage: str, result: str, seconds: float, detail: str = "") -> None:
        """Say what came of a stage."""
        self.halt()
        self.line(self.row(stage, result, seconds) + (f"  {detail}" if detail else ""))

    def halt(self) -> None:
        """End what moves."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
            self._write("\r\x1b[K" if self._colours else f"\r{'':<{self._width - 1}}\r")

    def row(self, name: str, result: str, seconds: float | None) -> str:
        """A row of a table: a stage, what came of it, and how long it took."""
        took = "" if seconds is None else f"{seconds:6.1f} s"
        return f"{name:14} {self.paint(f'{result:>12}', result)} {took}".rstrip()

    def paint(self, text: str, result: str) -> str:
        """The text in the colour of a result, if there are colours."""
        colour = _COLOURS.get(result)
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and colour else text

    def _spin(self, stage: str, began: float) -> None:
        turn = 0
        while turn == 0 or not self._stop.wait(0.1):
            turn += 1
            seconds = time.monotonic() - began
            note = self._note or (self._hint if seconds > _HINT_AFTER else "")
            shown = f"{_spread(f'{stage:14} {_FRAMES[turn % 4]} {seconds:4.1f} s  {note}'):{self._width - 1}}"
            self._write(f"\r{shown[: self._width - 1]}".replace("\1", ""))

    def _write(self, text: str) -> None:
        try:
            if self._stream:
                self._stream.write(text)
                self._stream.flush()
        except (OSError, ValueError):  # a full disk, or the reader has gone: the work goes on, and nothing else fails
            self._moves = self._breaks = self._colours = False
            stream, self._stream = self._stream, None
            with contextlib.suppress(OSError, ValueError, AttributeError), open(os.devnull, "w") as nothing:  # noqa: PTH123
                os.dup2(nothing.fileno(), stream.fileno())  # type: ignore[union-attr]  # what is still buffered
