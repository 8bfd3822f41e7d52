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

from ..result import Check, Options, Outcome, Rule, UnverifiedError, listed
from ..runner import certificates
from ..upkeep.overlay import ANSWERS, CHECKS, STEPS, is_there
from ..upkeep.template_repo import masked, recorded_answers

USED = Rule("overlay", "overlay.used", "what the organisation lays over this service is in use")
CERTIFICATES = Rule("overlay", "overlay.certificates", "the organisation's certificates can be read")
RUN = Rule("overlay", "overlay.checks-run", "the organisation's checks come to their end")
KEEPERS = "It comes from the organisation's overlay: report it to those who keep that."


def stage(options: Options) -> Iterator[Check]:
    """Whether the overlay is in use, and what its own checks find."""
    if not is_there(options.project):
        yield USED.not_looked_at("this service has no overlay")
        return
    yield _used(options)
    yield _certificates(options)
    if (options.project / CHECKS).is_file():
        yield from _checks(options)


def _used(options: Options) -> Check:
    project = options.project
    folders = sorted(path for path in project.glob(f"src/*/{STEPS.parent}") if any(path.glob("*.*")))
    elsewhere = [path.relative_to(project).as_posix() for path in folders if path.parent.name != options.package]
    unfit = [each.relative_to(project).as_posix() for each in folders if not (each / STEPS.name).is_file()]
    if elsewhere or unfit:
        seen = f"nothing takes steps from {listed(elsewhere or unfit)}"
        return USED.insecure(seen, f"It has to be src/{options.package}/{STEPS.as_posix()}. {KEEPERS}")
    try:
        answers = recorded_answers(project, ANSWERS)
        source = f"{answers['_commit']} of {masked(answers['_src_path'])}"
    except UnverifiedError as error:
        if (project / ANSWERS).exists():
            return USED.unverified(error)
        source = f"no {ANSWERS}, so no update brings a newer one"
    parts = [f"steps in {each.relative_to(project).as_posix()}" for each in folders]
    parts += [f"checks in {CHECKS.parent}"] if (project / CHECKS).is_file() else []
    return USED.proved("; ".join([source, *parts]))


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
    try:
        with redirect_stdout(sys.stderr):  # what they print is no part of the object that --format json prints
            for check in import_module(CHECKS.parent.name).checks(options):
                if not (isinstance(check, Check) and isinstance(check.outcome, Outcome)):
                    raise TypeError(f"checks() yields {check!r}, which is no Check")
                found.append(replace(check, step="overlay", id=f"overlay.{check.id.removeprefix('overlay.')}"))
        ended = RUN.proved(f"{len(found)} of {CHECKS.parent}")
    except UnverifiedError as error:
        ended = RUN.unverified(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it says nothing about the service
        ended = RUN.unverified(f"{CHECKS.parent} failed: {type(error).__name__}: {error}", KEEPERS)
    yield from (*found, ended)
