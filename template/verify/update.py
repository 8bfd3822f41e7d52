# Owned by the template: an update rewrites this file.
"""The door of `python -m verify.update`, under the name that pipelines and people know; see `upkeep/update.py`."""

import sys

from .upkeep.update import main

if __name__ == "__main__":
    sys.exit(main())
