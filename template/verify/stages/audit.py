# Owned by the template: an update rewrites this file.
"""The audit: is a package of the lock file known to be vulnerable?

The tools of this trade say "nothing found" also when they could not look. So the answer is believed only if every locked
package is accounted for by name and version, and if the same run finds a canary: a release whose advisory is old and
well known. Whatever falls short of that is "could not tell", which is neither clean nor vulnerable.
"""

import json
import os
import re
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from packaging.version import InvalidVersion, Version

from ..result import Check, Options, Rule, UnverifiedError
from ..runner import subprocesses
from ..runner.subprocesses import NO_UV, Ran
from .lock import Key, Lock, Package, key, listed
from .waivers import FILE, WAIVER, Waivers
from .waivers import read as read_waivers

CANARY = ("jinja2", "2.10")
COMPLETE = Rule("audit", "audit.complete", "every locked package is looked up")
CANARY_FOUND = Rule("audit", "audit.canary", "a release that is known to be vulnerable is found")
VULNERABLE = Rule("audit", "audit.vulnerable", "no locked package is known to be vulnerable")
CANARY_ADVISORIES = {"CVE-2019-10906", "PYSEC-2019-217", "GHSA-462w-v97r-4m45"}
SOCKET_TIMEOUT = 8
"""Seconds that the service has for one answer."""
RUN_TIMEOUT = 90.0
"""Seconds that it has for all of them."""
PAUSES = (1.0, 2.0)
"""Seconds before each further attempt."""
PATIENCE = 15.0
"""Seconds after which no further attempt begins."""
EXPORT_TIMEOUT = 60.0
ADVICE_TIMEOUT = 20.0
MOST_ADVICE = 5
"""Packages whose upgrade is tried before it is recommended; each takes about a second."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """One advisory that hits one locked package."""

    package: Package
    names: tuple[str, ...]
    """The advisory as the service calls it first, then its other names."""
    fixes: tuple[Version, ...]
    """Releases beyond the locked one in which it is fixed."""

    def __str__(self) -> str:
        return f"{self.package} has {self.names[0]}"


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What the audit found out."""

    audited: frozenset[Key]
    skipped: tuple[tuple[str, str], ...]
    vulnerable: dict[Key, list[dict[str, Any]]]
    warnings: tuple[str, ...]


def stage(options: Options) -> Iterator[Check]:
    """Whether a locked package is known to be vulnerable, and whether the answer can be believed."""
    waivers = read_waivers(options.project, datetime.now(UTC).date())
    yield from waivers.wrong
    try:
        lock = Lock.read(options.project)
        export = _export(options.project, lock)
        arguments, service = asked(os.environ.get("AUDIT_OSV_URL", ""))
        answer = _ask(export, arguments, service)
    except UnverifiedError as error:
        yield COMPLETE.unverified(error)
    else:
        doubts = list(_doubts(lock, answer, service))
        yield from doubts
        if not doubts:
            yield _accounted(lock, service)
        yield from _judged(options.project, lock, _findings(lock, answer), waivers, complete=not doubts)


def asked(address: str) -> tuple[list[str], str]:
    """The options of pip-audit that choose the service, and what it is called in a sentence.

    Raises:
        UnverifiedError: `AUDIT_OSV_URL` is no address of an OSV API.
    """
    if not address.strip():
        return ["--vulnerability-service", "pypi"], "the advisory service"
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
    return ["--vulnerability-service", "osv", "--osv-url", parts._replace(path=path).geturl()], shown


def _export(project: Path, lock: Lock) -> str:
    """The lock with its hashes as a `pylock.toml` that begins with the canary.

    Each part of the project is exported by itself, since uv exports no two parts together that are declared to be in
    conflict. Markers stay unread: what only another platform installs is audited here as well.

    Raises:
        UnverifiedError: uv cannot export it.
    """
    parts = [
        ["--no-default-groups"],
        *(["--no-default-groups", "--extra", name] for name in lock.extras),
        *(["--only-group", name] for name in lock.groups),
    ]
    blocks: dict[str, str] = {}
    for part in parts:
        command = ["export", "--quiet", "--locked", "--no-emit-workspace", "--format", "pylock.toml", *part]
        try:
            ran = subprocesses.run([subprocesses.uv(), *command], project, EXPORT_TIMEOUT)
        except OSError as error:
            raise UnverifiedError(f"uv cannot be started: {error}", NO_UV) from None
        if not ran.ok:
            why = "took too long" if ran.code is None else f"says: {ran.tail()}"
            raise UnverifiedError(f"`uv export` {why}", "Run `uv lock --check`; uv.lock must hold first.")
        for text in re.split(r"^\[\[packages\]\]\n", ran.out, flags=re.MULTILINE)[1:]:
            data = tomllib.loads(text)
            if "directory" not in data:
                blocks.setdefault(f"{data['name']}=={data.get('version')}", text)
    name, version = CANARY
    canary = f'name = "{name}"\nversion = "{version}"\n\n'
    head = 'lock-version = "1.0"\ncreated-by = "verify"\n\n'
    return head + "".join(f"[[packages]]\n{text}" for text in [canary, *blocks.values()])


