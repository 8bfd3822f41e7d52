# Owned by the template: an update rewrites this file.
"""What is looked at in the team's own steps: a step that cannot run would answer every request with 500."""

from collections.abc import Iterator, Sequence
from inspect import iscoroutinefunction
from typing import Any

from ..core.findings import Finding
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
        if not _are_headers(step.fixed_headers):
            yield Finding(
                "steps.E004",
                f"The fixed_headers of the step {step.__name__} are not bytes with names in lower case.",
                'Write pairs of bytes: `fixed_headers = ((b"x-region", b"eu"),)`.',
            )


def _are_headers(headers: Any) -> bool:
    try:
        return all(
            isinstance(name, bytes) and isinstance(value, bytes) and name == name.lower() for name, value in headers
        )
    except (TypeError, ValueError):
        return False
