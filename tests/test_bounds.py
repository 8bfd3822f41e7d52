"""What owned code needs gets into the team's `pyproject.toml`, and nothing that the team wrote gets out of it."""

import ast
import difflib
import json
import random
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from verify.result import Outcome
from verify.upkeep.bounds import BoundsReport, bring, check
from verify.upkeep.libraries import LIBRARIES
from verify.upkeep.pyproject import CannotChangeError, Pyproject
from verify.upkeep.specifiers import implies, intersected, is_empty

from .conftest import REPOSITORY, Emit

PROJECT = """\
# Ours.
[project]
name = "orders-api"
version = "1.0"
description = '''
[project]
dependencies = ["no", # list
'''
dependencies = [
%s]

[dependency-groups]
dev = [
    "pytest>=9.2",
]
"""


def brought(content: str, *runtime: str, dev: tuple[str, ...] = ()) -> tuple[str, BoundsReport]:
    """What becomes of a `pyproject.toml`, and what is said."""
    pyproject = Pyproject(content.encode())
    found = bring(pyproject, {"project": {"dependencies": list(runtime)}, "dependency-groups": {"dev": list(dev)}})
    text = bytes(pyproject).decode()
    again = bring(pyproject, {"project": {"dependencies": list(runtime)}, "dependency-groups": {"dev": list(dev)}})
    assert again.changed == [], "a second run changes nothing"
    assert (again.clashes, again.unverified) == (found.clashes, found.unverified)
    assert bytes(pyproject).decode() == text
    return text, found


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(keepends=True), after.splitlines(keepends=True))
    return [line[2:] for line in lines if line[0] == "+"]


@pytest.mark.parametrize(
    ("theirs", "need", "expected"),
    [
        ("idna<3.7", "idna>=3.6", "idna>=3.6,<3.7"),
        ("fastapi>=0.160", "fastapi>=0.165", "fastapi>=0.165"),
        ("fastapi>=0.160,<1", "fastapi>=0.165", "fastapi>=0.165,<1"),
        ("fastapi<1,>=0.160", "fastapi>=0.165", "fastapi<1,>=0.165"),
        ("fastapi", "fastapi>=0.165", "fastapi>=0.165"),
        ("fastapi != 0.166", "fastapi>=0.165", "fastapi >=0.165,!= 0.166"),
        ("fastapi >= 0.160, < 1", "fastapi>=0.165", "fastapi >=0.165, < 1"),
        ("fastapi~=0.160", "fastapi>=0.165", "fastapi>=0.165,~=0.160"),
        ("fastapi==0.*", "fastapi>=0.165", "fastapi>=0.165,==0.*"),
        ("FastAPI (<1)", "fastapi>=0.165", "FastAPI (>=0.165,<1)"),
        ("Typing_Extensions>=4", "typing-extensions>=4.12", "Typing_Extensions>=4.12"),
        ("redis>=5 ; sys_platform == 'linux'", "redis>=8", "redis>=8 ; sys_platform == 'linux'"),
        ("granian>=2.8.7", "granian[reload]>=2.8.7", "granian[reload]>=2.8.7"),
        ("granian[pname]", "granian[reload]>=2.8.7", "granian[pname,reload]>=2.8.7"),
        ("granian[Reload]", "granian[reload]>=2.8.7", "granian[Reload]>=2.8.7"),
        ("granian[pname, uvloop]<3", "granian>=2.8.7", "granian[pname, uvloop]>=2.8.7,<3"),
        ("a>1", "a>=1.5,<3", "a<3,>=1.5"),
        ("a>=1.6", "a>=1.5,<3", "a<3,>=1.6"),
        ("a>=2.0rc1", "a>=2.0", "a>=2.0"),
    ],
)
def test_a_line_is_intersected_and_keeps_its_spelling(theirs: str, need: str, expected: str) -> None:
    before = PROJECT % f'    "{theirs}", # why\n    "zeta",\n'

    after, found = brought(before, need)

    assert changed_lines(before, after) == [f'    "{expected}", # why\n']
    assert Requirement(expected)
    assert found.changed == [f"{theirs} in project.dependencies becomes {expected}."]


