"""What is sent to a team's own routes: nothing that could be taken, and the verdict says what was tried."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
from verify.attacks import STEPS, cookies, errors, sessions, validation
from verify.common.answer import Answer
from verify.harness.arena import Arena, Attacks, Seen
from verify.harness.routes import DiscoveredRoute
from verify.harness.service import Service, lasting_stores
from verify.result import Outcome

from .runs import PACKAGE, Prove, told
from .test_configuration import THIS_COPY

JSON = ("application/json",)
OPEN = DiscoveredRoute("POST", "/open", "/open", JSON, takes_body=True)
GUARDED = DiscoveredRoute("POST", "/mine", "/mine", JSON, takes_body=True, is_guarded=True)
WIPE = DiscoveredRoute("POST", "/wipe", "/wipe", JSON, takes_body=True, findings=("routes.E001", "routes.E002"))
RAW = DiscoveredRoute("POST", "/raw", "/raw", ("*/*",))
READ = DiscoveredRoute("GET", "/read", "/read", findings=("routes.E001",))


class Recorder:
    """A service that answers as it is told, and remembers what it was asked."""

    def __init__(self, **statuses: int) -> None:
        self.statuses, self.asked = statuses, list[tuple[str, str, dict[str, str]]]()

    def ask(self, method: str, target: str, headers: Any = (), body: bytes | None = None) -> Answer:
        self.asked.append((method, target, dict(headers)))
        return Answer(self.statuses.get(target.strip("/").partition("?")[0], 422))


def arena(service: Recorder, *routes: DiscoveredRoute, **more: Any) -> Arena:
    as_service = cast(Service, service)
    return Arena(as_service, as_service, list(routes), **more)


def made(attack: Any, against: Arena) -> dict[str, Outcome]:
    attacks = Attacks("Mend it.")
    attacks("validation.tried", "it holds")(attack)
    return {check.object: check.outcome for check in attacks.make(against)}


def test_a_route_that_has_a_finding_or_no_model_is_sent_nothing() -> None:
    service = Recorder()

    for step in STEPS:
        for rule, attack, _ in import_module(f"verify.attacks.{step}").attacks._all:
            if ".own-" in rule.id and "refusals" not in rule.id:
                attack(arena(service, WIPE, RAW, READ))

    assert {target.partition("?")[0] for _, target, _ in service.asked} == {"/read"}
    assert made(validation.own_fields, arena(service, RAW)) == {"": Outcome.NOT_LOOKED_AT}
    assert made(validation.own_sizes, arena(service, RAW)) == {"not tried": Outcome.NOT_LOOKED_AT}
    assert made(validation.own_fields, arena(service, WIPE)) == {"not tried": Outcome.NOT_LOOKED_AT}


def test_what_was_refused_by_a_guard_was_not_tried() -> None:
    service = Recorder(mine=401)

    assert made(validation.own_fields, arena(service, GUARDED)) == {"not tried": Outcome.NOT_LOOKED_AT}
    assert service.asked == [], "without a caller nothing is sent behind a guard"
    both = made(validation.own_fields, arena(service, OPEN, GUARDED, caller={"Cookie": "a"}))
    assert both == {"": Outcome.PROVED, "not tried": Outcome.NOT_LOOKED_AT}


def test_a_caller_that_is_lent_gets_past_the_guard() -> None:
    service = Recorder()

    seen = made(validation.own_fields, arena(service, GUARDED, caller={"Cookie": "a"}))

    assert seen == {"": Outcome.PROVED}
    assert [headers["Cookie"] for *_, headers in service.asked] == ["a"]
    assert made(validation.own_fields, arena(Recorder(mine=200), GUARDED, caller={"a": "b"})) == {"": Outcome.INSECURE}


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        (401, {"": Outcome.PROVED}),
        (403, {"": Outcome.PROVED}),
        (200, {"": Outcome.INSECURE}),
        (302, {"not tried": Outcome.NOT_LOOKED_AT}),
        (422, {"not tried": Outcome.NOT_LOOKED_AT}),
    ],
)
def test_a_guard_lets_in_nobody_without_a_credential(status: int, seen: dict[str, Outcome]) -> None:
    mine = DiscoveredRoute("GET", "/mine", "/mine", is_guarded=True)
    anybody = DiscoveredRoute("GET", "/anybody", "/anybody", is_guarded=True, is_public=True)  # and knows who it is
    service = Recorder(mine=status)

    assert made(sessions.own_guards, arena(service, mine, anybody, OPEN, GUARDED, READ)) == seen
    assert len(service.asked) == 1, "nothing is sent to what is public, or may change something"


@pytest.mark.parametrize("routes", [[], [DiscoveredRoute("WEBSOCKET", "/ws", "/ws", is_websocket=True)]])
def test_no_route_to_attack_proves_nothing(routes: list[DiscoveredRoute]) -> None:
    assert made(validation.own_fields, arena(Recorder(), *routes)) == {"": Outcome.NOT_LOOKED_AT}
    assert made(lambda _: Seen("403", []), arena(Recorder())) == {"": Outcome.PROVED}


@pytest.mark.parametrize(
    ("line", "is_lasting"),
    [
        ('database_url: str = "postgresql://app@db.example.com/orders"', True),
        ('database_url: str = "postgresql+psycopg://app:x@db/orders"', True),
        ('store_url: str = "rediss://cache.example.com"', True),
        ('database_url: Annotated[\n        str, AfterValidator(checked)\n    ] = "mysql://db/orders"', True),
        ('database_url: str = "sqlite:////var/lib/orders.sqlite3"', True),
        ("database_url: str = 'mongodb://a,b/orders'", True),
        ('database_url: str = "sqlite:///orders.sqlite3"', False),
        ('database_url: str = "sqlite://"', False),
        ('database_url: str = "postgresql://localhost/orders"', False),
        ('database_url: str = "postgresql://u:p@127.0.0.1:5432/orders"', False),
        ('database_url: str = "postgresql://[::1]/orders"', False),
        ('database_url: str\n    """As postgresql://user:password@host/database."""', False),
        ('payment_url: str = "https://payments.example.com"', False),
    ],
)
def test_what_is_attacked_keeps_its_data_in_a_scratch_database(tmp_path: Path, line: str, *, is_lasting: bool) -> None:
    settings = tmp_path / "src" / PACKAGE / "settings.py"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"class Settings(HardeningSettings):\n    {line}\n")

    found = lasting_stores(tmp_path, PACKAGE, {})

    assert bool(found) == is_lasting
    assert lasting_stores(tmp_path, PACKAGE, dict.fromkeys(found, "postgresql://scratch/verify")) == []


