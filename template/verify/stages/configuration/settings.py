# Owned by the template: an update rewrites this file.
"""The settings: production starts with safe ones alone, and refuses to start with none."""

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ...common.entries import SENTENCE, is_sentence
from ...harness.service import declared_environment, hidden_names
from ...harness.whole import report_in
from ...result import Check, Options, Rule, UnverifiedError, listed, number
from ...runner import subprocesses
from .start import files_of_team

TIMEOUT = 30.0
"""Seconds that the service may take to say what it would start with."""
PRODUCTION = {
    "APP_ENV": "production",
    "APP_ALLOWED_HOSTS": "api.example.com",
    "APP_STORE_URL": "memory://",
    "APP_TRUSTED_PROXIES": "none",
}
"""What production must say; `verify` says it in the place of whoever deploys."""
REFUSALS = {"hosts.E001": "APP_ALLOWED_HOSTS", "proxy.E001": "APP_TRUSTED_PROXIES"}
"""What must keep a service from starting when nothing is set, and the setting that it is about."""
UNSET = (None, "")
"""How `check --format json` gives a setting that is not set."""
SAFE = Rule("configuration", "settings.safe", "production starts with safe settings and routes")
FINDING = Rule("configuration", "settings.finding", "the start-up check finds nothing")
REFUSED = Rule("configuration", "settings.refused", "with nothing set, production refuses to start")
WHOLE = Rule("configuration", "app.whole", "the application is judged and guarded by the template's own methods")
MIDDLEWARE = Rule("configuration", "app.middleware", "no middleware answers in the place of a route")
HANDLERS = Rule("configuration", "app.handlers", "no handler of yours answers where something went wrong")
DEFAULTS = Rule("configuration", "settings.defaults", "the code changes no setting of the template's")
QUOTA = "APP_RATE_LIMIT"
TABLE = Rule("configuration", "settings.table", "what pyproject.toml sets for verify hides no setting")
ACCEPTED = Rule("configuration", "settings.accepted", "every exception is accepted by the team, with a reason")

_OF_APP = re.compile(r"(_[a-z]\w*|__dict__|seal|findings|table|perimeter|middleware_stack|build_middleware_stack)\b")
"""What of an application the proof relies on; `state`, `openapi` and others are the team's to set."""
_TASKS = {"typer", "celery", "faststream", "cyclopts"}
"""Libraries whose applications are often called `app` as well."""
_SETS = re.compile(r"\b(setattr|delattr|__setattr__|__delattr__|patch|patch\.(object|dict))$")
_CHANGES = ("update", "clear", "pop", "append", "insert", "extend", "remove", "add", "discard", "__setitem__")
_UNREADABLE = re.compile(r"(APP_\w+) cannot be read: (.*)")


@dataclass(frozen=True, slots=True)
class CheckOutput:
    """What `python -m <package> check --format json` said."""

    code: int
    data: dict[str, Any]

    @property
    def ids(self) -> set[str]:
        return {finding["id"] for finding in self.data["findings"]}

    def value(self, name: str) -> str | None:
        """What a setting would be; nothing if it is not set or could not be read."""
        return next((each["value"] for each in self.data["settings"] if each["name"] == name), None)

    def missing(self) -> dict[str, str]:
        """The settings that could not be read, and why."""
        found = (_UNREADABLE.match(each["message"]) for each in self.data["findings"] if each["id"] == "settings.E001")
        return {match[1]: match[2] for match in found if match}