@pytest.mark.parametrize(
    "theirs",
    [
        "fastapi>=0.165",
        "fastapi>=0.166,<1",
        "fastapi==0.165.1",
        "fastapi===0.165.1",
        "fastapi==0.165.*",
        "fastapi~=0.165.0",
        "fastapi==0.166rc1",
        "fastapi>0.165",
        "fastapi==0.170+ours",
        "fastapi @ https://example.com/fastapi-0.1-py3-none-any.whl",
        "fastapi @ git+https://example.com/fastapi@v1",
        "fastapi>=0.165; python_version < '3.13'",
        "fastapi[all]>=0.165",
    ],
)
def test_what_will_do_is_not_touched(theirs: str) -> None:
    before = PROJECT % f'    "{theirs}",\n'

    assert brought(before, "fastapi>=0.165") == (before, BoundsReport())


@pytest.mark.parametrize(
    "theirs",
    ["h11==0.14.0", "h11===0.14.0", "h11<0.16", "h11~=0.15.1", "h11==0.15.*", "h11>=0.14,<0.15", "h11<=0.15.99"],
)
@pytest.mark.parametrize("marker", ["", "; sys_platform != 'win32'"])
def test_what_cannot_be_intersected_is_named_and_left_alone(theirs: str, marker: str) -> None:
    before = PROJECT % f'    "{theirs}{marker}",\n'

    after, found = brought(before, "h11>=0.16", "idna>=3.6")

    assert changed_lines(before, after) == ['    "idna>=3.6",\n']
    (clash,) = found.clashes
    assert f"{theirs}{marker} in project.dependencies" in clash
    assert "h11>=0.16" in clash
    assert "uv lock" in clash


def test_what_nobody_can_tell_is_left_to_the_lock() -> None:
    before = PROJECT % '    "odd===2.0-built-by-us",\n'

    after, found = brought(before, "odd>=1")

    assert '"odd>=1,===2.0-built-by-us"' in after
    assert found.clashes == []


def test_lines_of_one_name_with_markers_count_each() -> None:
    before = (
        PROJECT
        % """\
    "numpy<2; python_version < '3.12'",
    "numpy>=2.1; python_version >= '3.12'",
    "numpy==1.0; platform_system == 'Windows'",
"""
    )

    after, found = brought(before, "numpy>=1.26")

    assert changed_lines(before, after) == ["    \"numpy>=1.26,<2; python_version < '3.12'\",\n"]
    assert ["numpy==1.0" in clash for clash in found.clashes] == [True]


def test_lines_of_one_name_without_markers_count_together() -> None:
    before = PROJECT % '    "granian>=2.8.7",\n    "Granian[reload]",\n    "idna<3.7",\n    "idna!=3.6.5",\n'

    after, _ = brought(before, "granian[reload]>=2.8.7", "idna>=3.6")

    assert changed_lines(before, after) == ['    "idna>=3.6,<3.7",\n']


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[]", '[\n    "idna>=3.6",\n]'),
        ("[\n]", '[\n    "idna>=3.6",\n]'),
        ("[\n    # none\n]", '[\n    # none\n    "idna>=3.6",\n]'),
        ('["anyio", "zeta"]', '["anyio", "idna>=3.6", "zeta"]'),
        ('["anyio"]', '["anyio", "idna>=3.6"]'),
        ("['anyio',]", "['anyio', 'idna>=3.6']"),
        ('["zeta", "anyio"]', '["zeta", "anyio", "idna>=3.6"]'),
        ('[\n\t"anyio",\n\t"zeta"\n]', '[\n\t"anyio",\n\t"idna>=3.6",\n\t"zeta"\n]'),
        ('[\n  "anyio"  # last\n]', '[\n  "anyio",  # last\n  "idna>=3.6"\n]'),
        ('[\n  # a\n  "anyio",\n\n  # z\n  "zeta",\n]', '[\n  # a\n  "anyio",\n\n  # z\n  "idna>=3.6",\n  "zeta",\n]'),
        ('[ "anyio", "b",\n  "zeta" ]', '[ "anyio", "b",\n  "idna>=3.6",\n  "zeta" ]'),
        ('["anyio",\n  "zeta"]', '["anyio",\n  "idna>=3.6",\n  "zeta"]'),
        ('[\n  "anyio"]', '[\n  "anyio",\n  "idna>=3.6"]'),
        ('[\n    """anyio""",\n]', '[\n    """anyio""",\n    "idna>=3.6",\n]'),
    ],
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_new_line_takes_on_the_style_of_the_list(before: str, after: str, newline: str) -> None:
    project = '[project]\nname = "x"\ndependencies = LIST\n# end\n'
    whole = project.replace("LIST", before).replace("\n", newline)

    text, found = brought(whole, "idna>=3.6")

    assert text == project.replace("LIST", after).replace("\n", newline)
    assert found.changed == ["idna>=3.6 joins project.dependencies."]