def test_no_cookie_is_no_proof_that_cookies_have_flags() -> None:
    assert made(cookies.own_cookies, arena(Recorder(), READ)) == {"not tried": Outcome.NOT_LOOKED_AT}


def test_a_query_that_nobody_checks_is_not_sent_to_what_changes_something() -> None:
    service = Recorder()
    hook = DiscoveredRoute("POST", "/hook", "/hook", JSON, takes_body=True)

    errors.own_errors(arena(service, hook))

    assert [target for _, target, _ in service.asked if "?" in target] == []


@pytest.mark.parametrize(("method", "is_bare"), [("HEAD", False), ("GET", True)])
def test_an_error_of_a_route_that_only_takes_head_has_no_body_to_look_into(method: str, *, is_bare: bool) -> None:
    service = Recorder()
    service.ask = lambda *_, **__: Answer(422, [("content-type", "application/problem+json")])  # type: ignore[method-assign]

    seen = errors.own_errors(arena(service, DiscoveredRoute(method, "/count", "/count")))

    assert any("an unknown parameter" in each or "the route itself" in each for each in seen.faults) == is_bare


def test_a_default_in_another_module_or_by_a_name_is_a_lasting_database_too(tmp_path: Path) -> None:
    package = tmp_path / "src" / PACKAGE
    package.mkdir(parents=True)
    (package / "config.py").write_text('class Config(BaseSettings):\n    dsn: str = "postgresql://db.example.com/x"\n')
    (package / "settings.py").write_text('REAL = "redis://cache/0"\nclass S:\n    store_url: str = REAL\n')

    assert lasting_stores(tmp_path, PACKAGE, {}) == ["DSN of config.py", "APP_STORE_URL"]
    assert lasting_stores(tmp_path, PACKAGE, {"DSN": "x", "APP_STORE_URL": "memory://"}) == []


@pytest.mark.parametrize(
    ("code", "found", "variable"),
    [
        ('URL = os.getenv("DB_URL", "postgresql://db/x")', ["db.py:1"], "DB_URL"),
        ('def url():\n    return os.environ.get("DB_URL") or "mysql://db/x"', ["db.py:2"], "DB_URL"),
        ('engine = create_engine("postgresql+asyncpg://db/x", echo=True)', ["db.py:1"], ""),
        ('def connect(name, url="postgresql://db/x", *, pool=5):\n    """postgresql://db/y"""', ["db.py:1"], "URL"),
        ('URL = "postgresql://db/x"\nengine = create_engine(os.getenv("DB_URL", URL))', ["db.py:2"], "DB_URL"),
        ('URL = "redis://cache/0"', ["db.py:1"], ""),
        (
            'def asyncpg(url):\n    """postgresql://db/x"""\n    return url.replace("postgres://", "postgresql://")',
            [],
            "",
        ),
        ('engine = create_engine("sqlite://")\nlocal = connect("postgresql://localhost/x")', [], ""),
    ],
)
def test_a_lasting_database_is_found_wherever_the_code_names_it(
    tmp_path: Path, code: str, found: list[str], variable: str
) -> None:
    package = tmp_path / "src" / PACKAGE
    package.mkdir(parents=True)
    (package / "db.py").write_text(f"{code}\n")

    assert lasting_stores(tmp_path, PACKAGE, {}) == found
    assert not variable or lasting_stores(tmp_path, PACKAGE, {variable: "sqlite://"}) == []


