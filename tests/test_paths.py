"""Each path that a page or a docstring names is there: in this repository, or in a service that it emits.

A path is a whole code span without blanks that ends with a slash or with the suffix of a file, or that has a slash and
begins with a folder that is there; what has a slash in front is what a client asks for. In Markdown the target of a
link within the repository is one too. A short one such as `cors.py` names each file that it is the end of. The
changelog is left out: it names what was.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .conftest import REPOSITORY, Emit, files, git

SERVICES = [
    {"example": "accounts", "store": "redis", "ci": "github", "deploy": "kubernetes"},
    {"example": "minimal", "store": "memory", "ci": "gitlab"},
]
SPAN = re.compile(r"(`+)(.+?)\1", re.DOTALL)
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#[^)\s]*)?\)")
SUFFIX = re.compile(r"\.(?:cfg|css|csv|html|ini|js|json|lock|lua|md|patch|py|rej|sh|svg|toml|txt|ya?ml)$")
PLACEHOLDER = re.compile(r"<package>|\{package\}|<service>")
MADE = {
    ".hardening/": "by verify and the hooks",
    ".hardening/drift.patch": "by verify",
    ".hardening/last-verify.json": "by verify",
    ".hardening/report.html": "by verify",
    ".hardening/sbom.cdx.json": "by verify",
    ".hardening/update.patch": "by verify.update",
    ".hardening/update.md": "by verify.update",
    ".venv/": "by uv",
    "pylock.toml": "by uv, for pip-audit",
    "uv.lock": "by uv",
    "fleet-state.json": "by fleet --update",
    ".hardening/seeds.json": "by an update, and by verify.update --offers",
    ".hardening/seeds.patch": "by an update, and by verify.update --offers",
    ".copier-answers.overlay.yml": "by an organisation's overlay",
    "answers.yml": "by an organisation's overlay",
    "src/<package>/hardening_overlay/__init__.py": "by an organisation's overlay",
    "src/<package>/hardening_overlay/ca.crt": "by an organisation's overlay",
    "verify_overlay/answers.yml": "by an organisation's overlay",
    "mypy.ini": "by nobody: decision 0018 says why",
    "src/hardening": "by nobody: decision 0018 says why",
    "copier.py": "by whoever wants to be imported in Copier's place: decision 0019",
    ".config/copier/settings.yml": "by whoever trusts a template",
    "main.py": "by whoever moves an application",
    "src/<package>/routes/orders.py": "by whoever follows a service's README",
    "src/<package>/tenants.py": "by whoever follows a recipe of HARDENING.md",
}
"""What no repository holds, and who makes it."""


def named_in(text: str) -> Iterator[str]:
    """The paths that stand in code spans."""
    for _, span in SPAN.findall(text):
        name = " ".join(span.split())
        if " " not in name and "://" not in name and re.fullmatch(r"[\w.<>{}*/-]+", name):
            first, slash, rest = name.partition("/")
            if name.startswith("/"):
                continue  # what a client asks for
            if name.endswith("/") or SUFFIX.search(name) or (slash and rest and first in _FOLDERS):
                yield name


_FOLDERS = {path.name for path in REPOSITORY.iterdir() if path.is_dir()} | {"src", "verify"}


def docstrings(source: str) -> Iterator[str]:
    """The docstrings of modules, classes and functions, and the texts below constants and attributes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as text)):
                yield text


def prose(path: Path) -> Iterator[str]:
    """What a file says in words: a page without its fenced blocks, or docstrings."""
    text = path.read_text(encoding="utf-8")
    return iter([FENCE.sub("", text)]) if path.suffix == ".md" else docstrings(text)


@pytest.fixture(scope="module")
def emitted(emit: Emit) -> list[Path]:
    return [emit(**answers) for answers in SERVICES]


@pytest.fixture(scope="module")
def known(emitted: list[Path]) -> frozenset[str]:
    """Every file and folder (with a slash behind it) that there is, and each end of its path."""
    every = {*git(REPOSITORY, "ls-files").splitlines(), *MADE}
    for service in emitted:
        every |= {name.replace("src/orders_api/", "src/<package>/") for name in files(service)}
    folders = {f"{parent.as_posix()}/" for name in every for parent in Path(name).parents if parent.name}
    return frozenset(
        "/".join(parts[start:])
        for name in every | folders
        for parts in [name.split("/")]
        for start in range(len(parts) - name.endswith("/"))
    )


@cache
def pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*"))


def is_there(name: str, known: frozenset[str]) -> bool:
    """Whether there is such a file or folder; a name with a `*`, whether it fits any."""
    name = PLACEHOLDER.sub("<package>", name).replace("orders_api/", "<package>/").removeprefix("./")
    if "*" in name:
        return any(map(pattern(name).fullmatch, known))
    return name in known or f"{name}/" in known


def missing(folder: Path, names: list[str], known: frozenset[str]) -> list[str]:
    """What the files of a folder name that is not there, with where it is named."""
    found = []
    for name in names:
        if not name.endswith((".md", ".py")) or name.endswith("CHANGELOG.md"):
            continue
        path = folder / name
        for text in prose(path):
            found += [f"{name}: {each}" for each in named_in(text) if not is_there(each, known)]
            targets = LINK.findall(text) if path.suffix == ".md" else []
            found += [
                f"{name}: ({each})"
                for each in targets
                if each and ":" not in each and not (path.parent / each).resolve().exists()
            ]
    return sorted(set(found))


def test_this_repository_names_paths_that_are_there(known: frozenset[str]) -> None:
    names = [name for name in git(REPOSITORY, "ls-files").splitlines() if not name.startswith("template/")]

    assert missing(REPOSITORY, names, known) == []


def test_an_emitted_service_names_paths_that_are_there(emitted: list[Path], known: frozenset[str]) -> None:
    assert {each for service in emitted for each in missing(service, files(service), known)} == set()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("see `cors.py` and `verify/attacks/`", ["cors.py", "verify/attacks/"]),
        ("`tests/test_*.py`, `src/<package>/app.py`", ["tests/test_*.py", "src/<package>/app.py"]),
        ("`docs/decisions/0007-proof`", ["docs/decisions/0007-proof"]),
        ("`application/json`, `GET /users/{id}`, `100/15m`, `uv run x.py`, `Sec-Fetch-Site`, cors.py", []),
    ],
)
def test_a_path_is_told_from_other_code(text: str, names: list[str]) -> None:
    assert list(named_in(text)) == names
