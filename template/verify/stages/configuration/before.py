# Owned by the template: an update rewrites this file.
"""What a job does before it runs verify: if it changes the proof or its tools, what is proved is not what is proposed."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

_PROOF = ("tests", "verify")
_STEERS = {"pyproject.toml", "uv.lock", "uv.toml", "conftest.py", "audit-waivers.toml", ".copier-answers.yml"}
"""Files at the root that decide what is installed, proved and accepted."""
_TOOL = re.compile(r"(uvx?|python[\d.]*|pytest)(\.exe)?")
_CHANGING = ("rm", "rmdir", "mv", "unlink", "truncate", "shred", "tee")
_COPYING = ("cp", "ln", "install", "rsync")
_HERE = re.compile(r"^(\.|\$\{?(PWD|GITHUB_WORKSPACE|CI_PROJECT_DIR)\}?|\$\(pwd\)|__expression__)/")
_RELOCKS = re.compile(
    r"(?!.*\s--(check|dry-run|locked|frozen)\b)(-\S+ )*(add|remove|(lock|sync|run)\b(?=.*\s(-[UP]|--upgrade)\b))(\s|$)"
)
_NEW_BRANCH = {"-b", "-B", "-c", "-C", "--orphan", "--create"}
_OWN = re.compile(r"HEAD|FETCH_HEAD|@|-|.*(\$|__).*")


def changes(argv: tuple[str, ...], project: Path, branch: str = "") -> str | None:
    """What a command does to what verify will prove; empty if it puts that back, nothing if it leaves it alone."""
    name, *rest = argv or ("",)
    said = f"`{' '.join(argv)[:60]}` comes before it"
    if name == "git" and (done := _of_git([each for each in rest if each != branch], said, project)) is not None:
        return done
    if name == "uv" and _RELOCKS.match(" ".join(rest)):
        return f"`{' '.join(argv)[:60]}` changes what is locked"
    written = [after.lstrip(">") or each for after, each in pairwise([*argv, ""]) if after.startswith(">")]
    if any("GITHUB_PATH" in each for each in written):
        return own_tools(" ".join(rest[:1]), project) or None
    named = [each for each in rest if not each.startswith(("-", ">"))]
    if name in ("mv", *_COPYING) and len(named) > 1:
        into = _HERE.sub("", f"{named[-1].rstrip('/')}/")
        written += [into + each.rpartition("/")[2] for each in named[:-1]]
    if name in ("curl", "wget"):
        written += [after for each, after in pairwise(rest) if re.fullmatch(r"-\w*[oO]|--output(-document)?", each)]
    if name in _CHANGING or (name in ("sed", "perl") and any(re.match(r"-\w*i|--in-place", each) for each in rest)):
        written += named
    elif name in _COPYING and len(named) > 1:
        *sources, to = named
        written.append(to)
        known = any(_is_tool(each) and (each[0] == "/" or not (project / each).is_file()) for each in sources)
        if known and not _is_proof(to, project):  # `ln -s /usr/bin/python3 /usr/bin/python`
            return None
        written += [each for each in sources if _is_tool(each)]
    elif name == "find" and "-delete" in rest and not any(each.endswith("name") for each in rest):
        written += named[:1]
    elif name == "patch":
        return said
    makes = any(map(_is_tool, written)) and name not in ("rm", "mv", "curl", "wget")
    steering = _STEERS - {"pyproject.toml"} if name in ("rm", "sed", "perl") else _STEERS
    steers = any(_HERE.sub("", each) in steering for each in written)
    return said if makes or steers or any(_is_proof(each, project) for each in written) else None


def steered(env: Mapping[str, str], project: Path) -> str:
    """Why the variables of a job may make verify, or its tools, another program; empty if they do not."""
    config = env.get("UV_CONFIG_FILE", "/")
    if config[0] not in "/~$" and "__" not in config and not (project / _HERE.sub("", config)).is_file():
        return f"`UV_CONFIG_FILE={config}` is not here"
    for part in env.get("PYTHONPATH", "").split(":"):
        inside = _HERE.sub("", part.strip("\"'"))
        folder = project / inside
        for each in (
            sorted(folder.iterdir()) if inside not in ("", ".") and inside[0] not in "/~$" and folder.is_dir() else ()
        ):
            if _replaces(each, project):
                return f"`{inside}/{each.name}` may be imported in the place of what is installed"
    return own_tools(env.get("PATH", ""), project)


def _replaces(path: Path, project: Path) -> bool:
    """Whether a module has the name of one that Python, verify or a library has."""
    name = path.name.removesuffix(".py")
    if not name.isidentifier() or name.startswith("__") or not (path.suffix == ".py" or path.is_dir()):
        return False
    if path.parent == project / "src" and (path / "hardening").is_dir():
        return False  # the service itself, which may be installed elsewhere
    spec = find_spec(name) if name not in ("sitecustomize", "usercustomize") else None
    origin = spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), ""))
    return name.endswith("customize") if spec is None else not Path(str(origin)).is_relative_to(project.resolve())


def own_tools(path: str, project: Path) -> str:
    """Why a search path may find another `uv` or `python` than the job installed; empty if it does not."""
    for part in path.split(":"):
        inside = _HERE.sub("", part.strip("\"'"))
        folder = project / inside
        if not inside or inside[0] in "/~$" or not folder.is_dir() or (folder.parent / "pyvenv.cfg").is_file():
            continue
        if found := next((each.name for each in sorted(folder.iterdir()) if _is_tool(each.name)), ""):
            return f"`{inside}/{found}` is found in the place of the one that was installed"
    return ""


def _of_git(rest: list[str], said: str, project: Path) -> str | None:
    verb, *rest = rest or [""]
    if verb in ("apply", "am"):
        return said
    if verb in ("rm", "mv"):
        return changes((verb, *rest), project)
    if verb not in ("checkout", "switch", "restore", "reset") or _NEW_BRANCH & set(rest):
        return None
    if verb == "restore":
        given = [each.partition("=")[2] for each in rest if each.startswith("--source=")]
        given += [after for each, after in pairwise(rest) if each in ("-s", "--source")]
    else:
        given = [each for each in rest[: rest.index("--") if "--" in rest else None] if each == "-" or each[0] != "-"]
    if not given or (verb == "reset" and not {"--hard", "--merge", "--keep"} & set(rest)):
        return None
    if _OWN.fullmatch(given[0]):
        return "" if verb in ("checkout", "switch") and "--" not in rest else None
    return None if (project / given[0]).exists() else said


def _is_tool(word: str) -> bool:
    return _TOOL.fullmatch(word.rpartition("/")[2]) is not None


def _is_proof(word: str, project: Path) -> bool:
    """Whether a word names the tests or verify, or something that the repository has in them."""
    plain = _HERE.sub("", word).rstrip("/")
    if plain.partition("/")[0] not in _PROOF or "__pycache__" in plain or "$" in plain:
        return False
    return plain in _PROOF or any(not each.name.startswith(".") for each in project.glob(plain))