@pytest.mark.parametrize(
    ("config", "default"),
    [
        ("model_config = SettingsConfigDict(env_prefix='db_')", '"postgresql://db.example.com/x"'),
        ("pass", 'Field("postgresql://db.example.com/x", validation_alias="DB_DSN")'),
    ],
)
def test_a_lasting_database_is_replaced_by_the_variable_that_its_settings_read(
    tmp_path: Path, config: str, default: str
) -> None:
    package = tmp_path / "src" / PACKAGE
    package.mkdir(parents=True)
    (package / "config.py").write_text(f"class Config(BaseSettings):\n    {config}\n    dsn: str = {default}\n")

    assert lasting_stores(tmp_path, PACKAGE, {"OTHER_DSN": "x"}) == ["DSN of config.py"]
    assert lasting_stores(tmp_path, PACKAGE, {"DB_DSN": "postgresql://scratch/verify"}) == []


APP = """

class Service(Hardened):
    {method}


Hardened = Service
"""


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("def findings(self): return []", "findings"),
        ("def seal(self): return super().seal()", "seal"),
        ("async def __call__(self, *each): await super().__call__(*each)", "__call__"),
    ],
)
def test_what_an_application_replaces_is_named_and_can_be_accepted(
    prove: Prove, service: Path, method: str, name: str
) -> None:
    path = service / "src" / PACKAGE / "app.py"
    text = path.read_text()
    before, rest = re.split(r"(?=^def create_app)", text, maxsplit=1, flags=re.MULTILINE)
    path.write_text(before + APP.format(method=method) + rest)

    checks = [each for each in prove("configuration", prepare=THIS_COPY) if each["id"] == "app.whole"]

    assert [(each["object"], each["outcome"]) for each in checks] == [
        (f"{PACKAGE}.app.Service.{name}", "unverified")
    ], told(checks)


PATCHES = """

import sys
from unittest import mock

import fastapi.routing

from .hardening import app as judging
from .hardening.core import json_text
from .hardening.steps import STEPS, headers
from .hardening.steps.base import Step
from .hardening.steps.cors import CrossOrigin

"""
REPLACED = {
    "judging.route_findings = lambda *each: []": f"{PACKAGE}.hardening.app.route_findings",
    "CrossOrigin.refuse = lambda self, request: None": "CrossOrigin.refuse",
    "STEPS[4].respond = Step.respond": "Cookies.respond",
    "mock.patch.object(STEPS[1], 'refuse').start()": "RateLimit.refuse",
    "headers._VALUES.popitem()": f"{PACKAGE}.hardening.steps.headers._VALUES",
    "vars(json_text)['MAX_DEPTH'] = 10**6": f"{PACKAGE}.hardening.core.json_text.MAX_DEPTH",
    "json_text.len = lambda text: 0": f"{PACKAGE}.hardening.core.json_text.len",
    "sys.modules[f'{__package__}.hardening.app'].STEPS = STEPS[:2]": f"{PACKAGE}.hardening.app.STEPS",
    "fastapi.routing.solve_dependencies = lambda **each: None": "fastapi.routing.solve_dependencies",
    "class Hardened(Hardened):\n    def __getattribute__(self, name): return super().__getattribute__(name)": (
        "Hardened.__getattribute__"
    ),
}
"""What a module of the service may do to owned code, and the name that is told."""


def test_what_code_of_the_service_patches_is_named(prove: Prove, service: Path) -> None:
    path = service / "src" / PACKAGE / "app.py"
    path.write_text(path.read_text() + PATCHES + "\n".join(REPLACED))
    (service / "usercustomize.py").touch()

    checks = [each for each in prove("configuration", prepare=THIS_COPY) if each["id"] == "app.whole"]

    assert {each["object"] for each in checks if each["outcome"] == "unverified"} == {
        *REPLACED.values(),
        f"src/{PACKAGE}/app.py",
        "usercustomize.py",
    }, told(checks)


TRACED = """
import fastapi
print("made")
fastapi.FastAPI = type("Traced", (fastapi.FastAPI,), {"__module__": "tracing"})
"""


@pytest.mark.parametrize("seed", [4, 5, 9])  # with these, a set of what proxies add has another order from the cache
def test_what_is_printed_or_traced_is_no_patch(prove: Prove, service: Path, seed: int) -> None:
    path = service / "src" / PACKAGE / "app.py"
    path.write_text(path.read_text() + TRACED)
    seeded = THIS_COPY.replace("{**clean(given)", f'{{**clean(given), "PYTHONHASHSEED": "{seed}"')
    seeded += "import compileall\ncompileall.compile_dir('src', quiet=2)\n"

    checks = [each for each in prove("configuration", prepare=seeded) if each["id"] == "app.whole"]

    assert [each["outcome"] for each in checks] == ["proved"], told(checks)