@pytest.mark.parametrize(
    "project",
    [
        '"project".dependencies = ["idna"]\n',
        'project = { name = "x", dependencies = ["idna"] }\n',
        "project . 'dependencies' = [ 'idna' ]\n",
        '[ "project" ]\nname = """a\n[project]\ndependencies = ["idna"]\n"""\n"dependencies" = [\n\t"idna"\n]\n',
        '[project]\nreadme = { file = "a]#b", x = ["}"] }\ndate = 2026-01-01T00:00:00 # [x]\ndependencies = [\'idna\']',
        '[[tool.x]]\ndependencies = ["idna"]\n[[tool.x]]\ny = 1\n[project]\ndependencies = ["idna"]\n',
        '[project]\nscripts.x = \'a:b\'\nempty = ""\nfive = """"q"""""\ndependencies = ["idna"]\n',
    ],
)
def test_every_way_to_write_the_table_is_understood(project: str) -> None:
    after, found = brought(project, "idna>=3.6")

    place = project.rindex("idna") + len("idna")
    assert after == f"{project[:place]}>=3.6{project[place:]}"
    assert found.unverified == []


@pytest.mark.parametrize(
    ("project", "said"),
    [
        ('[tool.poetry]\nname = "x"\n', "There is no table [project]"),
        ('[project]\nname = "x"\ndynamic = ["dependencies"]\n', "Ask for idna>=3.6 by hand: project.dependencies"),
        (
            '[project]\ndependencies = [\n  "anyio" # a, "b" ]\n  , # odd\n]\n',
            "Ask for idna>=3.6 by hand: project.dependencies",
        ),
        ('[project]\ndependencies = "idna"\n', "Ask for idna>=3.6 by hand: project.dependencies"),
        ("", "There is no table [project]"),
    ],
)
def test_what_is_kept_elsewhere_is_named(project: str, said: str) -> None:
    after, found = brought(project, "idna>=3.6")

    assert after == project
    assert said in found.unverified[0]
    assert "idna>=3.6" in found.unverified[0]


def test_a_package_from_elsewhere_is_left_alone_but_one_from_another_index_is_not() -> None:
    before = (
        PROJECT % '    "Idna",\n    "anyio",\n'
        + """
[tool.uv.sources]
idna = { git = "https://example.com/idna" }
anyio = { index = "ours" }
sniffio = [{ path = "../sniffio", marker = "x" }, { index = "ours" }]
"""
    )

    after, found = brought(before, "idna>=3.6", "anyio>=4", "sniffio>=1")

    assert changed_lines(before, after) == ['    "anyio>=4",\n']
    assert len(found.changed) == 1


GROUPS = """\
[project]
name = "x"
dependencies = ["websockets>=12", "jsonschema>=4.25"]

[project.optional-dependencies]
fast = ["httpx2>=2.20", "uvloop<1"]

[dependency-groups]
dev = [{ include-group = "Test" }, "ruff"]
test = ["pytest>=8"]
docs = ["mkdocs", "idna==3.0"]
"""


def test_each_need_belongs_into_its_list() -> None:
    after, found = brought(
        GROUPS, "httpx2>=2.16", "pytest>=9.2", dev=("websockets>=17.4", "jsonschema>=4.20", "pytest>=9.2")
    )

    # An extra and a group are not installed in production; what is there in production is there in development.
    assert '["websockets>=12", "jsonschema>=4.25", "httpx2>=2.16", "pytest>=9.2"]' in after
    assert 'dev = [{ include-group = "Test" }, "ruff", "websockets>=17.4"]' in after
    assert 'test = ["pytest>=9.2"]' in after
    assert len(found.changed) == 4


def test_a_pin_in_another_list_is_a_clash_since_all_are_locked_together() -> None:
    after, found = brought(GROUPS, "idna>=3.6", "uvloop>=2")

    assert after == GROUPS
    assert ["idna==3.0 in dependency-groups.docs" in found.clashes[0], "uvloop<1" in found.clashes[1]] == [True, True]


def test_the_groups_that_uv_installs_are_asked() -> None:
    assert (
        "pytest>=9.2"
        in brought(GROUPS + '[tool.uv]\ndefault-groups = ["docs"]\n', dev=("pytest>=9.2",))[0].split("docs = ")[1]
    )
    assert 'test = ["pytest>=9.2"]' in brought(GROUPS + '[tool.uv]\ndefault-groups = "all"\n', dev=("pytest>=9.2",))[0]
    old = '[project]\ndependencies = []\n[tool.uv]\ndev-dependencies = ["pytest>=8"]\n'
    assert brought(old, dev=("pytest>=9.2", "ruff>=1"))[0] == old.replace('"pytest>=8"', '"pytest>=9.2", "ruff>=1"')


