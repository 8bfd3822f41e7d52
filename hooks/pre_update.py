"""What has to hold before `copier update` writes anything: that owned files are where the answers say.

Copier would write the files of a renamed package to the old place, beside those that run, and through a link to
wherever it leads. So an update of such a service is refused in a sentence; nothing has been changed by then.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ANSWERS = ".copier-answers.yml"


def problems(folder: Path) -> Iterator[str]:
    """Why an update of this service would be half of one."""
    try:
        recorded = (folder / ANSWERS).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return  # Copier itself says what it misses
    match = re.search(r"^package_name: ['\"]?(\w+)['\"]?\s*$", recorded, re.MULTILINE)
    if match is None:
        yield f"{ANSWERS} records no package_name. Put it back from git."
        return
    package = Path("src", match[1])
    others = sorted(path.parent.parent.name for path in folder.glob("src/*/hardening/__init__.py"))
    if others and match[1] not in others:
        yield (
            f"The package was renamed: {ANSWERS} records {match[1]}, and `hardening` is in src/{others[0]}. The "
            f"name is for birth only; call the folder src/{match[1]} again, with its imports."
        )
    for name in (Path("src"), package, package / "hardening", Path("tests"), Path("tests/hardening"), Path("verify")):
        if (folder / name).is_symlink():
            yield f"{name.as_posix()} is a link, and an update would write to where it leads. Put a folder there."


def main() -> int:
    """Refuse the update, or say nothing."""
    found = list(problems(Path.cwd()))
    for problem in found:
        print(f"Nothing was changed. {problem}".encode("ascii", "backslashreplace").decode(), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
