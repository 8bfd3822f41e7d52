# Owned by the template: an update rewrites this file.
"""Container files: nobody is root in the image, nothing but the locked service is in it, and it starts with `serve`."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ...common.expand import expanded
from ...result import Check, Options, Rule, listed
from .start import Start, is_ours, is_root, judge

USER = Rule("configuration", "docker.user", "the image runs as somebody who is not root")
NO_DEV = Rule("configuration", "docker.no-dev", "the image holds nothing of the development group")
LOCKED = Rule("configuration", "docker.locked", "the image is built from the lock")
NO_TESTS = Rule("configuration", "docker.no-tests", "verify and the tests are not copied into the image")
START = Rule("configuration", "docker.start", "the image starts the service with `serve`, in production")
PINNED = Rule("configuration", "docker.pinned", "what the image is built on is named by its digest")
RULES = (USER, NO_DEV, LOCKED, NO_TESTS, START, PINNED)

_WORDS = "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR"
_HEREDOC = re.compile(r"<<-?(['\"]?)(\w+)\1")
_NOBODY = re.compile(
    r"^(?!.*\b(wolfi|chainguard)-base\b)(.*[:@/-]nonroot\b|.*/distroless/.*nonroot|cgr\.dev/|.*/chainguard(-images)?/|"
    r".*\bbitnami(legacy)?/|dhi\.io/(?!.*-dev\b)|.*/ubi\d+/python-\d)"
)
_FRONT = re.compile(r"(.*/)?(nginx|caddy|httpd|traefik|haproxy|envoy)[\w-]*([:@]|$)")
"""What serves files, or stands in front of a service."""
_BUILD = {"uv", "pip", "setuptools", "wheel", "build", "hatch", "hatchling", "poetry", "pdm", "pipx", "virtualenv"}
"""What builds an image, and is not what the service imports."""
_TAKE_A_VALUE = re.compile("-[rcitfp]|--((extra-)?index-url|target|prefix|python)")
_RELOCKS = re.compile(r"\buv\s+(-\S+\s+)*(lock\b(?!.*--(check|locked|dry-run))|(sync|export)\b.*\s(-[UP]|--upgrade)\b)")
_UNPROVED = re.compile(
    r"--(no-verify-hashes|allow-insecure-host|trusted-host|index-strategy[= ]unsafe)|"
    r"\bUV_(NO_VERIFY_HASHES[= ](1|t|y)|INDEX_STRATEGY[= ]\W?unsafe|INSECURE_HOST[= ]\W?\w)"
)
_PAIR = re.compile(r"""([\w.-]+)=((?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'\\])*)""")


@dataclass(slots=True)
class Stage:
    """One stage of a container file: its instructions, each with what follows it."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


class Image:
    """A container file, read once.

    Args:
        text: What it holds.
        args: Build arguments that are given, by name.
        target: The stage that is built; the last one if empty.
    """

    def __init__(self, text: str, args: Mapping[str, str] | None = None, target: str = "") -> None:
        self.stages: list[Stage] = []
        given, known = args or {}, {}
        for word, rest in instructions(text):
            if word == "ARG" and not self.stages:
                name, _, value = rest.partition("=")
                known[name.strip()] = given.get(name.strip(), value.strip().strip("\"'"))
            elif word == "FROM":
                base, *after = re.sub(r"--\S+\s+", "", expanded(rest, known)).split() or [""]
                self.stages.append(Stage(after[1].lower() if len(after) > 1 else "", base))
            elif self.stages:
                self.stages[-1].instructions.append((word, rest))
        self._args = {**known, **given}
        self.target = self._stage(target) if target else None
        if self.target is None and self.stages:
            self.target = self.stages[-1]

    def _stage(self, name: str) -> Stage | None:
        numbered = int(name) if name.isdecimal() else -1
        by_name = (each for each in self.stages if each.name == name.lower())
        return self.stages[numbered] if 0 <= numbered < len(self.stages) else next(by_name, None)

    def line(self) -> list[Stage]:
        """The stages from which the image inherits, the image's own last."""
        found: list[Stage] = []
        stage = self.target
        while stage is not None and stage not in found:
            found.insert(0, stage)
            stage = self._stage(stage.base)
        return found

    def reaching(self) -> list[tuple[str, str]]:
        """The instructions of every stage of which something may be in the image."""
        return [each for stage in self._reaching()[0] for each in stage.instructions]

    def bases(self) -> list[str]:
        """The images from elsewhere of which something may be in the image, without digest or with one."""
        return self._reaching()[1]

    def _reaching(self) -> tuple[list[Stage], list[str]]:
        found: list[Stage] = []
        elsewhere: dict[str, None] = {}
        todo = [self.target] if self.target else []
        while todo:
            if (stage := todo.pop()) in found:
                continue
            found.append(stage)
            added = (rest for word, rest in stage.instructions if word == "ADD" and "://" in rest)
            elsewhere |= {each: None for each in added if "--checksum=" not in each}
            text = " ".join(rest for _, rest in stage.instructions)
            for name in (stage.base, *re.findall(r"(?:--from=|[,=]from=)([^\s,]+)", text)):
                if (other := self._stage(name)) is not None and other is not stage:
                    todo.append(other)
                elif name != "scratch":
                    elsewhere[name] = None
        return [stage for stage in self.stages if stage in found], list(elsewhere)

    def start(self, entrypoint: tuple[str, ...] | None = None, given: tuple[str, ...] | None = None) -> Start:
        """What a container runs, with its environment and its user; what whoever starts it says takes the image's place."""
        entry: tuple[str, ...] = ()
        command: tuple[str, ...] = ()
        user = ""
        env: dict[str, str] = {}
        known = dict(self._args)
        for stage in self.line():
            inherited = True
            for word, rest in stage.instructions:
                if word == "ARG":
                    name, _, value = rest.partition("=")
                    known.setdefault(name.strip(), value.strip().strip("\"'"))
                elif word == "ENV":
                    env |= {name: expanded(value, {**known, **env}) for name, value in _pairs(rest)}
                elif word == "USER":
                    user = expanded(rest.strip().strip("\"'"), {**known, **env})
                elif word == "ENTRYPOINT":
                    entry, command = _argv(rest), () if inherited else command
                elif word == "CMD":
                    command, inherited = _argv(rest), False
        if entrypoint is not None:
            entry, command = entrypoint, given or ()
        elif entry[:2] == ("/bin/sh", "-c"):  # a shell form takes no arguments
            command = ()
        elif given is not None:  # without an entry point, a flag alone is meant for the command
            command = (*command, *given) if not entry and given and given[0].startswith("-") else given
        return Start((*entry, *command), env, user)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction in capitals with what follows it; comments and here-documents of files are left out."""
    lines = iter(text.removeprefix("\ufeff").splitlines())
    escape = "`" if re.search(r"\A(\s*#.*\n)*?\s*#\s*escape\s*=\s*`", text) else "\\"
    for first in lines:
        logical = first.strip()
        if not logical or logical.startswith("#"):
            continue
        while logical.endswith(escape):
            following = next(lines, "").strip()
            logical = logical[:-1] + (" " + following if not following.startswith("#") else escape)
        word, _, rest = logical.partition(" ")
        bodies = []
        for _, mark in _HEREDOC.findall(rest) if word.upper() in ("RUN", "COPY", "ADD") else ():
            body = []
            while (line := next(lines, mark)).strip() != mark:
                body.append(line)
            bodies.append("\n".join(body))
        if bodies and word.upper() == "RUN":
            rest = "\n".join([_HEREDOC.sub("", rest), *bodies])
        yield word.upper(), rest.strip()


def _pairs(rest: str) -> list[tuple[str, str]]:
    if not re.match(r"[\w.-]+=", rest):
        name, _, value = rest.partition(" ")
        return [(name, value.strip())]
    return [(name, value.strip("\"'")) for name, value in _PAIR.findall(rest)]


def _argv(rest: str) -> tuple[str, ...]:
    try:
        return tuple(map(str, json.loads(rest)))
    except (ValueError, TypeError):
        return ("/bin/sh", "-c", rest) if rest else ()


def is_container_file(path: Path, text: str) -> bool:
    """By its name, or because it begins as one and holds nothing else."""
    if re.search(r"(^|[._-])(docker|container)file([._-]|$)", path.name, re.IGNORECASE):
        return not path.name.endswith((".dockerignore", ".md", ".py"))
    if not re.search(r"^FROM\s+\S", text, re.MULTILINE) or path.suffix in (".md", ".py", ".rst", ".sql"):
        return False
    words = [word for word, _ in instructions(text)]
    return len(words) > 1 and words[0] in ("FROM", "ARG") and set(words) <= set(_WORDS.split())


def holds_service(image: Image, options: Options, name: str) -> bool:
    """Whether the service is in the image: its files are copied, it is installed, or it is started. A file in a folder that
    copies everything, and in which nothing is of Python, is of what stands in that folder.
    """
    text = "\n".join(f"{word} {rest}" for word, rest in image.reaching())
    own = "\n".join(f"{word} {rest}" for stage in image.line() for word, rest in stage.instructions)
    python = rf"python|\bpip|\buv\b|[au]sgi|fastapi|{re.escape(options.package)}"
    if _FRONT.match(image.line()[0].base if image.line() else "") and not re.search(python, own, re.IGNORECASE):
        return False
    files = rf"^(COPY|ADD)\s.*(pyproject\.toml|uv\.lock|\.whl|{re.escape(options.package)})"
    copied = re.search(files, text, re.MULTILINE)
    sources = r"^(COPY|ADD)\s+((?!.*--from)(--\S+\s+)*\[?\"?\.?/?[\"\s,]+\S+$|(.*[\s/\"])?src\b)"
    everything = re.search(sources, text, re.MULTILINE)
    if "/" in name and not re.search(rf"{python}|\.sh\b|entrypoint", "\n".join([text, *image.bases()]), re.IGNORECASE):
        everything = None
    said = re.search(rf"^(RUN|CMD|ENTRYPOINT)\s.*\b{options.package}\b", text, re.MULTILINE)
    return bool(copied or said or everything or any(is_ours(each, "", options) for each in image.bases()))


def checks(path: Path, name: str, options: Options) -> Iterator[Check]:
    """What is asked of one container file that holds the service.

    Args:
        path: The file.
        name: How it is called in the report: its path in the repository.
        options: Where the service is.
    """
    image = Image(path.read_text(encoding="utf-8", errors="replace"))
    user_rule, no_dev, locked, no_tests, start_rule, pinned = (each.of(name, each.name) for each in RULES)
    start, base = image.start(), (image.line() or [Stage("", "")])[0].base
    remedy = f"End the last stage of {name} with `USER 10001:10001`."
    if "$" in start.user:
        yield user_rule.unverified(f"USER {start.user} depends on the build", "Write the number itself.")
    elif not start.user and _NOBODY.search(base):
        yield user_rule.proved(f"{base} runs as nobody")
    elif not start.user or is_root(start.user):
        yield user_rule.insecure(f"USER {start.user}" if start.user else "no USER in the last stage", remedy)
    else:
        yield user_rule.proved(f"USER {start.user}")
    yield from _installs(image, no_dev, locked, options.project)
    copies = (f"{word} {rest}" for word, rest in image.reaching() if word in ("COPY", "ADD"))
    copied = [each for each in copies if re.search(r"[\s/\"](verify|tests)\b", each)]
    if copied:
        yield no_tests.insecure(copied[0][:80], "Copy pyproject.toml, uv.lock and src, and nothing else.")
    else:
        yield no_tests.proved("no COPY names them")
    yield judge(start_rule, start, options, name)
    if loose := [each for each in image.bases() if not re.search(r"@sha256:[0-9a-f]{64}$", each)]:
        remedy = "Renovate writes the digests, as renovate.json says."
        yield pinned.not_looked_at(f"not pinned: {listed(loose)}", remedy)
    else:
        yield pinned.proved("each has a digest")


def _installs(image: Image, no_dev: Rule, locked: Rule, project: Path) -> Iterator[Check]:
    steps = [(word, rest) for word, rest in image.reaching() if word in ("RUN", "ENV", "ARG")]
    env = " ".join(rest for word, rest in steps if word != "RUN")
    runs = [line for word, rest in steps if word == "RUN" for line in re.split(r"&&|;|\n", rest)]
    installs = [line.strip() for line in runs if re.search(r"\buv\s+(--\S+\s+)*(sync|export)\b", line)]
    truthy = r"[= ][\"']?(1|true|yes|on)\b"
    everywhere = re.search(rf"\bUV_(NO_DEV|NO_DEFAULT_GROUPS){truthy}", env, re.IGNORECASE)
    without = r"--(no-dev|no-default-groups|no-group[= ]dev|only-group[= ](?!dev\b))\b|\bUV_NO_DEV=1"
    bare = [x for x in installs if not everywhere and not re.search(without, x)]
    asks = [x for x in installs if re.search(r"--(dev|all-groups|only-dev|group[= ]+dev)\b|UV_NO_DEV=(0|f)", x)]
    if bare or asks:
        yield no_dev.insecure((bare + asks)[0][:80], "Set `ENV UV_NO_DEV=1` before the first `uv sync`.")
    elif not installs:
        yield no_dev.unverified("no `uv sync` in it", "Install with `uv sync --locked --no-dev`.")
    else:
        yield no_dev.proved("no `uv sync` or `uv export` takes it in")
    loose = [x for x in installs if not re.search(rf"--(locked|frozen)\b|\bUV_(LOCKED|FROZEN){truthy}", x)]
    if re.search(rf"\bUV_(LOCKED|FROZEN){truthy}", env, re.IGNORECASE):
        loose = []
    loose += [x for x in runs if re.search(r"\bpip3?\s+install\s(?!.*--no-deps).*(\s|=)(\.|\./|-e\s)(?=[\s\[/]|$)", x)]
    loose += [x for x in runs if _beside_the_lock(x, project) or _RELOCKS.search(x)]
    loose += [f"{word} {rest}" for word, rest in steps if _UNPROVED.search(rest)]
    if loose:
        yield locked.insecure(loose[0].strip()[:80], "Write `uv sync --locked`, and add what is missing with `uv add`.")
    elif installs:
        yield locked.proved("`uv sync --locked`")
    else:
        yield locked.unverified("no `uv sync` in it", "Install with `uv sync --locked --no-dev`.")


def _beside_the_lock(line: str, project: Path) -> bool:
    """Whether a command installs a package by its name: no lock says which, and no audit hears of it."""
    match = re.search(r"\b(?:uv\s+add|(?:uv\s+)?pip3?\s+install)\s+(.*)", line)
    words = match[1].split() if match and not re.search("--(require-hashes|no-deps)", line) else []
    pairs = [(before, word.strip("\"'")) for before, word in pairwise(["", *words])]
    named = [word for before, word in pairs if word[:1] != "-" and not _TAKE_A_VALUE.fullmatch(before)]
    plain = [re.split(r"[=<>~!\[@;]", each)[0] for each in named]
    files = (project / word for before, word in pairs if before in ("-r", "--requirement"))
    return (
        any(re.fullmatch(r"[A-Za-z][\w.-]*", each) and each not in _BUILD and "." not in each for each in plain)
        or any(re.match(r"(git\+|https?://)", each) for each in named)
        or any(each.is_file() and "--hash=" not in each.read_text(errors="replace") for each in files)
    )