def test_a_group_that_is_not_there_is_named() -> None:
    project = "[project]\ndependencies = []\n"

    after, found = brought(project, dev=("pytest>=9.2",))

    assert after == project
    assert found.unverified == [
        "Ask for pytest>=9.2 by hand: dependency-groups.dev or tool.uv.dev-dependencies is not there, or not written "
        "as a plain list."
    ]


@pytest.mark.parametrize("content", [b"[project\n", b"\xff", b"a = 1\na = 2\n"])
def test_what_is_no_toml_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Pyproject(content)


def test_an_unforeseen_way_to_write_a_list_is_not_changed() -> None:
    pyproject = Pyproject(b'[project]\ndependencies = ["a"]\n')
    pyproject.text = pyproject.text.replace("a", "b")  # as if the text had been misread

    with pytest.raises(CannotChangeError):
        pyproject.add(("project", "dependencies"), "c")
    assert pyproject.text == '[project]\ndependencies = ["b"]\n'


# What two bounds come to, against every version of a small world

WORLD = [
    Version(".".join(map(str, release)) + suffix)
    for release in [*product(range(4)), *product(range(4), range(4)), *product(range(3), range(3), range(3))]
    for suffix in ("", ".post1", ".0.0.1")
]


def bounds() -> list[str]:
    chance = random.Random(4)  # noqa: S311 - the same each time
    clauses = []
    for _ in range(400):
        version = ".".join(str(chance.randrange(3)) for _ in range(chance.choice([1, 2, 2, 3])))
        operator = chance.choice(["==", "!=", "<", "<=", ">", ">=", "~=", "==*", "!=*"])
        if operator == "~=" and "." not in version:
            version += ".0"
        clauses.append(operator[:2].rstrip("*") + version + (".*" if operator.endswith("*") else ""))
    return [",".join(chance.sample(clauses, chance.choice([1, 1, 2, 3]))) for _ in range(400)]


def test_implication_and_emptiness_agree_with_trying_every_version() -> None:
    every = bounds()
    kept = {each: {version for version in WORLD if SpecifierSet(each).contains(version)} for each in every}
    empty = implied = 0
    for one, other in zip(every, every[::-1], strict=True):
        common = kept[one] & kept[other]
        assert not (is_empty(SpecifierSet(one), SpecifierSet(other)) and common), (one, other)
        assert not (implies(one, other) and kept[one] - kept[other]), (one, other)
        assert is_empty(SpecifierSet(one), SpecifierSet(other)) or common, (one, other)
        empty += not common
        implied += implies(one, other)
    assert empty > 50
    assert implied > 50


def test_an_intersection_keeps_exactly_what_both_keep() -> None:
    every = bounds()
    for theirs, ours in zip(every, every[::-1], strict=True):
        text = intersected(f"a{theirs}", Requirement(f"a{ours}"))
        both = SpecifierSet(text[1:])
        for version in WORLD:
            expected = SpecifierSet(theirs).contains(version) and SpecifierSet(ours).contains(version)
            assert both.contains(version) == expected, (theirs, ours, text, version)
        assert re.fullmatch(r"a[^ ]*", text)


# The command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """As much of a service as the command looks at."""
    without = shutil.ignore_patterns("__pycache__", "*.jinja")
    shutil.copytree(REPOSITORY / "template" / "verify", tmp_path / "verify", ignore=without)
    (tmp_path / "verify" / "bounds.toml").write_text(
        '[project]\ndependencies = ["idna>=3.6"]\n[dependency-groups]\ndev = ["pytest>=9.2"]\n'
    )
    (tmp_path / "pyproject.toml").write_text(PROJECT % '    "idna<3.7",\n')
    (tmp_path / "pyproject.toml").chmod(0o640)
    return tmp_path


def command(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "verify.bounds", *options], cwd=project, capture_output=True, text=True, check=False
    )


