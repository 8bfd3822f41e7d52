# Owned by the template: an update rewrites this file.
"""Proof that this service is hardened: `uv run --locked python -m verify`. For development and CI, never in the image.

Each stage yields checks; a check was proved, is insecure, or could not be verified. What could not be verified is
never shown as green.
"""

import os
import signal
import sys
from typing import NoReturn


def _stop(number: int, frame: object) -> NoReturn:
    """Ctrl-C while a command of ours is still importing: one line, and the exit code of shells for SIGINT.

    An exception would not do: the callbacks of the import system swallow it.
    """
    print("Stopped before its end: nothing is proved. Run it again.", file=sys.stderr)
    os._exit(128 + number)


# Python has this in the place of a program's name until `python -m` has found the module that it runs.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _stop)
