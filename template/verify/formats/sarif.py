# Owned by the template: an update rewrites this file.
"""A record as SARIF 2.1.0 (OASIS), for code scanning. What is proved or was not looked at is no result: a viewer would show
it as an alert. What was accepted is one that is suppressed, with the reason.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..result import Outcome
from ..runner.terminal import printable
from ..upkeep.larger_repository import root_of

_LEVELS = {Outcome.INSECURE: "error", Outcome.UNVERIFIED: "warning", Outcome.WARNING: "note", Outcome.ACCEPTED: "note"}
_TEXTS = ("shortDescription", "fullDescription", "help")
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(record: Mapping[str, Any], project: Path) -> str:
    """The log of a record, as `--format sarif` prints it and `.hardening/report.sarif` keeps it.

    Args:
        record: What `.hardening/last-verify.json` holds.
        project: The root of the service's repository, to tell which objects are files.
    """
    project, root, options = project.resolve(), root_of(project), record["options"]
    names: dict[str, set[str]] = {}
    for check in record["checks"]:
        names.setdefault(check["id"], set()).add(printable(check["name"].removeprefix(f"{check['object']}: ")))
    # The id, where each check has a name of its own: it is the title of every alert of the rule.
    rules = {each: {"text": min(said) if len(said) == 1 else each} for each, said in names.items()}
    # An analysis closes the alerts of the one before it of the same category: not those of another service or more steps.
    folder = project.relative_to(root).as_posix().removeprefix(".")
    category = filter(None, ("hardening", folder, "target" * bool(options["target"]), options["only"]))
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "python -m verify",
                "rules": [{"id": each, **dict.fromkeys(_TEXTS, rules[each])} for each in sorted(rules)],
            }
        },
        "automationDetails": {"id": "/".join([*category, ""])},
        "invocations": [
            {"executionSuccessful": not record["interrupted"], "endTimeUtc": record["time"].replace("+00:00", "Z")}
        ],
        "results": [_result(x, project, root) for x in record["checks"] if Outcome[x["outcome"].upper()] in _LEVELS],
        "properties": {"outcome": record["outcome"], "commit": record["commit"], "options": options},
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _result(check: Mapping[str, Any], project: Path, root: Path) -> dict[str, Any]:
    outcome = Outcome[check["outcome"].upper()]
    text = [f"{check['name']}: {check['seen']}", *([f"Remedy: {check['remedy']}"] if check["remedy"] else [])]
    name = f"{check['step']}/{check['id']}/{check['object']}"
    file, line = _place(check, project, root)
    uri = quote(file, errors="surrogateescape")
    digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()
    result: dict[str, Any] = {
        "ruleId": check["id"],
        "level": _LEVELS[outcome],
        "message": {"text": "\n".join(printable(each) for part in text for each in part.splitlines())},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": line}}}],
        # By the hash of a line alone, all that one rule says of a file would be one alert.
        "partialFingerprints": {"primaryLocationLineHash": digest[:16]},
        "properties": {"step": check["step"], "outcome": check["outcome"]},
    }
    if outcome is Outcome.ACCEPTED:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": printable(check["seen"])}]
    return result


def _place(check: Mapping[str, Any], project: Path, root: Path) -> tuple[str, int]:
    """The file that a check is about, with a line of it; where it is about no file, the one that says what is asked.
    Code scanning reads paths from the root of the repository on.
    """
    found = re.match(r"([^\s:]+)(?::(\d+))?", check["object"])
    for folder in (project, root / ".github/workflows"):
        path = Path(os.path.normpath(folder / (found[1] if found else "")))
        if path.is_relative_to(root) and path.is_file():
            said = re.search(r"\bline (\d{1,6})\b", check["seen"])
            return path.relative_to(root).as_posix(), max(1, int((found and found[2]) or (said[1] if said else 1)))
    name = "uv.lock" if check["step"] == "audit" and (project / "uv.lock").is_file() else "pyproject.toml"
    return (project / name).relative_to(root).as_posix(), 1
