"""The overlay of an organisation in `fleet --update`: a second template, whose files are no others'.

Its address is given to this run, as that of the template is: one that a service records is compared and never followed.
"""

from collections.abc import Mapping
from pathlib import Path

from .model import Reading
from .programs import Credentials, Programs
from .template import Template, answers_of

ANSWERS = ".copier-answers.overlay.yml"


class Overlay(Template):
    """A clone of the overlay.

    Args:
        address: Where it is.
        scratch: A folder of our own, which does not exist yet.

    Raises:
        UnreadableError: It cannot be cloned, or has no releases.
    """

    def __init__(self, address: str, scratch: Path, programs: Programs, credentials: Credentials | None = None) -> None:
        scratch.mkdir()
        super().__init__(address, scratch, programs, credentials)

    def may_be_in(self, reading: Reading) -> bool:
        """Whether a service has an overlay, this one or another; of one that could not be listed nobody can tell."""
        return reading.tree is None or ANSWERS in reading.tree

    def recorded_by(self, service: Path) -> Mapping[str, str]:
        """What a service records of this overlay; nothing if it has none, or another one."""
        path = service / ANSWERS
        answers = answers_of(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return answers if self.is_source_of(answers.get("_src_path", "")) else {}

    def lags_in(self, service: Path) -> bool:
        """Whether a service has an older release of this overlay."""
        return self.is_behind(self.recorded_by(service).get("_commit", "")) is True
