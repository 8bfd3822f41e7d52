"""Each question takes what it should, refuses the rest in one sentence, and suggests something it would take."""

import keyword
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from copier import run_copy

from .conftest import Render

HOSTILE = r"""Müller's "API" {{ 7*7 }} {% x %} {#y#} <b>&amp; `c` *i* _e_ [a](b) $H \n ~~s~~ 😀"""


def answers(folder: Path) -> dict[str, str]:
    """The answers that an emitted service remembers."""
    remembered: dict[str, str] = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return remembered


REFUSED = {
    "project_name": {
        "is empty": ["", " ", "\u3000"],
        "invisible character": [
            "a\nb",
            "a\rb",
            "a\tb",
            "a\x00b",
            "a\x1b[31mb",
            "a\x7fb",
            "a\x85b",
            "a\x9bb",
            "a\xadb",
            "a\u200bb",
            "a\u200db",
            "a\u2028b",
            "a\u202eb",
            "a\u2066b",
            "a\u2069b",
            "a\ufeffb",
            "a\U000e0041b",
            "a\udc80b",
        ],
        "shorten it to at most 80": ["x" * 81],
    },
    "description": {
        "is empty": ["", "  "],
        "invisible character": ["a\nb", "a\u202eb", "a\x7fb"],
        "shorten it to at most 200": ["x" * 201],
    },
    "package_name": {
        "is empty": [""],
        "lower-case ASCII letters": [
            "../x",
            "a/b",
            "a\\b",
            "a.b",
            "a-b",
            "a b",
            "A",
            "Orders",
            "1a",
            "_a",
            "a'",
            'a"',
            "a{",
            "{{ 7*7 }}",
            "a\n",
            "ordеrs",
            "größe",
            "ａ",
            "日本",
            ".",
            "..",
            "~",
            "$HOME",
        ],
        "shorten it to at most 40": ["x" * 41],
        "a word of the Python language": ["class", "match", "case", "type", "import", "lambda"],
        "Python's standard library": ["json", "sys", "types", "site", "distutils", "tomllib", "test"],
        "a library that the service": [
            "fastapi",
            "starlette",
            "pydantic",
            "pydantic_core",
            "pydantic_settings",
            "pydantic__settings",
            "granian",
            "redis",
            "sqlalchemy",
            "alembic",
            "pwdlib",
            "structlog",
            "uvloop",
            "anyio",
            "click",
            "dotenv",
            "python_dotenv",
            "httpx",
            "httpx2",
            "pytest",
            "mypy",
            "ruff",
            "copier",
            "typing_extensions",
            "annotated_types",
            "idna",
            "sniffio",
        ],
        "a meaning of its own": ["tests", "verify", "hardening", "src", "conftest", "sitecustomize", "con", "nul"],
    },
    "cors_origins": {
        "every site": ["*", "https://a.example,*"],
        "sandboxed pages": ["null"],
        "wildcard": ["https://*.example.com"],
        "no scheme": ["example.com", "//example.com"],
        "ends in a slash": ["https://a.example/", "https://a.example,https://b.example/"],
        "path, query and fragment": [
            "https://a.example/x",
            "https://a.example?x",
            "https://a.example#x",
            "https://a\\b",
        ],
        "user name or password": ["https://me@a.example", "https://me:pw@a.example"],
        "upper-case": ["https://A.example", "HTTPS://a.example"],
        "blank in it": ["https://a. example", "https://a.example https://b.example"],
        "line break": ["https://a.example\n", "https://a.example\thttps://b.example"],
        "punycode": ["https://müller.example", "https://аpple.example"],
        "not encrypted": ["http://a.example", "http://localhost.a.example", "http://127.0.0.2", "http://10.0.0.1"],
        "not one of a web page": ["ftp://a.example", "file://a", "chrome-extension://abcdef"],
        "default port": ["https://a.example:443", "http://localhost:80"],
        "not an exact one": [
            "https://",
            "https://:8443",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:08443",
            "https://a.example:65536",
            "https://a.example:x",
            "https://a..example",
            "https://-a.example",
            "https://a_b.example",
            "https://a.example.",
            "https://[::1",
            "https://1.2.3",
            "https://1.2.3.256",
            "https://2130706433",
            "https://0x7f000001",
            'https://a"b',
        ],
        "empty place": [",", "https://a.example,", ",https://a.example", "https://a.example,,https://b.example"],
        "listed twice": ["https://a.example,https://a.example"],
    },
    "example": {"'blog' is not in": ["blog"], "'' is not in": [""]},
    "store": {"'valkey' is not in": ["valkey"], "'memory://' is not in": ["memory://"]},
    "ci": {"'jenkins' is not in": ["jenkins"], "'GitHub Actions' is not in": ["GitHub Actions"]},
    "deploy": {"'helm' is not in": ["helm"], "'' is not in": [""], "'Kubernetes' is not in": ["Kubernetes"]},
    "checks": {"'on' is not in": ["on"], "'false' is not in": ["false"], "'' is not in": [""]},
}

