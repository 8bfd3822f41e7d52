"""What matters in the files of the team: Dockerfile, compose, ignore files, pipelines, settings."""

import re
import shutil
from pathlib import Path

import pytest
from verify.result import Options
from verify.stages.configuration import settings

from ..conftest import commit, git
from .runs import PACKAGE, Prove, outcomes, told

WORKFLOW = ".github/workflows/hardening.yml"
WEAKENED = [
    ("Dockerfile", "USER 10001:10001", "USER root", "insecure: .* not root: USER root"),
    ("Dockerfile", "USER 10001:10001", "USER 0:10001", "insecure: .* not root: USER 0"),
    ("Dockerfile", "USER 10001:10001", "# USER 10001", "insecure: .* not root: no USER"),
    ("Dockerfile", "USER 10001:10001", "USER $WHO", "unverified: .* depends on the build"),
    ("Dockerfile", " UV_NO_DEV=1", "", "insecure: .* development group"),
    ("Dockerfile", "--no-editable", "--all-groups", "insecure: .* development group"),
    ("Dockerfile", "uv sync --locked --no-editable", "uv sync", "insecure: .* built from the lock"),
    ("Dockerfile", "COPY src ./src", "COPY src verify ./", "insecure: verify and the tests are not copied"),
    (".dockerignore", "!src", "!src\n!verify", "insecure: .*lets in verify"),
    (".dockerignore", "**/.env*", "!.env", "insecure: .*lets in .env"),
    (".gitignore", ".hardening/", "", "insecure: .*lets in .hardening"),
    (".gitignore", "!.env.example", "!.env", "insecure: .*lets in .env"),
    ("compose.yaml", "read_only: true", "read_only: false", "insecure: .*misses read_only"),
    ("compose.yaml", "- ALL", "- CHOWN", "insecure: .*misses cap_drop"),
    ("compose.yaml", "- no-new-privileges:true", "- label:disable", "insecure: .*misses security_opt"),
    ("compose.yaml", "mem_limit", "mem_reservation", "insecure: .*misses mem_limit"),
    ("compose.yaml", "pids_limit: 128", "privileged: true", "insecure: .*misses pids_limit.*privileged"),
    ("compose.yaml", "services:", "x-a: &a 1\nservices: *b", "unverified: .*cannot be read"),
    ("compose.yaml", "    build: .", "    build: .\n    <<: {privileged: true}", "insecure: .*privileged"),
    ("compose.yaml", "    build: .", "    build: .\n    pid: host", "insecure: .*pid: host"),
    ("compose.yaml", "services:", "services:\n  worker:\n    build: .", "insecure: .*worker misses"),
    (WORKFLOW, "@3d3c42e5aac5ba805825da76410c181273ba90b1", "@v7", "insecure: .*full hash: actions/checkout@v7"),
    (WORKFLOW, "-m verify", "-m nothing", "insecure: continuous integration runs verify"),
    (WORKFLOW, "permissions: {}", "permissions: write-all", "insecure: .*permissions: write-all"),
]
# The environment holds the service that this one is a copy of.
THIS_COPY = """
clean = subprocesses.clean
subprocesses.clean = lambda given=None: {**clean(given), "PYTHONPATH": str(Path("src").absolute())}
"""
ONLY_FILES = "from verify.stages import configuration\nconfiguration.settings.stage = lambda _: []"


@pytest.mark.parametrize(("name", "old", "new", "because"), WEAKENED)
def test_a_file_that_no_longer_holds_what_matters_is_named(
    prove: Prove, service: Path, name: str, old: str, new: str, because: str
) -> None:
    original = (service / name).read_text()
    assert old in original

    (service / name).write_text(original.replace(old, new))

    bad = [each for each in prove("configuration", prepare=ONLY_FILES) if each["outcome"] in ("insecure", "unverified")]
    assert re.search(because, told(bad)), told(bad)
    assert all(check["remedy"] for check in bad)


def test_files_that_are_not_there_are_not_looked_at(prove: Prove, service: Path) -> None:
    for name in ("Dockerfile", ".dockerignore", "compose.yaml", ".gitignore"):
        (service / name).unlink()
    shutil.rmtree(service / ".github")
    answer(service, "ci", "none")

    checks = prove("configuration", prepare=ONLY_FILES)

    assert outcomes(checks) == {"proved", "not_looked_at"}, told(checks)
    proved = {check["id"] for check in checks if check["outcome"] == "proved"}
    expected = {"bounds.current", "uv.settings", "secrets.template-address", "seeds.offers"}
    assert proved == expected, told(checks)


