# Owned by the template: an update rewrites this file.
"""The audit: is a package of the lock file known to be vulnerable?

The tools of this trade say "nothing found" also when they could not look. So the answer is believed only if every locked
package is accounted for by name and version, and if the same run finds a canary: a release whose advisory is old and
well known. Whatever falls short of that is "could not tell", which is neither clean nor vulnerable.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from ..result import Check, Options, Rule, UnverifiedError, listed
from . import own_packages, pip_audit
from .lockfile import Lock, key
from .pip_audit import CANARY, AuditResult
from .upgrades import Advice, Advisory
from .waivers import FILE, WAIVER, Waiver, Waivers, read

COMPLETE = Rule("audit", "audit.complete", "every locked package is looked up")
CANARY_FOUND = Rule("audit", "audit.canary", "a release that is known to be vulnerable is found")
VULNERABLE = Rule("audit", "audit.vulnerable", "no locked package is known to be vulnerable")
OWN_OR_VOUCHED = (
    "Take a release from an index whose advisories are known. If it is your own, name it in `[tool.hardening.audit]`, or vouch "
    'for it: a `[[tool.hardening.verify.accept]]` in pyproject.toml with check = "audit.complete", object = "%s", reason and '
    "expires."
)
CANARY_ADVISORIES = {"CVE-2019-10906", "PYSEC-2019-217", "GHSA-462w-v97r-4m45"}


def stage(options: Options) -> Iterator[Check]:
    """Whether a locked package is known to be vulnerable, and whether the answer can be believed."""
    accepted = read(options.project, datetime.now(UTC).date())
    yield from accepted.wrong
    try:
        lock, own = own_packages.apart(options.project, Lock.read(options.project))
        yield from own
        variables, service = pip_audit.service_named(os.environ.get("AUDIT_OSV_URL", ""))
        answer = pip_audit.ask(pip_audit.questions(lock), variables, service)
    except UnverifiedError as error:
        yield COMPLETE.unverified(error)
    else:
        doubts = list(_doubts(lock, answer, service))
        yield from doubts
        gaps = [] if doubts else list(_gaps(lock, answer, service))
        yield from gaps
        if not doubts:
            yield _accounted(lock, service, [each.object for each in gaps])
        yield from _judged(
            options.project, lock, _findings(lock, answer), accepted, complete=not doubts, gaps=bool(gaps)
        )


def _doubts(lock: Lock, answer: AuditResult, service: str) -> Iterator[Check]:
    """Why the answer cannot be believed."""
    known = {name for found in answer.vulnerable.get(key(*CANARY), ()) for name in found["names"]}
    believed = bool(known & CANARY_ADVISORIES)
    if not believed:
        yield CANARY_FOUND.unverified(
            f"{service} does not know {' '.join(CANARY)}, vulnerable since 2019, so it would know nothing else either",
            "Ask a service that has the advisories of Python packages; AUDIT_OSV_URL names it.",
        )
    skipped = {name: reason for name, reason in answer.skipped if name != CANARY[0]}
    names = {package.name for package in lock.published}
    if skipped and not believed:
        first = next(iter(skipped.values()))
        seen = f"{len(skipped)} of {len(names)} packages were skipped: {listed(skipped)} ({first})"
        yield COMPLETE.of("skipped", COMPLETE.name).unverified(
            seen, "Take these from an index whose advisories are known, or name a service in AUDIT_OSV_URL."
        )
    missing = [
        str(package)
        for package in lock.published
        if package.key not in answer.audited and package.name not in skipped and "registry" in package.source
    ]
    if missing:
        seen = f"{len(missing)} of {len(lock.published)} locked packages are not in the answer: {listed(missing)}"
        yield COMPLETE.of("missing", COMPLETE.name).unverified(
            seen, "Run it again; if it stays, report it to the template."
        )
    if answer.warnings:
        seen = f"not understood of the advisories: {len(answer.warnings)}; {answer.warnings[0]}"
        yield COMPLETE.of("not understood", COMPLETE.name).unverified(
            seen, "Upgrade pip-audit: `uv lock --upgrade-package pip-audit`."
        )


def _gaps(lock: Lock, answer: AuditResult, service: str) -> Iterator[Check]:
    """The packages of which nobody has advisories, where all else can be believed: the team may vouch for each."""
    skipped = dict(answer.skipped)
    for package in {each.name: each for each in lock.published}.values():
        if "registry" not in package.source:
            seen = f"{package} is from no index, and advisories are about releases"
        elif package.name in skipped:
            seen = f"{service} has nothing on {package} ({skipped[package.name]})"
        else:
            continue
        yield COMPLETE.of(package.name, f"{package} is looked up").unverified(seen, OWN_OR_VOUCHED % package.name)


def _accounted(lock: Lock, service: str, gaps: list[str]) -> Check:
    runtime = lock.runtime()
    looked_up = [package for package in lock.published if package.name not in gaps]
    count = sum(package.key in runtime for package in looked_up)
    seen = (
        f"{len(looked_up)} packages ({count} runtime, {len(looked_up) - count} development), "
        f"and {service} knows the canary {' '.join(CANARY)}"
    )
    own = [str(package) for package in lock.packages if package.is_own and package != lock.root]
    if own:
        seen += f"; own code, not looked up: {listed(own)}"
    return COMPLETE.of("", "every other locked package is looked up" if gaps else COMPLETE.name).proved(seen)


def _findings(lock: Lock, answer: AuditResult) -> list[Advisory]:
    """Each advisory once, whatever it is called: records that share a name are about one weakness."""
    found = []
    for package in {each.key: each for each in lock.published}.values():
        groups: list[list[dict[str, Any]]] = []
        for one in answer.vulnerable.get(package.key, ()):
            same = [x for x in groups if any(set(one["names"]) & set(each["names"]) for each in x)]
            groups = [x for x in groups if x not in same] + [[*(each for x in same for each in x), one]]
        for group in groups:
            names = tuple(dict.fromkeys(name for each in group for name in each["names"]))
            fixes = [[x for x in each["fixes"] if x > Version(package.version)] for each in group]
            every = {x for each in fixes for x in each if all(_holds(x, other) for other in fixes if other)}
            found.append(Advisory(package, names, tuple(sorted(every))))
    return found


def _holds(release: Version, fixes: list[Version]) -> bool:
    """Whether a release has a fix: it is no older than the last one, or than one of its own major version."""
    return release >= fixes[-1] or any(each <= release and each.major == release.major for each in fixes)


def _judged(
    project: Path, lock: Lock, findings: list[Advisory], waivers: Waivers, *, complete: bool, gaps: bool
) -> Iterator[Check]:
    """One check for each advisory that hits, waived or not, and one for each waiver that nothing needs."""
    runtime = lock.runtime()
    used: set[Waiver] = set()
    advice = Advice(project, lock, findings)
    for finding in sorted(findings, key=lambda each: (each.package.key not in runtime, each.package.key)):
        kind = "runtime" if finding.package.key in runtime else "development"
        brought = lock.brought_by(finding.package)
        seen = "; ".join(
            [
                f"fixed in {finding.fixes[0]}" if finding.fixes else "no release is named that fixes it",
                f"{kind}, required by {listed(f'{name} ({part})' for name, part in brought)}",
                *([f"also {listed(finding.names[1:])}"] if finding.names[1:] else []),
            ]
        )
        covering = [each for each in waivers.valid if each.covers(finding.package.name, finding.names)]
        used.update(covering)
        if covering:
            waiver = covering[0]
            name = f"{finding}, waived until {waiver.expires.isoformat()}"
            yield VULNERABLE.of(str(finding), name).accepted(f"{waiver.reason} ({seen})")
        else:
            yield VULNERABLE.of(str(finding), str(finding)).insecure(seen, advice.on(finding))
    if complete and not findings:
        name = "no other locked package is known to be vulnerable" if gaps else VULNERABLE.name
        yield VULNERABLE.of("", name).proved("no advisory hits one")
    if complete:
        for waiver in waivers.valid:
            if waiver not in used:
                name = f"{FILE}:{waiver.line} waives {waiver.advisory}, which hits nothing: it is unused"
                unused = WAIVER.of(f"{FILE}:{waiver.line}", name)
                yield unused.warning("unused", f"Delete it from line {waiver.line} on.")
