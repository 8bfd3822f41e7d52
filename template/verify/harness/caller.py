# Owned by the template: an update rewrites this file.
"""The caller that a team lends: `tests/caller.py` signs in at the service that is attacked, and says with which headers.

`python -m verify.harness.caller PORT FILE` prints them as JSON. It runs in a process of its own, so that the team's code
never runs inside verify.
"""

import json
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.answer import Answer
from ..common.raw_http import raw, send

FILE = Path("tests", "caller.py")
TIMEOUT = 20.0
ADDRESS = ("X-Forwarded-For", "100.127.255.254")
"""A client of its own, whose quota no attack uses up."""


def headers(port: int, file: str) -> dict[str, str]:
    """The headers of a caller who is signed in."""

    def ask(method: str, path: str, json_body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        body = None if json_body is None else json.dumps(json_body).encode()
        return send(port, raw(method, path, [*(headers or {}).items(), ADDRESS], body))

    found = runpy.run_path(file)["sign_in"](ask)
    return {str(name): str(value) for name, value in found.items()}


if __name__ == "__main__":
    print(json.dumps(headers(int(sys.argv[1]), sys.argv[2])))
