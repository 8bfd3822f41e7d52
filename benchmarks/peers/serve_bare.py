"""Serves the bare application by the emitted service's own `serve`: the same Granian with the same flags and loop."""

import os
from importlib import import_module

PACKAGE = os.environ["SERVICE_PACKAGE"]
serve = import_module(f"{PACKAGE}.hardening.server").serve
settings = import_module(f"{PACKAGE}.hardening").load(import_module(f"{PACKAGE}.settings").Settings)

if __name__ == "__main__":
    serve("bare:build", settings, "127.0.0.1", int(os.environ["PORT"]), int(os.environ.get("WORKERS", "1")), False)
