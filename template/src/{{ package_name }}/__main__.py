# Owned by the template: an update rewrites this file.
"""`serve` starts the service, `check` says what it would start with. Both look at everything first."""

import gc
import os
import signal

if gc.get_threshold()[0] < 10_000:  # what is imported stays: to look through it again and again is a tenth of a start
    gc.set_threshold(100_000, 50, 50)
if os.getpid() == 1:  # of a container: no signal ends it that it does not handle, and what follows takes seconds
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))

import argparse
import asyncio
import multiprocessing
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from dotenv import dotenv_values

from .hardening import Finding, Hardened, InsecureConfigurationError, load
from .hardening.asgi.metrics import count_together
from .hardening.core.framework import may_have_websockets
from .hardening.core.log import log
from .hardening.core.unread_answers import cut_unread
from .hardening.settings import PREFIX
from .hardening.signals import stop_once
from .hardening.startup.address import Address, port_number
from .hardening.startup.construction import unmade
from .hardening.startup.overlay import overlay_steps
from .hardening.startup.report import counted, for_people, report
from .hardening.startup.settings import exposure_finding, near_misses, secrets_in, unix_socket_finding, workers_finding
from .settings import Settings


def create_app(settings: Settings) -> Hardened:
    """The application of the service with the organisation's steps; what cannot be made is a finding, even on import."""
    from .app import create_app

    app: object = create_app(settings)
    if not isinstance(app, Hardened):
        message = f"create_app returns a {type(app).__name__}, which stands outside the perimeter."
        hint = "Return the `Hardened`: mount in it what was put around it, or use `add_middleware`."
        raise InsecureConfigurationError([Finding("framework.E002", message, hint)])
    app.add_steps(overlay_steps(str(__package__)))
    return app


def build() -> Hardened:
    """The application, ready to serve: what each worker process calls."""
    log.never_block()
    try:
        settings = load(Settings)
        log.configure(settings.log_level, readable=not settings.is_production, secrets=secrets_in(settings))
        app = create_app(settings)
        perimeter = app.seal()
        if multiprocessing.parent_process() is not None:
            perimeter.on_start = stop_once(perimeter.begin_stop)
            cut_unread(settings.body_timeout)
    except Exception as error:  # noqa: BLE001 - what is not about a model or a route is raised again
        for finding in _found(error):
            log("error", "check", id=finding.id, message=finding.message, hint=finding.hint)
        raise SystemExit(1) from None
    # The collector would look through all of it again and again: a tenth of the time of a POST with a body.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)
    return app


def examine(workers: int) -> tuple[Settings | None, Hardened | None, list[Finding]]:
    """The settings and the application as far as they can be made, and all that is not safe."""
    settings: Settings | None = None
    try:
        settings = load(Settings)
        count_together(settings, workers)
        app = create_app(settings)
        return settings, app, [*app.findings(), *workers_finding(settings, workers)]
    except Exception as error:  # noqa: BLE001 - what is not about a model or a route is raised again
        return settings, None, [*_found(error), *near_misses(settings or Settings.model_construct())]


def _found(error: Exception) -> tuple[Finding, ...]:
    """What an error says of settings, models or routes; any other is raised again."""
    if isinstance(error, InsecureConfigurationError):
        return error.findings
    if (finding := unmade(error)) is None:
        raise error
    return (finding,)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when an error was found."""
    options = _parse(arguments)
    if options.command == "serve":
        log.never_block()
        if sys.platform != "win32":  # they would kill this process, and leave its workers; yours may handle them
            for name in (signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(name, lambda *_: None)
    sources = _develop() if options.dev else {}
    settings, app, findings = examine(options.workers)
    errors = [finding for finding in findings if finding.level == "error"]
    if options.command == "check":
        _tell(report(settings, app, findings, sources, options.format))
        return 1 if errors else 0
    if settings is None or (errors and settings.is_production) or (app is None and not options.dev):
        _refuse("Not safe to start", errors)
        if settings is None or settings.is_production:
            print("\nFor development on this machine: serve --dev", file=sys.stderr)
        return 1
    from .hardening.server import serve, why_cannot_listen

    try:
        address = Address.of(options.host, options.port, options.uds, options.root_path)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if reason := why_cannot_listen(address):
        print(f"Cannot listen on {address} ({address.source}): {reason}.", file=sys.stderr)
        return 1
    if app is not None and (found := asyncio.run(app.prepare())):
        _refuse("Cannot start", found)
        return 1
    log.configure(settings.log_level, readable=not settings.is_production, secrets=secrets_in(settings))
    log("info", "start", address=str(address), source=address.source, workers=options.workers, env=settings.env)
    on_unix = unix_socket_finding(app is not None and any(route.is_websocket for route in app.table()))
    for finding in exposure_finding(settings, address.host) if address.uds is None else on_unix:
        log("warning", "check", id=finding.id, message=finding.message, hint=finding.hint)
    websockets = app is None or may_have_websockets(app)
    serve(f"{__package__}.__main__:build", settings, address, options.workers, options.dev, websockets)
    log("info", "stop")
    return 0


def _tell(text: str) -> None:
    """Print it as far as somebody takes it: a reader that has gone, a full disk or another encoding changes no verdict."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(text, flush=True)
    except OSError:
        with open(os.devnull, "w") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), sys.stdout.fileno())  # what is still buffered


def _refuse(why: str, findings: list[Finding]) -> None:
    print(f"{why} ({counted(findings, 'error')}):\n", file=sys.stderr)
    print("\n".join(for_people(findings, sys.stderr)), file=sys.stderr)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="start the service")
    serve.add_argument("--host", help="address to listen on (default: APP_HOST, or 127.0.0.1)")
    serve.add_argument("--port", type=_port, help="port to listen on (default: APP_PORT, PORT, or 8000)")
    serve.add_argument("--uds", type=Path, help="path of a Unix socket to listen on, instead of both")
    # A team's own setting of that name may mean something else, or is given to FastAPI already.
    theirs = "" if "root_path" in Settings.model_fields else None
    under = "path under which a proxy shows it, such as /api (default: APP_ROOT_PATH)"
    serve.add_argument("--root-path", default=theirs, help=under)
    check = commands.add_parser("check", help="print settings, routes and findings; exit 1 on an error")
    check.add_argument("--format", choices=("table", "json"), default="table")
    for command in (serve, check):
        command.add_argument("--workers", default=1, type=_workers, help="processes (default: %(default)s)")
        command.add_argument("--dev", action="store_true", help="development: APP_ENV=development, reads .env")
    options = parser.parse_args(arguments)
    if options.command == "serve" and options.uds and (options.host or options.port):
        serve.error("--uds takes the place of --host and --port: say one or the other")
    return options


def _port(text: str) -> int:
    try:
        return port_number(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text} is not a number of processes; say 1 to 256")
    return int(text)


def _develop() -> dict[str, str]:
    """Switch this run, and the worker processes it starts, to development; return where names were taken from."""
    written = dotenv_values(".env", encoding="utf-8-sig").items()
    given = {name: value for name, value in written if name.upper().startswith(PREFIX) and value}
    new = {name: value for name, value in given.items() if name not in os.environ}
    os.environ.update({**new, f"{PREFIX}ENV": "development"})
    return {**{name.upper(): ".env" for name in new}, f"{PREFIX}ENV": "--dev"}


if __name__ == "__main__":
    sys.exit(main())
