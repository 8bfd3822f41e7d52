"""Starts a program with the signals of a terminal, whoever runs the tests.

A shell ignores SIGINT and SIGQUIT for what a script starts in the background, and `nohup` SIGHUP. A child inherits
that, and what this repository emits respects it. So a test that sends such a signal starts its child by way of this.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

_LAUNCHER = """
import os, signal, sys
for name in ("SIGINT", "SIGQUIT", "SIGHUP", "SIGTERM"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def with_default_signals(command: Sequence[str | Path]) -> list[str]:
    """A command that becomes this one, in the same process, with no signal ignored."""
    return [sys.executable, "-IS", "-c", _LAUNCHER, *map(str, command)]
