# Owned by the template: an update rewrites this file.
"""How a container starts the service: with `serve`, in production, and as nobody else's server."""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from ...common.expand import expanded
from ...common.shell import Command, commands
from ...result import Check, Options, Rule, listed

SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "uwsgi", "waitress", "waitress-serve", "fastapi")
_STARTERS = """
    nohup setsid unbuffer catchsegv catatonit prlimit vault-env ddtrace-run ; gosu su-exec setuidgid s6-setuidgid taskset newrelic-admin 1 ;
    tini -p -e ; dumb-init -r --rewrite ; nice -n --adjustment ; timeout -s --signal -k --kill-after 1 ; stdbuf -i -o -e ;
    ionice -c --class -n --classdata ; chrt -T -P -D 1 ; numactl -i -m -N -C -p ; sudo -u --user -g --group -h -p -C -D -T -r -t ;
    doas -u -C ; runuser -u -g -G ; chpst -u -U -b -n -l -L -m -d -o -p -f -c -r -t -e -/ ;
    opentelemetry-instrument --traces_exporter --metrics_exporter --logs_exporter --service_name ;
    setpriv --reuid --regid --groups --inh-caps --ambient-caps --bounding-set --securebits --pdeathsig
"""
HAND_ON = {
    name: ([flag for flag in each if flag[0] == "-"], int(each[-1]) if each[-1].isdecimal() else 0)
    for each in map(str.split, _STARTERS.split(";"))
    for name in each
    if name[0].isalpha()
}
"""What only starts a command: its options that take a value, and how many words stand before the command."""
_RUNNERS = ("uv", "uvx", "poetry", "pdm", "hatch", "rye")
_OF_UV = """
    --from --with --env-file --project --directory --package --extra -p --python --index --group --no-group --only-group
    --default-index
"""
TAKE_A_VALUE = _OF_UV.split()
_SKIPPED = {"node_modules", "__pycache__", "site-packages", "dist", "verify"}
_HIDDEN = {".ebextensions", ".devcontainer", ".docker", ".github", ".gitlab", ".deploy", ".do", ".platform", ".aws"}
_HIDDEN |= {".ci", ".config", ".k8s", ".kube", ".infra", ".ops"}
_IMPORTS_SERVER = re.compile(
    rf"^\s*(?:import|from)\s+({'|'.join(SERVERS[:-1])})\b|"
    rf"\b(exec\w+|run|Popen|\w*call|system|spawn\w+)\([^)]*\b({'|'.join(SERVERS[:-1])})\b",
    re.MULTILINE,
)
_SERVES = re.compile(rf"\b({'|'.join(SERVERS)})\b.*\b[\w.]+:[A-Za-z_]")
_ARGUMENTS = re.compile(r"\"?\$(?:@|\*|\{@\})\"?")
_UNSET = re.compile(r"\$\{?\w")
_PLAIN = re.compile(r"[\w./:=@,+* -]+")
_OPEN = {"*", "null", "0.0.0.0/0", "::/0"}
_ALONE = re.compile(
    r"-[ditPq]+|--(detach|init|interactive|tty|rm|privileged|read-only|publish-all|no-healthcheck|quiet|replace)"
)
"""Flags of `docker run` that take no value."""
_FREES = re.compile(
    r"--privileged (true)?|(-u|--user) (root|0+)(:.*)?|--(net|network|pid|ipc|uts|userns|cgroupns) host|"
    r"--cap-add (CAP_)?(ALL|SYS_(?!CHROOT).*)|--security-opt .*(unconfined|disable|new-privileges[:=]false)|"
    r"(-v|--volume|--mount) (.*(docker|podman|containerd|crio)[\w-]*\.sock.*|/:.*)"
)
"""Those that take from it what holds a container of compose."""
_REMEDY = (
    "Start it with `python -m {package} serve`; what another server leaves unbounded is in HARDENING.md, under Server."
)


_OURS = re.compile(
    r"\bAPP_(DOCS|ALLOWED_HOSTS|TRUSTED_PROXIES|STORE_URL|CORS_ORIGINS|RATE_LIMIT|SECRETS_DIR|DATABASE_URL)",
    re.IGNORECASE,
)
"""Settings by which a container is told to be this service; `APP_ENV` is one of Laravel and Symfony as well."""
_ENV_FILE = re.compile(r"(.*[._-])?env([._-].*)?")


