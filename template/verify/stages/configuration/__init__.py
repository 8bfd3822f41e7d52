# Owned by the template: an update rewrites this file.
"""The configuration: production starts only with what it needs, and the files around the code still hold what matters.

Dockerfile, compose file, workflows and ignore files belong to the team, and bots rewrite them. Nothing here edits them;
it says what they must keep. They are read for a handful of lines, and what cannot be read so is "could not tell".
"""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...harness.service import given
from ...result import Check, Options, Outcome
from ...runner import subprocesses
from ...upkeep import bounds
from ..lock import listed

TIMEOUT = 30.0
PRODUCTION = {
    "APP_ENV": "production",
    "APP_ALLOWED_HOSTS": "api.example.com",
    "APP_STORE_URL": "memory://",
    "APP_TRUSTED_PROXIES": "none",
}
"""What production must say; `verify` says it in the place of whoever deploys."""
REFUSALS = {"hosts.E001": "APP_ALLOWED_HOSTS", "proxy.E001": "APP_TRUSTED_PROXIES"}
"""What must keep a service from starting when nothing is set, and the setting that it is about."""

_UNREADABLE = re.compile(r"(APP_\w+) cannot be read: (.*)")


def stage(options: Options) -> Iterator[Check]:
    """Whether the settings, and the files around the code, are safe."""
    yield from _settings(options)
    yield bounds.check(options.project)
    for name, check in FILES.items():
        path = options.project / name
        if path.is_file():
            yield from check(path)
        else:
            yield _proved(f"{name} is safe", "not used")
    yield from _workflows(options.project)
    yield from _secrets(options.project)


def _proved(name: str, seen: str) -> Check:
    return Check("configuration", name, Outcome.PROVED, seen)


def _insecure(name: str, seen: str, remedy: str) -> Check:
    return Check("configuration", name, Outcome.INSECURE, seen, remedy)


def _untold(name: str, seen: str, remedy: str) -> Check:
    return Check("configuration", name, Outcome.UNVERIFIED, f"could not tell: {seen}", remedy)


# ---------------------------------------------------------------------------------------------------------------------
# Settings
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """What `python -m <package> check --format json` said."""

    code: int
    data: dict[str, Any]

    @property
    def ids(self) -> set[str]:
        return {finding["id"] for finding in self.data["findings"]}

    def missing(self) -> dict[str, str]:
        """The settings that could not be read, and why."""
        found = (_UNREADABLE.match(each["message"]) for each in self.data["findings"] if each["id"] == "settings.E001")
        return {match[1]: match[2] for match in found if match}


class CannotTellError(Exception):
    """The service gave no report."""