def answer(service: Path, name: str, value: str) -> None:
    answers = service / ".copier-answers.yml"
    answers.write_text(re.sub(rf"^{name}: .*$", f"{name}: {value}", answers.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(
    ("gone", "because"),
    [
        (".github", "insecure: continuous integration runs verify: there is no pipeline here.*ci: github"),
        (".dockerignore", "insecure: .dockerignore keeps.*there is no .dockerignore beside Dockerfile"),
        (".gitignore", "insecure: .gitignore keeps.*lets in .env"),
    ],
)
def test_what_must_be_there_is_missed(prove: Prove, service: Path, gone: str, because: str) -> None:
    commit(service, "emitted")
    path = service / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    checks = prove("configuration", prepare=ONLY_FILES)

    assert re.search(because, told(checks)), told(checks)


@pytest.mark.parametrize("name", ["Dockerfile.prod", "prod.Dockerfile", "Containerfile"])
def test_an_ignore_file_is_missed_beside_a_container_file_of_any_name(prove: Prove, service: Path, name: str) -> None:
    (service / "Dockerfile").rename(service / name)
    (service / ".dockerignore").unlink()

    assert f"beside {name}" in told(
        [each for each in prove("configuration", prepare=ONLY_FILES) if "ignore" in each["id"]]
    )


def test_a_larger_repository_ignores_for_its_services(prove: Prove, service: Path) -> None:
    (service / ".gitignore").rename(service.parent / ".gitignore")
    git(service.parent, "init", "--quiet")

    found = {each["id"]: each["outcome"] for each in prove("configuration", prepare=ONLY_FILES)}

    assert found["gitignore.secrets"] == "proved"


def test_a_secret_that_git_tracks_is_named(prove: Prove, service: Path) -> None:
    (service / ".env").write_text("APP_API_TOKEN=secret\n")
    begin = "-----BEGIN RSA PRIVATE KEY-----\n"
    (service / "server.pem").write_text(f"{begin}Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n{'Mi9+' * 16}\n")
    (service / "tls.md").write_text(f"The file begins with\n{begin}...\n-----END RSA PRIVATE KEY-----\n")
    commit(service, "emitted")
    assert [x["object"] for x in prove("configuration", prepare=ONLY_FILES) if x["id"] == "secrets.tracked"] == [
        "server.pem"
    ]

    git(service, "add", "--force", ".env")
    git(service, "rm", "--quiet", "--cached", "server.pem")
    (found,) = (check for check in prove("configuration", prepare=ONLY_FILES) if "git tracks" in check["name"])
    assert (found["outcome"], found["object"]) == ("insecure", ".env")


def test_a_setting_without_a_default_needs_a_made_up_value(prove: Prove, service: Path) -> None:
    settings = service / "src" / PACKAGE / "settings.py"
    settings.write_text(settings.read_text() + "\n    greeting: str\n")
    (check, *_) = prove("configuration", prepare=THIS_COPY, APP_GREETING="of this machine")
    assert check["outcome"] == "unverified"
    assert '`APP_GREETING = "..."` in the table [tool.hardening.verify.environment]' in check["remedy"]

    with (service / "pyproject.toml").open("a") as pyproject:
        pyproject.write('\n[tool.hardening.verify.environment]\nAPP_GREETING = "made up"\nAPP_ENV = "development"\n')
    safe, refusal, *_ = prove("configuration", prepare=THIS_COPY)
    assert safe["outcome"] == refusal["outcome"] == "proved", told([safe, refusal])
    assert "from pyproject.toml APP_GREETING" in safe["seen"]
    assert refusal["seen"] == "refused: hosts.E001, proxy.E001"


def test_an_unsafe_setting_or_a_start_with_nothing_set_is_named(prove: Prove, service: Path) -> None:
    route = service / "src" / PACKAGE / "routes/users.py"
    route.write_text(route.read_text().replace("@public\n", "", 1))
    checks = prove("configuration", prepare=THIS_COPY)
    assert "insecure: no routes.E001" in told(checks)
    assert "start with safe settings" not in told([x for x in checks if x["outcome"] == "proved"])

    main = service / "src" / PACKAGE / "__main__.py"
    main.write_text(main.read_text().replace("return 1 if errors else 0", "return 0"))
    assert "insecure: with nothing set, production refuses to start" in told(prove("configuration", prepare=THIS_COPY))


PATCHED = {
    "a method of a step": (
        "from .hardening.steps import rate_limit\nrate_limit.RateLimit.refuse = None\n",
        "rate_limit.RateLimit.refuse",
    ),
    "what is imported": ("from .hardening import ApiModel as M\nsetattr(M, 'model_config', {})\n", "M.model_config"),
    "the steps of an application": ("def f(app: object) -> None:\n    app._steps = ()\n", "app._steps"),
    "more steps": ("app._steps += ()\n", "app._steps"),
    "a method of one": ("app.seal = lambda: None\n", "app.seal"),
    "what is taken away": ("from . import hardening\ndel hardening.x\n", "hardening.x"),
    "an entry of a table": ("from .hardening.steps import TABLE as T\nT.a['x'] = 1\n", "T.a['x']"),
    "by its namespace": ("from .hardening import steps\nvars(steps)['STEPS'] = ()\n", "vars(steps)['STEPS']"),
    "past its own way": ("object.__setattr__(app, '_errors', 1)\n", "app._errors"),
    "in place": ("from .hardening import steps\nsteps.TABLE.clear()\n", "steps.TABLE"),
    "by a mock": ("from unittest.mock import patch\npatch('a.hardening.x', 1).start()\n", "a.hardening.x"),
}
TEAMS = """
from .hardening import ApiModel, Hardened
class Model(ApiModel): model_config = {}
def create_app():
    app = Hardened()
    app.state.pool = app.openapi = app.title = 1
    app.router.redirect_slashes = False
    app.exception_handlers[404] = app.router.routes.append(app.patch("/x.hardening"))
    Model.names.update(a=1)
    self._x = request.state.y = other._steps = 1
    names: dict[str, int] = {}
    names["x"] = 1
"""


@pytest.mark.parametrize("name", PATCHED)
def test_what_the_code_sets_in_owned_code_is_named(tmp_path: Path, name: str) -> None:
    text, said = PATCHED[name]
    own = tmp_path / "src" / PACKAGE
    for file, content in (
        ("routes/__init__.py", text),
        ("app.py", TEAMS),
        ("hardening/x.py", text),
        ("broken.py", "def"),
    ):
        (own / file).parent.mkdir(parents=True, exist_ok=True)
        (own / file).write_text(content)
    assert settings.patched(Options(tmp_path, PACKAGE)) == {f"src/{PACKAGE}/routes/__init__.py": [said]}


def test_what_the_code_changes_of_settings_and_answers_is_told_apart(prove: Prove, service: Path) -> None:
    package = service / "src" / PACKAGE
    (package / "settings.py").write_text((package / "settings.py").read_text() + "\n    docs: bool = True\n")
    app = (
        (package / "app.py")
        .read_text()
        .replace("        settings,\n", '        settings.model_copy(update={"body_timeout": 900.0}),\n')
    )
    handler = "    async def answer(*_): ...\n\n    app.add_exception_handler(ValueError, answer)\n    return app"
    (package / "app.py").write_text(app.replace("    return app", handler))

    told_apart = {
        x["id"]: x["seen"] for x in prove("configuration", prepare=THIS_COPY) if x["outcome"] == "not_looked_at"
    }

    assert "APP_BODY_TIMEOUT=900.0, APP_DOCS=True" in told_apart["settings.defaults"]
    assert "ValueError: answer" in told_apart["app.handlers"]


OF_TASKS = "import typer\nfrom celery import Celery\n{}\napp._x = 1\napp.table = {{}}\n"


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        *((OF_TASKS.format(f"app = {call}"), []) for call in ("typer.Typer()", "Celery('x', broker='redis://x')")),
        *(
            (OF_TASKS.format(made), ["app._x", "app.table"])
            for made in (
                "from .app import app",
                "app = create_app()",
                "app = typer.Typer()\napp = create_app()",
                "app = typer.Typer()\nfor app in [create_app()]:\n    pass",
                "from .x import Real as Celery2\napp = Celery2()",
                "app = typer.Typer()\ndef patch(app):\n    app.seal = 1",
            )
        ),
    ],
)
def test_what_a_module_sets_in_the_application_is_told_from_what_it_sets_in_others(
    tmp_path: Path, text: str, sets: list[str]
) -> None:
    (tmp_path / "src" / PACKAGE).mkdir(parents=True)
    (tmp_path / "src" / PACKAGE / "tasks.py").write_text(text)
    found = settings.patched(Options(tmp_path, PACKAGE)).get(f"src/{PACKAGE}/tasks.py", [])
    assert [each for each in found if each != "app.seal"] == sets
