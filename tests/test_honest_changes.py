"""What honest teams change, and how each change ends with 0: because verify understands it, or because it was accepted.

All of it stands in `TABLE`. What is accepted is copied from the record of the run that was red, as a person would.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from verify.upkeep import larger_repository

from .conftest import commit
from .stages import deployments, pipelines, test_manifests, test_platforms, test_secrets
from .test_verify import Verified, copy, synced, verify

__all__ = ["synced"]
APP = "src/orders_api"
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nMIIBVAIBADANBg==\n-----END PRIVATE KEY-----\n"
FLOW = """on: {push: {tags: ["v*"]}}
permissions: {}
jobs: {build: {runs-on: ubuntu-24.04, strategy: {matrix: {include: [{os: linux, arch: amd64}]}}, steps: [{run: make}]}}
"""
ANCHORS = """on: &on {push: {tags: ["v*"]}}
permissions: {}
x-steps: &steps [{run: make}]
jobs:
  one: &job {runs-on: ubuntu-24.04, steps: *steps}
  two: {<<: *job}
"""
JOB_PERMISSIONS = """on: {push: {tags: ["v*"]}}
jobs:
  build:
    runs-on: ubuntu-24.04
    permissions: {contents: read}
    steps: [{run: make}]
"""
OWN_ACTION = """on: {push: {tags: ["v*"]}}
permissions: {}
jobs: {build: {runs-on: ubuntu-24.04, steps: [{uses: our-company/deploy@v3}]}}
"""
DISTROLESS = """FROM gcr.io/distroless/python3-debian12:nonroot
COPY --from=build /app /app
ENTRYPOINT ["/app/.venv/bin/python", "-m", "orders_api"]
CMD ["serve", "--host", "0.0.0.0"]
"""


def workflow(text: str) -> Callable[[Path], None]:
    def write(service: Path) -> None:
        (service / ".github/workflows/release.yml").write_text(text)

    return write


def distroless(service: Path) -> None:
    dockerfile = service / "Dockerfile"
    text = dockerfile.read_text()
    dockerfile.write_text(text[: text.rindex("FROM ")] + DISTROLESS)


def key_of_a_test(service: Path) -> None:
    (service / "tests/fixtures").mkdir()
    (service / "tests/fixtures/jwt-test.pem").write_text(PRIVATE_KEY)
    commit(service, "a key that only tests use")


def no_example(service: Path) -> None:
    (service / "tests/test_users.py").unlink()
    (service / APP / "routes/users.py").unlink()
    app = service / APP / "app.py"
    lines = app.read_text().splitlines(keepends=True)
    app.write_text("".join(line for line in lines if "users" not in line))


def no_images(service: Path) -> None:
    for name in ("Dockerfile", ".dockerignore", "compose.yaml"):
        (service / name).unlink()


def in_a_larger_repository(service: Path) -> None:
    (service / ".gitignore").rename(service.parent / ".gitignore")
    commit(service.parent, "a larger repository")
    for place, text in larger_repository.pipelines(service).items():  # as the hook offers them
        (service.parent / place).parent.mkdir(parents=True, exist_ok=True)
        (service.parent / place).write_text(text)


def subclass(service: Path) -> None:
    app = service / APP / "app.py"
    before, create, rest = app.read_text().partition("def create_app")
    app.write_text(
        f"{before}class Service(Hardened):\n"
        "    def findings(self) -> list[Finding]:\n"
        "        return [*super().findings()]\n\n\n"
        f"{create}{rest.replace('Hardened(', 'Service(')}".replace(
            "from .hardening import ", "from .hardening import Finding, ", 1
        )
    )


def middleware(service: Path) -> None:
    app = service / APP / "app.py"
    text = app.read_text()
    head, _, tail = text.rpartition("    return app")
    app.write_text(
        f"{head}    async def timed(request: Request, following: RequestResponseEndpoint) -> Response:\n"
        "        return await following(request)\n\n"
        "    app.add_middleware(BaseHTTPMiddleware, dispatch=timed)\n"
        f"    return app{tail}".replace(
            "from .hardening import ",
            "from fastapi import Request, Response\n"
            "from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint\n\n"
            "from .hardening import ",
            1,
        )
    )


def behind_a_prefix(service: Path) -> None:
    app = service / APP / "app.py"
    app.write_text(
        app.read_text().replace("Hardened(\n        settings,", 'Hardened(\n        settings, root_path="/api/v1",')
    )


COVERAGE = """
def pytest_addoption(parser):
    for name in ("--cov", "--cov-fail-under"):
        parser.addoption(name)
    parser.addoption("--no-cov", action="store_true")