def test_the_command_writes_says_what_it_did_and_does_it_once(project: Path) -> None:
    first, second = command(project), command(project, "--format=json")

    assert (first.returncode, first.stdout) == (0, "idna<3.7 in project.dependencies becomes idna>=3.6,<3.7.\n")
    assert (second.returncode, json.loads(second.stdout)) == (0, {"changed": [], "clashes": [], "untold": []})
    assert command(project).stdout == "pyproject.toml asks for all that owned code needs already.\n"
    assert (project / "pyproject.toml").read_text() == PROJECT % '    "idna>=3.6,<3.7",\n'
    assert (project / "pyproject.toml").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in project.iterdir()) == ["pyproject.toml", "verify"]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (PROJECT % '    "idna==3.5",\n', 1, "idna==3.5 in project.dependencies leaves no version for idna>=3.6"),
        ("[project\n", 2, "pyproject.toml cannot be read: "),
        (None, 2, "There is no pyproject.toml."),
        ("[tool.poetry]\n", 2, "There is no table [project]"),
    ],
)
def test_the_command_never_ends_in_a_traceback_and_leaves_such_a_file_alone(
    project: Path, content: str | None, code: int, said: str
) -> None:
    file = project / "pyproject.toml"
    file.unlink()
    if content is not None:
        file.write_text(content)

    result = command(project)

    assert (result.returncode, result.stderr) == (code, "")
    assert said in result.stdout
    assert (file.read_text() if file.exists() else None) == content


@pytest.mark.parametrize(
    ("content", "outcome", "seen"),
    [
        (PROJECT % '    "idna>=3.6",\n', Outcome.PROVED, "implies"),
        (PROJECT % '    "idna",\n', Outcome.INSECURE, "idna in project.dependencies becomes idna>=3.6"),
        (PROJECT % '    "idna<3",\n', Outcome.INSECURE, "leaves no version"),
        ("", Outcome.UNVERIFIED, "There is no table [project]"),
    ],
)
def test_verify_tells_what_pyproject_admits(project: Path, content: str, outcome: Outcome, seen: str) -> None:
    (project / "pyproject.toml").write_text(content)

    found = check(project)

    assert found.outcome is outcome
    assert seen in found.seen
    assert ("uv run python -m verify.bounds" in found.remedy) == (outcome is Outcome.INSECURE)
    assert (project / "pyproject.toml").read_text() == content


@pytest.mark.parametrize("missing", ["import tomlkit", "from packaging.specifiers import SpecifierSet"])
def test_where_a_library_is_missing_the_same_command_runs_through_uv(project: Path, missing: str) -> None:
    door = project / "verify" / "bounds.py"
    door.write_text(door.read_text().replace(missing, "raise ImportError", 1))

    done = command(project)

    assert (done.returncode, done.stdout) == (0, "idna<3.7 in project.dependencies becomes idna>=3.6,<3.7.\n")


def test_the_door_brings_what_it_imports_in_the_releases_that_are_locked() -> None:
    needed = re.findall(r'\["([^"]+)"', (REPOSITORY / "macros/dependencies.jinja").read_text())

    assert set(LIBRARIES) <= set(needed)


# What owned code needs

MODULES = {
    "dotenv": "python-dotenv",
    "fastapi_offline": "fastapi-offline",
    "hiredis": "redis",
    "pydantic_core": "pydantic",
    "pydantic_settings": "pydantic-settings",
}
"""Where a module has another name than what brings it. Pydantic pins its core, and redis[hiredis] bounds its parser."""


@pytest.mark.parametrize("example", ["minimal", "accounts"])
def test_owned_code_has_a_bound_for_all_that_it_imports(emit: Emit, example: str) -> None:
    service = emit(store="redis", example=example)
    needs = tomllib.loads((service / "verify" / "bounds.toml").read_text())
    runtime, development = (
        {Requirement(each).name for each in lines}
        for lines in (needs["project"]["dependencies"], needs["dependency-groups"]["dev"])
    )
    assert {Requirement(each).name for each in project_of(service)["project"]["dependencies"]} >= runtime

    own = {"orders_api", "tests", "verify", "annotationlib", *sys.stdlib_module_names}  # the last came with Python 3.14
    passwords = {"pwdlib"} if example == "minimal" else set()  # for whoever adds it and uses `Passwords`
    for folder, declared in [
        # With the bounds that FastAPI, Starlette and Pydantic have for them; the last of the first row only with --dev.
        ("src/orders_api/hardening", runtime | passwords | {"anyio", "opentelemetry", "fastapi-offline"}),
        ("tests/hardening", runtime | development | passwords | {"anyio", "opentelemetry", "typing_extensions"}),
        ("verify", runtime | development),
    ]:
        imported = {name for path in (service / folder).rglob("*.py") for name in modules(path)} - own
        assert imported, folder
        assert {MODULES.get(name, name) for name in imported} <= declared, folder


def project_of(service: Path) -> dict[str, Any]:
    return tomllib.loads((service / "pyproject.toml").read_text())


def modules(path: Path) -> Iterator[str]:
    """What a file imports from outside of its package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name.split(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