def report(options: Options, variables: Mapping[str, str]) -> Report:
    """Ask the service what it would start with.

    Raises:
        CannotTellError: It does not say.
    """
    command = [sys.executable, "-X", "utf8", "-m", options.package, "check", "--format", "json"]
    try:
        ran = subprocesses.run(command, options.project, TIMEOUT, variables)
        if ran.code is None:
            raise CannotTellError(f"it gave no report within {TIMEOUT:g} s")
        data = json.loads(ran.out)
        found = Report(ran.code, {name: data[name] for name in ("findings", "routes", "settings")})
        found.ids.union(found.missing())  # whatever is not as expected shows here
    except OSError as error:
        raise CannotTellError(str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotTellError(ran.last() or "it says nothing") from None
    return found


def _settings(options: Options) -> Iterator[Check]:
    by_hand = f"Run `uv run python -m {options.package} check` and look."
    name = "production starts with safe settings and routes"
    own = {name: value for name, value in given(options.project).items() if name not in PRODUCTION}
    try:
        told = report(options, {**own, **PRODUCTION})
        untold = report(options, own)
    except CannotTellError as error:
        yield _untold(name, f"check says: {error}", by_hand)
        return
    values = " ".join(f"{key}={value}" for key, value in PRODUCTION.items())
    said = f"verify sets {values}" + (f", and from pyproject.toml {listed(own, 9)}" if own else "")
    unread = sorted(setting for setting, why in told.missing().items() if "required" in why.lower())
    errors = [each for each in told.data["findings"] if each["level"] == "error"]
    if unread:
        example = f'`{unread[0]} = "..."` in the table [tool.hardening.verify.environment]'
        remedy = f"Put a made-up value that it can start with into pyproject.toml: {example}."
        yield _untold(name, f"{listed(unread)} has no default, and verify takes no value from outside", remedy)
    elif bool(errors) != (told.code == 1) or told.code not in (0, 1):
        yield _untold(name, f"check ends with {told.code} and {len(errors)} errors", by_hand)
    else:
        for each in told.data["findings"]:
            level = Outcome.INSECURE if each["level"] == "error" else Outcome.PROVED
            yield Check("configuration", f"no {each['id']}", level, str(each["message"]), str(each["hint"]))
        if not errors:
            yield _proved(name, f"{len(told.data['routes'])} routes, no error; {said}")
    if not unread:
        yield from _refusal(untold)
    yield from _accepted(told)


def _refusal(found: Report) -> Iterator[Check]:
    name = "with nothing set, production refuses to start"
    values = {each["name"]: each["value"] for each in found.data["settings"]}
    # A team may say in its settings.py what production must say; then nothing is missing.
    in_code = {setting for setting in REFUSALS.values() if values.get(setting, "") not in ("", "not said")}
    awaited = {each for each, setting in REFUSALS.items() if setting not in in_code}
    if awaited - found.ids or (awaited and found.code != 1):
        seen = f"check ends with {found.code}, without {listed(sorted(awaited - found.ids)) or 'an error'}"
        yield _insecure(name, seen, "Take defaults out of settings.py that make up what only a deployment can know.")
    else:
        seen = f"refused: {listed(sorted(awaited))}" if awaited else "nothing is missing"
        yield _proved(name, seen + (f"; settings.py says {listed(sorted(in_code))}" if in_code else ""))


def _accepted(found: Report) -> Iterator[Check]:
    for route in found.data["routes"]:
        for each, reason in route["policy"].get("insecure_because", {}).items():
            name = f"{route['route']} is excepted from {each}"
            yield Check(
                "configuration", name, Outcome.PROVED, f"accepted by the team: {reason}", "See that it still holds."
            )


# ---------------------------------------------------------------------------------------------------------------------
# Files of the team
# ---------------------------------------------------------------------------------------------------------------------


def _dockerfile(path: Path) -> Iterator[Check]:
    text = re.sub(r"^\s*#.*\n?", "", path.read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE)
    instructions = [line.strip() for line in re.sub(r"[\\`][ \t]*\r?\n", " ", text).splitlines() if line.strip()]
    starts = [number for number, line in enumerate(instructions) if re.match(r"FROM\s", line, re.IGNORECASE)]
    last = instructions[starts[-1] :] if starts else []
    users = [match[1] for line in last if (match := re.match(r"USER\s+(\S+)", line, re.IGNORECASE))]
    name = "the image runs as somebody who is not root"
    remedy = "End the last stage of the Dockerfile with `USER 10001:10001`."
    if not users or re.match(r"(root|0+)(:|$)", users[-1]):
        yield _insecure(name, f"USER {users[-1]}" if users else "no USER in the last stage", remedy)
    elif "$" in users[-1]:
        yield _untold(name, f"USER {users[-1]} depends on the build", "Write the number itself.")
    else:
        yield _proved(name, f"USER {users[-1]}")

    name = "the image holds nothing of the development group"
    installs = [line for line in instructions if re.search(r"\buv\s+(sync|export)\b", line)]
    everywhere = re.search(r"^ENV\s.*\bUV_(NO_DEV|NO_DEFAULT_GROUPS)[= ][\"']?(1|true)", text, re.M | re.I)
    bare = [x for x in installs if not re.search(r"--(no-dev|no-default-groups)\b", x)] if not everywhere else []
    asks = [line for line in installs if re.search(r"--(dev|all-groups|only-dev|group[= ]+dev)\b", line)]
    if bare or asks:
        yield _insecure(name, (bare + asks)[0][:80], "Set `ENV UV_NO_DEV=1` before the first `uv sync`.")
    elif not installs:
        yield _untold(name, "no `uv sync` in it", "Install with `uv sync --locked --no-dev`.")
    else:
        yield _proved(name, "no `uv sync` or `uv export` takes it in")

    name = "the image is built from the lock"
    loose = [line for line in installs if not re.search(r"--(locked|frozen)\b", line) and "UV_LOCKED" not in text]
    if loose:
        yield _insecure(name, loose[0][:80], "Write `uv sync --locked`.")
    elif installs:
        yield _proved(name, "`uv sync --locked`")

    name = "verify and the tests are not copied into the image"
    copied = [
        line
        for line in instructions
        if re.match(r"(COPY|ADD)\s", line, re.I) and re.search(r"[\s/](verify|tests)\b", line)
    ]
    if copied:
        yield _insecure(name, copied[0][:80], "Copy pyproject.toml, uv.lock and src, and nothing else.")
    else:
        yield _proved(name, "no COPY names them")


KEPT_OUT = (
    ".git/config",
    ".env",
    ".env.production",
    "tests/test_users.py",
    "verify/audit.py",
    ".hardening/last-verify.json",
)


def _dockerignore(path: Path) -> Iterator[Check]:
    patterns = _patterns(path)
    let_in = [each for each in KEPT_OUT if not _ignored(each, patterns, anywhere=False)]
    name = ".dockerignore keeps secrets and what is not the service out of the image"
    if let_in:
        remedy = "Begin .dockerignore with `*`, then let in `!pyproject.toml`, `!uv.lock` and `!src`."
        yield _insecure(name, f"it lets in {listed(let_in, 9)}", remedy)
    else:
        yield _proved(name, "no .git, .env, tests, verify, .hardening")


def _gitignore(path: Path) -> Iterator[Check]:
    patterns = _patterns(path)
    let_in = [
        each
        for each in (".env", ".env.production", ".hardening/sbom.json")
        if not _ignored(each, patterns, anywhere=True)
    ]
    name = ".gitignore keeps .env and .hardening out of the repository"
    if let_in:
        remedy = "Add the lines `.env`, `.env.*`, `!.env.example` and `.hardening/`."
        yield _insecure(name, f"it lets in {listed(let_in)}", remedy)
    else:
        yield _proved(name, "they are ignored")


def _patterns(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _ignored(path: str, patterns: list[str], *, anywhere: bool) -> bool:
    """Whether ignore patterns match a path or a folder above it; the last one that does decides, `!` takes back."""
    parts = path.split("/")
    heads = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    ignored = False
    for pattern in patterns:
        bare = pattern.removeprefix("!").rstrip("/").removeprefix("./")
        free = anywhere and "/" not in bare
        if any(re.fullmatch(("(.*/)?" if free else "") + _glob(bare.lstrip("/")), head) for head in heads):
            ignored = not pattern.startswith("!")
    return ignored


def _glob(pattern: str) -> str:
    tokens = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(tokens.get(part, re.escape(part)) for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern))


# ---------------------------------------------------------------------------------------------------------------------
# YAML, as far as compose files and workflows need it
# ---------------------------------------------------------------------------------------------------------------------


class NotPlainError(Exception):
    """The YAML uses what only a YAML parser understands."""


def _yaml(path: Path) -> list[tuple[tuple[str, ...], str]]:
    """Every key and item of plain YAML as a path of keys and the text that follows; items of a list are called `-`.

    Raises:
        NotPlainError: There are anchors, merges, inline mappings or tabs in it.
    """
    found: list[tuple[tuple[str, ...], str]] = []
    open_: list[tuple[int, str]] = []
    block = -1
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if block >= 0 and (not text or indent > block):
            continue
        block = -1
        if not text or text.startswith(("#", "---", "%")):
            continue
        if "\t" in line[:indent]:
            raise NotPlainError("tabs")
        while text.startswith("- ") or text == "-":
            while open_ and (open_[-1][0] > indent or open_[-1] == (indent, "-")):
                open_.pop()
            open_.append((indent, "-"))
            rest = text[1:].lstrip()
            found.append((tuple(key for _, key in open_), _value(rest)))
            block = indent if _BLOCK.fullmatch(_value(rest)) else -1
            indent += len(text) - len(rest)
            text = rest
        if text.startswith(("&", "*", "{", "? ")):
            raise NotPlainError(f"`{text[:40]}`")
        match = _KEY.match(text)
        if match is None:
            continue
        key, raw = match[1] or match[2] or match[3], _uncommented(match[4] or "")
        inline = re.fullmatch(r"\{([^{}\[\]]*)\}|\[([^{}\[\]]*)\]", raw)
        if key == "<<" or raw.startswith(("&", "*")) or (raw.startswith(("{", "[")) and inline is None):
            raise NotPlainError(f"`{text[:40]}`")
        while open_ and open_[-1][0] >= indent:
            open_.pop()
        open_.append((indent, key))
        block = indent if _BLOCK.fullmatch(raw) else -1
        trail = tuple(name for _, name in open_)
        found.append((trail, _value(raw)))
        for item in re.split(r",\s*", (inline[1] or inline[2] or "").strip()) if inline else []:
            pair = _KEY.match(item) if raw.startswith("{") else None
            if pair is not None:
                found.append(((*trail, pair[1] or pair[2] or pair[3]), _value(pair[4] or "")))
            elif item:
                found.append(((*trail, "-"), _value(item)))
    return found


_KEY = re.compile(r"""(?:"([^"]*)"|'([^']*)'|([^\s"'#{}\[\]&*!|>%@`][^#]*?))\s*:(?:\s+(.*))?$""")
_BLOCK = re.compile(r"[|>][-+0-9]*")


def _uncommented(text: str) -> str:
    quoted = re.match(r"""("[^"]*"|'[^']*')\s*(#.*)?$""", text)
    return quoted[1] if quoted else re.sub(r"(^|\s)#.*$", "", text).strip()


def _value(text: str) -> str:
    bare = _uncommented(text)
    return bare[1:-1] if re.fullmatch(r"""".*"|'.*'""", bare) else bare


def _compose(path: Path) -> Iterator[Check]:
    name = "the containers of compose are confined"
    try:
        found = _yaml(path)
    except NotPlainError as error:
        remedy = "Write the service out in plain YAML, without anchors and inline mappings."
        yield _untold(name, f"{path.name} has {error}, which is not read here", remedy)
        return
    ours = list(dict.fromkeys(keys[1] for keys, _ in found if keys[0] == "services" and keys[2:3] == ("build",)))
    if not ours:
        yield _proved(name, f"{path.name} builds no image of ours")
    for service in ours:
        within = [(keys[2:], value) for keys, value in found if keys[:2] == ("services", service) and len(keys) > 2]
        if any(keys[0] == "extends" for keys, _ in within):
            yield _untold(name, f"{service} extends another service", "Write it out.")
            continue
        missing = [remedy for remedy, test in CONFINED.items() if not any(test(keys, value) for keys, value in within)]
        loose = [f"{keys[0]}: {value}" for keys, value in within if (keys[0], value.lower()) in UNCONFINED]
        loose += [value for _, value in within if "docker.sock" in value]
        if missing or loose:
            seen = "; ".join(
                [f"{service} misses {listed(missing, 9)}"] * bool(missing) + [f"has {each}" for each in loose]
            )
            yield _insecure(name, seen, f"Put it into {path.name}; memory, CPU and processes may take other bounds.")
        else:
            yield _proved(name, f"{service}: {listed(CONFINED, 9)}")


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "yes", "on")