def _ask(export: str, arguments: list[str], service: str) -> AuditResult:
    """Run pip-audit until it answers, a few times at most.

    Raises:
        UnverifiedError: It does not.
    """
    begun = time.monotonic()
    for pause in (*PAUSES, None):
        with TemporaryDirectory(prefix="audit-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            (folder / "pylock.toml").write_text(export, encoding="utf-8")
            # A cache of its own: what the service said another day is no answer.
            command = [
                *(sys.executable, "-I", "-X", "utf8", "-m", "pip_audit", "--locked", "--format", "json"),
                *("--desc", "off", "--progress-spinner", "off", "--timeout", str(SOCKET_TIMEOUT)),
                *("--cache-dir", str(folder / "cache"), *arguments, str(folder)),
            ]
            ran = subprocesses.run(command, folder, RUN_TIMEOUT)
        try:
            return _understood(ran, service)
        except UnverifiedError:
            if pause is None or time.monotonic() - begun + pause > PATIENCE or "No module named" in ran.err:
                raise
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


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
            if re.search(pattern, ran.err):
                raise UnverifiedError(f"{service} {what} ({ran.tail(1)[:200]})", again)
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


FAILURES = (
    (r"Read ?[Tt]imeout|Connect ?[Tt]imeout|timed out", "did not answer in time"),
    (r"JSONDecodeError", "answers something that is not JSON"),
    (r"(\d{3}) (?:Server|Client) Error", "answers with an error"),
    (r"ConnectionError|Could not connect|MaxRetryError|ProxyError|SSLError", "cannot be reached"),
    (r"ServiceError", "answers with an error"),
    (r"pip_audit._service|in query", "answers something that pip-audit does not understand"),
)


def _doubts(lock: Lock, answer: AuditResult, service: str) -> Iterator[Check]:
    """Why the answer cannot be believed."""
    known = {name for found in answer.vulnerable.get(key(*CANARY), ()) for name in found["names"]}
    if not known & CANARY_ADVISORIES:
        seen = (
            f"{service} does not know {' '.join(CANARY)}, vulnerable since 2019, so it would know nothing else either"
        )
        remedy = "Ask a service that has the advisories of Python packages; AUDIT_OSV_URL names it."
        yield CANARY_FOUND.unverified(seen, remedy)
    skipped = {name: reason for name, reason in answer.skipped if name != CANARY[0]}
    names = {package.name for package in lock.published}
    if skipped:
        first = next(iter(skipped.values()))
        seen = f"{len(skipped)} of {len(names)} packages were skipped: {listed(skipped)} ({first})"
        yield COMPLETE.unverified(
            seen, "Take these from an index whose advisories are known, or name a service in AUDIT_OSV_URL."
        )
    missing = [
        str(package) for package in lock.published if package.key not in answer.audited and package.name not in skipped
    ]
    if missing:
        seen = f"{len(missing)} of {len(lock.published)} locked packages are not in the answer: {listed(missing)}"
        yield COMPLETE.unverified(seen, "Look at `uv export`: what it leaves out cannot be audited.")
    elsewhere = [str(package) for package in lock.published if "registry" not in package.source]
    if elsewhere:
        seen = (
            f"{len(elsewhere)} packages are not from an index, and advisories are about releases: {listed(elsewhere)}"
        )
        yield COMPLETE.unverified(seen, "Take a release from an index instead of a repository, an address or a file.")
    if answer.warnings:
        seen = f"{len(answer.warnings)} advisories were not understood: {answer.warnings[0]}"
        yield COMPLETE.unverified(seen, "Upgrade pip-audit: `uv lock --upgrade-package pip-audit`.")


def _accounted(lock: Lock, service: str) -> Check:
    runtime = lock.runtime()
    count = sum(package.key in runtime for package in lock.published)
    seen = (
        f"{len(lock.published)} packages ({count} runtime, {len(lock.published) - count} development), "
        f"and {service} knows the canary {' '.join(CANARY)}"
    )
    own = [str(package) for package in lock.packages if package.is_own and package != lock.root]
    if own:
        seen += f"; own code, not looked up: {listed(own)}"
    return COMPLETE.proved(seen)


def _findings(lock: Lock, answer: AuditResult) -> list[Advisory]:
    found = []
    for package in {each.key: each for each in lock.published}.values():
        for one in answer.vulnerable.get(package.key, ()):
            fixes = tuple(each for each in one["fixes"] if each > Version(package.version))
            found.append(Advisory(package, one["names"], fixes))
    return found


def _judged(
    project: Path, lock: Lock, findings: list[Advisory], waivers: Waivers, *, complete: bool
) -> Iterator[Check]:
    """One check for each advisory that hits, waived or not, and one for each waiver that nothing needs."""
    runtime = lock.runtime()
    waived = {each: finding for each in waivers.valid for finding in findings if each.covers(*_named(finding))}
    advice = _Advice(project, lock, findings)
    for finding in sorted(findings, key=lambda each: (each.package.key not in runtime, each.package.key)):
        kind = "runtime" if finding.package.key in runtime else "development"
        brought = lock.brought_by(finding.package)
        seen = "; ".join(
            [
                f"fixed in {finding.fixes[0]}" if finding.fixes else "no fix yet",
                f"{kind}, required by {listed(f'{name} ({part})' for name, part in brought)}",
                *([f"also {listed(finding.names[1:])}"] if finding.names[1:] else []),
            ]
        )
        waiver = next((each for each in waivers.valid if each.covers(*_named(finding))), None)
        if waiver is not None:
            name = f"{finding}, waived until {waiver.expires.isoformat()}"
            yield VULNERABLE.of(str(finding), name).proved(f"{waiver.reason} ({seen})")
        else:
            yield VULNERABLE.of(str(finding), str(finding)).insecure(seen, advice.on(finding))
    if complete and not findings:
        yield VULNERABLE.proved("no advisory hits one")
    if complete:
        for waiver in waivers.valid:
            if waiver not in waived:
                name = f"{FILE}:{waiver.line} waives {waiver.advisory}, which hits nothing: it is unused"
                unused = WAIVER.of(f"{FILE}:{waiver.line}", name)
                yield unused.proved("unused", f"Delete it from line {waiver.line} on.")


def _named(finding: Advisory) -> tuple[str, tuple[str, ...]]:
    return finding.package.name, finding.names


class _Advice:
    """The command that upgrades just one package, tried before it is given: a bound may forbid what the advisory asks."""

    def __init__(self, project: Path, lock: Lock, findings: list[Advisory]) -> None:
        self._project = project
        self._lock = lock
        self._findings = findings
        self._given: dict[Key, str] = {}

    def on(self, finding: Advisory) -> str:
        """What to do about a package; the same for each advisory that hits it."""
        package = finding.package
        if not finding.fixes:
            return (
                f"There is no release to upgrade to. Do without {package.name}, or accept it for a while: a [[waiver]] in "
                f'{FILE} with advisory = "{finding.names[0]}", a reason and expires.'
            )
        if package.key not in self._given:
            goal = max(each.fixes[0] for each in self._findings if each.package == package and each.fixes)
            self._given[package.key] = self._upgrade(package, goal)
        return self._given[package.key]

    def _upgrade(self, package: Package, goal: Version) -> str:
        direct = [name for name, _ in self._lock.brought_by(package) if name != package.name]
        exact = ["--upgrade-package", f"{package.name}=={goal}"]
        newest = ["--upgrade-package", package.name]
        with_direct = [argument for name in direct for argument in ("--upgrade-package", name)]
        if len(self._given) >= MOST_ADVICE:
            return f"Run `{_command(exact)}`."
        why = ""
        for arguments in [exact, newest, *([[*newest, *with_direct]] if direct else [])]:
            reached, said = self._reaches(arguments, package.name, goal)
            if reached:
                return f"Run `{_command(arguments)}`."
            if reached is None:
                return f"Run `{_command(exact)}`. Whether the bounds admit it could not be tried: {said}."
            why = why or said
        bound = self._lock.bounds.get(package.name)
        if bound is not None:
            return (
                f"pyproject.toml asks for {package.name}{bound}: raise that bound to admit {goal}, then run `uv lock`."
            )
        holders = (
            f"{listed(direct)} {'do' if len(direct) > 1 else 'does'} not admit {package.name} {goal} in any release"
        )
        asked = [f"{name}{self._lock.bounds[name]}" for name in direct if name in self._lock.bounds]
        within = f" that pyproject.toml admits ({listed(asked)})" if asked else ""
        return f"`{_command(exact)}` is forbidden: {holders}{within}. Raise or replace {listed(direct)}. uv says: {why}"

    def _reaches(self, arguments: list[str], name: str, goal: Version) -> tuple[bool | None, str]:
        """Whether this upgrade would lead to the goal or beyond; `None` if that cannot be told. And what uv says."""
        try:
            command = [subprocesses.uv(), "lock", "--dry-run", *arguments]
            ran = subprocesses.run(command, self._project, ADVICE_TIMEOUT)
        except OSError as error:
            return None, str(error)
        if not ran.ok:
            because = re.search(r"Because .*", ran.err)
            return (False, because[0]) if "No solution found" in ran.err and because else (None, ran.tail(1))
        update: Callable[[str], re.Match[str] | None] = re.compile(rf"(?:Update|Remove) {re.escape(name)} (.*)").match
        for match in filter(None, map(update, ran.err.splitlines())):
            _, arrow, new = match[1].partition(" -> ")
            try:
                return not arrow or all(
                    Version(each) >= goal for each in re.split(r",\s*", new)
                ), "it changes too little"
            except InvalidVersion:
                return None, match[0]
        return False, "it changes nothing"


def _command(arguments: list[str]) -> str:
    return " ".join(["uv", "lock", *arguments])
