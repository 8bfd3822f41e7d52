# Owned by the template: an update rewrites this file.
"""Advisories that the team knowingly lives with: `audit-waivers.toml`, each with a reason and a last day.

Each waiver says why, ends by itself, and fails rather than waives if it cannot be read.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from ..common.entries import Form, Lines
from ..result import Check, Rule

FILE = "audit-waivers.toml"
WAIVER = Rule("audit", "audit.waiver", "every waiver holds and is needed")
FORM = Form("waiver", ("advisory", "reason", "expires"), ("package",), 90)
LARGEST = 30_000


@dataclass(frozen=True, slots=True)
class Waiver:
    """One advisory that does not fail the audit until a day has passed."""

    advisory: str
    reason: str
    expires: date
    package: str
    line: int

    def covers(self, package: str, advisories: Iterable[str]) -> bool:
        """Whether it is about this package and one of these names of an advisory."""
        names = {each.casefold() for each in advisories}
        return self.advisory.casefold() in names and self.package in ("", canonicalize_name(package))


@dataclass(frozen=True, slots=True)
class Waivers:
    """The waivers that hold today, and what is wrong with the others."""

    valid: tuple[Waiver, ...] = ()
    wrong: tuple[Check, ...] = ()


def read(project: Path, today: date) -> Waivers:
    """Read `audit-waivers.toml`; without one nothing is waived."""
    path = project / FILE
    if not path.exists():
        return Waivers()
    line, content = 1, b""
    try:
        content = path.read_bytes()
        if len(content) <= LARGEST:
            return _read(text := content.decode("utf-8"), tomllib.loads(text), today)
        problem = f"is larger than {LARGEST} bytes", "Delete the waivers that are over."
    except OSError as error:
        problem = f"cannot be read: {error.strerror}", "Make it a readable file."
    except UnicodeDecodeError as error:
        line, problem = content[: error.start].count(b"\n") + 1, ("is not UTF-8", "Save the file as UTF-8.")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = re.search(r"at line (\d+)", str(error))
        line = int(at[1]) if at else content.rstrip().count(b"\n") + 1
        problem = f"is not TOML: {error}", "A waiver looks like the example in the file."
    return Waivers(wrong=(_wrong(line, *problem),))


def _read(text: str, data: dict[str, Any], today: date) -> Waivers:
    lines = Lines(text)
    valid: dict[tuple[str, str], Waiver] = {}
    wrong = [
        _wrong(lines.of(name), f"`{name}` is not known", "The file holds `[[waiver]]` tables and nothing else.")
        for name in data
        if name != "waiver"
    ]
    tables = data.get("waiver", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return Waivers(wrong=(*wrong, _wrong(lines.of("waiver"), "`waiver` is no list", "Write `[[waiver]]`.")))
    for number, table in enumerate(tables):
        problems = list(FORM.problems(table, today))
        wrong += [_wrong(lines.of("waiver", number, name), seen, remedy, name) for name, seen, remedy in problems]
        if problems:
            continue
        package = canonicalize_name(table.get("package", ""))
        line = lines.of("waiver", number)
        waiver = Waiver(table["advisory"].strip(), table["reason"].strip(), table["expires"], package, line)
        earlier = valid.setdefault((waiver.advisory.casefold(), package), waiver)
        if earlier is not waiver:
            seen = f"{waiver.advisory} is waived in line {earlier.line} already"
            wrong.append(_wrong(line, seen, "Keep one of the two."))
    return Waivers(tuple(valid.values()), tuple(wrong))


def _wrong(line: int, seen: str, remedy: str, key: str = "") -> Check:
    place = f"{FILE}:{line}"
    return WAIVER.of(f"{place} {key}".strip(), f"{place} is a waiver that holds").insecure(
        f"line {line}: {seen}", remedy
    )
