# Owned by the template: an update rewrites this file.
"""The attacks on a real server: the service as production would start it, and the template's own probe application
behind the same perimeter, which keeps every attack meaningful when all example routes are gone.
"""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

from . import discover, processes
from .attacks import STEPS, Arena, Attacks
from .result import Check, Outcome
from .service import OWN, PROBE, PROBE_MODULE, NotStartedError, Service, environment, given
from .stage import Options


def stage(options: Options) -> Iterator[Check]:
    """Start, attack, end."""
    steps = [step for step in STEPS if options.wants(step) or options.only == "attacks"]
    # What lies here is deleted even if a process that is just ending still writes into it.
    with tempfile.TemporaryDirectory(prefix="verify-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        values = given(options.project)
        probe = stack.enter_context(Service("probe", PROBE_MODULE, folder, PROBE))
        own = stack.enter_context(Service("service", options.package, folder, {**values, **OWN}))
        listed = folder / "routes.json"
        with listed.open("wb") as output:
            listing = processes.start(
                [sys.executable, "-m", "verify.discover", options.package],
                folder,
                environment(**{**values, **OWN, "PYTHONPATH": str(options.project)}),
                output,
            )
        stack.callback(processes.end, listing, 0.5)
        started = True
        for service, remedy in ((probe, "Run `uv sync`."), (own, _remedy(options))):
            try:
                service.wait()
            except NotStartedError as error:
                started = False
                kind = "your service" if service is own else "the probe application"
                for step in steps:
                    yield Check(step, f"start {kind} as production would", Outcome.UNVERIFIED, str(error), remedy)
        if not started:
            return
        routes = _routes(listing, listed)
        if isinstance(routes, str):
            for step in steps:
                yield Check(step, "find your routes", Outcome.UNVERIFIED, routes, _remedy(options))
            return
        yield from _attack(Arena(probe, own, routes, options.thorough), steps)


def _remedy(options: Options) -> str:
    return (
        f"See what it says. A setting of your own gets a value for verify in pyproject.toml: "
        f'`[tool.hardening.verify.environment]`, `APP_NAME = "value"`. It runs in an empty folder, as '
        f"`python -m {options.package} serve`: find files beside the code, not in the current folder."
    )


def _routes(listing: "subprocess.Popen[bytes]", listed: Path) -> list[discover.Found] | str:
    """The team's own routes, or why they are not known."""
    try:
        code = listing.wait(20)
        return discover.read(listed.read_text(encoding="utf-8").splitlines()[-1]) if code == 0 else _why(listed)
    except (subprocess.TimeoutExpired, ValueError, TypeError, IndexError):
        return _why(listed)


def _why(listed: Path) -> str:
    return f"`python -m verify.discover` failed; its last lines:\n{processes.last_lines(listed)}"


def _attack(arena: Arena, steps: list[str]) -> Iterator[Check]:
    modules = {step: import_module(f".attacks.{step}", __package__) for step in steps}
    # Slow clients are waited for while the other steps are attacked.
    slow: Future[list[Check]] | None = None
    if "server" in modules:
        slow = _beside(modules["server"].attacks, arena)
    for step, module in modules.items():
        if step != "server":
            yield from module.attacks.make(arena)
    if slow is not None:
        yield from slow.result()
        yield from modules["server"].last.make(arena)


def _beside(attacks: Attacks, arena: Arena) -> "Future[list[Check]]":
    """Make attacks in a thread that does not outlive an interrupted verify."""
    future: Future[list[Check]] = Future()

    def work() -> None:
        try:
            future.set_result(list(attacks.make(arena)))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future