@dataclass(frozen=True, slots=True)
class Start:
    """What a container runs.

    Args:
        argv: Its command, entry point included; a shell form is `sh -c` and the text.
        env: Its environment, as far as the files say.
        user: As whom, as the files say it; empty if they do not.
    """

    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""


def is_ours(image: str, said: str, options: Options) -> bool:
    """Whether a container runs this service: its image is named like it, our package starts it, or our settings are set."""
    image = image.partition("@")[0].rpartition("/")[2].partition(":")[0].replace("_", "-")
    names = {options.package.replace("_", "-"), options.project.resolve().name.replace("_", "-").lower()}
    by_name = any(image == each or image.startswith(f"{each}-") for each in names)
    package = re.escape(options.package)  # as a module that is started; `pg_dump orders` is something else
    starts = rf"(^|-[mA] ?|bin/){package}(?![\w/-])|(?<![\w./-]){package}((\.\w+)*:[A-Za-z_]| serve\b)"
    return by_name or re.search(starts, said) is not None or _OURS.search(said) is not None


def is_root(user: str) -> bool:
    """Whether this is the user root; a group alone gives no such right."""
    return re.match(r"(root|0+)(:|$)", user) is not None


def judge(rule: Rule, start: Start, options: Options, where: str) -> Check:
    """Whether a container starts the service as production must. What starts no server is not looked at.

    Args:
        rule: What it is about.
        start: What it runs.
        options: Where the service is, and what its package is called.
        where: The file, for the remedy.
    """
    remedy = f"{_REMEDY.format(package=options.package)} It stands in {where}."
    try:
        ran = list(_ran(start.argv, options, 0, start.env))
    except ValueError as error:
        return rule.unverified(str(error), remedy)
    env = dict(start.env)
    for name in env.get("UV_ENV_FILE", "").split():
        env |= _named(name, options.project)
    for each in ran:
        env |= each.env
    bad = [f"{name}={value}" for name, value in env.items() if is_development(name, value)]
    unknown = [
        f"{name}={value}"
        for name, value in env.items()
        if name.upper() in ("APP_ENV", "APP_DOCS") and _UNSET.match(value)
    ]
    said = [_said(each.argv, options) for each in ran]
    bad += [text for kind, text in said if kind == "bad"]
    unknown += [text for kind, text in said if kind == "unknown"]
    if bad:
        return rule.insecure(listed(bad), remedy)
    if unknown or not ran:
        return rule.unverified(listed(unknown) or "it says nothing of what it starts", remedy)
    serves = [text for kind, text in said if kind == "serve"]
    if serves:
        return rule.proved(serves[0])
    return rule.not_looked_at(f"it starts no server that is known: {shlex.join(ran[-1].argv)[:80]}")


def is_development(name: str, value: str) -> bool:
    """Whether a variable turns the service's protection down, as only development may."""
    plain = value.strip().strip("\"'").lower()
    if _UNSET.match(plain):
        return False
    if name.upper() == "APP_ENV":
        return plain == "development"  # with anything else it does not start
    if name.upper() in ("APP_ALLOWED_HOSTS", "APP_CORS_ORIGINS", "APP_TRUSTED_PROXIES"):
        return any(x in _OPEN or re.search(r"/[0-7]$", x) for x in (x.strip(" []\"'") for x in plain.split(",")))
    return name.upper() == "APP_DOCS" and plain in ("1", "true", "yes", "on", "t", "y")


