# Owned by the template: an update rewrites this file.
"""What every stage of the proof is told: `stage(options)` in its module tries things and yields what came of them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for.

    Args:
        project: The root of the service's repository.
        package: The service's package, such as `my_service`.
        thorough: Take minutes instead of seconds.
        target: The address of a deployed service to ask instead of a server of our own.
        only: The one step to prove, or nothing for all.
    """

    project: Path
    package: str
    thorough: bool = False
    target: str = ""
    only: str = ""

    def wants(self, step: str) -> bool:
        """Whether this step was asked for."""
        return self.only in ("", step)
