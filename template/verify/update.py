# Owned by the template: an update rewrites this file.
"""The door of `python -m verify.update`, under the name that pipelines and people know; see `upkeep/update.py`,
and `upkeep/answering.py` for what it takes as arguments."""

import sys
from pathlib import Path

from .upkeep.prerequisites import first_command


def main() -> int:
    """Say what has to come first, or update the service; with arguments, see to its offers."""
    if first := first_command(Path(__file__).resolve().parent.parent):
        print(first, file=sys.stderr)
        return 2
    if len(sys.argv) > 1:
        from .upkeep import answering

        return answering.main(Path(__file__).resolve().parent.parent, sys.argv[1:])
    from .upkeep import update

    return update.main()


if __name__ == "__main__":
    sys.exit(main())
