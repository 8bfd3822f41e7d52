# Owned by the template: an update rewrites this file.
"""`python -m verify.bounds` brings the bounds that owned code needs, `verify/bounds.toml`, into `pyproject.toml`.

That file belongs to the team. What it asks for stays as it is wherever that will do; else it is intersected with what
owned code needs, in the same line. What cannot be intersected is named and left alone. Exit code: 0 all bounds hold, 1
one clashes, 2 it could not tell.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..result import Check, Rule
from ..runner.files import write_atomically
from .pyproject import CannotChangeError, Pyproject
from .pyproject import Path as Keys
from .requirements import RUNTIME, Line, has_own_source, installed_groups, overrides, requirements
from .specifiers import implies, intersected, is_empty

NEEDS = "verify/bounds.toml"
CURRENT = Rule(
    "configuration", "bounds.current", "pyproject.toml admits no release that is older than owned code needs"
)


@dataclass(slots=True)
class BoundsReport:
    """What came of it: each a sentence.

    Args:
        changed: What is new in `pyproject.toml`.
        clashes: What cannot hold together with what owned code needs.
        unverified: What could not be examined. Its key in the JSON is `untold`.
    """

    changed: list[str] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)


def bring(pyproject: Pyproject, needs: dict[str, Any]) -> BoundsReport:
    """Change what `pyproject.toml` asks for until it implies what owned code needs.

    Args:
        pyproject: What the team wrote; it is changed.
        needs: What owned code needs, in the form of a `pyproject.toml`.
    """
    found = BoundsReport()
    runtime = [Requirement(each) for each in needs["project"]["dependencies"]]
    development = [Requirement(each) for each in needs["dependency-groups"]["dev"]]
    if not isinstance(pyproject.get(("project",)), dict):
        found.unverified.append(
            f"There is no table [project], so this has to be asked for elsewhere: {', '.join(map(str, runtime))}."
        )
        return found
    for need in runtime:
        _bring(pyproject, need, [RUNTIME], [], found)
    groups = list(installed_groups(pyproject))
    for need in development:
        _bring(pyproject, need, groups, [RUNTIME], found)
    return found


def _bring(
    pyproject: Pyproject, need: Requirement, target_lists: list[Keys], accepted_lists: list[Keys], found: BoundsReport
) -> None:
    """Bring one bound into the lists where it belongs, unless another list brings the package anyhow."""
    name = canonicalize_name(need.name)
    if has_own_source(pyproject, name):
        return
    everywhere = [line for line in requirements(pyproject) if canonicalize_name(line.asked.name) == name]
    for line in (each for each in overrides(pyproject) if canonicalize_name(each.asked.name) == name):
        if not implies(str(line.asked.specifier), str(need.specifier)) and not _is_elsewhere(line):
            found.clashes.append(f"{line} undoes {need}, which owned code needs: take it out, then run `uv lock`.")
    in_targets = [line for line in everywhere if line.keys in target_lists]
    if any(line.asked.url for line in everywhere):
        return
    always = [line for line in in_targets if not line.asked.marker]
    elsewhere = [line for line in everywhere if line.keys in accepted_lists and not line.asked.marker]
    if _suffices(always, need) or (not in_targets and _suffices(elsewhere, need)):
        return
    steady = [line for line in everywhere if not line.asked.marker]
    if clash := next((line for line in steady if is_empty(line.asked.specifier, need.specifier)), None):
        found.clashes.append(_clash(clash, need))
        return
    try:
        for line in always[:1] or in_targets:
            if _suffices([line], need):
                continue
            if is_empty(*(each.asked.specifier for each in {line, *always}), need.specifier):
                found.clashes.append(_clash(line, need))
                continue
            text = intersected(line.text, need)
            pyproject.replace(line.keys, line.number, text)
            found.changed.append(f"{line} becomes {text}.")
        if not in_targets:
            target = next((keys for keys in target_lists if isinstance(pyproject.get(keys), list)), None)
            if target is None:
                raise CannotChangeError
            pyproject.add(target, str(need))
            found.changed.append(f"{need} joins {'.'.join(target)}.")
    except CannotChangeError:
        lists = " or ".join(".".join(keys) for keys in target_lists)
        found.unverified.append(f"Ask for {need} by hand: {lists} is not there, or not written as a plain list.")


def _is_elsewhere(line: Line) -> bool:
    """Whether what is asked for is for another system, or for a Python that the service is not run by."""
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    servers = (
        {**linux, "platform_machine": machine, "python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0"}
        for machine in ("x86_64", "aarch64")
        for minor in range(11, 20)
    )
    return line.asked.marker is not None and not any(map(line.asked.marker.evaluate, servers))


def _clash(line: Line, need: Requirement) -> str:
    return f"{line} leaves no version for {need}, which owned code needs: change it, then run `uv lock`."


def _suffices(lines: Sequence[Line], need: Requirement) -> bool:
    extras = {canonicalize_name(extra) for line in lines for extra in line.asked.extras}
    bounds = ",".join(str(line.asked.specifier) for line in lines if line.asked.specifier)
    wanted = {canonicalize_name(extra) for extra in need.extras}
    return bool(lines) and wanted <= extras and implies(bounds, str(need.specifier))


def examine(project: Path) -> tuple[BoundsReport, bytes]:
    """What would change in `pyproject.toml`, and its new bytes."""
    try:
        needs = tomllib.loads((project / NEEDS).read_text(encoding="utf-8"))
        pyproject = Pyproject((project / "pyproject.toml").read_bytes())
    except FileNotFoundError as error:
        return BoundsReport(unverified=[f"There is no {Path(error.filename).relative_to(project).as_posix()}."]), b""
    except (OSError, ValueError) as error:
        return BoundsReport(unverified=[f"pyproject.toml cannot be read: {error}. Repair it first."]), b""
    found = bring(pyproject, needs)
    return found, bytes(pyproject)


def check(project: Path) -> Check:
    """Whether `pyproject.toml` excludes every release that is older than owned code needs."""
    found, _ = examine(project)
    missing = [*found.clashes, *found.changed]
    if missing:
        remedy = "Run `uv run python -m verify.bounds`, then `uv lock` and `uv sync`."
        return CURRENT.insecure(" ".join(missing), remedy)
    if found.unverified:
        remedy = "Ask for it there, as verify/bounds.toml does, and keep that up with each update."
        return CURRENT.unverified(" ".join(found.unverified), remedy)
    return CURRENT.proved("it implies verify/bounds.toml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m verify.bounds", description=__doc__)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json prints one object")
    options = parser.parse_args(arguments)
    project = Path(__file__).resolve().parent.parent.parent
    found, content = examine(project)
    if found.changed:
        write_atomically((project / "pyproject.toml").resolve(), content)
    if options.format == "json":
        print(json.dumps({"changed": found.changed, "clashes": found.clashes, "untold": found.unverified}))
    else:
        said = [*found.changed, *found.clashes, *found.unverified]
        print("\n".join(said or ["pyproject.toml asks for all that owned code needs already."]))
    return 1 if found.clashes else 2 if found.unverified else 0


if __name__ == "__main__":
    sys.exit(main())
