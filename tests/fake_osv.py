"""A small OSV API on loopback (https://google.github.io/osv.dev/api/) with a few advisories and many faults."""

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

CANARY = "PYSEC-2019-217"


def advisory(name: str, package: str, fixed: str | None, *aliases: str, schema: str = "1.6.0") -> dict[str, Any]:
    """One record, in our own words and as short as the schema admits."""
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    return {
        "schema_version": schema,
        "id": name,
        "modified": "2024-01-01T00:00:00Z",
        "published": "2020-01-01T00:00:00Z",
        "aliases": list(aliases),
        "summary": f"{package} before {fixed} is vulnerable.",
        "affected": [
            {"package": {"name": package, "ecosystem": "PyPI"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
        ],
    }


ADVISORIES = [
    advisory(CANARY, "jinja2", "2.10.1", "CVE-2019-10906", "GHSA-462w-v97r-4m45"),
    advisory("PYSEC-2021-66", "jinja2", "2.11.3", "CVE-2020-28493", "GHSA-g3rq-g295-4j3m"),
    advisory("PYSEC-2023-87", "sqlparse", "0.4.4", "CVE-2023-30608", "GHSA-rrm6-wvj7-cwh2"),
    advisory("PYSEC-2023-62", "flask", "2.2.5", "CVE-2023-30861", "GHSA-m2qf-hxjv-5gpq"),
]
UNFIXED = advisory("PYSEC-0000-1", "itsdangerous", None, "CVE-0000-0001")  # made up


def hits(record: dict[str, Any], package: str, version: str) -> bool:
    """Whether a record is about this release."""
    if not record["affected"]:  # as some records are answered
        return package == "click"
    affected = record["affected"][0]
    events = {name: value for event in affected["ranges"][0]["events"] for name, value in event.items()}
    return canonicalize_name(affected["package"]["name"]) == package and not (
        "fixed" in events and Version(version) >= Version(events["fixed"])
    )


class Service(ThreadingHTTPServer):
    """The service; `asked` holds what it was asked for, and `fault` what is wrong with it."""

    daemon_threads = True
    scheme = "http"

    def __init__(self, records: list[dict[str, Any]], fault: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.records = records
        self.fault = fault
        self.asked: list[tuple[str, str]] = []
        self.paths: set[str] = set()
        self.over = threading.Event()
        self.four = threading.Event()

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def answer(self, package: str, version: str, page: str = "") -> bytes:
        found = [record for record in self.records if hits(record, package, version)]
        if self.fault == "paged":  # the first page is empty, and each other one has a record
            number = int(page or 0)
            more = {"next_page_token": str(number + 1)} if number < len(found) else {}
            return json.dumps({"vulns": found[number - 1 : number] if number else [], **more}).encode()
        if self.fault == "empty" or (self.fault == "no canary" and version == "2.10"):
            return b"{}"
        if self.fault == "garbage":
            return b"<html>Sign in to the wireless network</html>"
        if self.fault == "nonsense":
            return b'{"vulns": 3}'
        nothing = {"vulns": None} if self.fault == "null" else {}  # as Go writes an empty list
        return json.dumps({"vulns": found} if found else nothing).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers `POST /v1/query`."""

    protocol_version = "HTTP/1.1"
    server: Service
    wbufsize = -1  # one packet a response, or each would wait for the acknowledgement of its first half

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package, version = body["package"]["name"], body["version"]
        self.server.asked.append((package, version))
        self.server.paths.add(self.path)
        late = self.server.fault == "slow" or (self.server.fault == "stuck" and len(self.server.asked) % 20 == 0)
        if late and self.server.over.wait(30):
            return
        if self.server.fault == "together":  # nobody is answered before four have asked
            if len(self.server.asked) >= 4:
                self.server.four.set()
            self.server.four.wait(10)
        down = self.server.fault == "down" or (self.server.fault == "down at first" and len(self.server.asked) == 1)
        busy = self.server.fault == "busy" or (self.server.fault == "busy at first" and len(self.server.asked) < 6)
        known = re.fullmatch("(/osv)?/v1/query", self.path) and not down and not busy
        content = self.server.answer(package, version, body.get("page_token", "")) if known else b"{}"
        self.send_response(200 if known else 429 if busy else 503)
        if busy:
            self.send_header("Retry-After", "1" if self.server.fault == "busy at first" else "900")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


@contextmanager
def serving(*more: dict[str, Any], fault: str = "", tls: ssl.SSLContext | None = None) -> Iterator[Service]:
    """The service with its advisories and these, for as long as the block runs."""
    service = Service([*ADVISORIES, *more], fault)
    if tls is not None:
        service.socket = tls.wrap_socket(service.socket, server_side=True)
        service.scheme = "https"
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        service.over.set()
        service.shutdown()
        thread.join()
        service.server_close()
