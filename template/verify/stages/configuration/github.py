# Owned by the template: an update rewrites this file.
"""GitHub's workflows as GitHub reads them: what starts them, which jobs run, and the steps of these."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from ...common.conditions import decided
from ...common.yaml import mapping, pairs, read, texts
from ...result import UnverifiedError
from .steps import Step

FOLDERS = tuple(Path(each, "workflows") for each in (".github", ".forgejo", ".gitea"))
"""Those of GitHub, and of forges that read the same."""
USUAL = ("main", "master", "trunk", "develop")
CHANGES = ("pull_request", "merge_group", "push", "pull_request_target")
"""What happens when somebody changes the service. A proof that none of it starts is none of the change."""
_WRITTEN = re.compile(r"\b([A-Za-z_]\w*)=([^\"'\n>]*)")
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_SHELL = re.compile(
    r"(?:(?:/usr)?/bin/(?:env )?)?(?P<name>bash|sh|dash|ash|zsh|ksh)(?:(?: -\S+| pipefail| errexit| nounset)* \{0\})?"
)
_ANSWER = re.compile(
    r"(?:\$\{\{)?\s*(?:always\(\)\s*&&\s*)?steps\.([\w-]+)\.outcome\s*(?:==\s*'failure'|!=\s*'success')\s*(?:\}\})?:\s*(?:echo [^\n;|&]*\n\s*)*exit [1-9]\s*"
)
"""A step that fails because another one has, with a colon between what it asks and what it runs."""
_SIMPLE = re.compile(r"[\w ./:=@-]*")
"""A command that is the same in every shell, PowerShell among them, and fails as it does."""
_SOFT = "`continue-on-error` cannot be told"
_SYSTEMS = {"windows": "Windows", "macos": "macOS", "ubuntu": "Linux", "linux": "Linux"}
_WILD = re.compile(r"(\*\*/|\*\*|[*?+]|\[[^\]]*\]|\{[^}]*\})")


class Workflows:
    """The workflows of a repository.

    Args:
        root: The root of the repository.
        touched: Files of the service, from there; a filter that leaves them out leaves the service out.
        branches: The branches that are known, the default one first; nothing if that cannot be told.
    """

    def __init__(self, root: Path, touched: list[str], branches: list[str]) -> None:
        self.root, self.touched, self.branches = root, touched, branches

    def files(self) -> list[Path]:
        """The files that GitHub reads."""
        return sorted(each for name in FOLDERS for each in (self.root / name).glob("*.y*ml"))

    def steps(self, path: Path) -> Iterator[Step]:
        """The steps of a workflow, once for each kind of change that starts it."""
        workflow = read(path)
        on = workflow.get("on")
        triggers: dict[str, Any] = on if isinstance(on, dict) else dict.fromkeys(texts(on))
        why = {event: self._why_not(event, mapping(triggers[event])) for event in CHANGES if event in triggers}
        started = [event for event, reason in why.items() if not reason]
        if "workflow_run" in triggers and not started:
            for step in self._jobs(workflow, path, "push", {}, 0):
                yield replace(step, unknown="it starts after another workflow")
        elif set(triggers) == {"workflow_call"}:
            return
        reason = "; ".join(f"{event}: {text}" for event, text in why.items()) or f"only {', '.join(triggers)} starts it"
        for event in started or ["push"]:
            alone = (
                event == "push" and {"tags-ignore"} == {"tags-ignore", "branches"} & mapping(triggers.get(event)).keys()
            )
            for step in self._jobs(workflow, path, event, {}, 0):
                step = replace(step, unknown=step.unknown or "`tags-ignore` alone may leave branches out" * alone)
                yield step if started else replace(step, skipped=reason)

    def _why_not(self, event: str, filters: Mapping[str, Any]) -> str:
        """Why an event does not start a workflow."""
        for key, ignores in (("paths", False), ("paths-ignore", True)):
            patterns = texts(filters.get(key))
            left_out = [each for each in self.touched if matches(patterns, each) == ignores] if patterns else []
            if left_out:
                return f"`{key}` leaves {left_out[0]} out"
        for key, ignores in (("branches", False), ("branches-ignore", True)):
            patterns = texts(filters.get(key))
            if key not in filters or not self.branches:
                continue
            if all(matches(patterns, branch) == ignores for branch in self.branches):
                return f"`{key}: {', '.join(patterns)}` matches no branch"
        if event == "push" and "tags" in filters and not {"branches", "branches-ignore"} & filters.keys():
            return "only tags start it"
        kinds = texts(filters.get("types"))
        if kinds and event.startswith("pull_request") and not {"synchronize", "opened", "reopened"} & set(kinds):
            return f"`types: {', '.join(kinds)}` are no changes"
        return ""

    def _jobs(
        self, workflow: Mapping[str, Any], path: Path, event: str, inputs: Mapping[str, str], depth: int
    ) -> Iterator[Step]:
        jobs = {str(name): mapping(job) for name, job in mapping(workflow.get("jobs")).items()}
        default = self.branches[0] if self.branches else "main"
        known = {
            "github.event_name": event,
            "github.ref_name": default if event == "push" else "1/merge",
            "github.ref": f"refs/heads/{default}" if event == "push" else "refs/pull/1/merge",
            "github.ref_type": "branch",
            "github.event.repository.default_branch": default,
            "github.base_ref": "" if event in ("push", "merge_group") else default,
            "github.event.repository.fork": False,
            "github.event.pull_request.draft": False,  # what is one cannot be merged
            "github.event.head_commit.message": "a change",
            "github.event.action": "synchronize" if event.startswith("pull_request") else "",
            **dict.fromkeys(_asked_of_people(workflow), ""),
            **_repository(self.root),
            **{f"inputs.{name}": value for name, value in inputs.items()},
        }
        for name, job in jobs.items():
            where = f"{path.name}, job {name}"
            skipped, unknown = self._skipped(name, jobs, known, ())
            env = {**self._branch(workflow, event), **mapping(workflow.get("env")), **mapping(job.get("env"))}
            defaults = {**_run_defaults(workflow), **_run_defaults(job)}
            legs = _matrix(job) or [{}]
            absent = {key: "" for each in legs for key in each}
            for values in legs:
                facts = {**known, **{f"matrix.{key}": value for key, value in {**absent, **values}.items()}}
                runner = _filled(" ".join(texts(job.get("runs-on"))), facts).lower()
                system = next((each for word, each in _SYSTEMS.items() if word in runner), "")
                facts |= {"runner.os": system} if system else {}
                soft = decided(job.get("continue-on-error", False), facts)
                lost, open_end = "`continue-on-error`" if soft else "", unknown or _SOFT * (soft is None)
                given = {str(key): _filled(str(value), facts) for key, value in env.items()}
                state = Step("", where, "", lost, skipped, open_end, system=system, env=given)
                if "uses" in job:
                    yield from self._called(str(job["uses"]), job, state, event, depth)
                elif isinstance(job.get("steps"), list):
                    yield from self._list(job["steps"], state, defaults, facts, depth)

    def _branch(self, workflow: Mapping[str, Any], event: str) -> dict[str, str]:
        """The branch whose changes start it, if that is known: to check it out is to check out the change."""
        branches = texts(mapping(mapping(workflow.get("on")).get("push")).get("branches"))
        is_one = event == "push" and branches and branches == self.branches[:1]
        return {"GITHUB_REF_NAME": branches[0]} if is_one else {}

    def _skipped(
        self, name: str, jobs: Mapping[str, Any], known: Mapping[str, Any], seen: tuple[str, ...]
    ) -> tuple[str, str]:
        """Why a job never runs, and why that cannot be told."""
        job = jobs.get(name, {})
        condition = str(job.get("if", "success()"))
        if name in seen or name not in jobs:
            return f"it needs {name}", ""
        before = {each: self._skipped(each, jobs, known, (*seen, name)) for each in texts(job.get("needs"))}
        told = ((each, no) for each, (no, why) in before.items() if no or not why)
        results = {f"needs.{each}.result": "skipped" if no else "success" for each, no in told}
        holds = decided(condition, {**known, **results})
        if holds is False:
            return f"`if: {condition}` does not hold", ""
        unknown = f"`if: {condition}` cannot be told" if holds is None else ""
        for needed, (skipped, open_end) in before.items():
            if skipped and not re.search(r"always\(\)|!\s*cancelled\(\)", condition):
                return f"it needs {needed}, of which {skipped}", ""
            unknown = unknown or open_end
        if not _matrix(job):
            return "its matrix is empty", ""
        matrix = mapping(job.get("strategy")).get("matrix")
        texts_of = [each for each in [matrix, *mapping(matrix).values()] if isinstance(each, str)]
        made = any(not re.match(r"\$\{\{\s*fromJSON\('", each, re.IGNORECASE) for each in texts_of)
        return "", unknown or "its matrix is made as it runs" * made

    def _called(self, uses: str, job: Mapping[str, Any], state: Step, event: str, depth: int) -> Iterator[Step]:
        """A reusable workflow."""
        if not uses.startswith("./") or depth > 3:
            yield replace(state, unknown=state.unknown or f"it calls {uses}, which is not here")
            return
        path = self.root / uses
        try:
            workflow = read(path)
        except UnverifiedError as error:
            yield replace(state, unknown=error.seen)
            return
        declared = mapping(mapping(mapping(workflow.get("on")).get("workflow_call")).get("inputs"))
        inputs = {name: str(mapping(each).get("default", "")) for name, each in declared.items()}
        inputs |= {name: str(value) for name, value in mapping(job.get("with")).items()}
        for step in self._jobs(workflow, path, event, inputs, depth + 1):
            yield _under(state, step)

    def _list(
        self, steps: list[Any], state: Step, defaults: Mapping[str, str], known: Mapping[str, Any], depth: int
    ) -> Iterator[Step]:
        checkout = ""
        event = known.get("github.event_name")
        plain = (each for each in map(mapping, steps) if not {"continue-on-error", "shell"} & each.keys())
        said = (_ANSWER.fullmatch(f"{each.get('if')}:{each.get('run')}") for each in plain)
        answered = {match[1] for match in said if match}
        for step in map(mapping, steps):
            uses, given = str(step.get("uses", "")), mapping(step.get("with"))
            if "actions/checkout" in uses and "repository" not in given:
                checkout = str(given.get("path", "")).strip("./")
                ref = str(given.get("ref", "the branch that it would change" if event == "pull_request_target" else ""))
                other = f"it checks out {ref}, not the change" if ref and "${{" not in ref else ""
                state = replace(state, unknown=state.unknown or other)
            holds = decided(step.get("if", True), known)
            lost = step.get("id") not in answered and decided(step.get("continue-on-error", False), known)
            skipped = f"`if: {step.get('if')}` does not hold" if holds is False else ""
            unknown = f"`if: {step.get('if')}` cannot be told" if holds is None else _SOFT * (lost is None)
            facts = {**known, **{f"env.{name}": value for name, value in state.env.items()}}
            command, hidden = _filled(str(step.get("run", "")), facts), "`continue-on-error`" if lost else ""
            about = _under(state, Step(command, state.where, "", hidden, skipped, unknown))
            if uses.startswith("./") and depth <= 3:
                yield from self._composite(uses, step, about, depth)
            elif "run" in step:
                given_folder = step.get("working-directory", defaults.get("working-directory", ""))
                folder = _filled(str(given_folder), known).removeprefix("./")
                if checkout:
                    folder = "" if folder == checkout else folder.removeprefix(f"{checkout}/")
                own = {str(key): _filled(str(value), known) for key, value in mapping(step.get("env")).items()}
                about = replace(about, folder=folder, env={**state.env, **own})
                yield _by_shell(about, str(step.get("shell", defaults.get("shell", ""))))
                if "GITHUB_ENV" in about.command:
                    state = replace(state, env={**state.env, **dict(_WRITTEN.findall(about.command))})
            elif any(re.search(r"-m\s+verify(?![.\w])", text) for _, text in pairs(given)):
                yield replace(about, command="", unknown=about.unknown or f"what {uses} does with it is not read")

    def _composite(self, uses: str, step: Mapping[str, Any], state: Step, depth: int) -> Iterator[Step]:
        folder = self.root / uses
        file = next((each for name in ("action.yml", "action.yaml") if (each := folder / name).is_file()), None)
        if file is None:
            return
        try:
            action = read(file)
        except UnverifiedError as error:
            yield replace(state, unknown=error.seen)
            return
        declared = {name: mapping(each).get("default", "") for name, each in mapping(action.get("inputs")).items()}
        inputs = {f"inputs.{name}": str(value) for name, value in {**declared, **mapping(step.get("with"))}.items()}
        inner, system = mapping(action.get("runs")).get("steps"), {"runner.os": state.system}
        if isinstance(inner, list):
            about = replace(state, command="", where=f"{state.where}, {uses}")
            yield from self._list(inner, about, {}, inputs | system, depth + 1)


def _asked_of_people(workflow: Mapping[str, Any]) -> Iterator[str]:
    """The inputs of who starts it by hand, by the names that conditions use: nothing is in them when a change does."""
    on = mapping(mapping(workflow.get("on")).get("workflow_dispatch"))
    yield from (
        f"{before}.{name}" for name in mapping(on.get("inputs")) for before in ("inputs", "github.event.inputs")
    )


def _repository(root: Path) -> dict[str, str]:
    """What the repository is called where it was cloned from; a change of it is proposed in itself."""
    config = root / ".git" / "config"
    text = config.read_text(encoding="utf-8", errors="replace") if config.is_file() else ""
    found = dict(
        re.findall(r'\[remote "(upstream|origin)"\][^\[]*?url = \S*[:/]([^\s:/]+/[^\s:/]+?)(?:\.git)?/?\n', text)
    )
    if not (name := found.get("upstream", found.get("origin", ""))):
        return {}
    names = dict.fromkeys(("github.repository", "github.event.pull_request.head.repo.full_name"), name)
    return {**names, "github.repository_owner": name.partition("/")[0]}


def _by_shell(step: Step, shell: str) -> Step:
    """A step as its shell runs it; that of Windows is PowerShell, which goes on after a command that has failed."""
    shell = shell or ("pwsh" if step.system == "Windows" else "bash -e {0}")
    shell = re.sub(r"script (?=.*-\w*e)(?:-\w+ )*-\w*c \"(.*)\"", r"\1", shell)  # a terminal around it
    if (match := _SHELL.fullmatch(shell)) and "-c" not in shell:
        named = shell == match["name"]
        strict = named or re.search(r"\s-(\w*e|o errexit)", shell) is not None
        return replace(step, errexit=strict, pipefail=shell == "bash" or "pipefail" in shell)
    known = shell in ("pwsh", "powershell", "cmd") and _SIMPLE.fullmatch(step.command.strip())
    return replace(step, unknown=step.unknown or f"`shell: {shell}` is not read" * (not known))


def _under(outer: Step, step: Step) -> Step:
    """A step with what holds of all that it stands in."""
    return replace(
        step,
        system=step.system or outer.system,
        lost=outer.lost or step.lost,
        env={**outer.env, **step.env},
        skipped=outer.skipped or step.skipped,
        unknown=outer.unknown or step.unknown,
        where=step.where if step.where == outer.where or not outer.where else f"{outer.where}, {step.where}",
    )


def _run_defaults(value: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(text) for key, text in mapping(mapping(value.get("defaults")).get("run")).items()}


def _matrix(job: Mapping[str, Any]) -> list[dict[str, str]]:
    """The values of each job that a matrix makes; one without any if there is none, or if it is made as it runs."""
    matrix = mapping(mapping(job.get("strategy")).get("matrix"))
    changed = (matrix.get(key) for key in ("include", "exclude"))
    more, without = ([mapping(x) for x in each] if isinstance(each, list) else [] for each in changed)
    axes = {
        key: value for key, value in matrix.items() if isinstance(value, list) and key not in ("include", "exclude")
    }
    found = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())][:64] if axes else []
    found = [each for each in found if not any(x.items() <= each.items() for x in without)]
    for each in more:
        found.append({**(found[0] if found and not axes.keys() & each.keys() else {}), **each})
    return [{key: str(value) for key, value in each.items()} for each in found] or [{}] * (not axes)


def _filled(text: str, known: Mapping[str, Any]) -> str:
    """A text with what is known of its expressions put in."""
    return _EXPRESSION.sub(lambda match: str(known.get(match[1], "__expression__")), text)


def matches(patterns: list[str], name: str, *, of_gitlab: bool = False) -> bool:
    """Whether the last pattern that says something of a name lets it in, by the rules of GitHub or by those of GitLab."""
    found = False
    for each in patterns:
        said = "".join(_as_regex(part, of_gitlab) for part in _WILD.split(each.removeprefix("!")))
        with suppress(re.error):
            found = not each.startswith("!") if re.fullmatch(said, name) else found
    return found


def _as_regex(part: str, of_gitlab: bool) -> str:
    if part in ("**/", "**", "*"):
        return {"**/": "(?:.*/)?", "**": "[^/]*" if of_gitlab else ".*", "*": "[^/]*"}[part]
    if part in ("?", "+") and not of_gitlab:
        return part  # of the letter before it
    if part == "?":
        return "[^/]"
    if part[:1] == "{" and of_gitlab:
        return f"(?:{'|'.join(map(re.escape, part[1:-1].split(',')))})"
    return part if part[:1] == "[" else re.escape(part)