def _limits(keys: tuple[str, ...], name: str) -> bool:
    return keys == ("deploy", "resources", "limits", name)


CONFINED: dict[str, Callable[[tuple[str, ...], str], bool]] = {
    "read_only: true": lambda keys, value: keys == ("read_only",) and _is_true(value),
    "cap_drop: [ALL]": lambda keys, value: keys == ("cap_drop", "-") and value.upper() == "ALL",
    "security_opt: [no-new-privileges:true]": lambda keys, value: (
        keys == ("security_opt", "-") and re.fullmatch(r"no-new-privileges(:true|=true)?", value) is not None
    ),
    "mem_limit": lambda keys, value: bool(value) and (keys == ("mem_limit",) or _limits(keys, "memory")),
    "cpus": lambda keys, value: bool(value) and (keys == ("cpus",) or _limits(keys, "cpus")),
    "pids_limit": lambda keys, value: bool(value) and (keys == ("pids_limit",) or _limits(keys, "pids")),
}
UNCONFINED = {
    ("privileged", "true"),
    ("network_mode", "host"),
    ("pid", "host"),
    ("ipc", "host"),
    ("user", "root"),
    ("user", "0"),
}


def _workflows(project: Path) -> Iterator[Check]:
    files = sorted([*project.glob(".github/workflows/*.yml"), *project.glob(".github/workflows/*.yaml")])
    gitlab = project / ".gitlab-ci.yml"
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in [*files, *[gitlab] * gitlab.is_file()]]
    name = "continuous integration runs verify"
    if not texts:
        yield _proved(name, "not used")
    elif any(re.search(r"^[^#\n]*python3? -m verify(?![.\w])", text, re.MULTILINE) for text in texts):
        yield _proved(name, "python -m verify")
    else:
        yield _insecure(name, "no job does", "Add a step `uv run --locked python -m verify`.")
    for path in files:
        yield from _workflow(path)


