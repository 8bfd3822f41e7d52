# Owned by the template: an update rewrites this file.
"""What a pipeline runs, whichever forge reads it: its steps, and whether one of them is a whole `verify` that can fail."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from posixpath import join, normpath

from ...common.expand import expanded
from ...common.shell import Command, commands
from ...common.yaml import mapping, read, texts
from ...result import UnverifiedError
from .before import changes, steered
from .start import HAND_ON, TAKE_A_VALUE, handed_on

_SAY = {"echo", "printf", ":", "true", "false", "cat", "grep", "test", "[", "export", "alias", "which", "type", "git"}
_REDUCED = re.compile(r"--(o(n(ly?)?)?|s\w*|ta\w*|h\w*)(=.*)?|-h")
_OF_TOOLS = """
    tox: tox.ini tox.toml pyproject.toml setup.cfg / nox: noxfile.py / pre-commit: .pre-commit-config.yaml / npm: package.json /
    prek: .pre-commit-config.yaml / poe: pyproject.toml poe_tasks.toml / hatch: pyproject.toml hatch.toml / pdm: pyproject.toml /
    inv: tasks.py / invoke: tasks.py / pixi: pixi.toml pyproject.toml / mise: mise.toml .mise.toml / dagger: dagger.json /
    earthly: Earthfile / bazel: BUILD BUILD.bazel
