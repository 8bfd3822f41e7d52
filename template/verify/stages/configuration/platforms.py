# Owned by the template: an update rewrites this file.
"""What starts the service beside containers: files of platforms and supervisors, and scripts, judged as a CMD is.

What cannot be read here (charts, Terraform, functions) is unverified, and the team vouches for it by an acceptance.
"""

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...common.yaml import documents, mapping, pairs, texts
from ...result import Check, Options, Outcome, Rule, UnverifiedError, worst
from .start import Start, files_of_team, is_development, judge

OTHERS = Rule("configuration", "deploy.others", "what else deploys it starts the service with `serve`, in production")
_BY_HAND = (
    "See that it starts `serve`, as no other server, in production, with one store for several instances (HARDENING.md, Server), "
    "and say so in `[[tool.hardening.verify.accept]]`."
)
_COMMAND = re.compile(r"((docker|start|run)_?)?(command|cmd)|entry_?point|start|exec|startupcommand", re.IGNORECASE)
_ENV = re.compile(r"env(_?var(iable)?s|s|ironment)?|environment(variables)?|variables", re.IGNORECASE)
_PROCESSES = ("processes", "run")
_PAIR = re.compile(r"\"?(\w+)=(\"[^\"]*\"|'[^']*'|[^\s,\"]*)")
_SERVES = re.compile(
    r"^(?![ \t]*#|.*(?:--reload|install|add)\b).*\b(?:uvicorn|gunicorn|hypercorn|daphne)\b[ \t\"',].{0,300}\b[\w.]+:[A-Za-z_]",
    re.MULTILINE,
)
_OTHERWISE = re.compile(
    r"\.py\b|\bhandler\b|app_function|\b[aw]sgi\b|@vercel/python|\bruntime: *python",
    re.IGNORECASE,
)
_SAYS = re.compile(
    r"^(?![ \t]*(#|//)).*\bAPP_(ENV[\"']?\s*[:=]\s*[\"']?development|DOCS[\"']?\s*[:=]\s*[\"']?true)", re.MULTILINE
)
_RUNS = re.compile(
    r"aws_(ecs_task|apprunner|lambda_f)|google_cloud_run|azurerm_(container|linux_web)|docker_container|helm_release|modules/ecs|"
    r"kubernetes_(deploy|pod|stateful)|containerDefinitions|(docker|podman)_(container|swarm_service):|Microsoft\.App/|"
    r"AWS::(ECS|Lambda|Serverless|AppRunner)::|heroku_|nomad_job|fly_machine|digitalocean_app"
)
_SETS = re.compile(
    r"\b(ssh\b(?:\\\n|.)*|(gcloud|az|fly(ctl)?|heroku|kubectl|helm(?! (template|lint))|railway|doctl|aws|dokku|eb|cf|oc|scalingo|"
    r"(docker|podman) service)\b(?:\\\n|[^\n;&|])*|\b(env_vars|environment-variables)[\"']?:(?:.|\n(?=\s*[\w-]+=))*)"
    r"\bAPP_(ENV[= ][\"']?development|DOCS=[\"']?(true|1|yes|on)\b|(ALLOWED_HOSTS|CORS_ORIGINS|TRUSTED_PROXIES)=[\"']?\*)"
)
"""A command that sets it for a platform, in whatever script or pipeline."""
_FOR_OTHERS = re.compile(
    r"(^|[/._-])(dev|devel|development|local|preview|review|sandbox)([/._-]|$)|\.(rst|txt|html|adoc|csv|svg|ipynb)$"
)
"""What sets it for development alone, or is read by people."""
_MARKS = "pyproject.toml setup.py manage.py requirements.txt package.json go.mod Gemfile pom.xml"
"""By which a folder is a project of its own."""
_BLOCK = re.compile(r"^(?:resource|module)\b[^\n]*\{[ \t]*\n.*?^\}", re.MULTILINE | re.DOTALL)
_QUIET = re.compile(
    r"^(?:output|variable|data|moved|import|check|provider)\b[^\n]*\{[ \t]*\n.*?^\}|"
    rf"^resource\s+\"(?!(?:{_RUNS.pattern}))[^\n]*\{{[ \t]*\n.*?^\}}",
    re.MULTILINE | re.DOTALL,
)
"""Blocks of Terraform: what may run something, and what only names it."""
_IMAGE = re.compile(r"\b(?:image|chart)\"?\s*[=:]\s*\"([^\"]+)\"")
"""What a block of Terraform runs."""
SHIPS = re.compile(r"(^|[/._-])(prod|production|deploy|release|ship|live)([/._-]|$)")
_DEVELOPS = re.compile(
    r"(?<=\s)--d(ev?)?(?=\s|$)|\bAPP_ENV=[\"']?development\b[\"']?|\b(uvi|hyper)corn\b[^\n;&|]*\s--reload\b[^\n;&|]*"
)
_OF_PODMAN = {"User": "--user", "Network": "--net", "AddCapability": "--cap-add", "Volume": "-v", "PodmanArgs": ""}
_OF_SCRIPTS = re.compile(
    r"\bAPP_(ENV|DOCS)=|\b(uvi|guni|hyper)corn\b|\bserve\b.*\s--d(e|ev)?\b|\b(docker|podman|nerdctl)\b.*\brun\b"
)
_PROSE = (".rst", ".txt", ".html", ".adoc", ".csv", ".js", ".ts", ".css", ".svg", ".ipynb", ".py", ".md", ".conf")
DEVELOPMENT = re.compile(
    r"(^|[/._-])(dev|devel|development|devcontainer|local|tests?|testing|ci|e2e|debug|reload|watch|mprocs|tiltfile)([/._-]|$)",
    re.IGNORECASE,
)