def _workflow(path: Path) -> Iterator[Check]:
    text = path.read_text(encoding="utf-8", errors="replace")
    name = f"{path.name}: every action is pinned by its full hash"
    used = [
        match[1] for match in re.finditer(r"""^[ \t]*(?:-[ \t]+)?["']?uses["']?:[ \t]*["']?([^\s"'#]+)""", text, re.M)
    ]
    loose = [each for each in used if not re.search(r"^\./|@[0-9a-f]{40}$|@sha256:[0-9a-f]{64}$", each)]
    if loose:
        remedy = "Put the full hash of a commit behind the @, and the release as a comment; Renovate and Dependabot keep it up."
        yield _insecure(name, listed(loose), remedy)
    else:
        yield _proved(name, f"{len(used)} actions")

    name = f"{path.name}: jobs get no right that they do not name"
    remedy = "Put `permissions: {}` at the top, and in each job only what it needs."
    try:
        found = _yaml(path)
    except NotPlainError as error:
        yield _untold(name, f"it has {error}, which is not read here", "Write it in plain YAML.")
        return
    top = [(keys, value) for keys, value in found if keys[0] == "permissions"]
    wide = [f"{keys[-1]}: {value}" for keys, value in top if value.startswith("write")]
    wide += [f"write-all in {keys[1]}" for keys, value in found if keys[0] == "jobs" and value == "write-all"]
    if not top:
        yield _insecure(name, "no `permissions` at the top: each job gets the default, which may be write", remedy)
    elif wide:
        yield _insecure(name, listed(wide), remedy)
    else:
        yield _proved(name, "none at the top" if top[0][1] == "{}" else "read at most, at the top")


