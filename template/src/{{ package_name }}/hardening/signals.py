# Owned by the template: an update rewrites this file.
"""What a signal does to the server and to its workers, which a terminal or a service manager may tell as well."""

import os
import signal
import sys
from asyncio import AbstractEventLoop, set_event_loop
from collections.abc import Callable
from typing import Any, TypeVarTuple

from granian import loops

STOP = (signal.SIGTERM, signal.SIGINT)
_Arguments = TypeVarTuple("_Arguments")


def keep_ignored_signals() -> None:
    """Leave alone the signals that whoever started this process told it to ignore.

    A shell ignores SIGINT and SIGQUIT for what a script starts in the background, since a key is meant for the program
    in front; `nohup` ignores SIGHUP. Granian and its workers set their handlers all the same, but a blocked signal reaches none.
    """
    if sys.platform == "win32":
        return
    asked = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    signal.pthread_sigmask(signal.SIG_BLOCK, {each for each in asked if signal.getsignal(each) == signal.SIG_IGN})


def stop_at_hangup(server: Any) -> None:
    """Let SIGHUP and SIGQUIT stop the service as SIGTERM does.

    At SIGHUP Granian would run old and new workers side by side, each with limits and sessions of its own in memory; a
    SIGQUIT would kill this process alone, and leave them behind.
    """
    if sys.platform != "win32":
        server.signal_handler_reload = server.signal_handler_interrupt
        signal.signal(signal.SIGQUIT, server.signal_handler_interrupt)


def die_while_starting() -> None:
    """Let a worker that does not serve yet end at SIGTERM and SIGINT. It would inherit handlers that only tell this
    process, and the signal, which is sent once, would be lost until Granian sets the worker's own.
    """
    if sys.platform == "win32":
        return
    masks: list[set[int]] = []

    def in_child() -> None:
        for name in STOP:
            signal.signal(name, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    os.register_at_fork(
        before=lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, STOP)),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop()),
        after_in_child=in_child,
    )


class _ToldOnce(AbstractEventLoop):
    def add_signal_handler(self, sig: int, callback: Callable[[*_Arguments], object], *args: *_Arguments) -> None:
        def once() -> None:
            for each in STOP:
                super(_ToldOnce, self).add_signal_handler(each, lambda: None)
            callback(*args)

        if sig in STOP:
            super().add_signal_handler(sig, once)
        else:
            super().add_signal_handler(sig, callback, *args)


def stop_once() -> None:
    """Have a worker hear once that it is to stop.

    Granian repeats to its workers what a terminal or a service manager has told the whole group, and a worker that is told
    again waits for itself until it is killed, with all that it has to answer.
    """
    if sys.platform == "win32":
        return
    chosen = loops.get("auto")
    chosen.close()
    loop_type = type("Loop", (_ToldOnce, type(chosen)), {"__module__": type(chosen).__module__})

    @loops.register("auto")
    def build() -> AbstractEventLoop:
        loop: AbstractEventLoop = loop_type()
        set_event_loop(loop)
        return loop
