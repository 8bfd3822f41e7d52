# Owned by the template: an update rewrites this file.
"""What verify starts, it ends: every process has a group of its own, and none is left behind, also on Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

GRACE = 5.0
# `uv run` passes Ctrl-C on a second time, a moment later; only what comes after this is a second one.
SAME_SIGNAL = 1.0
_WINDOWS = sys.platform == "win32"
OWN_GROUP: dict[str, Any] = {"start_new_session": True}
"""Arguments of `Popen` that put a process at the head of a group of its own."""
if _WINDOWS:
    OWN_GROUP = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
_running: set["subprocess.Popen[bytes]"] = set()


class _Interrupts:
    """Turns a signal into `KeyboardInterrupt`, but never between the start of a process and its entry in the list.

    A second one ends everything at once.
    """

    def __init__(self) -> None:
        self.held = False
        self.pending = False
        self.interrupted = False
        self.first: float | None = None

    def __call__(self, number: int, frame: Any) -> None:
        if self.first is None:
            self.first = time.monotonic()
        elif time.monotonic() - self.first > SAME_SIGNAL:
            for process in list(_running):
                _kill_group(process)
            os._exit(2)
        if self.interrupted:
            return  # it is being cleaned up already, within a bound
        if self.held:
            self.pending = True
            return
        self.interrupted = True
        raise KeyboardInterrupt

    @contextmanager
    def hold(self) -> Iterator[None]:
        self.held = True
        try:
            yield
        finally:
            self.held = False
        if self.pending and not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt


_interrupts = _Interrupts()
hold = _interrupts.hold
"""For imports as well: their callbacks swallow a `KeyboardInterrupt`."""


# A shell that starts a job in the background of a script ignores SIGINT for it, and `nohup` SIGHUP. A program that
# handled them all the same would end with a Ctrl-C that was meant for another one:
# https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_11
_LEFT_IGNORED = ("SIGINT", "SIGHUP")


def install_signal_handlers() -> None:
    """From now on, a signal that ends verify lets it end what it started first; what is ignored stays ignored."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is None or (name in _LEFT_IGNORED and signal.getsignal(number) == signal.SIG_IGN):
            continue
        signal.signal(number, _interrupts)


def work_is_done() -> None:
    """From now on, a signal takes nothing away from the result; the second one still ends everything at once."""
    _interrupts.interrupted = True


def start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], output: IO[bytes]
) -> "subprocess.Popen[bytes]":
    """Start a process at the head of a group of its own; end it with `end`."""
    with _interrupts.hold():
        process = subprocess.Popen(  # noqa: S603 - our own command line, no shell
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **OWN_GROUP,
        )
        _running.add(process)
    return process


def terminate(process: "subprocess.Popen[bytes]") -> None:
    """What an orchestrator does first: SIGTERM, or its nearest relative."""
    if process.poll() is None:
        with suppress(OSError):
            process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM) if _WINDOWS else signal.SIGTERM)


def end(process: "subprocess.Popen[bytes]", grace: float = GRACE) -> int:
    """End a process and all of its group, gently first; return its exit code."""
    terminate(process)
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    _kill_group(process)
    code = process.wait()
    _running.discard(process)
    return code


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    if sys.platform != "win32":
        with suppress(OSError):  # nobody is left in it
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        tool = Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
        subprocess.run(  # noqa: S603 - our own command line, no shell
            [str(tool), "/F", "/T", "/PID", str(process.pid)], check=False, capture_output=True
        )


def end_all() -> None:
    """End whatever is still running."""
    for process in list(_running):
        terminate(process)
    for process in list(_running):
        end(process, 1.0)


def wait(process: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    """Wait for a process to end by itself; `None` if it takes longer."""
    try:
        return process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return None


def last_lines(log: Path, count: int = 12) -> str:
    """The end of what a process said, short enough to show."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(line[:400] for line in lines[-count:])
