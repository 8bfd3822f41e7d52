# Owned by the template: an update rewrites this file.
"""The ignore files: what keeps secrets out of the image and out of the repository."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec, PathSpec

from ...result import Check, Rule, listed

IMAGE = Rule(
    "configuration",
    "dockerignore.secrets",
    ".dockerignore keeps secrets and what is not the service out of the image",
)
REPOSITORY = Rule("configuration", "gitignore.secrets", ".gitignore keeps .env and .hardening out of the repository")
OUT_OF_IMAGE = (
    ".git/config",
    ".env",
    ".env.production",
    "tests/test_users.py",
    "verify/__main__.py",
    ".hardening/last-verify.json",
)
OUT_OF_REPOSITORY = (".env", ".env.production", ".hardening/sbom.json")


def dockerignore(path: Path) -> Iterator[Check]:
    """A pattern of Docker is relative to the root, and the last one that matches a path or a folder above it decides."""
    anchored: list[str] = []
    for pattern in (line.strip() for line in _lines(path)):
        if pattern and not pattern.startswith("#"):
            bare = pattern.removeprefix("!").removeprefix("./").strip("/")
            anchored += [f"{'!' * pattern.startswith('!')}/{bare}{below}" for below in ("", "/**")]
    spec = PathSpec.from_lines("gitignore", anchored)
    remedy = "Begin .dockerignore with `*`, then let in `!pyproject.toml`, `!uv.lock` and `!src`."
    yield _check(IMAGE, spec, OUT_OF_IMAGE, remedy, "no .git, .env, tests, verify, .hardening")


def gitignore(path: Path) -> Iterator[Check]:
    """By git's own rules."""
    remedy = "Add the lines `.env`, `.env.*`, `!.env.example` and `.hardening/`."
    yield _check(REPOSITORY, GitIgnoreSpec.from_lines(_lines(path)), OUT_OF_REPOSITORY, remedy, "they are ignored")


def _check(rule: Rule, spec: PathSpec[Any], names: tuple[str, ...], remedy: str, seen: str) -> Check:
    not_ignored = [name for name in names if not spec.match_file(name)]
    return rule.insecure(f"it lets in {listed(not_ignored, 9)}", remedy) if not_ignored else rule.proved(seen)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
