# Owned by the template: an update rewrites this file.
"""The bill of materials: which packages, of which releases and with which hashes, the service is made of at run time.

CycloneDX 1.6 in JSON, made from the lock file alone, so that one lock gives one file, byte for byte: it has no time and
no chance in it. uv has an export of its own, which it calls experimental and which differs from run to run.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid5

from ..result import Check, Options, Outcome
from .lock import REMEDY, Lock, LockError, Package

FILE = ".hardening/sbom.cdx.json"
NAMESPACE = UUID("5e0b6d3c-0f3a-5c1e-9f57-2c1d0f6f7a11")
ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512", "blake2b": "BLAKE2b-512"}


def stage(options: Options) -> Iterator[Check]:
    """Write the bill of materials, and read it back against the schema."""
    name = "a bill of materials lists what the service is made of"
    try:
        lock = Lock.read(options.project)
        text = bill(lock, (options.project / "uv.lock").read_bytes())
    except LockError as error:
        yield Check("sbom", name, Outcome.UNVERIFIED, str(error), REMEDY)
        return
    try:
        path = options.project / FILE
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        yield Check(
            "sbom", name, Outcome.UNVERIFIED, f"{FILE} cannot be written: {error.strerror}", "Make room for it."
        )
        return
    wrong = problem(text)
    if wrong is None:
        count = len(lock.runtime())
        yield Check("sbom", name, Outcome.PROVED, f"{FILE}, {count} packages, valid CycloneDX 1.6")
    else:
        outcome, seen, remedy = wrong
        yield Check("sbom", name, outcome, seen, remedy)


def bill(lock: Lock, content: bytes) -> str:
    """The bill of materials of a lock as JSON."""
    runtime = lock.runtime()
    packages = sorted({each.key: each for each in lock.packages if each.key in runtime}.values(), key=lambda x: x.key)
    reference = {package.key: _purl(package) for package in [lock.root, *packages]}
    dependencies = [
        {"ref": reference[package.key], **({"dependsOn": needed} if needed else {})}
        for package in [lock.root, *packages]
        if (needed := _needed(lock, package, reference)) is not None
    ]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE, hashlib.sha256(content).hexdigest())}",
        "version": 1,
        "metadata": {"component": {**_component(lock.root), "type": "application"}},
        "components": [_component(package) for package in packages],
        "dependencies": dependencies,
    }
    return json.dumps(document, indent=2) + "\n"


def problem(text: str) -> tuple[Outcome, str, str] | None:
    """What the schema has against a bill of materials; nothing if it is valid."""
    try:
        from cyclonedx.exception import MissingOptionalDependencyException
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
    except ImportError as error:
        return Outcome.UNVERIFIED, f"the schema is not installed: {error.name}", MISSING
    try:
        wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    except MissingOptionalDependencyException:
        return Outcome.UNVERIFIED, "jsonschema is not installed", MISSING
    if wrong is None:
        return None
    return Outcome.INSECURE, f"{FILE} is not valid: {str(wrong).splitlines()[0]}", "Report it to the template."


MISSING = "Run `uv add --dev 'cyclonedx-python-lib>=11.12' 'jsonschema>=4.25'`."


def _needed(lock: Lock, package: Package, reference: dict[tuple[str, str], str]) -> list[str]:
    needs = (need for part in package.needs.values() for need in part)
    found = {reference[each.key] for need in needs for each in lock.matches(need) if each.key in reference}
    return sorted(found - {reference[package.key]})


def _component(package: Package) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(package),
        "name": package.name,
        **({"version": package.version} if package.version else {}),
        "purl": _purl(package),
    }
    files = [
        {"type": "distribution", "url": quote(address, safe=_URL), "hashes": [hash_]}
        for address, hash_ in ((address, _hash(hash_)) for address, hash_ in sorted(package.files))
        if hash_ is not None
    ]
    return {**component, **({"externalReferences": files} if files else {})}


_URL = ":/?#[]@!$&'()*+,;=%~"


def _hash(text: str) -> dict[str, str] | None:
    algorithm, _, content = text.partition(":")
    return {"alg": ALGORITHMS[algorithm], "content": content} if algorithm in ALGORITHMS else None


def _purl(package: Package) -> str:
    """https://github.com/package-url/purl-spec/blob/main/types-doc/pypi-definition.md"""
    version = f"@{quote(package.version, safe='')}" if package.version else ""
    git = f"?vcs_url={quote('git+' + package.source['git'], safe='')}" if "git" in package.source else ""
    return f"pkg:pypi/{package.name}{version}{git}"
