# Owned by the template: an update rewrites this file.
"""Continuous integration: it runs verify, from actions that nobody can exchange, with no right that it does not need."""

import re
from collections.abc import Iterator
from pathlib import Path

from ...common.yaml import mapping, pairs, read
from ...result import Check, Rule, UnverifiedError, listed
from ...upkeep.template_repo import ANSWERS, recorded_answers

RUNS_VERIFY = Rule("configuration", "ci.runs-verify", "continuous integration runs verify")
PINNED = Rule("configuration", "ci.pinned", "every action is pinned by its full hash")
PERMISSIONS = Rule("configuration", "ci.permissions", "jobs get no right that they do not name")


def files(project: Path) -> list[Path]:
    """The pipelines of a service."""
    gitlab = project / ".gitlab-ci.yml"
    workflows = (project / ".github" / "workflows").glob("*.y*ml")
    return [*sorted(each for each in workflows if each.suffix in (".yml", ".yaml")), *[gitlab] * gitlab.is_file()]


def checks(project: Path) -> Iterator[Check]:
    paths = files(project)
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    if not texts:
        yield _none(project)
    elif any(re.search(r"^[^#\n]*python3? -m verify(?![.\w])", text, re.MULTILINE) for text in texts):
        yield RUNS_VERIFY.proved("python -m verify")
    else:
        yield RUNS_VERIFY.insecure("no job does", "Add a step `uv run --locked python -m verify`.")
    for path in paths:
        if path.name != ".gitlab-ci.yml":
            yield from _workflow(path)


def _none(project: Path) -> Check:
    """There is no pipeline: what was answered says whether there should be one."""
    try:
        asked = recorded_answers(project).get("ci", "none")
    except UnverifiedError as error:
        return RUNS_VERIFY.unverified(error)
    if asked == "none":
        return RUNS_VERIFY.not_looked_at("no pipeline is here, and `ci=none` asked for none", "Run verify in yours.")
    remedy = "Put it back from git; or run verify in another pipeline, and say so by `ci=none` with `copier update`."
    return RUNS_VERIFY.insecure(f"there is no pipeline here, and {ANSWERS} says `ci: {asked}`", remedy)


def _workflow(path: Path) -> Iterator[Check]:
    pinned, permissions = PINNED.of(path.name), PERMISSIONS.of(path.name)
    try:
        workflow = read(path)
    except UnverifiedError as error:
        yield pinned.unverified(error)
        yield permissions.unverified(error)
        return
    used = [text for key, text in pairs(workflow.get("jobs")) if key == "uses"]
    loose = [each for each in used if not re.search(r"^\./|@[0-9a-f]{40}$|@sha256:[0-9a-f]{64}$", each)]
    if loose:
        remedy = "Put the full hash of a commit behind the @, and the release as a comment; Renovate and Dependabot keep it up."
        yield pinned.insecure(listed(loose), remedy)
    else:
        yield pinned.proved(f"{len(used)} actions")

    remedy = "Put `permissions: {}` at the top, and in each job only what it needs."
    top = workflow.get("permissions")
    wide = [f"{key or 'permissions'}: {text}" for key, text in pairs(top) if text.startswith("write")]
    jobs = mapping(workflow.get("jobs"))
    wide += [f"write-all in {name}" for name, job in jobs.items() if mapping(job).get("permissions") == "write-all"]
    if top is None:
        yield permissions.insecure("no `permissions` at the top: each job gets the default, which may be write", remedy)
    elif wide:
        yield permissions.insecure(listed(wide), remedy)
    else:
        yield permissions.proved("read at most, at the top" if top else "none at the top")
