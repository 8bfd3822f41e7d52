# Owned by the template: an update rewrites this file.
"""What an organisation lays over this service: whether it is in use, and the checks that it brings.

`checks(options)` of the package `verify_overlay` yields `Check`s of this type; their ids get the prefix `overlay.`.
"""

import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from importlib import import_module
from threading import Thread

from ..common.addresses import masked
from ..result import Check, Options, Outcome, Rule, UnverifiedError, listed
from ..runner import certificates
from ..upkeep.overlay import ANSWERS, CHECKS, STEPS, checks, is_there, steps
from ..upkeep.template_repo import recorded_answers

USED = Rule("overlay", "overlay.used", "what the organisation lays over this service is in use")
CERTIFICATES = Rule("overlay", "overlay.certificates", "the organisation's certificates can be read")
RUN = Rule("overlay", "overlay.checks-run", "the organisation's checks come to their end")
TIMEOUT = 300.0
"""Seconds that the organisation's checks may take together."""
KEEPERS = "It comes from the organisation's overlay: report it to those who keep that."


def stage(options: Options) -> Iterator[Check]:
    """Whether the overlay is in use, and what its own checks find."""
    if not is_there(options.project):
        yield USED.not_looked_at("this service has no overlay")
        return
    yield _used(options)
    yield _certificates(options)
    if checks(options.project):
        yield from _checks(options)


def _used(options: Options) -> Check:
    project = options.project
    found = steps(project)
    elsewhere = [path.relative_to(project).as_posix() for path in found if path.parent.name != options.package]
    empty = (each for each in found if each.is_dir() and not any(each.glob("__init__.*")))
    unfit = [each.relative_to(project).as_posix() for each in empty]
    if elsewhere or unfit:
        seen = f"nothing takes steps from {listed(elsewhere or unfit)}"
        return USED.insecure(seen, f"It has to be src/{options.package}/{STEPS}/__init__.py. {KEEPERS}")
    try:
        answers = recorded_answers(project, ANSWERS)
        source = f"{answers['_commit']} of {masked(answers['_src_path'])}"
    except UnverifiedError as error:
        if (project / ANSWERS).exists():
            return USED.unverified(error)
        source = f"no {ANSWERS}, so no update brings a newer one"
    holds = [f"steps in {each.relative_to(project).as_posix()}" for each in found]
    holds += [f"checks in {each.name}" for each in checks(project)]
    return USED.proved("; ".join([source, *holds]))


def _certificates(options: Options) -> Check:
    try:
        text = certificates.own(options.project)
    except (OSError, ValueError) as error:
        seen = f"{certificates.SOURCE} cannot be read: {error}"
        return CERTIFICATES.unverified(seen, f"Write certificates in PEM. {KEEPERS}")
    if not text:
        return CERTIFICATES.not_looked_at("it has none")
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.load_verify_locations(cadata=text)
    ends = [str(each["notAfter"]) for each in found.get_ca_certs()]
    if not ends:
        return CERTIFICATES.unverified("none of them is an authority's (CA:TRUE)", KEEPERS)
    until = min(ends, key=ssl.cert_time_to_seconds)
    if ssl.cert_time_to_seconds(until) < time.time():
        return CERTIFICATES.warning(f"one of them has expired: {until}", f"Replace it. {KEEPERS}")
    return CERTIFICATES.proved(f"{found.cert_store_stats()['x509']} certificates, the first until {until}")


def _checks(options: Options) -> Iterator[Check]:
    found: list[Check] = []
    ends: list[Check] = []

    def collect() -> None:
        try:
            for check in import_module(CHECKS).checks(options):
                if not (isinstance(check, Check) and isinstance(check.outcome, Outcome)):
                    raise TypeError(f"checks() yields {check!r}, which is no Check")
                found.append(replace(check, step="overlay", id=f"overlay.{check.id.removeprefix('overlay.')}"))
            ends.append(RUN.proved(f"{len(found)} of {CHECKS}"))
        except UnverifiedError as error:
            ends.append(RUN.unverified(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it says nothing about the service
            ends.append(RUN.unverified(f"{CHECKS} failed: {type(error).__name__}: {error}", KEEPERS))

    thread = Thread(target=collect, daemon=True)  # so that one which never ends does not keep verify from ending
    with redirect_stdout(sys.stderr):  # what they print is no part of the object that --format json prints
        thread.start()
        thread.join(TIMEOUT)
    yield from (*found, *(ends or [RUN.unverified(f"{CHECKS} was not over after {TIMEOUT:g} s", KEEPERS)]))