def _lines(text: str, _: Path) -> Iterator[Start]:
    """A Procfile: a command for each kind of process."""
    yield from (Start(("sh", "-c", command)) for command in re.findall(r"^[\w-]+:[ \t]*(.+)$", text, re.MULTILINE))


def _units(text: str, _: Path) -> Iterator[Start]:
    """Units of systemd and Podman, and programs of supervisors."""
    text = re.sub(r"\\\n(?:[ \t]*[#;].*\n)*", " ", text)
    lines = re.findall(r"^environment\s*=\s*(.*)$", text, re.MULTILINE | re.IGNORECASE)
    env = {name: value.strip("\"'") for line in lines for name, value in _PAIR.findall(line)}
    if files := re.findall(r"^EnvironmentFile\s*=\s*-?(\S+)", text, re.MULTILINE):
        env["UV_ENV_FILE"] = " ".join(files)  # which is read in the same way
    commands = re.findall(r"^(?:ExecStart|command|cmd)\s*=\s*[-@:+!]*(.+)$", text, re.MULTILINE)
    if image := re.findall(r"(?m)^Image\s*=\s*(.+)$", text):
        said = re.findall(r"(?m)^(\w+)\s*=\s*(.+)$", text)
        flags = [f"{_OF_PODMAN[key]} {value}" for key, value in said if key in _OF_PODMAN]
        commands = [" ".join(["podman run", *flags, *image, *(value for key, value in said if key == "Exec")])]
    yield from (Start(("sh", "-c", command), env) for command in commands)
    if not commands and any(map(is_development, env, env.values())):
        yield Start((), env)


def _data(text: str, path: Path) -> Iterator[Start]:
    """What is put together of tables: wherever a command stands in one, with the variables beside it and above it."""
    reads = {".toml": tomllib.loads, ".json": json.loads}.get(path.suffix.lower())
    yield from _of_tables(reads(text) if reads else documents(path.name, text), {})


def _of_tables(value: Any, above: Mapping[str, str]) -> Iterator[Start]:
    for each in value if isinstance(value, list) else ():
        yield from _of_tables(each, above)
    table = mapping(value)
    own = {name: text for key, each in table.items() if _ENV.fullmatch(str(key)) for name, text in _variables(each)}
    env = {**above, **own}
    said = [each for key, each in table.items() if _COMMAND.fullmatch(str(key)) and texts(each)]
    said.sort(key=lambda each: each not in [table.get(key) for key in ("entrypoint", "entryPoint")])
    if len(said) == 1 and isinstance(said[0], str):
        yield Start(("sh", "-c", said[0]), env)
    elif said:
        yield Start(
            tuple(word for each in said for word in (shlex.split(each) if isinstance(each, str) else texts(each))), env
        )
    elif any(map(is_development, own, own.values())):
        yield Start((), own)
    for key, each in table.items():
        if key in _PROCESSES and not any(map(_COMMAND.fullmatch, mapping(each))):
            yield from (Start(("sh", "-c", text), env) for text in mapping(each).values() if isinstance(text, str))
        if not _ENV.fullmatch(str(key)) and "health" not in str(key).lower():
            yield from _of_tables(each, env)


