# Owned by the template: an update rewrites this file.
"""The door of `python -m verify.bounds`, under the name that people know; see `upkeep/bounds.py`.

What brings the bounds needs nothing that the bounds bring: where a library is missing or too old, as right after an
update, the same command runs again through uv, in an environment of its own.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .runner.environment import clean
from .runner.subprocesses import NO_UV, uv
from .upkeep.libraries import OF_ITS_OWN


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, here or in an environment of its own."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        import tomlkit  # noqa: F401
        from packaging.specifiers import SpecifierSet

        is_here = hasattr(SpecifierSet, "is_subset")
    except ImportError:
        is_here = False
    if is_here:
        from .upkeep import bounds

        return bounds.main(given)
    try:
        command = [uv(), "--quiet", *OF_ITS_OWN, "-m", "verify.upkeep.bounds", *given]
        project = Path(__file__).resolve().parent.parent
        return subprocess.run(command, cwd=project, env=clean(), check=False).returncode  # noqa: S603 - no shell
    except OSError as error:
        print(f"{error}. {NO_UV} Then run `uv run python -m verify.bounds` again.", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