def _ran(argv: Sequence[str], options: Options, depth: int, around: Mapping[str, str]) -> Iterator[Command]:
    """Each command that comes of it; a script of the repository is read, and so is what is handed on to it."""
    if not argv:
        return
    known = {name: value for name, value in around.items() if _PLAIN.fullmatch(value)}
    for each in commands(shlex.join(expanded(word, known) for word in argv)):
        if each.argv[0] == "export":
            yield Command((), each.env)
        for word in (x for x in each.argv if "ssh" in each.argv and " " in x):  # `ssh host 'docker run ...'`
            yield from _ran(("sh", "-c", word), options, depth, known)
        named = [after for word, after in pairwise(each.argv) if word in (".", "source", "--env-file")]
        parts = [part for word in each.argv for part in re.split(r"[\s=$()`]+", word)]
        for word in dict.fromkeys([*named, *(x for x in parts if _ENV_FILE.fullmatch(x.rpartition("/")[2]))]):
            if values := _named(word, options.project):
                yield Command((), values)
        if each.argv[0] == "export":
            continue
        words = _unwrapped(each.argv, options.project)
        dropped = each.argv[: len(each.argv) - len(words)]
        env = {**each.env, **dict(word.split("=", 1) for word in dropped if re.match(r"\w+=", word))}
        if words[:1] in (("docker",), ("podman",), ("nerdctl",)) and "run" in words[1:3]:
            words, given, loose = _contained(words, options)
            yield Command(("docker", "run", *loose) if loose else (), env | given)
        if words not in ((), each.argv):
            yield from (replace(inner, env={**env, **inner.env}) for inner in _ran(words, options, depth, known))
            continue
        script = next((path for word in words[:2] if (path := _script(word, options.project))), None)
        if script is None or depth > 3:
            yield Command(words, env)
            continue
        rest = shlex.join(words[words.index(next(w for w in words[:2] if _script(w, options.project))) + 1 :])
        text = _ARGUMENTS.sub(lambda _, rest=rest: rest, script.read_text(encoding="utf-8", errors="replace"))  # type: ignore[misc]
        inside = _ran(("sh", "-c", text.removeprefix("\ufeff")), options, depth + 1, known | env)
        yield from (replace(inner, env={**env, **inner.env}) for inner in inside)


def _contained(words: tuple[str, ...], options: Options) -> tuple[tuple[str, ...], dict[str, str], list[str]]:
    """The command that `docker run` gives to a container, its variables, and what frees one of ours."""
    env, loose, left = {}, [], list(words[words.index("run") + 1 :])
    while left and left[0].startswith("-"):
        flag, equals, value = left.pop(0).partition("=")
        if not equals and not _ALONE.fullmatch(flag):
            value = left.pop(0) if left else ""
        if flag in ("-e", "--env"):
            name, _, env[name] = value.partition("=")
        loose += [f"{flag} {value}".strip()] * (_FREES.fullmatch(f"{flag} {value}") is not None)
    said = f"{' '.join(left[1:])} {' '.join(env)}"
    return tuple(left[1:]), env, loose if left and is_ours(left[0], said, options) else []


def _unwrapped(argv: tuple[str, ...], project: Path) -> tuple[str, ...]:
    """Without what only hands on: an init, `uv run`, `env`, a change of the user; not a script that can be read."""
    words = list(argv)
    while words:
        name = words[0].rpartition("/")[2]
        if name in HAND_ON:
            words = handed_on(words)
        elif name in _RUNNERS and words[1:2] == ["run"]:
            del words[:2]
        elif len(words) < len(argv) and words[0] == "-m":  # `uv run -m`
            words.insert(0, "python")
            break
        elif len(words) < len(argv) and re.match(r"-|\w+=", words[0]):
            del words[: 2 if words[0] in TAKE_A_VALUE else 1]
        elif any(_script(word, project) for word in words[:2]) or name in SERVERS or re.match("python", name):
            break
        elif "--" in words:  # whatever it is, it starts what follows
            del words[: words.index("--") + 1]
        else:
            break
    return tuple(words)


def handed_on(words: Sequence[str]) -> list[str]:
    """The command that whatever only starts it starts; the words as they are if they are one."""
    left = list(words)
    while left and (found := HAND_ON.get(left[0].rpartition("/")[2])):
        with_value, before = found
        del left[0]
        while left and left[0].startswith("-"):
            ends = left[0] == "--"
            del left[: 2 if left[0] in with_value else 1]
            if ends:
                break
        del left[:before]
    return left


