"""Serves `edges.py` behind the perimeter, by the emitted service's own `serve`."""

import os
import sys
import time
from importlib import import_module
from types import ModuleType
from typing import Any

from edges import app as edges

PACKAGE = os.environ["SERVICE_PACKAGE"]
hardening = import_module(f"{PACKAGE}.hardening")


def create_app(settings: Any) -> Any:
    """The application, mounted: what it does is no route's."""
    time.sleep(float(os.environ.get("SLOW_START", "0")))
    app = hardening.Hardened(settings, insecure_mounts={"/edge": "what it does is looked at from outside"})
    app.mount("/edge", edges)
    return app


stand_in = ModuleType(f"{PACKAGE}.app")
vars(stand_in)["create_app"] = create_app
sys.modules[stand_in.__name__] = stand_in

if __name__ == "__main__":
    sys.exit(import_module(f"{PACKAGE}.__main__").main())