def report(options: Options, variables: Mapping[str, str], *, whole: bool = False) -> CheckOutput:
    """Ask the service what it would start with, and if `whole`, what stands in the place of owned code by then.

    Raises:
        UnverifiedError: It does not say.
    """
    module = ["-P", str(options.project / "verify" / "harness" / "whole.py")] if whole else ["-m"]
    command = [sys.executable, "-X", "utf8", *module, options.package, "check", "--format", "json"]
    try:
        with TemporaryDirectory(prefix="verify-") as empty:  # a .env of the project is not production
            always = {**variables, "PYTHONHASHSEED": "0"}  # what is made of a set is the same in each run
            ran = subprocesses.run(command, Path(empty), TIMEOUT, always)
        if ran.code is None:
            raise _silent(options, f"it gave no report within {TIMEOUT:g} s")
        data = json.loads(report_in(ran.out))
        found = CheckOutput(ran.code, {name: data[name] for name in ("findings", "routes", "settings", "application")})
        found.ids.union(found.missing())  # whatever is not as expected shows here
    except OSError as error:
        raise _silent(options, str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _silent(options, ran.tail() or "it says nothing") from None
    return found


def _silent(options: Options, said: str) -> UnverifiedError:
    return UnverifiedError(f"check says: {said}", by_hand(options))


def by_hand(options: Options) -> str:
    return f"Run `uv run python -m {options.package} check` and look."


def stage(options: Options) -> Iterator[Check]:
    own = {name: value for name, value in declared_environment(options.project).items() if name not in PRODUCTION}
    try:
        output = report(options, {**own, **PRODUCTION}, whole=True)
        unset = report(options, {name: value for name, value in own.items() if name != QUOTA})
    except UnverifiedError as error:
        yield SAFE.unverified(error)
        return
    values = " ".join(f"{key}={value}" for key, value in PRODUCTION.items())
    said = f"verify sets {values}" + (f", and from pyproject.toml {listed(own, 9)}" if own else "")
    unread = sorted(setting for setting, why in output.missing().items() if "required" in why.lower())
    errors = [each for each in output.data["findings"] if each["level"] == "error"]
    if unread:
        example = f'`{unread[0]} = "..."` in the table [tool.hardening.verify.environment]'
        remedy = f"Put a made-up value that it can start with into pyproject.toml: {example}."
        seen = f"{listed(unread)} has no default, and verify takes no value from outside"
        yield SAFE.unverified(seen, remedy)
    elif bool(errors) != (output.code == 1) or output.code not in (0, 1):
        seen = f"check ends with {output.code} and {number(len(errors), 'error')}"
        yield SAFE.unverified(seen, by_hand(options))
    else:
        for each in output.data["findings"]:
            rule = FINDING.of(f"{each['id']}: {each['message']}", f"no {each['id']}")
            judge = rule.insecure if each["level"] == "error" else rule.warning
            yield judge(str(each["message"]), str(each["hint"]))
        if not errors:
            yield SAFE.proved(f"{number(len(output.data['routes']), 'route')}, no error; {said}")
    if not unread:
        yield _refusal(unset)
    for name in hidden_names(options.project):
        remedy = "Take it out of the table: what verify looks at is what settings.py and a deployment say."
        seen = "it would steer the proof, and is not handed on"
        if name.upper().startswith("APP_"):
            seen = "it is the template's, and verify takes it from settings.py instead"
        yield TABLE.of(name).warning(seen, remedy)
    if QUOTA in own and output.value(QUOTA) != unset.value(QUOTA):
        seen = f"verify uses up {output.value(QUOTA)}, and without the table production has {unset.value(QUOTA)}"
        yield TABLE.of(QUOTA).warning(seen, "See that the quota of production is meant.")
    in_code = ("settings.py", "create_app")
    if changed := [f"{x['name']}={x['value']}" for x in output.data["settings"] if x["source"] in in_code]:
        yield DEFAULTS.not_looked_at(f"it says {listed(changed, 9)}: see that production may have it so")
    yield from _application(output.data["application"])
    for path in files_of_team(options.project):
        if path.name in ("sitecustomize.py", "usercustomize.py"):
            name = path.relative_to(options.project).as_posix()
            seen = "Python runs it before the service, and not before verify"
            yield WHOLE.of(name).unverified(seen, by_hand(options))
    told = {each.rpartition(".")[2] for each in output.data["application"].get("replaced", ())}
    for name, sets in patched(options).items():
        remedy = "Say it by a setting, a step or a route; or accept it, if what it sets leaves nothing out."
        if left := [each for each in sets if each.rpartition(".")[2] not in told]:
            seen = f"it sets {listed(left)}, which other code of the template's relies on"
            yield WHOLE.of(name).unverified(seen, remedy)
    yield from _accepted(output)


def patched(options: Options) -> dict[str, list[str]]:
    """What modules of the team set in owned ones, or in an application's inside, by file."""
    found: dict[str, list[str]] = {}
    source = options.project / "src"
    owned_files = source / options.package / "hardening"
    for path in sorted(each for each in source.rglob("*.py") if not each.is_relative_to(owned_files)):
        try:
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, SyntaxError):  # which the tests tell
            continue
        imports = (each for each in nodes if isinstance(each, ast.ImportFrom | ast.Import))
        owned = {
            (alias.asname or alias.name).partition(".")[0]
            for each in imports
            for alias in each.names
            if "hardening" in f"{getattr(each, 'module', '')}.{alias.name}".split(".")
        }
        for node in nodes:
            targets: list[Any] = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
            targets = targets or [getattr(node, "target", None)]
            if isinstance(node, ast.Call) and node.args and (called := _SETS.search(ast.unparse(node.func))):
                name = str(getattr(node.args[1], "value", "_any")) if len(node.args) > 1 else "_any"
                whole = str(getattr(node.args[0], "value", ""))
                targets = [whole if called[0] == "patch" else ast.Attribute(node.args[0], name)]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
                targets = [node.func.value]
            for target in targets:
                text = target if isinstance(target, str) else "" if target is None else ast.unparse(target)
                root, _, rest = re.sub(r"^vars\((.*?)\)", r"\1.__dict__", text).partition(".")
                is_owned = root in owned or (isinstance(target, str) and ".hardening." in text)
                inside = root == "app" and _OF_APP.match(rest) and not _is_another(nodes)
                if rest and (is_owned or inside):
                    found.setdefault(path.relative_to(options.project).as_posix(), []).append(text)
    return found