def _script(word: str, project: Path) -> Path | None:
    """The shell script of this repository that a word names, wherever the image has put it."""
    if not re.search(r"(\.sh|(^|/)[\w-]*entrypoint[\w.-]*)$", word):
        return None
    name = word.rpartition("/")[2]
    found = [each for each in files_of_team(project) if each.name == name]
    return found[0] if len(found) == 1 else None


def _said(argv: tuple[str, ...], options: Options) -> tuple[str, str]:
    """What a command is: `serve`, `bad`, `unknown`, or nothing that serves; and how to show it."""
    if not argv:
        return "", ""
    name, text = argv[0].rpartition("/")[2], shlex.join(argv)[:80]
    rest, module = list(argv[1:]), ""
    if re.fullmatch(r"python[\d.]*", name):
        while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c"):
            rest = rest[2 if rest[0] in ("-X", "-W") else 1 :]
        if rest[:1] == ["-m"] and len(rest) > 1:
            module, rest = rest[1], rest[2:]
        elif rest[:1] == ["-c"]:
            return ("bad", text) if re.search("|".join(SERVERS), text) else ("unknown", text)
        else:
            return _served_by_file(options.project, rest[0] if rest else "", text)
    elif entry := _entry_points(options.project).get(name):
        module = entry.partition(":")[0].removesuffix(".__main__")
    if name in SERVERS or module.partition(".")[0] in SERVERS:
        return ("", "") if name == "fastapi" and rest[:1] not in (["run"], ["dev"]) else ("bad", text)
    if module.removesuffix(".__main__") == options.package:
        if any(re.fullmatch(r"--d(ev?)?", each) for each in rest):
            return "bad", text
        other = ("", "") if "check" in rest else ("bad", f"{text}, without `serve`")
        return ("serve", text) if "serve" in rest else other
    if module.partition(".")[0] == options.package:
        return _served_by_file(options.project, f"src/{module.replace('.', '/')}.py", text)
    if argv[:2] == ("docker", "run"):
        return "bad", text
    may_be = "$" in name or name.endswith(".sh") or "entrypoint" in name
    may_be = may_be or (name not in ("echo", "printf") and _SERVES.search(" ".join(argv)) is not None)
    return ("unknown", text) if may_be else ("", "")


def _served_by_file(project: Path, name: str, text: str) -> tuple[str, str]:
    """A Python file of the repository: whether it brings a server of its own."""
    found = [each for each in files_of_team(project) if each.name == name.rpartition("/")[2]]
    if not found:
        return "unknown", text
    sources = [each.read_text(encoding="utf-8", errors="replace") for each in found]
    return ("bad", f"{text}, which brings a server") if any(map(_IMPORTS_SERVER.search, sources)) else ("", "")


def env_file(path: Path) -> dict[str, str]:
    """The variables of a file such as `.env`; nothing if it is not there."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    found = (re.fullmatch(r"\s*(?:export\s+)?(\w+)\s*[=:]\s*(.*?)(?:\s#.*)?", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def files_of_team(project: Path) -> Iterator[Path]:
    """The files of a repository, but for what is made or brought by tools, and verify."""
    for folder, folders, names in os.walk(project):
        folders[:] = sorted(x for x in folders if x not in _SKIPPED and (not x.startswith(".") or x in _HIDDEN))
        yield from (Path(folder, name) for name in sorted(names))


def _named(word: str, project: Path) -> dict[str, str]:
    """The variables of a file that a command names, wherever the image has put the repository's folders.

    If there is one of that name elsewhere alone, and it is for development, nobody knows whether it is meant.
    """
    parts = [each for each in word.split("/") if each not in ("", ".", "..")]
    found = (project.joinpath(*parts[start:]) for start in range(len(parts)))
    if path := next((each for each in found if each.is_file() and each.suffix != ".sh"), None):
        return env_file(path)
    for path in files_of_team(project) if parts and not parts[-1].endswith(".sh") else ():
        if path.name == parts[-1] and any(is_development(*each) for each in env_file(path).items()):
            return {"APP_ENV": f"${path.relative_to(project).as_posix()}"}
    return {}


def _entry_points(project: Path) -> dict[str, str]:
    try:
        scripts = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
        return {str(name): str(value) for name, value in scripts.items()}
    except (OSError, ValueError, LookupError, AttributeError):
        return {}
