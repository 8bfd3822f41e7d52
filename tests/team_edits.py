"""What teams do to a service: a dozen edits, each of seeds alone, after which the service still runs and verifies."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

Edit = Callable[[Path, str], None]

ROUTE = '''\
"""Our orders."""

from fastapi import APIRouter

from ..hardening import ApiModel, public

router = APIRouter(prefix="/orders", tags=["orders"])


class Order(ApiModel):
    number: int


@router.get("/{number}")
@public
async def read_order(number: int) -> Order:
    return Order(number=number)
'''
FIXTURE = '''

@pytest.fixture(autouse=True)
def _our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixture of the team's, around each of its tests."""
    monkeypatch.setenv("OURS", "1")
'''
WAIVER = """
[[waiver]]
advisory = "PYSEC-2023-74"
package = "requests"
reason = "Not used here."
expires = {}
"""


def replace(path: Path, pattern: str, by: str) -> None:
    """Replace a pattern that must be there, once."""
    text, count = re.subn(pattern, by, path.read_text(), count=1)
    assert count == 1, f"{path.name} has no {pattern}"
    path.write_text(text)


def append(path: Path, text: str) -> None:
    path.write_text((path.read_text() if path.exists() else "") + text)


def add_a_route(service: Path, package: str) -> None:
    source = service / "src" / package
    (source / "routes" / "orders.py").write_text(ROUTE)
    replace(source / "app.py", r"(?m)^from \.routes", "from .routes import orders as our_orders\nfrom .routes")
    replace(source / "app.py", r"(?m)^    return app$", "    app.include_router(our_orders.router)\n    return app")


def rewrite_the_readme(service: Path, package: str) -> None:
    """With the line ends of another system."""
    (service / "README.md").write_bytes(b"# Ours\r\n\r\nAsk the team.\r\n")


def delete_seeds(service: Path, package: str) -> None:
    (service / "compose.yaml").unlink()


def add_dependencies(service: Path, package: str) -> None:
    added = '\n    "idna>=3.4,<4", # ours\n    "tzdata>=2024.1; sys_platform == \'win32\'",'
    replace(service / "pyproject.toml", r"(?m)^dependencies = \[", f"dependencies = [{added}")


def bound_a_dependency(service: Path, package: str) -> None:
    """From above, and less narrowly from below than owned code needs."""
    replace(service / "pyproject.toml", r'"granian(\[uvloop\])?>=[\d.]+",', '"granian>=2.8,<999", # until we have time')


def rename_a_module(service: Path, package: str) -> None:
    """With all imports of it, as an editor does."""
    source = service / "src" / package
    module = next(path for path in sorted((source / "routes").glob("*.py")) if path.stem not in ("__init__", "orders"))
    module.rename(module.with_stem("ours"))
    for path in [*(service / "tests").glob("*.py"), *source.glob("*.py"), *(source / "routes").glob("*.py")]:
        text = re.sub(rf"\broutes\.{module.stem}\b", "routes.ours", path.read_text())
        path.write_text(
            re.sub(rf"(?m)^(from \S*\broutes import .*?)\b{module.stem}\b", rf"\1ours as {module.stem}", text)
        )


def change_the_ci(service: Path, package: str) -> None:
    """In the seed that there is; without one the team writes its own."""
    github, gitlab = service / ".github" / "workflows" / "hardening.yml", service / ".gitlab-ci.yml"
    if github.exists():
        replace(github, r'cron: ".*"', 'cron: "1 1 * * 1"')
    elif gitlab.exists():
        replace(gitlab, "timeout: .*", "timeout: 99 minutes")
    else:
        (service / "Jenkinsfile").write_text("sh 'uv run --locked python -m verify'\n")


def move_the_tests(service: Path, package: str) -> None:
    """One folder further down, with all that they import."""
    (service / "tests" / "unit").mkdir()
    for path in (service / "tests").glob("test_*.py"):
        moved = path.rename(service / "tests" / "unit" / path.name)
        text = re.sub(r"(?m)^from \.(?!test_)", "from ..", moved.read_text())
        moved.write_text(text.replace("Path(__file__).parent", "Path(__file__).parent.parent"))


def add_a_setting(service: Path, package: str) -> None:
    replace(
        service / "src" / package / "settings.py",
        r'(?s)(class Settings\(HardeningSettings\):\n    """.*?"""\n)',
        r'\1\n    greeting: str = "hello"\n',
    )


def change_the_image(service: Path, package: str) -> None:
    replace(service / "Dockerfile", r"(?m)^EXPOSE 8000$", 'LABEL team="orders"\nEXPOSE 8000')


def share_a_fixture(service: Path, package: str) -> None:
    append(service / "tests" / "conftest.py", FIXTURE)


def waive_an_advisory(service: Path, package: str) -> None:
    append(service / "audit-waivers.toml", WAIVER.format(datetime.now(UTC).date() + timedelta(days=30)))


def add_files(service: Path, package: str) -> None:
    """Code, a picture and a script, beside the template's files."""
    (service / "src" / package / "billing").mkdir()
    (service / "src" / package / "billing" / "__init__.py").write_text('"""Ours."""\n')
    (service / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    script = service / "bin" / "release"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho released\n")
    script.chmod(0o755)


EDITS: tuple[Edit, ...] = (
    add_a_route,
    rewrite_the_readme,
    delete_seeds,
    add_dependencies,
    bound_a_dependency,
    rename_a_module,
    change_the_ci,
    move_the_tests,
    add_a_setting,
    change_the_image,
    share_a_fixture,
    waive_an_advisory,
    add_files,
)
"""In an order in which each finds what it changes, whichever of the others were made before."""
