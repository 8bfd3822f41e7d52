# Owned by the template: an update rewrites this file.
"""What ends the server and its workers: a signal, which a terminal or a service manager may send as well, and nothing else."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

STOP = (signal.SIGTERM, signal.SIGINT)


def keep_ignored_signals() -> None:
    """Leave alone the signals that whoever started this process told it to ignore.

    A shell ignores SIGINT and SIGQUIT for what a script starts in the background, since a key is meant for the program
    in front; `nohup` ignores SIGHUP. Granian and its workers set their handlers all the same, but a blocked signal reaches none.
    """
    if sys.platform == "win32":
        return
    asked = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    signal.pthread_sigmask(signal.SIG_BLOCK, {each for each in asked if signal.getsignal(each) == signal.SIG_IGN})


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


def stop_once(begin_stop: Callable[[], float]) -> Callable[[], None]:
    """Have this worker hear once that it is to stop, and end at once where it does not serve yet; for the moment before
    Granian sets its handlers.

    Granian repeats to its workers what a terminal or a service manager has told the whole group, and a worker that is told
    again waits for itself until it is killed, with all that it has to answer. One that is told while its lifespan starts
    would wait for that, however long it takes.

    Args:
        begin_stop: Called before the server is told; returns the seconds until it may be.

    Returns:
        To be called once the lifespan has started.
    """
    if sys.platform == "win32":
        return lambda: None
    loop = asyncio.get_event_loop()
    add, unset, is_told = loop.add_signal_handler, {*STOP}, False
    waiting: dict[int, Callable[[], None]] = {}

    def add_once(sig: int, callback: Callable[..., object], *args: Any) -> None:
        def once() -> None:
            nonlocal is_told
            if not is_told:
                is_told = True
                loop.call_later(begin_stop(), callback, *args)

        if sig in unset:  # what a team sets later is the loop's own affair
            unset.discard(signal.Signals(sig))
            waiting[sig] = once
        else:
            waiting.pop(sig, None)
            add(sig, callback, *args)

    def serve() -> None:
        _outlive_exits(loop)
        while waiting:
            add(*waiting.popitem())

    vars(loop)["add_signal_handler"] = add_once
    return serve


def _outlive_exits(loop: asyncio.AbstractEventLoop) -> None:
    """Let a loop go on when a task of the application's raises SystemExit or KeyboardInterrupt, as a stream of Starlette's
    may: that would end the loop, and leave a process that accepts what nobody answers.
    """
    run = loop.run_until_complete

    def run_on(main: Any) -> Any:
        future = asyncio.ensure_future(main, loop=loop)
        while True:
            try:
                return run(future)
            except (SystemExit, KeyboardInterrupt):  # the task has kept it, for whoever awaits the task
                if future.done():
                    raise

    vars(loop)["run_until_complete"] = run_on
