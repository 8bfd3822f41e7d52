"""Requests by direct ASGI calls, no socket: `drive.py hardened|bare GET|POST COUNT`, for counting instructions."""

import asyncio
import os
import sys
from importlib import import_module
from typing import Any

BODY = b'{"username":"alice","email":"alice@example.com"}'


def scope(method: str) -> dict[str, Any]:
    """What Granian makes of a request of wrk's."""
    path = "/ping" if method == "GET" else "/users"
    headers = [(b"host", b"api.example.com")]
    if method == "POST":
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method,
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http",
        "headers": headers, "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8000), "extensions": {},
        "state": {},
    }  # fmt: skip


async def drive(app: Any, method: str, count: int) -> None:
    """Send `count` requests, one after another."""
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY if method == "POST" else b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    for _ in range(count):
        await app(scope(method), receive, send)
    if set(statuses) != {200 if method == "GET" else 201}:
        raise SystemExit(f"answers with {set(statuses)}")


if __name__ == "__main__":
    which, method, count = sys.argv[1:]
    module = f"{os.environ['SERVICE_PACKAGE']}.__main__" if which == "hardened" else "bare"
    application = import_module(module).build()
    with open(os.devnull, "w") as sys.stdout:  # noqa: PTH123 - the log goes where it goes in the other sections
        asyncio.run(drive(application, method, int(count)))
