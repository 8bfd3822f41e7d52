"""Which tests of an emitted service say something that the same tests of another service do not."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path, PurePosixPath

from verify.upkeep.owned_files import PACKAGE, digest

from .owner_imports import imports, package_of
from .releases import files, matches

LEAVES = ("/src/*/hardening/**", "/verify/**", "conftest.py")
"""Modules whose imports are not followed: owned ones have one text in every service, and fixtures are asked for."""


def differing_tests(service: Path, other: Path) -> list[str]:
    """The test files of a service that have another text, or another subject, than in another service.

    The subject differs if a module that the tests import, by way of others too, has another text, or if they name what
    only one of the services has.

    Args:
        service: An emitted service.
        other: The one of which every test is run.
    """
    ours, theirs = _digests(service), _digests(other)
    same = {name for name, text in ours.items() if theirs.get(name) == text}
    words = _in_one_alone(set(ours), set(theirs))
    sources = cache(lambda name: {each.source for each in imports(service, name)})
    found = []
    for name in files(service):
        if re.fullmatch(r"tests/(\w+/)*test_\w+\.py", name):
            brought = _brought(name, sources)
            text = "\n".join((service / each).read_text() for each in brought if each.startswith("tests/"))
            if {_named(service, each) for each in brought} - same or words & {*re.findall(r"[a-z]+", text.lower())}:
                found.append(name)
    return found


def _named(service: Path, name: str) -> str:
    return name.replace(f"src/{package_of(service)}/", f"src/{PACKAGE}/")


def _digests(service: Path) -> dict[str, str]:
    """The hash of each file, whatever the package is called in its import lines."""
    package = package_of(service)
    return {_named(service, name): digest((service / name).read_bytes(), package) for name in files(service)}


def _in_one_alone(ours: set[str], theirs: set[str]) -> set[str]:
    """The names of owned folders and modules that one of two services lacks, such as `redis` and `passwords`."""
    there = {parent for each in ours & theirs for parent in PurePosixPath(each).parents}
    paths = [PurePosixPath(each) for each in ours ^ theirs if f"src/{PACKAGE}/hardening/" in each]
    return {next(each for each in (*reversed(path.parents), path) if each not in there).stem for path in paths}


def _brought(test: str, sources: Callable[[str], set[str]]) -> set[str]:
    """A test module, the `conftest.py` beside it, and the service's modules that come with the test."""
    conftest = PurePosixPath(test).with_name("conftest.py").as_posix()
    found, left = {test, conftest}, [test]
    while left:
        new = sources(left.pop()) - found
        found |= new
        left += [each for each in new if not matches(LEAVES, each)]
    return found