def _is_another(nodes: list[ast.AST]) -> bool:
    """Whether what a module calls `app` is one for commands or tasks, wherever the name stands in it."""
    made = [x.value for x in nodes if isinstance(x, ast.Assign) and [*map(ast.unparse, x.targets)] == ["app"]]
    functions = {ast.unparse(x.func).partition(".")[0] if isinstance(x, ast.Call) else "" for x in made}
    statements = (x for x in nodes if isinstance(x, ast.ImportFrom | ast.Import))
    imports = [(getattr(x, "module", ""), each) for x in statements for each in x.names]
    known = {each.asname or each.name for module, each in imports if (module or each.name) in _TASKS}
    names = [x.id for x in nodes if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store)]
    names += [x.arg for x in nodes if isinstance(x, ast.arg)] + [each.asname or each.name for _, each in imports]
    return bool(made) and functions <= known and names.count("app") == len(made)


def _application(around: dict[str, list[str]]) -> Iterator[Check]:
    """What the proof relies on, and what no list of routes shows."""
    for name in around.get("replaced", ()):
        seen = f"{name} stands in its place: what it leaves out, nobody looks at"
        remedy = "Say it by a setting, a step or a route; or accept it, if it only adds to what it calls by `super()`."
        yield WHOLE.of(name).unverified(seen, remedy)
    for name in around.get("middleware", ()):
        yield MIDDLEWARE.of(name).not_looked_at(f"{name} stands before every route, and is in no list of routes")
    if handlers := around.get("handlers"):
        yield HANDLERS.not_looked_at(f"what clients get is theirs to see to: {listed(handlers, 9)}")
    if not (around.get("replaced") or around.get("middleware")):
        yield WHOLE.proved("no method of it is replaced, and no middleware of yours stands before the routes")


def _refusal(found: CheckOutput) -> Check:
    values = {each["name"]: each["value"] for each in found.data["settings"]}
    # A team may say in its settings.py what production must say; then nothing is missing.
    in_code = {setting for setting in REFUSALS.values() if values.get(setting) not in UNSET}
    expected = {each for each, setting in REFUSALS.items() if setting not in in_code}
    if expected - found.ids or (expected and found.code != 1):
        seen = f"check ends with {found.code}, without {listed(sorted(expected - found.ids)) or 'an error'}"
        remedy = "Take defaults out of settings.py that make up what only a deployment can know."
        return REFUSED.insecure(seen, remedy)
    seen = f"refused: {listed(sorted(expected))}" if expected else "nothing is missing"
    return REFUSED.proved(seen + (f"; settings.py says {listed(sorted(in_code))}" if in_code else ""))


def _accepted(found: CheckOutput) -> Iterator[Check]:
    for route in found.data["routes"]:
        for each, reason in route["policy"].get("insecure_because", {}).items():
            exception = ACCEPTED.of(f"{route['route']} {each}", f"{route['route']} is excepted from {each}")
            if is_sentence(str(reason)):
                yield exception.accepted(f"{reason} (in its policy)")
            else:
                yield exception.warning(f"`{reason}` is no reason", SENTENCE)
