# Owned by the template: an update rewrites this file.
"""How pip-audit is asked about every locked package, and what it answers.

Whatever the service does, it is an answer or an `UnverifiedError`.
"""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from packaging.version import Version

from ..result import UnverifiedError
from ..runner import certificates, subprocesses
from ..runner.subprocesses import Ran
from .lockfile import Key, Lock, key

PROCESS = Path(__file__).with_name("pip_audit_process.py")
CANARY = ("jinja2", "2.10")
"""The release that is asked for first, known to be vulnerable since 2019."""
SOCKET_TIMEOUT = 8
"""Seconds that the service has for one answer."""
RUN_TIMEOUT = 180.0
"""Seconds that it has for all of them, with what it asks us to wait."""
PAUSES = (1.0, 2.0)
"""Seconds before each further attempt at one question."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What the audit found out."""

    audited: frozenset[Key]
    skipped: tuple[tuple[str, str], ...]
    vulnerable: dict[Key, list[dict[str, Any]]]
    warnings: tuple[str, ...]


def service_named(address: str) -> tuple[dict[str, str], str]:
    """The variables by which pip-audit takes the service, whose address may hold a password, and what a sentence calls it.

    Raises:
        UnverifiedError: `AUDIT_OSV_URL` is no address of an OSV API.
    """
    if not address.strip():
        return {}, "the advisory service"
    try:
        parts = urlsplit(address.strip())
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        seen = "AUDIT_OSV_URL is not the address of an OSV API"
        raise UnverifiedError(seen, "Write it as https://osv.example.com, with a path if it has one.")
    path = parts.path.rstrip("/").removesuffix("/v1/query").removesuffix("/v1") + "/v1/query"
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    variables = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": parts._replace(path=path).geturl()}
    return variables, shown


def questions(lock: Lock) -> str:
    """The canary and every locked release of an index, for whatever platform it is, as a `pylock.toml`."""
    releases = [CANARY, *((each.name, each.version) for each in lock.published if "registry" in each.source)]
    blocks = (f'\n[[packages]]\nname = "{name}"\nversion = "{version}"\n' for name, version in dict.fromkeys(releases))
    return f'lock-version = "1.0"\ncreated-by = "verify"\n{"".join(blocks)}'


def ask(questions: str, variables: dict[str, str], service: str) -> AuditResult:
    """Run pip-audit.

    Raises:
        UnverifiedError: It does not answer.
    """
    with TemporaryDirectory(prefix="audit-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "pylock.toml").write_text(questions, encoding="utf-8")
        # A cache of its own: what the service said another day is no answer.
        command = [
            *(sys.executable, "-I", "-X", "utf8", str(PROCESS), f"{RUN_TIMEOUT * 0.9}", ",".join(map(str, PAUSES))),
            *("--locked", "--format", "json"),
            *("--desc", "off", "--progress-spinner", "off", "--timeout", str(SOCKET_TIMEOUT)),
            *("--cache-dir", str(folder / "cache"), str(folder)),
        ]
        ran = subprocesses.run(command, folder, RUN_TIMEOUT, {**certificates.for_requests(), **variables})
    return _understood(ran, service)


def _understood(ran: Ran, service: str) -> AuditResult:
    """Read what pip-audit wrote; its exit code says too little to be looked at.

    Raises:
        UnverifiedError: That is no answer.
    """
    again = "Run it again when the service can be reached; AUDIT_OSV_URL names another OSV API to ask."
    if ran.code is None:
        raise UnverifiedError(f"{service} gave no full answer within {RUN_TIMEOUT:g} s", again)
    if not ran.out.strip():
        if "No module named" in ran.err and "pip_audit" in ran.err:
            raise UnverifiedError("pip-audit is not installed", "Run `uv add --dev 'pip-audit>=2.10.1'`.")
        for pattern, what in FAILURES:
            if found := re.search(pattern, ran.err):
                said = found.groupdict().get("said") or ran.tail(1)[:200]
                raise UnverifiedError(f"{service} {what} ({said})", TRUST if "certificate" in what else again)
        raise UnverifiedError(f"pip-audit failed: {ran.tail(1)}", again)
    try:
        dependencies = json.loads(ran.out)["dependencies"]
        skipped = [(str(each["name"]), str(each["skip_reason"])) for each in dependencies if "skip_reason" in each]
        audited = {
            key(each["name"], each["version"]): [
                {
                    "names": (str(one["id"]), *sorted(map(str, one["aliases"]))),
                    "fixes": sorted(map(Version, one["fix_versions"])),
                }
                for one in each["vulns"]
            ]
            for each in dependencies
            if "skip_reason" not in each
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"what pip-audit wrote does not parse: {type(error).__name__}"
        raise UnverifiedError(what, "Look at `uv run pip-audit --version`; this needs 2.10 or newer.") from None
    warnings = tuple(
        line.strip() for line in ran.err.splitlines() if re.search("Unsupported OSV|missing 'affected'", line)
    )
    vulnerable = {package: found for package, found in audited.items() if found}
    return AuditResult(frozenset(audited), tuple(skipped), vulnerable, warnings)


TRUST = "Name your organisation's certificates in SSL_CERT_FILE, as for uv."
FAILURES = (
    (r"Read ?[Tt]imeout|Connect ?[Tt]imeout|timed out", "did not answer in time"),
    (r"JSONDecodeError", "answers something that is not JSON"),
    (r"(?P<said>\d{3} (?:Server|Client) Error: [\w ]*)", "answers with an error"),
    (r"CERTIFICATE_VERIFY_FAILED", "shows a certificate that is not trusted here"),
    (r"ConnectionError|Could not connect|MaxRetryError|ProxyError|SSLError", "cannot be reached"),
    (r"ServiceError", "answers with an error"),
    (r"pip_audit._service|in query", "answers something that pip-audit does not understand"),
)
