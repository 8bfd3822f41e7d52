# Owned by the template: an update rewrites this file.
"""`python -m verify` proves that this service is hardened, stage by stage: owned files, lock, audit, SBOM,
configuration, tests, attacks on a real server. Exit code: 0 all proved, 1 something is insecure, 2 something could not
be verified.

With `--target URL` it looks at a deployed service instead, politely; 0 then means that all it tried was proved, and it
lists what it did not try.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import attacks
from .result import Options, Outcome, overall
from .run import STAGES, Run, crashed
from .runner import certificates, processes, report
from .runner.terminal import Terminal
from .upkeep.prerequisites import first_command

FILES_ALONE = ("owned", "drift")
"""Stages that import nothing of the service; by their names they run where its libraries are not installed."""
STEPS = (*STAGES, *attacks.STEPS)
FORMATS = ("json", "html", "sarif")
ON_TARGET = ("headers", "errors", "cors", "cookies", "server")


class UsageError(Exception):
    """The command line asks for what cannot be done; the message has the remedy."""


def package_of(project: Path) -> str:
    """The service's package: the folder under `src/` that holds `hardening/`.

    Raises:
        UsageError: There is none, or more than one.
    """
    found = sorted(path.parent.parent.name for path in project.glob("src/*/hardening/__init__.py"))
    if len(found) != 1:
        there = f"{len(found)} packages hold" if found else "no package holds"
        raise UsageError(
            f"{there} a folder `hardening` under src/. Run this from the root of the service's repository."
        )
    return found[0]


def _options(arguments: Sequence[str] | None) -> tuple[Options, str]:
    parser = argparse.ArgumentParser(prog="python -m verify", description=__doc__, add_help=True)
    parser.add_argument("--thorough", action="store_true", help="everything, in minutes instead of seconds")
    parser.add_argument("--target", metavar="URL", help="look at a deployed service instead")
    parser.add_argument("--only", metavar="STEP", help=f"one of {', '.join(STEPS)}")
    parser.add_argument("--format", choices=("text", *FORMATS), default="text", help="what is printed at the end")
    parsed = parser.parse_args(arguments)
    project = Path(__file__).resolve().parent.parent
    if Path.cwd().resolve() != project:
        raise UsageError(f"This is not the root of the service's repository. Run `cd {project}` first.")
    # A variable that is empty asks for no other run, and what is no address may be a password.
    if parsed.target is not None and not parsed.target.lower().startswith(("https://", "http://")):
        raise UsageError("--target takes an address such as https://api.example.com, with a path if it is below one.")
    steps = ON_TARGET if parsed.target else STEPS
    if parsed.only is not None and parsed.only not in steps:
        raise UsageError(f"--only {parsed.only!r}: there is no such step. Say one of {', '.join(steps)}.")
    is_thorough = parsed.thorough and not parsed.target  # there is one look alone
    return Options(project, package_of(project), is_thorough, parsed.target or "", parsed.only or ""), parsed.format


def _forget_settings() -> list[str]:
    """Take the service's settings out of our own environment, and return their names."""
    return [name for name in sorted(os.environ) if name.upper().startswith("APP_") and os.environ.pop(name) is not None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is the worst outcome."""
    try:
        options, form = _options(arguments)
        if options.only not in FILES_ALONE and (first := first_command(options.project)):
            raise UsageError(first)
    except UsageError as error:
        Terminal(sys.stderr).line(str(error))
        return Outcome.UNVERIFIED
    certificates.trust(options.project)
    run = Run(options, Terminal(sys.stderr if form in FORMATS else sys.stdout), _forget_settings())
    try:
        processes.install_signal_handlers()
        run.everything()
        run.stopped_at = None
    except KeyboardInterrupt:
        pass  # `stopped_at` tells where
    except Exception as error:  # noqa: BLE001 - by itself Python would end with 1, which says "insecure"
        run.add(crashed("verify", error, options.project))
        run.stopped_at = None
    finally:
        processes.work_is_done()
        run.screen.halt()
        processes.end_all()
    record = run.record()
    from . import formats  # a stage that is killed needs none

    try:
        report.write(options.project, record)
        formats.write(options.project, record)
    except OSError as error:
        reason = f"{report.FILE} cannot be written: {error.strerror}"
        run.add(report.KEPT.unverified(reason, "Make room for it, in a folder that can be written to."))
        record = run.record()
    run.summary()
    if form in FORMATS:
        Terminal(sys.stdout).document(formats.text(form, record, options.project))
    return Outcome.UNVERIFIED if run.stopped_at is not None else overall(run.checks)


if __name__ == "__main__":
    sys.exit(main())