def _variables(value: Any) -> Iterator[tuple[str, str]]:
    for each in value if isinstance(value, list) else [value]:
        table = mapping(each)
        if name := table.get("name", table.get("key", table.get("Name"))):
            yield str(name), str(table.get("value", table.get("Value", "$elsewhere")))
        elif isinstance(each, str):
            yield tuple(each.split("=", 1)) if "=" in each else (each, f"${each}")  # type: ignore[misc]
        else:
            for key, text in table.items():
                yield from _variables(text) if isinstance(text, dict) else [(str(key), str(text))]


def _pipeline(text: str, path: Path) -> Iterator[Start]:
    """What the jobs of a pipeline run that ship it; the others try it."""
    table = mapping(next(iter(documents(path.name, text)), None))
    for name, job in (mapping(table.get("jobs")) or table).items():
        of_job = mapping(job)
        about = f"{name}/{' '.join(text for _, text in pairs(of_job.get('environment')))}".lower()
        ships = "environment" in of_job or SHIPS.search(f"{path.stem}/{name}/{of_job.get('stage')}".lower())
        for key, script in pairs(of_job) if ships and not _FOR_OTHERS.search(f"{path.stem}/{about}") else ():
            yield from _script(script, Path("deploy")) if key in ("run", "script") else ()


def _recipes(text: str, _: Path) -> Iterator[Start]:
    """What the recipes of a makefile or justfile run that ship it."""
    for name, lines in re.findall(r"^([\w./-]+)[^:=\n]*:(?!=).*\n((?:[ \t]+.*\n?)+)", text, re.MULTILINE):
        if SHIPS.search(name) and not _FOR_OTHERS.search(name):
            yield from _script(re.sub(r"^\s+[@+-]*", "", lines, flags=re.MULTILINE), Path("deploy"))


def _script(text: str, path: Path) -> Iterator[Start]:
    """A shell script, if it says a word of it. One that starts development here is for who works on it."""
    if not SHIPS.search(path.name) and not re.search(r"\b(docker|podman|nerdctl|ssh)\b", text):
        text = _DEVELOPS.sub("", text)
    if _OF_SCRIPTS.search(text):
        yield Start(("sh", "-c", text))


def _of_node(text: str, _: Path) -> Iterator[Start]:
    """The scripts of a package.json."""
    yield from _of_tables(mapping(json.loads(text)).get("scripts"), {})


def _unread(text: str, path: Path) -> Iterator[Start]:
    raise UnverifiedError("how it starts the service is not understood here", _BY_HAND)
    yield


Reader = Callable[[str, Path], Iterator[Start]]
_FORMATS: tuple[tuple[str, Reader], ...] = (
    (r"procfile([._-].+)?", _lines),
    (r".+\.(service|container)(\.d/.+\.conf)?|circus\.ini", _units),
    (r"\.(github|forgejo|gitea)/workflows/.+|\.gitlab-ci\.yml", _pipeline),
    (r"(gnu)?makefile|.+\.mk|\.?justfile", _recipes),
    (
        r"(\.platform\.)?app([._-][\w-]+)?\.(ya?ml|json)|(fly|railway|nixpacks|scalingo|samconfig)([._-][\w-]+)?\.(toml|json)|"
        r"(render|heroku|apprunner|cloudbuild)\.ya?ml|config/deploy([._-][\w-]+)?\.ya?ml|captain-definition|"
        r"netlify\.toml|copilot/.+/manifest\.ya?ml|(vercel|dockerrun\.aws|task-?def(inition)?[\w.-]*)\.json",
        _data,
    ),
    (r"package\.json", _of_node),
    (r"chart\.yaml|serverless\.(ya?ml|json)|zappa_settings\.json|uwsgi\.ini|ecosystem\.config\.c?js", _unread),
    (r".+\.(pod|kube|nomad)|(.+\.)?nomad\.hcl|gunicorn([._]conf(ig)?)?\.py|\.ebextensions/.+\.config", _unread),
    (r".+\.(sh|bash)", _script),
)
_SELDOM = (_script, _of_node, _pipeline, _recipes)
"""What reads files of which most have nothing to do with it: they are named if something is wrong in them."""


