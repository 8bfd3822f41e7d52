# Owned by the template: an update rewrites this file.
"""What is looked at in the team's own steps: one that cannot run would answer every request with 500, and one that
writes a header of the checklist's would weaken it in silence.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from typing import Any

from ..core.findings import Finding, InsecureConfigurationError
from ..core.headers import is_field, is_field_name
from ..core.log import log
from ..core.masking import mask
from ..settings import HardeningSettings
from ..steps import STEPS
from ..steps.base import Services, Step

_ARGUMENTS = {"refuse": ("request",), "respond": ("request", "headers")}
_HEADERS = {
    "fixed_headers": 'pairs of bytes: `fixed_headers = ((b"x-region", b"eu"),)`',
    "reserved_headers": 'a set of bytes: `reserved_headers = frozenset({b"x-region"})`',
    "respond_triggers": 'a set of bytes: `respond_triggers = frozenset({b"x-region"})`',
}
_PERIMETERS = (b"x-request-id", b"content-length", b"transfer-encoding", b"ratelimit", b"ratelimit-policy")


def listed(steps: Any) -> tuple[type[Step], ...]:
    """The classes that the team has given as steps.

    Raises:
        InsecureConfigurationError: Something among them can be no step, whatever the settings are.
    """
    if isinstance(steps, type) or not isinstance(steps, Iterable):
        raise InsecureConfigurationError([_no_step("is", steps)])
    classes: tuple[type[Step], ...] = tuple(steps)
    if findings := list(_class_findings(classes)):
        raise InsecureConfigurationError(findings)
    return classes


def make_steps(steps: Iterable[type[Step]], services: Services) -> tuple[list[Step], list[Step]]:
    """An object of each step of the checklist, and of each of the team's.

    Raises:
        InsecureConfigurationError: One of the team's cannot be made, or breaks the contract.
    """
    checklist, team, findings = [step(services) for step in STEPS], [], []
    owners = dict.fromkeys(_PERIMETERS, "the perimeter")
    for each in checklist:
        fixed = [name for name, _ in each.fixed_headers]
        owners |= dict.fromkeys((*fixed, *each.reserved_headers, *each.respond_triggers), f"the step {each.name}")
    owners.pop(b"vary", None)  # values of this one are joined
    for kind in steps:
        try:
            team.append(step := kind(services))
            findings += [*_contract(step, kind), *_replaced(step, owners)]
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises, there is no step
            findings.append(_raised(kind, "cannot be made", error))
    if findings:
        raise InsecureConfigurationError(findings)
    return checklist, team


def findings_of(step: type[Step], settings: HardeningSettings) -> list[Finding]:
    """What a step finds in the settings; that it cannot look is a finding too."""
    try:
        if iscoroutinefunction(step.findings):
            raise TypeError("it is async")
        found = list(step.findings(settings))
        if wrong := next((each for each in found if not isinstance(each, Finding)), None):
            raise TypeError(f"{type(wrong).__name__} is no Finding")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises, nothing was looked at
        return [_raised(step, "cannot look at the settings: `findings` fails with", error)]
    return found


def _raised(step: type[Step], what: str, error: BaseException) -> Finding:
    reason = " ".join(mask(str(error), log.secrets).split())[:300]
    place = traceback.extract_tb(error.__traceback__)[-1]
    hint = f"It is raised at {place.filename}:{place.lineno}: `{place.line}`."
    if place.filename == __file__:
        hint = "Write `__init__(self, services)`, and a static `findings(settings)` that returns a list of `Finding`."
    return Finding("steps.E005", f"The step {step.__name__} {what}: {type(error).__name__}: {reason}", hint)


def _no_step(verb: str, found: Any) -> Finding:
    what = found.__name__ if isinstance(found, type) else f"an object of {type(found).__name__}"
    return Finding(
        "steps.E001",
        f"steps {verb} {what}, which is no {'list' if verb == 'is' else 'subclass of Step'}.",
        "Write `class TenantHeader(Step)`, and list the class itself: `steps=[TenantHeader]`.",
    )


def _class_findings(steps: Iterable[Any]) -> Iterator[Finding]:
    names = {step.name for step in STEPS}
    for step in steps:
        if not (isinstance(step, type) and issubclass(step, Step)):
            yield _no_step("contains", step)
            continue
        name = getattr(step, "name", None)
        if not isinstance(name, str) or not name or name in names:
            yield Finding(
                "steps.E002",
                f"The step {step.__name__} has no name of its own.",
                'Give it one that no other step has: `name = "tenant"`.',
            )
        names.add(str(name))
        yield from _contract(step, step)


def _contract(step: Step | type[Step], kind: type[Step]) -> Iterator[Finding]:
    """What of a step cannot work, looked at in its object; before there is one, in its class as far as that shows it."""
    for what, arguments in _ARGUMENTS.items():
        method = getattr(step, what)
        if iscoroutinefunction(method) and what == "respond":
            fault = "is async: headers are completed without waiting"
        elif isgeneratorfunction(method) or isasyncgenfunction(method):
            fault = "is a generator: nobody would run it"
        elif step is not kind and not _takes(method, arguments):
            fault = f"cannot be called with {' and '.join(arguments)}"
        else:
            continue
        yield Finding(
            "steps.E003",
            f"`{what}` of the step {kind.__name__} {fault}.",
            f"Write a plain `def {what}(self, {', '.join(arguments)})`; only `refuse` may be an `async def`.",
        )
    for what, form in _HEADERS.items():
        found = getattr(step, what)
        if step is kind and hasattr(type(found), "__get__"):
            continue  # a property: its value is the object's
        if not _each(is_field if what == "fixed_headers" else is_field_name, found, pairs=what == "fixed_headers"):
            yield Finding(
                "steps.E004",
                f"The {what} of the step {kind.__name__} are not bytes with names in lower case that can be sent.",
                f"Write {form}.",
            )


def _replaced(step: Step, owners: dict[bytes, str]) -> Iterator[Finding]:
    for name, _ in step.fixed_headers:
        if name in owners:
            yield Finding(
                "steps.E006",
                f"The step {type(step).__name__} fixes the header {name.decode()}, which belongs to {owners[name]}.",
                "Leave it out; a route that needs another value sets it itself.",
            )


def _takes(method: Any, arguments: tuple[str, ...]) -> bool:
    try:
        signature(method).bind(*arguments)
    except TypeError:  # of other arguments, or no function
        return False
    return True


def _each(holds: Callable[..., bool], found: Any, *, pairs: bool) -> bool:
    try:
        return all(holds(*each) if pairs else holds(each) for each in found)
    except (TypeError, ValueError):
        return False
