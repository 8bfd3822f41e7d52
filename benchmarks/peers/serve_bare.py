"""Serves the bare application by the emitted service's own `serve`: the same Granian with the same flags and loop."""

import os
from importlib import import_module

PACKAGE = os.environ["SERVICE_PACKAGE"]
serve = import_module(f"{PACKAGE}.hardening.server").serve
settings = import_module(f"{PACKAGE}.hardening").load(import_module(f"{PACKAGE}.settings").Settings)
address = import_module(f"{PACKAGE}.hardening.startup.address").Address(port=int(os.environ["PORT"]))
workers = int(os.environ.get("WORKERS", "1"))

if __name__ == "__main__":
    serve("bare:build", settings, address, workers, reload=False, websockets=False)
