# Owned by the template: an update rewrites this file.
"""What is not safe about a service, in the manner of Django's system checks: an id, a sentence and a remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not safe. `E` in the id is an error, `W` a warning."""

    id: str
    message: str
    hint: str

    @property
    def level(self) -> Literal["error", "warning"]:
        return "error" if self.id.partition(".")[2].startswith("E") else "warning"

    def __str__(self) -> str:
        return f"{self.id}: {self.message}\n    {self.hint}"


class InsecureConfigurationError(Exception):
    """The service is not safe to start; `findings` says all that is wrong."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("not safe to start:\n" + "\n".join(map(str, self.findings)))
