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

from ..result import Check, Options, Rule, UnverifiedError
from ..runner.files import write_atomically
from .lockfile import Lock, Package, folder_of

COMPLETE = Rule("sbom", "sbom.complete", "a bill of materials lists what the service is made of")
FILE = ".hardening/sbom.cdx.json"
NAMESPACE = UUID("5e0b6d3c-0f3a-5c1e-9f57-2c1d0f6f7a11")
ALGORITHMS = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512", "blake2b": "BLAKE2b-512"}


def stage(options: Options) -> Iterator[Check]:
    """Write the bill of materials."""
    try:
        lock = Lock.read(options.project)
        text = bill(lock, (folder_of(options.project) / "uv.lock").read_bytes())
        path = options.project / FILE
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, text.encode())
    except UnverifiedError as error:
        yield COMPLETE.unverified(error)
    except OSError as error:
        yield COMPLETE.unverified(f"{FILE} cannot be written: {error.strerror}", "Make room for it.")
    else:
        yield COMPLETE.proved(f"{FILE}, {len(lock.runtime())} packages, CycloneDX 1.6")


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
