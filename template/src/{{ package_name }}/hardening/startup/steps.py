# Owned by the template: an update rewrites this file.
"""What is looked at in the team's own steps: a step that cannot run would answer every request with 500."""

from collections.abc import Callable, Iterator, Sequence
from inspect import iscoroutinefunction
from typing import Any

from ..core.findings import Finding
from ..core.headers import is_field, is_field_name
from ..steps import STEPS
from ..steps.base import Step


def step_findings(steps: Sequence[Any]) -> Iterator[Finding]:
    """What is wrong with the classes that the team has given as steps."""
    names = {step.name for step in STEPS}
    for step in steps:
        if not (isinstance(step, type) and issubclass(step, Step)):
            what = f"an object of {type(step).__name__}" if not isinstance(step, type) else step.__name__
            yield Finding(
                "steps.E001",
                f"steps contains {what}, which is no subclass of Step.",
                "Write `class TenantHeader(Step)`, and list the class itself: `steps=[TenantHeader]`.",
            )
            continue
        name = getattr(step, "name", None)
        if not isinstance(name, str) or not name or name in names:
            yield Finding(
                "steps.E002",
                f"The step {step.__name__} has no name of its own.",
                'Give it one that no other step has: `name = "tenant"`.',
            )
        names.add(str(name))
        if iscoroutinefunction(step.respond):
            yield Finding(
                "steps.E003",
                f"The step {step.__name__} has an async `respond`: headers are completed without waiting.",
                "Make it a plain `def`, and look up what it needs in an async `refuse`.",
            )
        if not _each(is_field, step.fixed_headers, pairs=True):
            yield Finding(
                "steps.E004",
                f"The fixed_headers of the step {step.__name__} are not bytes with names in lower case that can be sent.",
                'Write pairs of bytes: `fixed_headers = ((b"x-region", b"eu"),)`.',
            )
        for what in ("reserved_headers", "respond_triggers"):
            if not _each(is_field_name, getattr(step, what)):
                yield Finding(
                    "steps.E004",
                    f"The {what} of the step {step.__name__} are not names as bytes in lower case: none would match.",
                    f'Write a set of bytes: `{what} = frozenset({{b"x-region"}})`.',
                )


def _each(holds: Callable[..., bool], found: Any, *, pairs: bool = False) -> bool:
    try:
        return all(holds(*each) if pairs else holds(each) for each in found)
    except (TypeError, ValueError):
        return False
