# Owned by the template: an update rewrites this file.
"""The door of `python -m verify.bounds`, under the name that pipelines and people know; see `upkeep/bounds.py`."""

import sys

from .upkeep.bounds import main

if __name__ == "__main__":
    sys.exit(main())