def pytest_sessionfinish(session):
    session.exitstatus = session.exitstatus if session.config.getoption("--no-cov") else 1
"""


def bound_on_coverage(service: Path) -> None:
    """As with pytest-cov, which counts owned code as not covered where the owned tests did not run."""
    (service / "pytest_cov.py").write_text(COVERAGE)
    pyproject = service / "pyproject.toml"
    asked = 'addopts = ["-p", "pytest_cov", "--cov=orders_api", "--cov-fail-under=80", '
    pyproject.write_text(pyproject.read_text().replace("addopts = [", asked, 1))


SERVICES = {
    "a workflow in flow style (C5, h01)": ("configuration", workflow(FLOW), "understood"),
    "a workflow with anchors (C5, h01)": ("configuration", workflow(ANCHORS), "understood"),
    "a workflow whose jobs name their rights (C5, h02)": ("configuration", workflow(JOB_PERMISSIONS), "understood"),
    "an action of our own by its tag": ("configuration", workflow(OWN_ACTION), "accepted"),
    "an image whose base is not root (C5, h05)": ("configuration", distroless, "understood"),
    "a private key of a test (C5, h07)": ("configuration", key_of_a_test, "accepted"),
    "a prefix of a proxy (C5, h08)": ("configuration", behind_a_prefix, "understood"),
    "a bound on coverage (C5, h09)": ("tests", bound_on_coverage, "understood"),
    "no image is built here": ("configuration", no_images, "understood"),
    "a larger repository that ignores for its services": ("configuration", in_a_larger_repository, "understood"),
    "a subclass that only adds": ("configuration", subclass, "accepted"),
    "middleware that only looks": ("configuration", middleware, "understood"),
    "the example is gone, and nothing of ours is there yet (C5, h06)": ("tests", no_example, "understood"),
}
TABLE: dict[str, dict[str, Any]] = {
    "a service": SERVICES,
    "a pipeline": pipelines.HONEST,
    "a container file or compose file": deployments.HONEST,
    "a manifest": test_manifests.HONEST,
    "a platform, a supervisor or a script": test_platforms.HONEST,
    "a file that may hold a secret": test_secrets.HONEST,
}
"""Every honest change. Those of a service are made in one that is installed, and proved as a person does it; the files
of the others are looked at by the check of their kind, in `tests/stages/`.
"""
C5 = {"h01", "h02", "h05", "h06", "h07", "h08", "h09"}
"""The honest changes that were found red first."""


def test_what_was_found_red_first_is_in_the_table() -> None:
    assert set(re.findall(r"C5, (h\d+)", " ".join(SERVICES))) == C5
    assert all(len(part) > 9 for part in TABLE.values())


def accept_as_the_report_has_it(service: Path, run: Verified) -> int:
    """Accept what was red, as a person copies it from the record; how many there were."""
    red = [each for each in run.record["checks"] if each["outcome"] in ("insecure", "unverified")]
    expires = datetime.now(UTC).date() + timedelta(days=90)
    for each in red:
        about = f'object = "{each["object"]}"\n' if each["object"] else ""
        with (service / "pyproject.toml").open("a") as pyproject:
            pyproject.write(
                f'\n[[tool.hardening.verify.accept]]\ncheck = "{each["id"]}"\n{about}'
                f'reason = "We looked at it, and it holds."\nexpires = {expires}\n'
            )
    return len(red)


@pytest.mark.parametrize(("stage", "change", "how"), SERVICES.values(), ids=SERVICES)
def test_an_honest_change_ends_with_0(
    synced: Path, tmp_path: Path, stage: str, change: Callable[[Path], None], how: str
) -> None:
    service = copy(synced, tmp_path)
    change(service)

    run = verify(service, "--only", stage)
    accepted = accept_as_the_report_has_it(service, run) if run.code else 0
    if accepted:
        run = verify(service, "--only", stage)

    assert run.code == 0, run.out
    assert bool(accepted) == (how == "accepted"), run.out
    outcomes = [check["outcome"] for check in run.record["checks"]]
    assert outcomes.count("accepted") == accepted
    assert not accepted or f"{accepted} accepted" in run.out.splitlines()[-1]
