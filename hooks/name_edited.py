"""What `copier update --skip-tasks` says: which files it took away, and by name those that the team had edited.

Copier deletes a file that has moved without a word. Nothing else is done here, and nothing is locked, installed or run.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # PYTHONSAFEPATH would leave it out
sys.path.insert(1, str(Path(__file__).parent.parent / "template"))  # what the hooks and verify share

from moved import taken_away
from programs import Programs

if __name__ == "__main__":
    before, after = sys.argv[1:]
    if before != after:
        for line in taken_away(Programs(Path.cwd()), Path(__file__).parent.parent, before):
            print(f"- {line}".encode("ascii", "backslashreplace").decode(), flush=True)
