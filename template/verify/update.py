# Owned by the template: an update rewrites this file.
"""The door of `python -m verify.update`, under the name that pipelines and people know; see `upkeep/update.py`."""

import sys
from pathlib import Path

from .upkeep.prerequisites import first_command


def main() -> int:
    """Say what has to come first, or update the service."""
    if first := first_command(Path(__file__).resolve().parent.parent):
        print(first, file=sys.stderr)
        return 2
    from .upkeep import update

    return update.main()


if __name__ == "__main__":
    sys.exit(main())
