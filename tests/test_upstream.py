"""`python -m tests.upstream` says by which rule a test of FastAPI's fails here, and which fails by none."""

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPOSITORY
from .upstream.classes import CLASSES, class_of, differences, is_said

PROJECT = """\
[dependency-groups]
tests = [{ include-group = "more" }, "httpx2", "pytest"]
more = ["anyio[trio]"]
"""
TESTS = """\
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

app = FastAPI()


@app.get("/items/")
def items(q: int = 0) -> int:
    return q


@app.post("/items/")
def add(item: dict[str, int]) -> int:
    return len(item)


client = TestClient(app)


def test_same():
    assert client.get("/items/?q=1").json() == 1


def test_problem():
    assert client.get("/none").json() == {"detail": "Not Found"}


def test_document():
    assert set(client.get("/openapi.json").json()["paths"]["/items/"]["get"]["responses"]) == {"200", "422"}


def test_name():
    assert client.get("/items/?more=1").status_code == 200


def test_slash():
    assert client.get("/items").status_code == 200


def test_media_type():
    assert client.post("/items/", content="{}", headers={"content-type": "text/plain"}).status_code == 422


def test_malformed():
    assert client.post("/items/", content="{", headers={"content-type": "application/json"}).status_code == 422


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.anyio
async def test_event_loop():
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": "/items/", "query_string": b"", "headers": []}, receive, send)
    assert sent[0]["status"] == 200


def test_no_class():
    assert "x-content-type-options" not in client.get("/items/").headers
"""


@pytest.mark.world
def test_each_failure_has_its_class_and_what_has_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    for folder in ("fastapi", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "fastapi" / "__init__.py").write_text('__version__ = "0.165.0"\n')
    (tmp_path / "tests" / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "tests.upstream", str(tmp_path), "--record", str(tmp_path / "record")]

    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)

    counted = {
        line[6:].strip().partition(":")[0]: int(line[:6])
        for line in ended.stdout.splitlines()
        if line[:6].strip().isdigit()
    }
    found = {name for name, count in counted.items() if count}
    assert found >= {"problem", "document", "value", "slash", "media type", "request", "event loop"}, (
        ended.stdout + ended.stderr
    )
    assert "tests/test_it.py::test_no_class" in ended.stdout
    assert "test_same" not in ended.stdout
    assert ended.returncode == 1


def test_there_are_twelve_classes_at_most() -> None:
    assert len(CLASSES) <= 12


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"paths": {"/": {"get": {"responses": {}}}}}, {"paths": {"/": {"get": {"responses": {"429": {}}}}}}, True),
        ({"paths": {"/": {"get": {}}}}, {"paths": {"/": {}}}, False),
        ({"schema": {"type": "string"}}, {"schema": {"type": "string", "maxLength": 1}}, True),
        ({"schema": {"type": "string"}}, {"schema": {"type": "integer"}}, False),
        ({"components": {"schemas": {"Item": {}}}}, {"components": {"schemas": {}}}, False),
        ({"components": {"schemas": {}}}, {"components": {"schemas": {"Problem": {}}}}, True),
    ],
)
def test_a_document_may_say_more_and_never_less(before: object, after: object, said: bool) -> None:
    found = list(differences(before, after))
    assert found
    assert all(map(is_said, found)) is said


def test_what_no_rule_explains_is_in_no_class() -> None:
    answer = {"method": "GET", "path": "/", "status": 200, "type": "text/plain", "body": "a"}

    assert class_of([answer], [{**answer, "body": "b"}], "AssertionError: x") not in CLASSES
    assert class_of([answer], [answer], "AssertionError: x") not in CLASSES
