# Owned by the template: an update rewrites this file.
"""Continuous integration: it runs verify, from actions that nobody can exchange, with no right that it does not need."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ...common.yaml import mapping, pairs, read, texts
from ...result import Check, Options, Rule, UnverifiedError, listed, number
from ...runner import subprocesses
from ...upkeep.larger_repository import root_of
from ...upkeep.template_repo import ANSWERS, recorded_answers
from . import github, gitlab
from .steps import Found, runs_of_verify

RUNS_VERIFY = Rule("configuration", "ci.runs-verify", "continuous integration runs verify")
PINNED = Rule("configuration", "ci.pinned", "every action is pinned by its full hash")
PERMISSIONS = Rule("configuration", "ci.permissions", "jobs get no right that they do not name")
_OTHERS = (
    *("Jenkinsfile*", "bitbucket-pipelines.yml", "azure-pipelines*.y*ml", ".circleci/config.yml", ".woodpecker*"),
    *(".drone.y*ml", ".travis.yml", ".buildkite/*.y*ml", ".semaphore/*.yml", ".cirrus.yml", ".builds/*.yml"),
    *("buildspec.y*ml", "appveyor.yml", ".teamcity"),
)
_HEAD = re.compile(r"\bhead(_ref|\.(sha|ref|repo))\b|refs/pull/")
_OF_STRANGERS = {
    **dict.fromkeys(("ref", "repository"), _HEAD),
    "run": re.compile(rf"\bgh pr checkout|\bgit (fetch|pull|checkout|clone|merge)\b.*({_HEAD.pattern}|\bpull/)"),
}
"""Where a workflow names what somebody outside proposes."""
_VOUCH = "If it does so all the same, say it in `[[tool.hardening.verify.accept]]`."


def files(project: Path) -> list[Path]:
    """The pipelines of a service: those that the forge reads, at the root of the repository."""
    root = root_of(project)
    pipeline = root / gitlab.FILE
    return [*github.Workflows(root, [], []).files(), *[pipeline] * pipeline.is_file()]


def checks(options: Options) -> Iterator[Check]:
    """Whether a change of the service is verified, and what its workflows may do."""
    root, paths = root_of(options.project), files(options.project)
    service = options.project.resolve().relative_to(root).as_posix().removeprefix(".")
    touched = [f"{service}/{name}".lstrip("/") for name in (f"src/{options.package}/app.py", "uv.lock")]
    branches = _branches(root)
    found: list[Found] = []
    ours: list[Path] = []
    broken: list[UnverifiedError] = []
    for path in paths:
        reader = (gitlab.Pipeline if path.name == gitlab.FILE else github.Workflows)(root, touched, branches)
        try:
            steps = reader.steps(path)
            runs = list(_in_order(each for step in steps for each in runs_of_verify(step, root, service)))
        except UnverifiedError as error:
            broken.append(error)
            runs = []
        found += runs
        ours += [path] * (not service or any(not each.no for each in runs))
    names = (*map(str, github.FOLDERS), gitlab.FILE)
    unread = [each for name in names if service and (each := options.project / name).exists()]
    if not paths and not unread:
        yield _none(options.project, root)
    else:
        yield _verdict(found, broken, unread, options.project, root)
    for path in ours:
        if path.name != gitlab.FILE:
            yield from _workflow(path)


def _in_order(found: Iterable[Found]) -> Iterator[Found]:
    """The runs of verify; one of which the job has changed the proof is not known as one."""
    changed: dict[str, str] = {}
    for each in found:
        job = ", ".join(each.where.split(", ")[:2])
        if each.changed is not None:
            changed[job] = each.changed
        else:
            yield replace(each, unknown=each.unknown or changed.get(job, ""))


def _verdict(found: list[Found], broken: list[UnverifiedError], unread: list[Path], project: Path, root: Path) -> Check:
    whole = [each for each in found if not each.no and not each.unknown]
    open_ends = [each for each in found if not each.no and each.unknown]
    remedy = "Add a step `uv run --locked python -m verify` that every change starts and that nothing hides."
    if whole:
        return RUNS_VERIFY.proved(f"python -m verify in {listed(dict.fromkeys(each.where for each in whole), 3)}")
    if broken:
        return RUNS_VERIFY.unverified(broken[0])
    if open_ends:
        said = listed(dict.fromkeys(f"{each.where}: {each.unknown}" for each in open_ends), 3)
        return RUNS_VERIFY.unverified(f"could not tell: {said}", f"{remedy} {_VOUCH}")
    if others := _not_read(root):
        return RUNS_VERIFY.unverified(f"could not tell: {listed(others)} is not read here", f"{remedy} {_VOUCH}")
    said = listed(dict.fromkeys(f"{each.where}: {each.no}" for each in found), 3)
    if unread and not found:
        said = f"nobody reads {listed(each.name for each in unread)} here: the repository begins at {root}"
        remedy = "`uv run python -m verify.upkeep.larger_repository` writes what belongs there, and says where."
        if not subprocesses.run(["git", "ls-files", "."], project, 10).out:
            return RUNS_VERIFY.not_looked_at(f"{said}; nothing of this folder is committed yet", remedy)
    return RUNS_VERIFY.insecure(said or "no job does", remedy if said else f"{remedy} {_VOUCH}")


def _branches(root: Path) -> list[str]:
    """The branches that are known, the default one first; none where a clone holds a part of them only."""
    if (root / ".git" / "shallow").exists() or not (root / ".git").exists():
        return []
    listing = ["git", "for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes/origin"]
    try:
        refs = subprocesses.run(listing, root, 10).out.split()
        head = subprocesses.run(["git", "symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"], root, 10).out.strip()
    except OSError:
        return []
    names = [re.sub(r"^refs/(heads|remotes/origin)/", "", each) for each in [head, *refs] if each]
    given = [os.environ.get(each, "") for each in ("GITHUB_BASE_REF", "CI_DEFAULT_BRANCH")]
    usual = [each for each in github.USUAL if each in names]
    found = dict.fromkeys(
        each for each in [*given, *(names[:1] if head else usual), *names] if each not in ("", "HEAD")
    )
    return list(found) or list(github.USUAL)


def _not_read(root: Path) -> list[str]:
    """The pipelines of forges and servers that are not understood here."""
    return sorted(each.relative_to(root).as_posix() for name in _OTHERS for each in root.glob(name))


def _none(project: Path, root: Path) -> Check:
    """There is no pipeline: what was answered says whether there should be one."""
    try:
        asked = recorded_answers(project).get("ci", "none")
    except UnverifiedError as error:
        return RUNS_VERIFY.unverified(error)
    others = _not_read(root)
    if asked == "none":
        seen = f"{listed(others)} is not read here" if others else "no pipeline is here"
        return RUNS_VERIFY.not_looked_at(f"{seen}, and `ci=none` asked for none", "Run verify in yours.")
    if others:
        seen = f"could not tell: {listed(others)} is not read here, and {ANSWERS} says `ci: {asked}`"
        return RUNS_VERIFY.unverified(seen, f"Answer `ci=none` with `copier update`. {_VOUCH}")
    remedy = "Put it back from git; or run verify in another pipeline, and say so by `ci=none` with `copier update`."
    return RUNS_VERIFY.insecure(f"there is no pipeline here, and {ANSWERS} says `ci: {asked}`", remedy)


def _workflow(path: Path) -> Iterator[Check]:
    is_github = path.parent.parent.name == ".github"
    about = path.name if is_github else f"{path.parent.parent.name}/workflows/{path.name}"
    pinned, permissions = PINNED.of(about), PERMISSIONS.of(about)
    try:
        workflow = read(path)
    except UnverifiedError as error:
        yield pinned.unverified(error)
        yield permissions.unverified(error)
        return
    used = [text for key, text in pairs(workflow.get("jobs")) if key == "uses"]
    for each in used:  # grows by what actions of this repository use
        for file in (path.parents[2] / each / name for name in ("action.yml", "action.yaml") if each.startswith("./")):
            with suppress(UnverifiedError):
                used += [x for key, x in pairs(read(file).get("runs")) if key == "uses" and x not in used]
    loose = [each for each in used if not re.search(r"^\./|@[0-9a-f]{40}$|@sha256:[0-9a-f]{64}$", each)]
    if loose:
        remedy = "Put the full hash of a commit behind the @, and the release as a comment; Renovate and Dependabot keep it up."
        yield pinned.insecure(listed(loose), remedy)
    else:
        yield pinned.proved(number(len(used), "action"))

    remedy = "Put `permissions: {}` at the top, and in each job only what it needs."
    top = workflow.get("permissions")
    jobs = {str(name): mapping(job) for name, job in mapping(workflow.get("jobs")).items()}
    of_one = len(jobs) == 1 and isinstance(top, dict)  # what is at the top is what the job names
    wide = [f"{key or 'permissions'}: {text}" for key, text in pairs(top) if text.startswith("write") and not of_one]
    on = workflow.get("on")
    triggers = texts(on) + list(mapping(on))
    for key, text in pairs(workflow.get("jobs")) if "pull_request_target" in triggers else ():
        if key in _OF_STRANGERS and _OF_STRANGERS[key].search(text):
            seen = f"`pull_request_target` runs what a stranger proposes ({text[:60]}), beside the secrets of the repository"
            yield permissions.insecure(seen, "Start it by `pull_request`, which gets none of them.")
            return
    if not is_github:  # what a token of Forgejo may do is said elsewhere
        return
    wide += [f"write-all in {name}" for name, job in jobs.items() if job.get("permissions") == "write-all"]
    inherits = top is None and triggers != ["workflow_call"]
    default = [name for name, job in jobs.items() if "permissions" not in job and inherits]
    if default:
        seen = f"no `permissions` at the top or in {listed(default)}: that job gets the default, which may be write"
        yield permissions.insecure(seen, remedy)
    elif wide:
        yield permissions.insecure(listed(wide), remedy)
    else:
        at_top = "what the one job needs, at the top" if of_one else "read at most, at the top"
        yield permissions.proved("each job names its own" if top is None else at_top if top else "none at the top")
