"""Every emitted file has one owner, from the first release on, and neither side pulls the rug from under the other."""

import ast
import importlib.metadata
import json
import re
import subprocess

import pytest

from .edited_service import Services
from .owner_imports import crossings, package_of
from .public_surface import admits, broken, present, signature, snapshot, surface
from .releases import (
    OWNED,
    PRESENT,
    RELEASES,
    Answers,
    combinations,
    configuration,
    files,
    left_out,
    matches,
    seeds,
)
from .seed_hashes import services_of
from .test_questions import HOSTILE

EMITTED = [
    *combinations(PRESENT, "example", "store", "ci"),
    {"ci": "none", "cors_origins": "https://a.example", "package_name": "no", "project_name": HOSTILE},
    {"deploy": "kubernetes", "store": "redis"},
    {"deploy": "kubernetes", "example": "minimal", "ci": "gitlab"},
    {"package_name": "a__b_", "cors_origins": "https://a.example,http://localhost:3000"},
]
MATCHING = """\
import json, sys, pathspec
patterns, paths = json.load(sys.stdin)
kind = "gitignore" if int(pathspec.__version__.split(".")[0]) >= 1 else "gitwildmatch"
specs = {name: pathspec.PathSpec.from_lines(kind, lines) for name, lines in patterns.items()}
found = {name: [spec.match_file(path) for path in paths] for name, spec in specs.items()}
print(json.dumps([pathspec.__version__, found]))
"""


@pytest.mark.parametrize("given", EMITTED, ids=str)
def test_every_file_belongs_to_the_team_or_to_the_template(services: Services, given: Answers) -> None:
    folder = services.emit(PRESENT, given)
    for name in files(folder):
        owned = matches(OWNED, name)
        assert matches(seeds(PRESENT), name) != owned, f"{name} is neither a seed nor owned, or both"
        if owned and name != ".copier-answers.yml":
            assert "Owned by the template" in (folder / name).read_text().splitlines()[0], name


def test_an_update_leaves_out_exactly_the_seeds() -> None:
    assert left_out(PRESENT, "update") == seeds(PRESENT)
    assert left_out(PRESENT, "copy") == []
    assert all(re.fullmatch(r"!?/[^{}\[\]?]*", pattern) for pattern in seeds(PRESENT)), "a glob that is not literal"
    assert not [entry for entry in configuration(PRESENT)["_exclude"][:-1] if "{" in entry]


@pytest.mark.parametrize("resolution", ["lowest", "highest"])
def test_the_globs_mean_the_same_to_every_pathspec_that_copier_admits(services: Services, resolution: str) -> None:
    requirement = next(each for each in importlib.metadata.requires("copier") or () if each.startswith("pathspec"))
    folder = services.emit(PRESENT, EMITTED[0])
    ours = ["tests/unit/test_ours.py", "tests/unit/hardening/test_ours.py", "hardening/ours.py", "src/a/b/app.py"]
    deep = ["tests/hardening/more/test_x.py", "verify/attacks/more.py", "src/a/hardening/b/c.py", ".github/a/b/c.yml"]
    paths = [*files(folder), *ours, *deep]

    completed = subprocess.run(
        [
            *(
                "uv",
                "run",
                "--no-project",
                "--isolated",
                "--with",
                requirement,
                "--resolution",
                resolution,
                "python",
                "-c",
                MATCHING,
            )
        ],
        input=json.dumps([{"seeds": seeds(PRESENT), "owned": OWNED}, paths]),
        capture_output=True,
        text=True,
        check=True,
    )

    version, found = json.loads(completed.stdout)
    assert version.startswith("0.") == (resolution == "lowest")
    assert found["seeds"] == [matches(seeds(PRESENT), path) for path in paths]
    assert found["owned"] == [matches(OWNED, path) for path in paths]
    assert {path for path, seed in zip(paths, found["seeds"], strict=True) if seed} >= {*ours[:2], deep[3]}
    assert {path for path, owned in zip(paths, found["owned"], strict=True) if owned} >= {*deep[:3]}


