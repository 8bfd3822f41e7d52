"""How far an update of the fleet is: a file that is whole at every moment, and that one run at a time may write."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .words import UsageError


class Progress:
    """What came of each service, by name, for one release of the template.

    Args:
        path: The file.
        goal: The release that services are updated to; what was done for another one is forgotten.

    Raises:
        UsageError: The file is none of ours, or cannot be read.
    """

    def __init__(self, path: Path, goal: str) -> None:
        self._path = path
        self._goal = goal
        self._lock = threading.Lock()
        self.services: dict[str, dict[str, Any]] = {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["goal"] == goal:
                self.services = {str(name): dict(each) for name, each in found["services"].items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{path} is no state of an update ({type(error).__name__}). Delete it to begin anew, or name another "
                "by --state."
            ) from None

    def record(self, name: str, **told: Any) -> None:
        """Keep what came of a service, before anything else is done.

        Raises:
            UsageError: It cannot be written.
        """
        with self._lock:
            self.services[name] = told
            part = self._path.with_name(f"{self._path.name}.part")
            try:
                with part.open("w", encoding="utf-8") as file:
                    json.dump({"goal": self._goal, "services": self.services}, file, indent=1, sort_keys=True)
                    file.write("\n")
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self._path)
            except OSError as error:
                raise UsageError(
                    f"{self._path} cannot be written: {error.strerror}. Name another by --state."
                ) from None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only run that updates with this state. The system lets go of it however a run ends.

    Raises:
        UsageError: Another one is at it.
    """
    try:
        file = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}. Name another by --state.") from None
    with file:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"Another update is at work with {path}. Wait for it, or name another by --state."
            ) from None
        yield
    with suppress(OSError):
        Path(file.name).unlink()
