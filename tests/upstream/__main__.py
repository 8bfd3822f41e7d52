"""Run FastAPI's own tests on a service of the working tree and on FastAPI alone, and say what each failure is."""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..edited_service import Services
from ..releases import PACKAGE, PRESENT, make_history
from .classes import CLASSES, class_of

UNUSED = ("coverage", "mypy", "pytest-codspeed", "pytest-cov", "pytest-sugar", "ruff", "ty")
SAMPLE = 20


def source(given: Path, folder: Path) -> Path:
    """The checkout that is named, or what is in the source distribution."""
    if given.is_dir():
        return given.resolve()
    with tarfile.open(given) as archive:
        archive.extractall(folder, filter="data")
    (found,) = folder.iterdir()
    return found


def requirements(groups: dict[str, Any], name: str) -> Iterator[str]:
    """What a dependency group asks for, without what looks at types, coverage and speed."""
    for each in groups[name]:
        if isinstance(each, dict):
            yield from requirements(groups, each["include-group"])
        elif not each.startswith(UNUSED):
            yield each


def environment(service: Path, upstream: Path) -> Path:
    """The Python of the service's environment, with what FastAPI's tests need beside."""
    project = tomllib.loads((upstream / "pyproject.toml").read_text())
    subprocess.run(["uv", "sync", "--quiet"], cwd=service, check=True)
    python = service / ".venv" / "bin" / "python"
    asked = [*requirements(project["dependency-groups"], "tests"), f"fastapi[all]=={version_of(upstream)}"]
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", python, *asked], check=True)
    return python


def version_of(upstream: Path) -> str:
    (line,) = (
        each for each in (upstream / "fastapi" / "__init__.py").read_text().splitlines() if "__version__ =" in each
    )
    return line.split('"')[1]


def started(python: Path, upstream: Path, record: Path, package: str, chosen: list[str]) -> subprocess.Popen[bytes]:
    given = {
        "PYTHONPATH": str(Path(__file__).parent / "inside"),
        "UPSTREAM_RECORD": str(record),
        "UPSTREAM_PACKAGE": package,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("APP_", "OTEL_"))}
    options = ["-q", "--tb=no", "--no-header", "--continue-on-collection-errors"]
    command = [str(python), "-P", "-m", "pytest", "-p", "recorder", *options, *(chosen or ["tests"])]
    skipped = [f"--ignore=tests/{each}" for each in ("benchmarks", "memory_benchmarks")]
    with record.with_suffix(".log").open("wb") as log:
        return subprocess.Popen([*command, *skipped], cwd=upstream, env={**kept, **given}, stdout=log, stderr=log)


def read(record: Path) -> dict[str, dict[str, Any]]:
    """What became of each test: the first report that is not good, else the one of its call."""
    tests: dict[str, dict[str, Any]] = {}
    for line in record.read_text().splitlines():
        report = json.loads(line)
        if tests.get(report["test"], {}).get("outcome") != "failed":
            tests[report["test"]] = report
    return tests


def table(plain: dict[str, dict[str, Any]], ours: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """The tests that pass on FastAPI and fail on `Hardened`, by class."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, report in ours.items():
        before = plain.get(name)
        if before is not None and before["outcome"] == "passed" and report["outcome"] == "failed":
            found[class_of(before["answers"], report["answers"], report["error"])].append(name)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=__doc__)
    parser.add_argument("fastapi", type=Path, help="its source distribution (.tar.gz), or a checkout of a release")
    parser.add_argument("--record", type=Path, help="a folder that keeps what each test was answered")
    parser.add_argument("--only", nargs="*", default=[], metavar="TEST", help="files or tests, in place of all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fastapi").mkdir()
        upstream = source(given.fastapi, folder / "fastapi")
        service = Services(make_history(folder / "template"), folder / "emitted").emit(PRESENT, {})
        python, version = environment(service, upstream), version_of(upstream)
        records = given.record or folder
        records.mkdir(parents=True, exist_ok=True)
        paths = [records / "plain.jsonl", records / "hardened.jsonl"]
        for path in paths:
            path.write_text("")
        runs = [started(python, upstream, *each, given.only) for each in zip(paths, ("", PACKAGE), strict=True)]
        for run in runs:
            run.wait()
        plain, ours = map(read, paths)
    found = table(plain, ours)
    passed = [sum(report["outcome"] == "passed" for report in each.values()) for each in (plain, ours)]
    print(f"FastAPI {version}: {passed[0]} of its tests pass on it, {passed[1]} here. What fails here alone:")
    for name in [*CLASSES, *sorted(found.keys() - CLASSES.keys())]:
        print(f"{len(found.get(name, [])):6}  {name}: {CLASSES.get(name, 'in no class')}")
        if name not in CLASSES:
            print("".join(f"        {each}\n" for each in found[name][:SAMPLE]), end="")
    return 0 if set(found) <= set(CLASSES) else 1


if __name__ == "__main__":
    sys.exit(main())