"""
_TOOLS = {name.strip(): files.split() for name, _, files in (each.partition(":") for each in _OF_TOOLS.split("/"))}
"""What runs tasks out of files that are not read here."""
_SHELLS = ("sh", "bash", "dash", "zsh", "source", ".")
_PYTHON = re.compile(r"python[\d.]*|py|pypy[\d.]*|\$\(.*")
_WRAPPERS = {*HAND_ON, "xvfb-run", "uvx", "pipx"}
"""What starts the rest of its words, and fails as that does; so does everything with a command `run`, `exec` or `develop`."""
_AS_BEFORE = {
    "make": re.compile(r"-?[krRsSwBO]+|-[jl][\w.$(){}]*|\d+|--(no-|warn|sil|quie|jobs|load|out|keep)[\w=-]*"),
    "just": re.compile(r"-[qv]+|--(quiet|verb|yes|uns|no-(dot|high)|col|time|one|high)[\w=./-]*"),
    "task": re.compile(r"-[vsypfxF]+|--(verb|sil|yes|par|for|exit|fail|col)[\w=./-]*"),
}
"""Flags with which each runs the same, and fails the same."""
_OF_A_FILE = re.compile(r"(?:-f|-t|--file|--makefile|--justfile|--taskfile)(?:=(.+))?|-f([^\s=-].*)")
_OTHERS = re.compile(r"-[CdjlO]|--(directory|dir|working-directory|set|output|concurrency)(=.*)?")
"""Flags that name a folder, a file or a value."""
_CHANGING = {
    "": re.compile(
        r"BASH_ENV=.*|LD_(PRELOAD|AUDIT)=(?!/usr/|/lib)..*|PYTHON(STARTUP|HOME)=.+|UV_INSECURE_HOST=.+|"
        r"UV_NO_VERIFY_HASHES=(1|t.*|y.*|on)|UV_INDEX_STRATEGY=unsafe.*"
    ),
    "make": re.compile("((GNU)?MAKEFLAGS|MAKEFILES)=.*"),
    "just": re.compile("JUST_(DRY_RUN|NO_DEPS|JUSTFILE|WORKING_DIRECTORY|SHELL.*)=.*"),
    "task": re.compile("TASK_DRY=.*"),
}
"""Variables that change what commands do."""
_SAME_NAME = {"gmake": "make", "go-task": "task"}
_SHELL = re.compile(r"(/usr/bin/env (-S )?)?(/\S*/)?(ba|da|z|k|a)?sh")
_INSTEAD = {"-", "-h", "--help", "-V", "-VV", "--version", "-c"}
"""With which `uv` and `python` do something else than what comes after it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a pipeline does.

    Args:
        command: Its shell script.
        where: The file and the job, for a person.
        folder: Where it runs, from the root of the repository.
        lost: Why nobody learns that it has failed; empty if the pipeline fails with it.
        skipped: Why it never runs when somebody proposes a change; empty if it does.
        unknown: Why it cannot be told whether it does, or what it does.
        errexit: Whether the shell ends at the first command that fails.
        pipefail: Whether a pipe fails with any of its commands.
        system: On what it runs, as `runner.os` has it; empty if that is not said.
        env: The variables that it gets, as far as the pipeline says.
    """

    command: str
    where: str
    folder: str = ""
    lost: str = ""
    skipped: str = ""
    unknown: str = ""
    errexit: bool = True
    pipefail: bool = False
    system: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """A run of verify in a step: what keeps it from being one (`no`), or from being known as one (`unknown`).

    Or no run: what changes the proof of the runs after it in the same job (`changed`), or puts that back if it is empty.
    """

    where: str
    no: str = ""
    unknown: str = ""
    changed: str | None = None


def runs_of_verify(step: Step, root: Path, service: str, depth: int = 0) -> Iterator[Found]:
    """Each command of a step that runs verify, also behind a makefile or a script of the repository.

    Args:
        step: The step.
        root: The root of the repository.
        service: The folder of the service in it, empty at its root.
        depth: How many files stand between the pipeline and this.
    """
    if not step.command:
        if step.unknown:
            yield Found(step.where, step.skipped, step.unknown)
        return
    try:
        found = commands(step.command, errexit=step.errexit, pipefail=step.pipefail)
    except ValueError as error:
        if re.search(r"-m\s+verify(?![.\w])", step.command):
            yield Found(step.where, step.skipped, str(error))
        return
    for command in found:
        env = {**step.env, **command.env}
        lost = step.lost or command.lost
        unknown = step.unknown or command.when or _changed("", env)
        folder = normpath(
            join(
                step.folder,
                command.folder,
                _directory(command.argv) or env.get("UV_WORKING_DIR") or env.get("UV_PROJECT", ""),
            )
        )
        if (ours := _arguments(command.argv, env)) is not None:
            arguments, before = ours
            unknown = unknown or before
            reduced = " ".join(each for each in arguments if _REDUCED.fullmatch(each))
            elsewhere = folder not in (service or ".", f"./{service}")
            if elsewhere and ("$" in folder or "__" in folder):
                unknown, elsewhere = unknown or f"it runs in `{folder}`" * bool(service), False
            no = step.skipped or lost or (f"`{reduced}` leaves out the rest" if reduced else "")
            no = no or (f"it runs in `{folder}`, not in `{service or 'the root'}`" if elsewhere else "")
            unknown = unknown or steered(env, root / service) or changes(command.argv, root / service) or ""
            yield Found(step.where, no, unknown)
        elif (
            folder in (service or ".", f"./{service}")
            and (done := changes(command.argv, root / service, str(env.get("GITHUB_REF_NAME", "")))) is not None
        ):
            if not step.skipped:
                yield Found(step.where, changed=done)
        elif depth < 5:
            for inner in _behind(command, replace(step, folder=folder, lost=lost, unknown=unknown, env=env), root):
                yield from runs_of_verify(inner, root, service, depth + 1)


def _arguments(argv: tuple[str, ...], env: Mapping[str, str]) -> tuple[list[str], str] | None:
    """The arguments that verify gets, and why it may not be started at all; nothing if this is not verify."""
    filled = ((word, expanded(word, env) if word[:1] == "$" else word) for word in argv)
    argv = tuple(part for word, value in filled for part in (value.split() if value != word else [word]))
    if argv[:2] == ("coverage", "run"):
        argv = ("python", *argv[2:])
    names = [each.rpartition("/")[2] for each in argv]
    place = next((i for i, each in enumerate(names) if each == "uv" or _is_python(argv, i)), None)
    before, unknown = set(names[:place]), ""
    if place is None or before & _SAY:
        return None
    if place and not (names[0] in _WRAPPERS or before & {"run", "exec", "develop"}):
        unknown = f"`{argv[0]}` stands before it"
    elif names[0] in ("docker", "podman") and {"-d", "--detach"} & before:
        unknown = f"`{argv[0]} --detach` leaves it behind"
    rest = list(argv[place + 1 :])
    while rest and rest[0].startswith("-") and not re.fullmatch(r"-\w*m|--module", rest[0]):
        if rest[0] in _INSTEAD:
            return None
        rest = rest[2 if rest[0] in TAKE_A_VALUE or rest[0] in ("-X", "-W") else 1 :]
    if names[place] == "uv":
        if rest[:1] != ["run"]:
            return None
        rest = ["python", *rest[1:]]
        while len(rest) > 1 and rest[1].startswith("-") and rest[1] not in ("-m", "--module", *_INSTEAD):
            del rest[1 : 3 if rest[1] in TAKE_A_VALUE else 2]
        if set(rest[1:2]) & _INSTEAD:
            return None
        inner = _arguments(tuple(rest if rest[1:2] in (["-m"], ["--module"]) else rest[1:]), {})
        return None if inner is None else (inner[0], unknown or inner[1])
    if rest[1:4] == ["coverage", "run", "-m"]:
        del rest[:3]
    return (rest[2:], unknown) if rest[1:2] == ["verify"] else None


def _is_python(argv: tuple[str, ...], place: int) -> bool:
    """Whether a word is an interpreter: by its name, or as a variable with an option behind it."""
    name = argv[place].rpartition("/")[2]
    is_option_next = "".join(argv[place + 1 : place + 2]).startswith("-")
    return _PYTHON.fullmatch(name) is not None or (name.startswith("$") and is_option_next)


def _changed(tool: str, variables: Mapping[str, object]) -> str:
    """Why a command may do something else than it says, by the variables that it gets; empty if it does not."""
    for name, value in ((name, str(each)) for name, each in variables.items()):
        if not _CHANGING[tool].fullmatch(f"{name}={value}"):
            continue
        if "FLAGS" not in name or not all(map(_AS_BEFORE["make"].fullmatch, value.split())):
            return f"`{name}` changes what it does"
    return ""


def _directory(argv: tuple[str, ...]) -> str:
    """The folder that a command itself goes to: `uv --directory`, `make -C`."""
    for place, word in enumerate(argv[:-1]):
        if word in ("--directory", "--project") or (word == "-C" and argv[0].endswith("make")):
            return argv[place + 1]
        if word.startswith(("--directory=", "--project=")):
            return word.partition("=")[2]
    return ""


def _behind(command: Command, step: Step, root: Path) -> Iterator[Step]:
    """What a command runs out of another file."""
    argv = handed_on(command.argv)
    while len(argv) > 1 and argv[0] in ("uv", "uvx", "pipx", "poetry", "run", "tool", "npx"):
        argv = argv[1:]
        while argv and argv[0].startswith("-"):
            argv = argv[2 if argv[0] in TAKE_A_VALUE else 1 :]
    if not argv or "$" in step.folder:
        return
    folder, (name, *rest) = root / step.folder, argv
    name = name.rpartition("/")[2] if "/" not in name.removeprefix("./") else name
    name = _SAME_NAME.get(name, name)
    if name in _AS_BEFORE:
        flags = (each for each in rest if each.startswith("-") and not _AS_BEFORE[name].fullmatch(each))
        odd = next((each for each in flags if not _OF_A_FILE.fullmatch(each) and not _OTHERS.fullmatch(each)), "")
        unknown = step.unknown or f"`{name} {odd}` may run or fail otherwise" * bool(odd) or _changed(name, step.env)
        step = replace(step, unknown=unknown)
    if name in ("make", "just"):
        yield from _recipes(name, rest, folder, step)
    elif name == "task":
        yield from _tasks(rest, folder, step)
    elif name in _TOOLS:
        for each in (folder / file for file in _TOOLS[name]):
            if each.is_file() and re.search(r"\bverify\b", each.read_text(encoding="utf-8", errors="replace")):
                why = f"`{name}` runs what stands in {each.name}, which is not read"
                yield replace(step, command="", unknown=step.unknown or why)
                return
    else:
        words = (each for before, each in pairwise(["", *rest]) if before not in ("-o", "-O"))
        scripts = [each for each in words if each[:1] not in ("-", "+")]
        file = scripts[0] if name in _SHELLS and scripts else argv[0]
        path = folder / file
        if (name not in _SHELLS and "/" not in argv[0]) or not path.is_file() or path.suffix in (".py", ".js"):
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        strict = re.match(r"#!.*\s-\w*e", text) is not None or any(re.match(r"-\w*e", each) for each in rest)
        sourced = name in ("source", ".")
        yield replace(step, command=text, errexit=strict or (sourced and step.errexit), where=f"{step.where}, {file}")


def _recipes(tool: str, arguments: list[str], folder: Path, step: Step) -> Iterator[Step]:
    """The lines of the recipes that `make` or `just` runs; each has a shell of its own."""
    of_make = ("GNUmakefile", "makefile", "Makefile")
    names: tuple[str, ...] = ("justfile", "Justfile", ".justfile") if tool == "just" else of_make
    for place, match in enumerate(map(_OF_A_FILE.fullmatch, arguments)):
        if match:
            names = (match[1] or match[2] or "".join(arguments[place + 1 : place + 2]),)
    file = next((each for name in names if (each := folder / name).is_file()), None)
    if file is None:
        return
    values: dict[str, str] = {"MAKE": "make"}
    rules: dict[str, tuple[list[str], list[str]]] = {}
    current: list[str] = []
    conditional: list[str] = []
    conditions = 0
    for line in _lines(file):
        if tool == "just" and (match := re.match(r"alias\s+([\w-]+)\s*:=\s*([\w-]+)", line)):
            rules[match[1]] = ([match[2]], [])
        elif tool == "just" and (match := re.match(r"set\s+shell\s*:=\s*\[(.*)\]", line)):
            values["SHELL"], *words = re.findall(r"[\"']([^\"']*)[\"']", match[1]) or [""]
            values[".SHELLFLAGS"] = " ".join(words)
        elif match := re.match(r"(?:export\s+)?(\.?[\w-]+)\s*(:|::|\?|\+)?=\s*(.*)", line):
            from_outside = step.env.get(match[1], "") if match[2] == "?" else ""
            values[match[1]] = from_outside or match[3].strip().strip("\"'")
        elif match := re.match(r"@?([\w./%-]+(?: [\w./%-]+)*)(?:\s+[^:=]+)?\s*::?(?!=)\s*([^#]*)", line):
            if own := re.match(r"(?:export\s+)?([\w.]+)\s*[:?+]?=\s*(.*)", match[2]):  # a variable of one target
                values[own[1]] = own[2].strip()
                continue
            current = []
            for name in match[1].split() if tool != "just" else match[1].split()[:1]:
                rules[name] = (match[2].split(), current)
        elif tool != "just" and (match := re.match(r"\s*(ifn?def|ifn?eq|endif)\b", line)):
            conditions += 1 if match[1] != "endif" else -1
        elif line[:1] in ("\t", " ") and line.strip():
            current.append(line.strip())
            conditional += [line.strip()] * (conditions > 0)
    values |= dict(each.split("=", 1) for each in arguments if re.match(r"\w+=", each))
    lost = "`.IGNORE` hides it" if ".IGNORE" in rules and not rules[".IGNORE"][0] else ""
    shell, flags = values.get("SHELL", "sh"), values.get(".SHELLFLAGS", "-c")
    odd = _changed("make", values) if tool == "make" else ""
    if not _SHELL.fullmatch(shell) or not re.fullmatch(r"(-[eucxl]*o? |pipefail )*-(?=\w*c)[eucxl]+( --)?", flags):
        odd = odd or f"`{shell} {flags}` runs it"
    step = replace(step, env={**step.env, "PATH": values.get("PATH", step.env.get("PATH", ""))})
    todo = [each for each in arguments if each in rules]
    if not todo:
        is_named = any(each[0] != "-" for each in arguments)
        todo = [] if is_named else [each for each in rules if each[0] != "."][:1]
    seen: set[str] = set()
    while todo:
        if (target := todo.pop(0)) in seen or target not in rules:
            continue
        seen.add(target)
        needed, lines = rules[target]
        todo += [each for each in needed if each in rules]
        phony = rules.get(".PHONY", ([], []))[0]
        is_there = (folder / target).exists() and not {target, *needed} & set(phony)
        no = f"`{target}` is there, so nothing is made: name it in `.PHONY`" if is_there and tool == "make" else ""
        ignored = target in rules.get(".IGNORE", ([], []))[0]
        if (lines and lines[0].startswith("#!")) or ".ONESHELL" in rules:
            first = lines[0][2:] if "".join(lines[:1]).startswith("#!") else f"sh {flags}"
            strict = re.search(r"\s-\w*e", first) is not None
            where = f"{step.where}, {file.name} {target}"
            script = re.sub(r"\s-\w+|\s-?o?\s*pipefail|\s--$", "", first).strip()
            odd = odd or f"`{script}` runs it" * (not _SHELL.fullmatch(script))
            hidden = step.lost or no or "`.IGNORE` hides it" * ignored
            about = replace(step, where=where, lost=hidden, unknown=step.unknown or odd)
            yield replace(about, command="\n".join(lines), errexit=strict, pipefail="pipefail" in flags)
            continue
        for line in lines:
            prefix, text = re.match(r"([@+-]*)(.*)", line).groups()  # type: ignore[union-attr]
            for _ in range(3):
                text = re.sub(
                    r"\$[({](\w+)[)}]|\{\{\s*([\w-]+)\s*\}\}", lambda m: values.get(m[1] or m[2], "__value__"), text
                )
            hidden = "`-` before it hides it" if "-" in prefix else no or lost or "`.IGNORE` hides it" * ignored
            where = f"{step.where}, {file.name} {target}"
            unknown = odd or "it depends on an `if` of the makefile" * (line in conditional)
            about = replace(step, where=where, lost=step.lost or hidden, unknown=step.unknown or unknown)
            yield replace(about, command=text.replace("$$", "$"), errexit=False, pipefail="pipefail" in flags)


def _lines(file: Path, depth: int = 0) -> Iterator[str]:
    """The lines of a makefile, with those of the files that it includes, as far as they are here."""
    for line in re.sub(r"\\\n[ \t]*", " ", file.read_text(encoding="utf-8", errors="replace")).splitlines():
        yield line
        if (match := re.match(r"[-s]?(?:include|import)\s+[\"']?([\w./-]+)[\"']?\s*$", line)) and depth < 5:
            path = file.parent / match[1]
            yield from _lines(path, depth + 1) if path.is_file() and path.name != ".env" else ()


def _tasks(arguments: list[str], folder: Path, step: Step) -> Iterator[Step]:
    """The commands of Taskfile.yml."""
    file = next((each for each in sorted(folder.glob("[Tt]askfile*.y*ml"))), None)
    if file is None:
        return
    try:
        values = read(file)
    except UnverifiedError as error:
        yield replace(step, command="", unknown=error.seen)
        return
    tasks = mapping(values.get("tasks"))
    if "includes" in values and any(":" in each for each in arguments):
        yield replace(step, command="", unknown=step.unknown or f"what {file.name} includes is not read")
    todo, seen = [each for each in arguments if each in tasks] or ["default"], set()
    while todo:
        if (name := todo.pop(0)) in seen:
            continue
        seen.add(name)
        task = mapping(tasks.get(name)) or {"cmds": tasks.get(name)}
        ignored = "`ignore_error` hides it" if str(task.get("ignore_error")).lower() == "true" else ""
        unknown = step.unknown or _depends(task, step)
        known = {**mapping(values.get("vars")), **mapping(task.get("vars"))}
        todo += [str(each.get("task", "")) if isinstance(each, dict) else str(each) for each in task.get("deps") or ()]
        for each in task["cmds"] if isinstance(task.get("cmds"), list) else [task.get("cmds") or task.get("cmd")]:
            described = mapping(each)
            todo += [str(described["task"])] if "task" in described else []
            hidden = "`ignore_error` hides it" if str(described.get("ignore_error")).lower() == "true" else ignored
            own = _depends(described, step)
            for text in texts(described.get("cmd") if described else each):
                where = f"{step.where}, {file.name} {name}"
                text = re.sub(r"\{\{\s*\.(\w+)\s*\}\}", lambda m, known=known: str(known.get(m[1], "__value__")), text)  # type: ignore[misc]
                own_folder = re.sub(r"\{\{\s*\.(ROOT|TASKFILE|USER_WORKING)_DIR\s*\}\}", ".", str(task.get("dir", "")))
                inside = normpath(join(step.folder, re.sub(r"\{\{.*?\}\}", "__folder__", own_folder)))
                about = replace(step, lost=step.lost or hidden, where=where, unknown=unknown or own)
                yield replace(about, command=text, folder=inside)


def _depends(task: Mapping[str, object], step: Step) -> str:
    """On what it depends whether a task, or a command of one, does anything; empty if on nothing."""
    system = {"Windows": "windows", "macOS": "darwin"}.get(step.system, "linux")
    here = system in (each.partition("/")[0] for each in texts(task.get("platforms")))
    named = (key for key in ("status", "if", "platforms") if key in task)
    found = next((key for key in named if not (key == "platforms" and here)), "")
    return f"it depends on `{found}`" * bool(found)
