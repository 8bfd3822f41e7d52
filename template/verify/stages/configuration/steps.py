# Owned by the template: an update rewrites this file.
"""What a pipeline runs, whichever forge reads it: its steps, and whether one of them is a whole `verify` that can fail."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import join, normpath

from ...common.shell import Command, commands
from ...common.yaml import mapping, read, texts
from ...result import UnverifiedError
from .start import TAKE_A_VALUE, handed_on

_SAY = {"echo", "printf", ":", "true", "false", "cat", "grep", "test", "[", "export", "alias", "which", "type", "git"}
_REDUCED = re.compile(r"--(o(n(ly?)?)?|s\w*|ta\w*|h\w*)(=.*)?|-h")
_TOOLS = {
    "tox": ("tox.ini", "tox.toml", "pyproject.toml", "setup.cfg"),
    "nox": ("noxfile.py",),
    "pre-commit": (".pre-commit-config.yaml",),
    "prek": (".pre-commit-config.yaml",),
    "poe": ("pyproject.toml", "poe_tasks.toml"),
    "hatch": ("pyproject.toml", "hatch.toml"),
    "pdm": ("pyproject.toml",),
    "inv": ("tasks.py",),
    "invoke": ("tasks.py",),
    "npm": ("package.json",),
    "pixi": ("pixi.toml", "pyproject.toml"),
    "mise": ("mise.toml", ".mise.toml"),
    "dagger": ("dagger.json",),
    "earthly": ("Earthfile",),
    "bazel": ("BUILD", "BUILD.bazel"),
}
"""What runs tasks out of files that are not read here."""
_SHELLS = ("sh", "bash", "dash", "zsh", "source", ".")
_REHEARSES = re.compile(r"--(dry|just(?!f)|recon|ig|que|to|li|show|summ|ev|dump|init|ch|sta)[\w-]*(=.*)?")
"""Options of `make`, `just` and `task`, as far as each must be written out, with which nothing is run, or nothing fails."""
_SHORT = {"make": set("inqt"), "gmake": set("inqt"), "just": set("nle"), "task": set("nlai"), "go-task": set("nlai")}
CHANGING = ("MAKEFLAGS", "GNUMAKEFLAGS", "BASH_ENV")
"""Variables that change what commands do."""
_AS_BEFORE = re.compile(r"-?[krRsSwBO]+|-[jl][\d.]*|-j\$\(nproc\)|\d+|--(no-|warn|sil|quie|jobs|load|out|keep)[\w=-]*")
"""Flags of `make` with which it runs the same, and fails the same."""
_INSTEAD = {"-h", "--help", "-V", "-VV", "--version", "-c"}
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


@dataclass(frozen=True, slots=True)
class Found:
    """A run of verify in a step: what keeps it from being one (`no`), or from being known as one (`unknown`)."""

    where: str
    no: str = ""
    unknown: str = ""


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
    exported: dict[str, str] = {}
    for command in found:
        if command.argv[:1] == ("export",):
            exported |= dict(each.split("=", 1) for each in command.argv if "=" in each)
        lost = step.lost or command.lost
        unknown = step.unknown or command.when or changed({**exported, **command.env})
        folder = normpath(join(step.folder, command.folder, _directory(command.argv)))
        if (arguments := _arguments(command)) is not None:
            reduced = " ".join(each for each in arguments if _REDUCED.fullmatch(each))
            elsewhere = folder not in (service or ".", f"./{service}")
            if elsewhere and ("$" in folder or "__" in folder):
                unknown, elsewhere = unknown or f"it runs in `{folder}`" * bool(service), False
            no = step.skipped or lost or (f"`{reduced}` leaves out the rest" if reduced else "")
            no = no or (f"it runs in `{folder}`, not in `{service or 'the root'}`" if elsewhere else "")
            yield Found(step.where, no, unknown)
        elif depth < 5:
            for inner in _behind(command, replace(step, folder=folder, lost=lost, unknown=unknown), root):
                yield from runs_of_verify(inner, root, service, depth + 1)


def _arguments(command: Command) -> list[str] | None:
    """The arguments that verify gets; nothing if this is not verify."""
    argv = handed_on(command.argv)
    for place, word in enumerate(argv[:-1]):
        if re.fullmatch(r"-\w*m", word) and argv[place + 1] == "verify":
            names = [each.rpartition("/")[2] for each in argv[:place]]
            runs = any(
                re.fullmatch(r"python[\d.]*|py|pypy\d*|uv|uvx|coverage|\$\w+|\$\{\w+\}|\$\(.*", each) for each in names
            )
            return list(argv[place + 2 :]) if runs and not {*_SAY, *_INSTEAD} & set(names) else None
    return None


def changed(variables: Mapping[str, object]) -> str:
    """Why a command may do something else than it says, by the variables that it gets; empty if it does not."""
    for name in (each for each in CHANGING if each in variables):
        if name == "BASH_ENV" or not all(map(_AS_BEFORE.fullmatch, str(variables[name]).split())):
            return f"`{name}` changes what it does"
    return ""


def _directory(argv: tuple[str, ...]) -> str:
    """The folder that a command itself goes to: `uv --directory`, `make -C`."""
    for place, word in enumerate(argv[:-1]):
        if word in ("--directory", "--project") or (word == "-C" and (place == 0 or argv[0].endswith("make"))):
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
    if name in _SHORT:
        flags = {flag for each in rest if re.fullmatch(r"-[a-zA-Z]+", each) for flag in each[1:]}
        if rehearses := [*filter(_REHEARSES.fullmatch, rest), *(f"-{each}" for each in sorted(flags & _SHORT[name]))]:
            step = replace(step, lost=step.lost or f"`{name} {rehearses[0]}` hides it")
    if name in ("make", "gmake", "just"):
        yield from _recipes(name, rest, folder, step)
    elif name in ("task", "go-task"):
        yield from _tasks(rest, folder, step)
    elif name in _TOOLS:
        for each in (folder / file for file in _TOOLS[name]):
            if each.is_file() and re.search(r"\bverify\b", each.read_text(encoding="utf-8", errors="replace")):
                yield replace(
                    step,
                    command="",
                    unknown=step.unknown or f"`{name}` runs what stands in {each.name}, which is not read",
                )
                return
    else:
        file = rest[-1] if name in _SHELLS and rest else argv[0]
        path = folder / file
        if (name not in _SHELLS and "/" not in argv[0]) or not path.is_file() or path.suffix in (".py", ".js"):
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        strict = re.match(r"#!.*\s-\w*e", text) is not None or any(re.match(r"-\w*e", each) for each in rest)
        sourced = name in ("source", ".")
        yield replace(step, command=text, errexit=strict or (sourced and step.errexit), where=f"{step.where}, {file}")


def _recipes(tool: str, arguments: list[str], folder: Path, step: Step) -> Iterator[Step]:
    """The lines of the recipes that `make` or `just` runs; each has a shell of its own."""
    names: tuple[str, ...] = (
        ("justfile", "Justfile", ".justfile") if tool == "just" else ("GNUmakefile", "makefile", "Makefile")
    )
    if "-f" in arguments[:-1]:
        names = (arguments[arguments.index("-f") + 1],)
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
        elif match := re.match(r"(?:export\s+)?([\w-]+)\s*(?::|::|\?|\+)?=\s*(.*)", line):
            values[match[1]] = match[2].strip().strip("\"'")
        elif match := re.match(r"@?([\w./%-]+(?: [\w./%-]+)*)(?:\s+[^:=]+)?\s*::?(?!=)\s*([^#]*)", line):
            current = []
            for name in match[1].split() if tool != "just" else match[1].split()[:1]:
                rules[name] = (match[2].split(), current)
        elif tool != "just" and (match := re.match(r"\s*(ifn?def|ifn?eq|endif)\b", line)):
            conditions += 1 if match[1] != "endif" else -1
        elif line[:1] in ("\t", " ") and line.strip():
            current.append(line.strip())
            conditional += [line.strip()] * (conditions > 0)
    values |= dict(each.split("=", 1) for each in arguments if re.match(r"\w+=", each))
    lost = "`.IGNORE` hides it" if ".IGNORE" in rules else ""
    todo = [each for each in arguments if each in rules]
    if not todo:
        todo = (
            [each for each in rules if not each.startswith(".")][:1]
            if not [x for x in arguments if x[0] != "-"]
            else []
        )
    seen: set[str] = set()
    while todo:
        if (target := todo.pop(0)) in seen or target not in rules:
            continue
        seen.add(target)
        needed, lines = rules[target]
        todo += [each for each in needed if each in rules]
        if lines and lines[0].startswith("#!"):
            script = "\n".join(lines)
            yield replace(step, command=script, errexit=" -e" in lines[0], where=f"{step.where}, {file.name} {target}")
            continue
        for line in lines:
            prefix, text = re.match(r"([@+-]*)(.*)", line).groups()  # type: ignore[union-attr]
            for _ in range(3):
                text = re.sub(
                    r"\$[({](\w+)[)}]|\{\{\s*([\w-]+)\s*\}\}", lambda m: values.get(m[1] or m[2], "__value__"), text
                )
            hidden = "`-` before it hides it" if "-" in prefix else lost
            where = f"{step.where}, {file.name} {target}"
            unknown = changed(values) or "it depends on an `if` of the makefile" * (line in conditional)
            yield replace(
                step,
                command=text.replace("$$", "$"),
                where=where,
                lost=step.lost or hidden,
                unknown=step.unknown or unknown,
                errexit=False,
                pipefail=False,
            )


def _lines(file: Path, depth: int = 0) -> Iterator[str]:
    """The lines of a makefile, with those of the files that it includes."""
    for line in re.sub(r"\\\n[ \t]*", " ", file.read_text(encoding="utf-8", errors="replace")).splitlines():
        yield line
        if (match := re.match(r"[-s]?(?:include|import)\s+[\"']?([\w./-]+)[\"']?\s*$", line)) and depth < 5:
            path = file.parent / match[1]
            yield from _lines(path, depth + 1) if path.is_file() else ()


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
                yield replace(step, command=text, lost=step.lost or hidden, where=where, unknown=unknown or own)


def _depends(task: Mapping[str, object], step: Step) -> str:
    """On what it depends whether a task, or a command of one, does anything; empty if on nothing."""
    system = {"Windows": "windows", "macOS": "darwin"}.get(step.system, "linux")
    here = system in (each.partition("/")[0] for each in texts(task.get("platforms")))
    found = next(
        (key for key in ("status", "if", "platforms") if key in task and not (key == "platforms" and here)), ""
    )
    return f"it depends on `{found}`" * bool(found)
