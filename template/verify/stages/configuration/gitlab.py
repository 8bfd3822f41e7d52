# Owned by the template: an update rewrites this file.
"""GitLab's pipeline as GitLab reads it: files put together, jobs put together, rules decided."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.conditions import decided
from ...common.yaml import REFERENCE, mapping, read, texts
from ...result import listed
from .github import matches
from .steps import Step

FILE = ".gitlab-ci.yml"
_OF_FILES = "default include stages variables workflow image services cache before_script after_script spec"
_KEYWORDS = set(_OF_FILES.split())
_DEFAULTS = ("before_script", "image")
_RUNS = ("on_success", "always")
_NO_GLOB = re.compile(r"[${}]|\*\*[^/]|[^/]\*\*")
"""What GitLab has in the name of a file beside what Python has."""
SOURCES = ("merge_request_event", "push")
"""What happens when somebody changes the service."""
_MISSING = "extends something"


@dataclass(frozen=True, slots=True)
class _Ruled:
    """What the rules of a job say: why it does not run, why that cannot be told, whether it may fail."""

    skipped: str = ""
    unknown: str = ""
    allowed: bool = False


class Pipeline:
    """The pipeline of a repository.

    Args:
        root: The root of the repository.
        touched: Files of the service, from there.
        branches: The branches that are known, the default one first.
    """

    def __init__(self, root: Path, touched: list[str], branches: list[str]) -> None:
        self.root, self.touched = root, touched
        self.default = branches[0] if branches else "main"
        self.elsewhere: list[str] = []

    def steps(self, path: Path) -> Iterator[Step]:
        """The scripts of each job, once for each kind of change; and what it takes from elsewhere, as what is not known.

        Raises:
            UnverifiedError: A file of it cannot be read.
        """
        values = self._included(path, ())
        values = mapping(self._resolved(values, values))
        for each in self.elsewhere:
            yield Step("", path.name, unknown=f"it includes {each}, which is not here")
        for source in SOURCES:
            variables = mapping(values.get("variables")).items()
            known = {f"${name}": value for name, value in variables if isinstance(value, str)} | self._known(source)
            stopped = self._ruled(mapping(values.get("workflow")), known)
            for name, job in values.items():
                if name in _KEYWORDS or name.startswith(".") or not isinstance(job, dict):
                    continue
                whole = self._extended(job, values, ())
                yield from self._job(f"{path.name}, job {name}", whole, values, known, stopped)

    def _included(self, path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        values = read(path)
        included = values.get("include")
        for each in included if isinstance(included, list) else [included] if included else []:
            asked = [self._ruled(mapping(each), self._known(source)) for source in SOURCES if "rules" in mapping(each)]
            if any(asked) and all(ruled.skipped for ruled in asked):
                continue
            local = each if isinstance(each, str) and "://" not in each else mapping(each).get("local")
            is_told = local and not any(ruled.unknown for ruled in asked)
            found_here = self.root.glob(str(local).lstrip("/")) if is_told else ()
            files = [x for x in found_here if x.is_file() and x not in seen]
            if not files:
                self.elsewhere.append(str(local or next(iter(mapping(each).values()), each)))
            for file in sorted(files):
                found = _merged(found, self._included(file, (*seen, path)))
        return _merged(found, values)

    def _extended(self, job: Mapping[str, Any], values: Mapping[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in texts(job.get("extends")):
            if name not in seen:
                below = mapping(values.get(name, {_MISSING: name}))
                found = _merged(found, self._extended(below, values, (*seen, name)))
        return _merged(found, job)

    def _resolved(self, value: Any, values: Mapping[str, Any], depth: int = 0) -> Any:
        """A value in which what it refers to stands in the place of references."""
        if isinstance(value, list):
            return [self._resolved(each, values, depth) for each in value]
        if not isinstance(value, dict) or depth > 9:
            return value
        if REFERENCE not in value:
            return {key: self._resolved(each, values, depth) for key, each in value.items()}
        found: Any = values
        for key in texts(value[REFERENCE]):
            found = mapping(found).get(key)
        return self._resolved(found, values, depth + 1)

    def _job(
        self,
        where: str,
        job: Mapping[str, Any],
        values: Mapping[str, Any],
        known: Mapping[str, Any],
        pipeline: "_Ruled",
    ) -> Iterator[Step]:
        default = {key: values[key] for key in _DEFAULTS if key in values} | mapping(values.get("default"))
        ruled = self._ruled(job, known)
        skipped, unknown = pipeline.skipped or ruled.skipped, pipeline.unknown or ruled.unknown
        unknown = unknown or f"it extends {job.get(_MISSING)}, which is not here" * (_MISSING in job)
        env = {
            str(key): str(mapping(value).get("value", "") if isinstance(value, dict) else value)
            for key, value in {**mapping(values.get("variables")), **mapping(job.get("variables"))}.items()
        }
        if env.get("GIT_STRATEGY") in ("none", "empty") or env.get("GIT_CHECKOUT") == "false":
            unknown = unknown or "it checks nothing out"
        failure = job.get("allow_failure", False)
        lost = "`allow_failure`" if ruled.allowed or isinstance(failure, dict) or decided(failure, {}) else ""
        for needed in (str(mapping(x).get("job", x)) for x in job.get("needs") or () if "optional" not in mapping(x)):
            before = self._ruled(self._extended(mapping(values.get(needed)), values, ()), known).skipped
            skipped = skipped or f"it needs {needed}, of which {before}" * bool(before)
        if "trigger" in job:
            child = mapping(job["trigger"]).get("include", job["trigger"])
            yield Step("", where, skipped=skipped, unknown=f"it starts {child}, which is not read")
        script = texts([job.get("before_script", default.get("before_script")), job.get("script")])
        image = job.get("image", default.get("image"))
        has_bash = not re.search("alpine|busybox", str(mapping(image).get("name", image)))
        yield Step("\n".join(script), where, "", lost, skipped, unknown, pipefail=has_bash, env=env)

    def _ruled(self, job: Mapping[str, Any], known: Mapping[str, Any]) -> "_Ruled":
        """Whether a job is part of the pipeline: the first of its rules that holds decides."""
        if "rules" in job:
            unknown = doubt = ""  # whether it runs at all, and whether it runs all the same
            for rule in (
                mapping(each)
                for rules in job["rules"] or [None]
                for each in (rules if isinstance(rules, list) else [rules])
            ):
                holds = decided(rule.get("if", "true"), known) if rule else None  # what it refers to is not here
                changes = rule.get("changes")
                paths = texts(mapping(changes).get("paths") if isinstance(changes, dict) else changes)
                exists = rule.get("exists")
                present = texts(mapping(exists).get("paths") if isinstance(exists, dict) else exists)
                if holds is False or (paths and not all(matches(paths, each, of_gitlab=True) for each in self.touched)):
                    continue
                plain = [each.strip("/") for each in present if not _NO_GLOB.search(each)]
                if present and not any(each and any(self.root.glob(each)) for each in plain):
                    if len(plain) < len(present) or "project" in mapping(exists):
                        unknown = unknown or f"`exists: {listed(present)}` cannot be told"
                    continue
                when = str(rule.get("when", job.get("when", "on_success")))
                allowed = decided(rule.get("allow_failure", False), {}) is True
                if holds is None and when in _RUNS and not allowed:
                    doubt = doubt or f"`if: {rule.get('if', 'a reference')}` cannot be told"
                    continue
                if holds is None:
                    unknown = unknown or f"`if: {rule.get('if', 'a reference')}` cannot be told"
                    continue
                if when not in _RUNS:
                    unknown = unknown or doubt
                return _Ruled("" if when in _RUNS or unknown else f"`when: {when}`", unknown, allowed)
            return _Ruled("" if unknown or doubt else "none of its rules holds", unknown or doubt)
        source = str(known["$CI_PIPELINE_SOURCE"])
        names = {"merge_request_event": {"merge_requests"}, "push": {"branches", "pushes", self.default}}[source]
        only, without = (_references(job.get(key)) for key in ("only", "except"))
        if source == "merge_request_event" and not only and "script" in job:
            return _Ruled("without rules it is no part of a merge request's pipeline")
        if (only and not set(only) & names) or set(without) & names:
            return _Ruled(f"`only` or `except` leaves it out ({', '.join([*only, *without])})")
        for key, leaves_out in (("only", False), ("except", True)):
            asked = mapping(job.get(key))
            if "variables" in asked:
                return _Ruled(unknown=f"`{key}: variables` cannot be told")
            if "changes" in asked and any(
                matches(texts(asked["changes"]), x, of_gitlab=True) == leaves_out for x in self.touched
            ):
                return _Ruled(f"`{key}: changes` leaves the service out")
        when = str(job.get("when", "on_success"))
        return _Ruled("" if when in _RUNS else f"`when: {when}`")

    def _known(self, source: str) -> dict[str, Any]:
        of_request = source == "merge_request_event"
        return {
            "$CI_PIPELINE_SOURCE": source,
            "$CI_DEFAULT_BRANCH": self.default,
            "$CI_COMMIT_BRANCH": None if of_request else self.default,
            "$CI_COMMIT_REF_NAME": "change" if of_request else self.default,
            "$CI_COMMIT_TAG": None,
            **dict.fromkeys(("$CI_COMMIT_MESSAGE", "$CI_COMMIT_TITLE", "$CI_MERGE_REQUEST_TITLE"), "a change"),
            "$CI_OPEN_MERGE_REQUESTS": None,
            "$CI_MERGE_REQUEST_ID": "1" if of_request else None,
            "$CI_MERGE_REQUEST_IID": "1" if of_request else None,
            "$CI_MERGE_REQUEST_TARGET_BRANCH_NAME": self.default if of_request else None,
        }


def _references(value: Any) -> list[str]:
    return texts(mapping(value).get("refs") if isinstance(value, dict) else value)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        found[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return found
