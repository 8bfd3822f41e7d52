"""What an image is built on is named by a digest, or not called pinned; what is in it is from the lock."""

import re

import pytest

from .deployments import SERVE, USER
from .test_deployed_files import Look, told

DIGEST = f"@sha256:{'0' * 64}"
BASE = "FROM python:3.14-slim"
TOOL = (
    f"FROM python:3.14-slim{DIGEST} AS build\nCOPY --from=ghcr.io/x/uv:0.13 /uv /bin/\nCOPY src /src\n{USER}\n{SERVE}\n"
)
PINNED: dict[str, tuple[str | tuple[str, str], str]] = {
    "as emitted": ((BASE, BASE), "not_looked_at not pinned: python:3.14-slim"),
    "each of them": ((BASE, BASE + DIGEST), "proved"),
    "one of two": ((f"{BASE} AS build", f"{BASE}{DIGEST} AS build"), "not_looked_at not pinned: python:3.14-slim"),
    "a digest that is cut off": ((BASE, BASE + DIGEST[:40]), "not_looked_at"),
    "an argument": ((BASE, f"ARG BASE=python{DIGEST}\nFROM $BASE"), "proved"),
    "an argument without one": ((BASE, "ARG BASE=python:3\nFROM $BASE"), "not_looked_at not pinned: python:3$"),
    "an image that is copied from": (TOOL, "not_looked_at not pinned: ghcr.io/x/uv:0.13$"),
    "a stage that nothing comes from": (f"FROM python AS test\n{TOOL.replace('0.13', '0.13' + DIGEST)}", "proved"),
    "what is downloaded": ((USER, f"ADD https://x/y.tar /y\n{USER}"), "not_looked_at .*https://x/y.tar"),
    "another platform": ((BASE, f"FROM --platform=linux/arm64 python{DIGEST}"), "proved"),
}


@pytest.mark.parametrize("name", PINNED)
def test_a_base_without_a_digest_is_not_called_pinned(look: Look, name: str) -> None:
    change, seen = PINNED[name]
    (check,) = (each for each in look({"Dockerfile": change}) if each.id == "docker.pinned")
    assert re.match(seen, f"{check.outcome.name.lower()} {check.seen}"), told([check])


SYNC = "RUN uv sync --locked --no-editable"


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (f"{SYNC} && uv pip install requests", "insecure"),
        (f"{SYNC} && pip install --no-cache-dir 'gunicorn>=23'", "insecure"),
        (f"{SYNC} && uv add httpx", "insecure"),
        (f"{SYNC} && uv pip install git+https://github.com/x/y", "insecure"),
        (f"{SYNC} && .venv/bin/pip install 'https://x/y-1.0-py3-none-any.whl'", "insecure"),
        (f"{SYNC} && pip install -r loose.txt", "insecure"),
        (f"{SYNC} && pip install -r hashed.txt", "proved"),
        (f"RUN uv export --locked -o made.txt && pip install -r made.txt\n{SYNC}", "proved"),
        (f"RUN uv lock --upgrade\n{SYNC}", "insecure"),
        (f"RUN uv lock --check\n{SYNC}", "proved"),
        (f"{SYNC} -U", "insecure"),
        ("ENV UV_LOCKED=0\nRUN uv sync --no-editable", "insecure"),
        ("RUN UV_LOCKED=false uv sync --no-editable", "insecure"),
        ("ENV UV_LOCKED=1\nRUN uv sync --no-editable", "proved"),
        (f"RUN pip install -U pip setuptools 'uv==0.13.9'\n{SYNC}", "proved"),
        (f"{SYNC}\nRUN pip install --require-hashes -r requirements.txt", "proved"),
    ],
)
def test_what_no_lock_names_is_not_called_locked(look: Look, line: str, outcome: str) -> None:
    files = {"loose.txt": "x==1\n", "hashed.txt": "x==1 --hash=sha256:00\n"}
    (check,) = (each for each in look({"Dockerfile": (SYNC, line), **files}) if each.id == "docker.locked")
    assert check.outcome.name.lower() == outcome, told([check])