@pytest.mark.parametrize("release", RELEASES)
def test_no_file_that_belonged_to_the_team_belongs_to_the_template_now(services: Services, release: str) -> None:
    taken = {
        name
        for given in EMITTED
        for name in files(services.emit(PRESENT, given))
        if not matches(seeds(PRESENT), name) and matches(seeds(release), name)
    }

    assert not taken, f"a team may have its own, and an update would conflict with it: {sorted(taken)}"


@pytest.mark.parametrize("release", RELEASES)
def test_owned_code_asks_nothing_of_seeds_that_an_older_service_lacks(services: Services, release: str) -> None:
    for given in services_of(release):
        old = services.emit(release, given)
        asked = crossings(services.emit(PRESENT, given), from_owned=True)
        assert asked
        for each in asked:
            assert (old / each.source).is_file(), f"{each.by} imports {each.source}, which {release} did not emit"
            defined = ast.parse((old / each.source).read_text()).body
            names = {node.name for node in defined if isinstance(node, ast.ClassDef | ast.FunctionDef)}
            assert each.name in names, f"{each.by} needs {each.name} of {each.source}, which {release} did not have"


# What seeds may import from owned code


@pytest.fixture(scope="module")
def now(services: Services) -> list[str]:
    return surface(present(services))


def test_what_seeds_import_is_still_there_and_takes_what_it_took(now: list[str]) -> None:
    assert not broken(now), "bring it back: seeds of older services use it, and no update touches them"


def test_what_seeds_may_import_is_in_the_snapshot(now: list[str]) -> None:
    assert now == snapshot(), "if this is meant to stay for years, run `uv run python -m tests.public_surface`"


def test_seeds_import_from_the_one_door(services: Services) -> None:
    for folder in present(services):
        door = f"src/{package_of(folder)}/hardening/__init__.py"
        behind = {each for each in crossings(folder, from_owned=False) if each.source != door}
        assert not {each for each in behind if not each.source.startswith("tests/hardening/")}


@pytest.mark.parametrize("release", RELEASES)
def test_create_app_of_every_release_takes_the_call_of_now(services: Services, release: str, now: list[str]) -> None:
    calls = [line for line in now if line.startswith("needs create_app(")]
    assert calls
    for given in services_of(release):
        folder = services.emit(release, given)
        module = ast.parse((folder / "src" / package_of(folder) / "app.py").read_text())
        (function,) = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "create_app"]
        taken = signature(function.args, bound=False)
        for call in calls:
            positional = call.partition("(")[2].rstrip(")").split(", ")
            assert all(argument == "_" for argument in positional), f"{call}: a team may call its parameter otherwise"
            assert admits(f"f{taken}", f"f({', '.join(f'a{i}' for i in range(len(positional)))}, /)"), (
                f"{taken}: {call}"
            )


@pytest.mark.parametrize(
    ("new", "old", "holds"),
    [
        ("f(a)", "f(a)", True),
        ("f(a, b=...)", "f(a)", True),
        ("f(a, *, b=...)", "f(a)", True),
        ("f(a=...)", "f(a)", True),
        ("f(a, b)", "f(a)", False),
        ("f(a, *, b)", "f(a)", False),
        ("f(b)", "f(a)", False),
        ("f()", "f(a)", False),
        ("f(a)", "f(a=...)", False),
        ("f(b, a)", "f(a, b)", False),
        ("f(a, /)", "f(a)", False),
        ("f(*, a)", "f(a)", False),
        ("f(a, b=...)", "f(a, *, b=...)", True),
        ("f(a)", "f(a, *, b=...)", False),
        ("f(a)", "f(a, *more)", False),
        ("f(a, **more)", "f(a)", True),
        ("f(a)", "f(a, **more)", False),
        ("f(x)", "f(a, /)", True),
        ("f", "f", True),
        ("f", "f(a)", False),
        ("", "f", False),
    ],
)
def test_a_signature_that_takes_less_is_seen(new: str, old: str, holds: bool) -> None:
    assert admits(new, old) == holds