# ---------------------------------------------------------------------------------------------------------------------
# Secrets
# ---------------------------------------------------------------------------------------------------------------------

# Small and honest: the files that are committed by mistake most often, and keys that say what they are.
_SECRET_NAMES = re.compile(
    r"(^|/)(\.env(\.(?!example$|sample$|template$)[^/]*)?|id_(rsa|dsa|ecdsa|ed25519)|[^/]+\.(p12|pfx))$"
)
_PRIVATE_KEY = "BEGIN [A-Z ]*PRIVATE KEY-----"


def _secrets(project: Path) -> Iterator[Check]:
    name = "git tracks no .env and no private key"
    remedy = "Take it out with `git rm --cached`, and replace the secret: whoever has a copy of the repository has it."
    git = shutil.which("git")
    try:
        if git is None:
            raise FileNotFoundError("git is not on the PATH")
        tracked = subprocesses.run([git, "ls-files", "-z"], project, TIMEOUT)
        keys = subprocesses.run([git, "grep", "-lIz", "-e", _PRIVATE_KEY], project, TIMEOUT)
    except OSError as error:
        yield _untold(name, str(error), "Install git.")
        return
    if tracked.code == 128 and "not a git repository" in tracked.err:
        yield _proved(name, "not a git repository yet, so it tracks nothing")
        return
    if not tracked.ok or keys.code not in (0, 1):
        yield _untold(name, (keys if tracked.ok else tracked).last(1), "Run `git status` here.")
        return
    found = [each for each in tracked.out.split("\0") if _SECRET_NAMES.search(each)]
    found += [each for each in keys.out.split("\0") if each and each not in found]
    if found:
        yield _insecure(name, listed(found), remedy)
    else:
        yield _proved(
            name, f"{tracked.out.count(chr(0))} files; looked for .env, id_rsa, .p12, .pfx and PEM private keys"
        )


FILES = {
    "Dockerfile": _dockerfile,
    ".dockerignore": _dockerignore,
    "compose.yaml": _compose,
    ".gitignore": _gitignore,
}