def _reader(path: Path, name: str, text: str) -> Reader | None:
    for pattern, reader in _FORMATS:
        if re.fullmatch(rf"(.*/)?({pattern})", name, re.IGNORECASE):
            return reader
    if re.search(r"^\[program:", text, re.MULTILINE):
        return _units
    if path.suffix in (".tf", ".bicep", ".json", ".yml", ".yaml") and _RUNS.search(text):
        return _unread if path.suffix in (".tf", ".bicep") else _data
    return _script if re.match(r"#!.*\b(ba|da|z|a)?sh\b", text) else None


def _sets(name: str, text: str) -> re.Match[str] | None:
    return None if _FOR_OTHERS.search(name) else _SETS.search(text)


def may_start(path: Path, name: str, text: str) -> bool:
    """Whether a file is one of these; or none of them, and no text, test or pipeline, and names another server."""
    elsewhere = path.suffix in _PROSE or name.startswith(("tests/", ".github/", ".gitlab", "src/"))
    by_text = _sets(name, text) or (not elsewhere and _SERVES.search(text))
    return _reader(path, name, text) is not None or bool(by_text)


def _is_of_another(path: Path, text: str, options: Options) -> bool:
    """Whether a file is of another project in a folder, or is Terraform for others, and says no word of this service."""
    project = options.project.resolve()
    names = "|".join(re.escape(each).replace("_", "[-_]") for each in (options.package, project.name))
    ours = re.compile(rf"{names}|\bAPP_[A-Z]|(?<!\.)\.\.(?!\.)", re.IGNORECASE)
    if path.suffix == ".tf":
        text = _QUIET.sub("", text)
        blocks = [each for each in _BLOCK.findall(text) if _RUNS.search(each)]
        images = [[re.match(r"\w[^$]*$", x) for x in _IMAGE.findall(each)] for each in blocks]
        named = all(each and all(each) for each in images)
        return named and not _RUNS.search(_BLOCK.sub("", text)) and not any(map(ours.search, blocks))
    folders = [each for each in path.resolve().parents if each.is_relative_to(project) and each != project]
    folder = next((each for each in folders if any((each / mark).is_file() for mark in _MARKS.split())), None)
    if folder is None or ours.search(text):
        return False
    code = (each for each in files_of_team(folder) if each.suffix in (".py", ".js", ".ts"))
    return not any(re.search(names, each.read_text(encoding="utf-8", errors="replace")) for each in code)


def says_what_is_built(path: Path, name: str, text: str) -> bool:
    """Whether a file tells a platform which container file to build, for others than who works on it."""
    return _reader(path, name, text) is _data and not DEVELOPMENT.search(name)


def checks(path: Path, name: str, options: Options) -> Iterator[Check]:
    """What is asked of one of these files; as `docker.checks`."""
    rule, text = OTHERS.of(name, OTHERS.name), path.read_text(encoding="utf-8", errors="replace")
    reader, found, broken = _reader(path, name, text) or _unread, list[Check](), ""
    if sets := _sets(name, text):
        yield rule.insecure(" ".join(sets[0].split())[-80:], f"Leave it out of {name}. {_BY_HAND}")
        return
    if _is_of_another(path, text, options):
        yield rule.not_looked_at("it is for something else, and says no word of this service")
        return
    try:
        if is_for_people := reader is not _pipeline and DEVELOPMENT.search(name) is not None:
            found = [rule.not_looked_at("it is named for development")]
        else:
            found = [judge(rule, each, options, name) for each in reader(text, path)]
    except (UnverifiedError, ValueError) as error:
        broken = str(error)
    result = worst(each.outcome for each in found) if found else Outcome.NOT_LOOKED_AT
    serves = _SERVES.search(text) is not None
    is_other = (serves or _SAYS.search(text) is not None) if reader not in _SELDOM else serves and reader is _recipes
    if reader in _SELDOM and result is not Outcome.INSECURE and not (serves and (broken or reader is _recipes)):
        return
    if broken:
        yield rule.unverified(broken, _BY_HAND)
    elif not is_for_people and result is not Outcome.INSECURE and (is_other or (not found and _OTHERWISE.search(text))):
        yield rule.unverified("it may start another server, a function, or development", _BY_HAND)
    elif found:
        yield next(each for each in found if each.outcome is result)
    else:
        yield rule.not_looked_at("it says nothing of what it starts: its image does", _BY_HAND)
