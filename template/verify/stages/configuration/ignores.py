# Owned by the template: an update rewrites this file.
"""The ignore files: what keeps secrets out of the image and out of the repository."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec, PathSpec

from ...result import Check, Rule, listed

_WHAT = ".dockerignore keeps secrets and what is not the service out of the image"
IMAGE = Rule("configuration", "dockerignore.secrets", _WHAT)
REPOSITORY = Rule("configuration", "gitignore.secrets", ".gitignore keeps .env and .hardening out of the repository")
_CONTAINER_FILE = re.compile(r"^(docker|container)file|\.(docker|container)file$", re.IGNORECASE)
_EVERYTHING = re.compile(
    r"^(?:COPY|ADD)\s+(?!.*--from)(?:--\S+\s+)*\[?\"?\./?[\"\s,]+\S+", re.MULTILINE | re.IGNORECASE
)
_REMEDY = "Begin .dockerignore with `*`, then let in `!pyproject.toml`, `!uv.lock` and `!src`."
_OF_IMAGE = ".git/config .env .env.production tests/test_users.py verify/__main__.py .hardening/last-verify.json"
OUT_OF_IMAGE = tuple(_OF_IMAGE.split())
OUT_OF_REPOSITORY = (".env", ".env.production", ".hardening/sbom.json")


def dockerignore(path: Path) -> Iterator[Check]:
    """A pattern of Docker is relative to the root, and the last one that matches a path or a folder above it decides."""
    beside = [each.name for each in path.parent.iterdir() if _CONTAINER_FILE.search(each.name)]
    if (other := path.with_name(".containerignore")).is_file():  # which Podman and Buildah read before it
        yield _of_image(other, IMAGE.of(other.name, IMAGE.name))
    if not path.is_file():
        if beside:
            yield IMAGE.insecure(f"there is no {path.name} beside {listed(sorted(beside))}", _REMEDY)
        else:
            yield IMAGE.not_looked_at("no image is built here")
        return
    yield _of_image(path, IMAGE)


def of_one_image(container_file: Path, name: str, project: Path) -> Iterator[Check]:
    """One of a container file's own takes the place of the common one, as a whole. In a folder it may be built from there."""
    path = container_file.with_name(f"{container_file.name}.dockerignore")
    common = [project / ".dockerignore", container_file.with_name(".dockerignore")]
    if path.is_file():
        yield _of_image(path, IMAGE.of(f"{name}.dockerignore", IMAGE.name))
    elif (
        "/" in name and not any(map(Path.is_file, common)) and (everything := _EVERYTHING.search(_text(container_file)))
    ):
        yield IMAGE.of(name, IMAGE.name).insecure(f"`{everything[0]}`, and there is no .dockerignore", _REMEDY)


def _of_image(path: Path, rule: Rule) -> Check:
    anchored: list[str] = []
    for pattern in (line.strip() for line in _lines(path)):
        if pattern and not pattern.startswith("#"):
            bare = pattern.removeprefix("!").removeprefix("./").strip("/")
            anchored += [f"{'!' * pattern.startswith('!')}/{bare}{below}" for below in ("", "/**")]
    spec = PathSpec.from_lines("gitignore", anchored)
    remedy = _REMEDY.replace(".dockerignore", path.name)
    seen = "no .git, .env, tests, verify, .hardening"
    return _check(rule, map(spec.match_file, OUT_OF_IMAGE), OUT_OF_IMAGE, remedy, seen)


def gitignore(path: Path) -> Iterator[Check]:
    """By git's own rules: of the files from here to the root of the repository, the nearest that has a word decides."""
    project = path.parent.resolve()
    root = next((each for each in (project, *project.parents) if (each / ".git").exists()), None)
    folders = [each for each in (project, *project.parents) if root and each.is_relative_to(root)] or [project]
    files = (each / path.name for each in folders)
    specs = [(each.parent, GitIgnoreSpec.from_lines(_lines(each))) for each in files if each.is_file()]
    if not root and not specs:
        yield REPOSITORY.not_looked_at("this is no git repository yet, and there is no .gitignore")
        return

    def is_ignored(name: str) -> bool:
        said = (spec.check_file((project / name).relative_to(folder).as_posix()).include for folder, spec in specs)
        return bool(next((each for each in said if each is not None), False))

    remedy = "Add the lines `.env`, `.env.*`, `!.env.example` and `.hardening/` to .gitignore."
    yield _check(REPOSITORY, map(is_ignored, OUT_OF_REPOSITORY), OUT_OF_REPOSITORY, remedy, "they are ignored")


def _check(rule: Rule, ignored: Iterable[bool], names: tuple[str, ...], remedy: str, seen: str) -> Check:
    not_ignored = [name for name, is_ignored in zip(names, ignored, strict=True) if not is_ignored]
    return rule.insecure(f"it lets in {listed(not_ignored, 9)}", remedy) if not_ignored else rule.proved(seen)


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
