# Owned by the template: an update rewrites this file.
"""The attacks on a real server: the service as production would start it, and the template's own probe application
behind the same perimeter, which keeps every attack meaningful when all example routes are gone.
"""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from ..attacks import STEPS
from ..harness import routes
from ..harness.arena import UNREACHED, Arena, Attacks
from ..harness.caller import FILE, TIMEOUT
from ..harness.service import (
    OWN,
    PROBE,
    PROBE_MODULE,
    READY,
    NotStartedError,
    Service,
    declared_environment,
    environment,
    lasting_stores,
)
from ..result import Check, Options, Rule
from ..runner import processes, subprocesses

PROBE_STARTS = Rule("", "attacks.probe-starts", "the probe application starts as production would")
SERVICE_STARTS = Rule("", "attacks.service-starts", "your service starts as production would")
SERVICE_IS_READY = Rule("", "attacks.service-is-ready", "your service is ready as production would be")
ROUTES_ARE_KNOWN = Rule("", "attacks.routes-are-known", "your routes are found")
ROUTES_ARE_REACHED = Rule("", "attacks.routes-are-reached", "a request reaches every route of yours")


ON_SCRATCH = Rule("", "attacks.scratch", "what is attacked keeps its data in a scratch database")
SCRATCH = (
    "Name one that may be lost in pyproject.toml: `[tool.hardening.verify.environment]`, "
    '`APP_DATABASE_URL = "postgresql://127.0.0.1/scratch"`.'
)


def stage(options: Options) -> Iterator[Check]:
    """Start, attack, end."""
    steps = [step for step in STEPS if options.wants(step) or options.only == "attacks"]
    # What lies here is deleted even if a process that is just ending still writes into it.
    with tempfile.TemporaryDirectory(prefix="verify-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        values = declared_environment(options.project)
        if real := lasting_stores(options.project, options.package, values):
            yield from _not_tried(steps, ON_SCRATCH, f"the code names {', '.join(real)}", SCRATCH)
            return
        probe = stack.enter_context(Service("probe", PROBE_MODULE, folder, PROBE))
        own = stack.enter_context(Service("service", options.package, folder, {**values, **OWN}))
        listed = folder / "routes.json"
        with listed.open("wb") as output:
            listing = processes.start(
                [sys.executable, "-m", "verify.harness.routes", options.package],
                folder,
                environment(**{**values, **OWN, "PYTHONPATH": str(options.project)}),
                output,
            )
        stack.callback(processes.end, listing, 0.5)
        started = True
        for rule, service, remedy in (
            (PROBE_STARTS, probe, "Run `uv sync`."),
            (SERVICE_STARTS, own, _remedy(options)),
        ):
            try:
                if not service.wait():
                    yield _not_ready(steps[0], service)
            except NotStartedError as error:
                started = False
                yield from _not_tried(steps, rule, str(error), remedy)
        if not started:
            return
        routes = _routes(listing, listed)
        if isinstance(routes, str):
            yield from _not_tried(steps, ROUTES_ARE_KNOWN, routes, _remedy(options))
            return
        caller, why = _caller(options.project, own.port) if any(route.is_guarded for route in routes) else ({}, "")
        yield from _attack(Arena(probe, own, routes, options.thorough, caller, why), steps)


def _caller(project: Path, port: int) -> tuple[dict[str, str], str]:
    """The headers of the caller that the team lends, or why there are none."""
    if not (project / FILE).is_file():
        return {}, f"no {FILE.as_posix()} lends a caller"
    command = [sys.executable, "-m", "verify.harness.caller", str(port), str(project / FILE)]
    ran = subprocesses.run(command, project, TIMEOUT)
    try:
        found: dict[str, str] = json.loads(ran.out.strip().rpartition("\n")[2]) if ran.ok else {}
    except ValueError:
        found = {}
    return found, "" if found else f"{FILE.as_posix()} signs nobody in: {ran.tail(1)}"


def _not_tried(steps: list[str], rule: Rule, seen: str, remedy: str) -> Iterator[Check]:
    """Say once what went wrong, and of the other steps only that they were not tried."""
    first, *others = steps
    yield replace(
        replace(rule, step=first).unverified(seen, remedy), about="probe" if rule is PROBE_STARTS else "yours"
    )
    for step in others:
        yield replace(rule, step=step).unverified(f"not tried, see {first}", f"As for {first}.")


def _not_ready(step: str, service: Service) -> Check:
    said = "; ".join(service.not_ready) or "nothing, so a probe answered False"
    return replace(SERVICE_IS_READY, step=step).unverified(
        f"/health/live says yes, /health/ready no for {READY:g} s, so it was attacked as it is; the log says {said}",
        "Start what the probe asks for, or give its address in pyproject.toml: `[tool.hardening.verify.environment]`.",
    )


def _remedy(options: Options) -> str:
    return (
        f"See what it says. A setting of your own gets a value for verify in pyproject.toml: "
        f'`[tool.hardening.verify.environment]`, `APP_NAME = "value"`. It runs in an empty folder, as '
        f"`python -m {options.package} serve`: find files beside the code, not in the current folder."
    )


def _routes(listing: "subprocess.Popen[bytes]", listed: Path) -> list[routes.DiscoveredRoute] | str:
    """The team's own routes, or why they are not known."""
    try:
        code = listing.wait(20)
        return routes.read(listed.read_text(encoding="utf-8").splitlines()[-1]) if code == 0 else _why(listed)
    except (subprocess.TimeoutExpired, ValueError, TypeError, IndexError):
        return _why(listed)


def _why(listed: Path) -> str:
    return f"`python -m verify.harness.routes` failed; its last lines:\n{processes.last_lines(listed)}"


def _attack(arena: Arena, steps: list[str]) -> Iterator[Check]:
    with processes.hold():
        modules = {step: import_module(f"..attacks.{step}", __package__) for step in steps}
    attacked = [step for step in steps if step not in ("rate_limit", "sessions", "server")]
    if attacked and (unreached := arena.unreached):
        seen = f"not attacked, since no request reaches them: {', '.join(unreached)}"
        yield replace(ROUTES_ARE_REACHED, step=attacked[0]).unverified(seen, UNREACHED)
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