ADMITTED = {
    "project_name": [
        HOSTILE,
        "x",
        "日本",
        "---",
        "#",
        "- x",
        "1. x",
        "x" * 80,
        "Ünïcödé",
        "a\u00a0b",
        "null",
        "0",
        "😀" * 80,
    ],
    "description": [HOSTILE, ".", "=== not a heading", "x" * 200, "> quoted", "a: b # c"],
    "package_name": [
        "a",
        "a1",
        "a_b",
        "a__b",
        "orders_api",
        "svc_2024",
        "x" * 40,
        "no",
        "yes",
        "null",
        "app",
        "class_",
    ],
    "cors_origins": [
        "",
        "https://a.example",
        "https://a.example:8443",
        "https://a.example,https://b.example",
        "https://a.example, https://b.example",
        "https://xn--mller-kva.example",
        "https://intranet",
        "https://192.0.2.1:65535",
        "https://[2001:db8::1]:8443",
        "http://localhost",
        "http://localhost:3000,http://127.0.0.1:5173,http://[::1]:3000",
    ],
    "example": ["accounts", "minimal"],
    "store": ["memory", "redis"],
    "ci": ["github", "gitlab", "none"],
    "deploy": ["container", "kubernetes"],
    "checks": ["warn", "strict", "off"],
}


@pytest.mark.parametrize(
    ("question", "says", "value"),
    [(question, says, value) for question in REFUSED for says, values in REFUSED[question].items() for value in values],
    ids=ascii,
)
def test_a_bad_answer_is_refused_with_a_sentence_and_nothing_is_written(
    questions: Path, tmp_path: Path, question: str, says: str, value: str
) -> None:
    folder = tmp_path / "orders-api"

    with pytest.raises(ValueError, match=re.escape(question)) as refusal:
        run_copy(str(questions), folder, data={question: value}, defaults=True, quiet=True, skip_tasks=True)

    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("question", "value"), [(question, value) for question in ADMITTED for value in ADMITTED[question]], ids=ascii
)
def test_a_good_answer_is_remembered_as_it_was_given(
    questions: Path, tmp_path: Path, question: str, value: str
) -> None:
    folder = tmp_path / "orders-api"

    run_copy(str(questions), folder, data={question: value}, defaults=True, quiet=True, skip_tasks=True)

    assert answers(folder)[question] == value


@pytest.mark.parametrize(
    ("folder", "project_name", "package_name"),
    [
        ("orders-api", "orders-api", "orders_api"),
        ("2024-svc", "2024-svc", "svc_2024_svc"),
        ("Größe", "Größe", "groesse"),
        ("Gro\u0308\u00dfe", "Gro\u0308\u00dfe", "groesse"),
        ("my service", "my service", "my_service"),
        ("Müller's API", "Müller's API", "muellers_api"),
        ("Señor Łukasz Ångström", "Señor Łukasz Ångström", "senor_lukasz_angstroem"),
        ("日本", "日本", "service"),
        ("---", "My service", "my_service"),
        ("class", "class", "class_service"),
        ("json", "json", "json_service"),
        ("fastapi", "fastapi", "fastapi_service"),
        ("tests", "tests", "tests_service"),
        ("con", "con", "con_service"),
        ("{{ 7*7 }}", "{{ 7*7 }}", "svc_7_7"),
        ("a\nb\u202ec", "a b c", "a_b_c"),
        (" ", "My service", "my_service"),
        ("x" * 200, "x" * 80, "x" * 40),
    ],
    ids=ascii,
)
def test_any_folder_gets_a_name_that_the_questions_take(
    questions: Path, tmp_path: Path, folder: str, project_name: str, package_name: str
) -> None:
    run_copy(str(questions), tmp_path / folder, defaults=True, quiet=True, skip_tasks=True)

    assert answers(tmp_path / folder)["project_name"] == project_name
    assert answers(tmp_path / folder)["package_name"] == package_name


def test_the_folder_one_stands_in_gives_its_name(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "2024-svc"
    folder.mkdir()
    monkeypatch.chdir(folder)

    run_copy(str(questions), ".", defaults=True, quiet=True, skip_tasks=True)

    assert answers(folder)["project_name"] == "2024-svc"
    assert answers(folder)["package_name"] == "svc_2024_svc"


def test_no_suggestion_is_one_that_the_validator_refuses(render: Render, asked: dict[str, dict[str, str]]) -> None:
    reserved = [*sys.stdlib_module_names, *keyword.kwlist, *keyword.softkwlist, "fastapi", "tests", "con", "com1"]
    spelt = [variant for name in reserved for variant in (name, name.upper(), f" {name}.", f"_{name}_", f"{name}!")]
    odd = [chr(code) for code in range(0x20, 0x2FF)] + [
        "1",
        "1" * 80,
        "a" * 39 + "_b",
        "9" * 39 + "_",
        "x" * 80,
        "ß" * 80,
    ]

    for project_name in [*spelt, *odd]:
        suggestion = render(asked["package_name"]["default"], project_name=project_name)
        assert render(asked["package_name"]["validator"], package_name=suggestion) == "", project_name


def test_no_package_takes_a_name_of_this_python(render: Render, asked: dict[str, dict[str, str]]) -> None:
    for name in [*sys.stdlib_module_names, *keyword.kwlist, *keyword.softkwlist]:
        assert render(asked["package_name"]["validator"], package_name=name), name


def test_the_questions_are_the_ones_that_scripts_know(asked: dict[str, dict[str, str]]) -> None:
    assert list(asked) == [
        "project_name",
        "package_name",
        "description",
        "example",
        "cors_origins",
        "store",
        "ci",
        "deploy",
        "checks",
    ]
    for name, details in asked.items():
        assert details["help"][-1] in ".?", name
        assert "default" in details, name


def test_the_command_names_the_reason_last_and_leaves_no_folder(questions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "orders-api"
    command = [
        sys.executable,
        "-m",
        "copier",
        "copy",
        "--skip-tasks",
        "--defaults",
        "-d",
        "store=postgres",
        str(questions),
        str(folder),
    ]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode != 0
    assert result.stderr.rstrip().endswith("Invalid choice for 'store': 'postgres' is not in ['memory', 'redis']")
    assert not folder.exists()
