"""The stages of the proof that look at the lock file, in an emitted service and with a real pip-audit: clean,
vulnerable and could not tell are three answers, and no fault of the service or the tools turns one into another.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from .conftest import Emit, commit, git
from .osv import UNFIXED, advisory, serving

PACKAGE = "orders_api"
# Runs stages and prints what they found. The waits are those of an impatient person; a preparation may break a tool.
DRIVER = """
import importlib, json, sys
from pathlib import Path
from verify.runner import subprocesses
from verify.stages import audit
from verify.result import Options
audit.SOCKET_TIMEOUT, audit.PAUSES, audit.PATIENCE = 1, (0.01, 0.01), 300.0
exec(sys.argv[1])
stages = [importlib.import_module(f"verify.stages.{name}").stage for name in sys.argv[2:]]
options = Options(Path.cwd(), "orders_api")
print(json.dumps([check.as_json() for stage in stages for check in stage(options)]))
"""

Check = dict[str, Any]
Prove = Callable[..., list[Check]]


@pytest.fixture(scope="module")
def python(emit: Emit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An emitted service that is locked, and the interpreter of its environment."""
    folder = tmp_path_factory.mktemp("audit") / "orders-api"
    shutil.copytree(emit(example="minimal"), folder)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run(["uv", "sync", "--quiet", "--python", version], cwd=folder, check=True)
    scripts = folder / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")
    return folder, scripts / "python"


@pytest.fixture
def service(python: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the service without its environment, to change."""
    folder = tmp_path / "orders-api"
    shutil.copytree(python[0], folder, ignore=shutil.ignore_patterns(".venv"))
    return folder


@pytest.fixture
def prove(python: tuple[Path, Path], service: Path) -> Prove:
    """Run stages in the copy, and return their checks."""

    def checks(*stages: str, osv: str = "", prepare: str = "", **variables: str) -> list[Check]:
        environment = {**os.environ, "AUDIT_OSV_URL": osv, **variables}
        result = subprocess.run(
            [str(python[1]), "-c", DRIVER, prepare, *stages],
            cwd=service,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        found: list[Check] = json.loads(result.stdout)
        return found

    return checks


def outcomes(checks: list[Check]) -> set[str]:
    return {check["outcome"] for check in checks}


def told(checks: list[Check]) -> str:
    """All that the checks say, to look for words in."""
    return "\n".join(f"{check['outcome']}: {check['name']}: {check['seen']} -> {check['remedy']}" for check in checks)


def ask_for(service: Path, *requirements: str) -> None:
    """Lock further runtime dependencies, without installing them."""
    subprocess.run(["uv", "add", "--quiet", "--no-sync", *requirements], cwd=service, check=True)


@pytest.fixture
def vulnerable(service: Path) -> Path:
    """The service with a dependency that is vulnerable, and one that brings a vulnerable one along."""
    ask_for(service, "pyyaml==5.3", "flask==1.1.2", "jinja2==2.11.1", "markupsafe<2.1")
    subprocess.run(["uv", "remove", "--quiet", "--no-sync", "jinja2"], cwd=service, check=True)
    return service


# ---------------------------------------------------------------------------------------------------------------------
# Clean
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/query", "/osv", "/osv/v1/query"])
def test_a_clean_service_is_proved_clean_wherever_the_address_ends(
    python: tuple[Path, Path], prove: Prove, path: str
) -> None:
    with serving() as osv:
        prepare = "" if path == "" else SHORT
        checks = prove("audit", osv=osv.address + path, prepare=prepare)

    assert outcomes(checks) == {"proved"}, told(checks)
    assert osv.paths == {"/osv/v1/query" if "osv" in path else "/v1/query"}
    if path == "":
        lock = tomllib.loads((python[0] / "uv.lock").read_text())["package"]
        others = {(each["name"], each["version"]) for each in lock if each["source"] != {"editable": "."}}
        assert set(osv.asked) == {*others, ("jinja2", "2.10")}
        assert f"{len(others)} packages" in told(checks)
        assert "colorama" in dict(osv.asked), "what only another platform installs is looked up, too"


# Only the canary and one package are looked up; for tests of what does not depend on how many there are.
SHORT = """
from dataclasses import replace
read = audit.Lock.read
def few(project):
    lock = read(project)
    return replace(lock, packages=tuple(each for each in lock.packages if each.is_own or each.name == "click"))
audit.Lock.read = few
export = audit._export
def shorter(project, lock):
    head, canary, *rest = export(project, lock).split("[[packages]]\\n")
    return "[[packages]]\\n".join([head, canary, *(each for each in rest if 'name = "click"' in each)])
audit._export = shorter
"""


def test_nothing_that_lies_about_changes_the_result(prove: Prove, service: Path) -> None:
    (service / ".env").write_text("APP_ENV=development\nAPP_ALLOWED_HOSTS=*\nUV_FROZEN=1\nAUDIT_OSV_URL=http://x\n")
    shell = {
        "APP_ENV": "development",
        "APP_ALLOWED_HOSTS": "*",
        "APP_RATE_LIMIT": "nonsense",
        "COPIER_OPERATION": "update",
        "PIP_AUDIT_OSV_URL": "http://127.0.0.1:9",
        "PIP_AUDIT_VULNERABILITY_SERVICE": "esms",
        "STAGE": "task",
        "UV_FROZEN": "1",
        "UV_NO_DEV": "1",
        "UV_RESOLUTION": "lowest",
        "UV_PROJECT_ENVIRONMENT": str(service / "elsewhere"),
        "VIRTUAL_ENV": str(service / "elsewhere"),
    }
    with serving() as osv:
        checks = prove("lock", "audit", "configuration", osv=osv.address, prepare=SHORT, **shell)

    bad = [check for check in checks if check["outcome"] != "proved"]
    assert not bad, told(bad)
    assert "refused: hosts.E001, proxy.E001" in told(checks)
    assert not (service / "elsewhere").exists()


# ---------------------------------------------------------------------------------------------------------------------
# Vulnerable
# ---------------------------------------------------------------------------------------------------------------------


def test_a_vulnerable_package_is_named_with_all_that_mends_it(prove: Prove, vulnerable: Path) -> None:
    with serving(UNFIXED, advisory("PYSEC-0000-2", "ruff", "99")) as osv:
        checks = prove("audit", osv=osv.address)

    bad = {check["name"]: check for check in checks if check["outcome"] == "insecure"}
    names = ["flask 1.1.2 has PYSEC-2023-62", "jinja2 2.11.1 has PYSEC-2021-66", "pyyaml 5.3 has PYSEC-2020-96"]
    runtime = [next(iter(x for x in bad if x.startswith("itsdangerous"))), *names]
    assert list(bad)[:4] == sorted([*runtime], key=lambda name: name.split()[0]), "runtime first"
    assert list(bad)[4:] == [next(x for x in bad if x.startswith("ruff"))], told(checks)
    assert outcomes(checks) == {"proved", "insecure"}, "all packages are accounted for nevertheless"

    direct, transitive = bad["pyyaml 5.3 has PYSEC-2020-96"], bad["jinja2 2.11.1 has PYSEC-2021-66"]
    assert "CVE-2020-1747" in direct["seen"]
    assert "fixed in 5.3.1" in direct["seen"]
    assert "runtime, brought by pyyaml (runtime)" in direct["seen"]
    assert "pyproject.toml asks for pyyaml==5.3: raise that bound to admit 5.3.1" in direct["remedy"]
    assert "runtime, brought by flask (runtime)" in transitive["seen"]
    assert transitive["remedy"] == "Run `uv lock --upgrade-package jinja2==2.11.3`."

    unfixed = next(check for name, check in bad.items() if name.startswith("itsdangerous"))
    assert "no fix yet" in unfixed["seen"]
    assert "[[waiver]]" in unfixed["remedy"]
    development = next(check for name, check in bad.items() if name.startswith("ruff"))
    assert "development, brought by ruff (group dev)" in development["seen"]


def test_the_recommended_command_upgrades_just_that(prove: Prove, vulnerable: Path) -> None:
    with serving() as osv:
        checks = prove(
            "audit", osv=osv.address, prepare=SHORT.replace('"click"', '"jinja2"').replace("click", "jinja2")
        )
        (command,) = re.findall(r"`(uv lock .*)`", told(checks))
        before = locked(vulnerable)
        subprocess.run(command.split(), cwd=vulnerable, check=True, capture_output=True)
    after = locked(vulnerable)

    assert {name for name in before if before[name] != after.get(name)} == {"jinja2"}
    assert after["jinja2"] == "2.11.3"


def test_a_bound_that_forbids_the_upgrade_is_named(prove: Prove, vulnerable: Path) -> None:
    pyproject = vulnerable / "pyproject.toml"
    limit = '[tool.uv]\nconstraint-dependencies = ["jinja2<2.11.3"]\n\n[tool.pytest]'
    pyproject.write_text(pyproject.read_text().replace("[tool.pytest]", limit))
    subprocess.run(["uv", "lock", "--quiet"], cwd=vulnerable, check=True)

    with serving() as osv:
        checks = prove("audit", osv=osv.address)

    (bad,) = (check for check in checks if "PYSEC-2021-66" in check["name"])
    assert "is forbidden: flask does not admit jinja2 2.11.3" in bad["remedy"]
    assert "flask==1.1.2" in bad["remedy"]


def locked(service: Path) -> dict[str, str]:
    return {each["name"]: each["version"] for each in tomllib.loads((service / "uv.lock").read_text())["package"]}


# ---------------------------------------------------------------------------------------------------------------------
# Could not tell
# ---------------------------------------------------------------------------------------------------------------------


def refuses(checks: list[Check], because: str) -> None:
    assert "unverified" in outcomes(checks), told(checks)
    assert "insecure" not in outcomes(checks), told(checks)
    assert not any("no locked package" in check["name"] for check in checks), told(checks)
    assert re.search(because, told([check for check in checks if check["outcome"] == "unverified"])), told(checks)
    assert all(check["remedy"] for check in checks if check["outcome"] == "unverified")


@pytest.mark.parametrize(
    ("fault", "because"),
    [
        ("down", "answers with an error"),
        ("slow", "did not answer in time"),
        ("stuck", "did not answer in time"),
        ("garbage", "not JSON"),
        ("nonsense", "does not understand"),
        ("empty", "does not know jinja2 2.10"),
        ("no canary", "does not know jinja2 2.10"),
    ],
)
def test_a_service_with_a_fault_is_not_believed(prove: Prove, fault: str, because: str) -> None:
    with serving(fault=fault) as osv:
        checks = prove("audit", osv=osv.address, prepare="" if fault == "stuck" else SHORT)

    refuses(checks, because)
    attempts = osv.asked.count(("jinja2", "2.10"))
    assert attempts == (1 if fault in ("empty", "no canary") else 3), (
        "an answer is taken, anything else asked for again"
    )


def test_a_service_that_comes_back_is_asked_again(prove: Prove) -> None:
    with serving(fault="down at first") as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT)

    assert outcomes(checks) == {"proved"}, told(checks)
    assert [name for name, _ in osv.asked] == ["jinja2", "jinja2", "click"]


def test_an_unreachable_service_is_said_to_be_unreachable(prove: Prove) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        checks = prove("audit", osv=f"http://127.0.0.1:{taken.getsockname()[1]}", prepare=SHORT)

    refuses(checks, "cannot be reached")


def test_a_run_that_takes_too_long_is_ended(prove: Prove) -> None:
    with serving(fault="slow") as osv:
        prepare = f"{SHORT}\naudit.SOCKET_TIMEOUT, audit.RUN_TIMEOUT, audit.PATIENCE = 20, 2.0, 0.0"
        checks = prove("audit", osv=osv.address, prepare=prepare)

    refuses(checks, "no full answer within 2 s")


@pytest.mark.parametrize("address", ["ftp://127.0.0.1", "127.0.0.1:80", "http://", "http://[x", "http://h:99999/"])
def test_an_address_that_is_none_is_refused(prove: Prove, address: str) -> None:
    refuses(prove("audit", osv=address, prepare=SHORT), "AUDIT_OSV_URL is not the address")


def test_a_package_that_is_no_release_is_not_taken_for_one(prove: Prove, service: Path) -> None:
    checkout = service / "vendored"
    (checkout / "src" / "click").mkdir(parents=True)
    (checkout / "src" / "click" / "__init__.py").touch()
    (checkout / "pyproject.toml").write_text(CHECKOUT)
    subprocess.run(["uv", "build", "--quiet", "--wheel", str(checkout)], cwd=service, check=True)
    (wheel,) = checkout.glob("dist/*.whl")
    ask_for(service, str(wheel))

    with serving() as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT)

    refuses(checks, "1 packages are not from an index.*: click 8.99")


CHECKOUT = """\
[project]
name = "click"
version = "8.99"
[build-system]
requires = ["uv_build>=0.13,<0.14"]
build-backend = "uv_build"
"""


def tampered(change: str) -> str:
    """A preparation after which pip-audit's output is something else."""
    return f"""{SHORT}
run = subprocesses.run
def changed(command, *arguments, **options):
    ran = run(command, *arguments, **options)
    if "pip_audit" not in command:
        return ran
    data = json.loads(ran.out)
    {change}
    return subprocesses.Ran(ran.code, ran.out if type(data) is dict and not data else json.dumps(data), ran.err)
subprocesses.run = changed
"""


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ("ran = subprocesses.Ran(0, 'No known vulnerabilities found', ''); data = {}", "does not parse"),
        ("data = {'fixes': []}", "does not parse"),
        ("data['dependencies'][1] = {'name': 'click', 'version': 'x!', 'vulns': []}", "does not parse"),
        ("del data['dependencies'][1]", "1 of 1 locked packages are not in the answer: click"),
        ("data['dependencies'][1]['version'] = '0.1'", "1 of 1 locked packages are not in the answer: click"),
        ("data['dependencies'][1] = {'name': 'click', 'skip_reason': 'x'}", "1 of 1 packages were skipped: click"),
        ("ran = subprocesses.Ran(1, '', 'No module named pip_audit'); data = {}", "pip-audit is not installed"),
    ],
)
def test_an_answer_that_falls_short_is_not_believed(prove: Prove, change: str, because: str) -> None:
    with serving() as osv:
        refuses(prove("audit", osv=osv.address, prepare=tampered(change)), because)


def test_an_advisory_that_pip_audit_drops_is_not_taken_for_none(prove: Prove) -> None:
    with serving(advisory("PYSEC-0000-3", "click", "99", schema="2.0.0")) as osv:
        refuses(prove("audit", osv=osv.address, prepare=SHORT), "1 advisories were not understood")


def test_without_uv_or_a_lock_there_is_no_answer(prove: Prove, service: Path) -> None:
    with serving() as osv:
        refuses(prove("lock", osv=osv.address, UV="", PATH=str(service)), "uv cannot be started")
        refuses(prove("audit", osv=osv.address, UV="", PATH=str(service)), "uv cannot be started")
        (service / "uv.lock").unlink()
        refuses(prove("audit", osv=osv.address), "there is no uv.lock")
    assert not osv.asked


# ---------------------------------------------------------------------------------------------------------------------
# Waivers
# ---------------------------------------------------------------------------------------------------------------------


def waiver(**lines: object) -> str:
    """A waiver that holds, with these lines in place of its own."""
    soon = datetime.now(UTC).date() + timedelta(days=30)
    given = {"advisory": '"PYSEC-0000-1"', "reason": '"Not reached."', "expires": soon, **lines}
    return "\n".join(["[[waiver]]", *(f"{name} = {value}" for name, value in given.items() if value is not None), ""])


def test_a_waiver_holds_for_any_name_of_the_advisory(prove: Prove, vulnerable: Path) -> None:
    (vulnerable / "audit-waivers.toml").write_text(
        waiver(advisory='"ghsa-m2qf-hxjv-5gpq"', package='"Flask"', reason='"No session cookie here."')
        + waiver(advisory='"CVE-2020-28493"')
        + waiver(advisory='"PYSEC-2020-96"', package='"pyyaml"')
        + waiver(advisory='"CVE-0000-0001"')
        + waiver(advisory='"PYSEC-1999-1"')
    )
    with serving(UNFIXED) as osv:
        checks = prove("audit", osv=osv.address)

    assert outcomes(checks) == {"proved"}, told(checks)
    assert "No session cookie here." in told(checks)
    assert told(checks).count("waived until") == 4
    (unused,) = (check for check in checks if "unused" in check["name"])
    assert unused["name"].startswith("audit-waivers.toml:19 waives PYSEC-1999-1")
    assert "Delete" in unused["remedy"]


def test_a_waiver_of_another_package_or_day_waives_nothing(prove: Prove, service: Path) -> None:
    (service / "audit-waivers.toml").write_text(
        waiver(advisory='"PYSEC-0000-9"', package='"jinja2"') + waiver(advisory='"CVE-0000-0009"', expires="2020-01-01")
    )
    with serving(advisory("PYSEC-0000-9", "click", "99", "CVE-0000-0009")) as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT)

    bad = [check["name"] for check in checks if check["outcome"] == "insecure"]
    assert len(bad) == 2, told(checks)
    assert "audit-waivers.toml:9" in bad[0]
    assert "PYSEC-0000-9" in bad[1]


def test_nothing_is_called_unused_when_the_audit_could_not_tell(prove: Prove, service: Path) -> None:
    (service / "audit-waivers.toml").write_text(waiver())
    with serving(fault="empty") as osv:
        assert "unused" not in told(prove("audit", osv=osv.address, prepare=SHORT))


TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize(
    ("text", "line", "because"),
    [
        (waiver(expires=TODAY - timedelta(days=1)), 4, "ended on"),
        (waiver(expires=TODAY + timedelta(days=91)), 4, "more than 90 days ahead"),
        (waiver(expires=f'"{TODAY}"'), 4, "is no date"),
        (waiver(expires=f"{TODAY}T00:00:00Z"), 4, "is no date"),
        (waiver(expires=None), 1, "has no expires"),
        (waiver(reason=None), 1, "has no reason"),
        (waiver(reason='"  "'), 3, "`reason` is empty"),
        (waiver(reason="3"), 3, "`reason` is empty or no text"),
        (waiver(advisory=None), 1, "has no advisory"),
        (waiver(package='""'), 5, "`package` is empty"),
        (waiver(until=1), 5, "`until` is not known"),
        ("# a\nignore = 1\n" + waiver(), 2, "`ignore` is not known"),
        ("waiver = 3\n", 1, "`waiver` is no list"),
        (waiver() + waiver(), 5, "is waived in line 1 already"),
        (waiver() + waiver(advisory='"pysec-0000-1"'), 5, "is waived in line 1 already"),
        ("\n\n[[waiver]\n", 3, "is not TOML"),
        (waiver(reason='"""\nopen\n'), 6, "is not TOML"),
        (waiver(reason='"""\n[[waiver]]\nreason = 3\n"""') + waiver(reason='""'), 10, "`reason` is empty"),
        ("waiver = [\n  {},\n]\n", 3, "has no advisory"),
        ("# \xe4".encode("latin-1") + b"\n", 1, "is not UTF-8"),
        ("a = " + "[" * 5_000, 1, "is not TOML"),
    ],
)
def test_a_waiver_that_does_not_hold_is_named_with_its_line(
    prove: Prove, service: Path, text: str | bytes, line: int, because: str
) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    (service / "audit-waivers.toml").write_bytes(content)
    only_waivers = "def off(*_): raise audit.UnverifiedError('off', 'off')\naudit._export = off"

    checks = [check for check in prove("audit", prepare=only_waivers) if check["outcome"] == "insecure"]

    assert checks
    assert checks[0]["name"].startswith(f"audit-waivers.toml:{line} "), told(checks)
    assert because in checks[0]["seen"]
    assert f"line {line}" in checks[0]["seen"]
    assert checks[0]["remedy"]


def test_a_waiver_holds_through_its_last_day(prove: Prove, service: Path) -> None:
    (service / "audit-waivers.toml").write_text(
        waiver(expires=TODAY) + waiver(advisory='"b"', expires=TODAY + timedelta(days=89))
    )
    only_waivers = "def off(*_): raise audit.UnverifiedError('off', 'off')\naudit._export = off"

    assert outcomes(prove("audit", prepare=only_waivers)) == {"unverified"}


def test_the_example_of_a_waiver_is_one(emit: Emit, prove: Prove, service: Path) -> None:
    text = (emit() / "audit-waivers.toml").read_text()
    assert tomllib.loads(text) == {}
    example = text[text.index("# [[waiver]]") :].replace("# ", "")
    (found,) = tomllib.loads(example)["waiver"]
    assert isinstance(found["expires"], date)
    (service / "audit-waivers.toml").write_text(re.sub(r"expires = .*", f"expires = {TODAY}", example))

    assert outcomes(
        prove("audit", prepare="def off(*_): raise audit.UnverifiedError('', '')\naudit._export = off")
    ) == {"unverified"}


# ---------------------------------------------------------------------------------------------------------------------
# Lock and bill of materials
# ---------------------------------------------------------------------------------------------------------------------


def test_a_lock_that_belongs_to_the_project_is_proved(prove: Prove) -> None:
    checks = prove("lock")

    assert outcomes(checks) == {"proved"}, told(checks)
    assert len(checks) == 2


def test_a_lock_that_is_missing_or_old_is_insecure(prove: Prove, service: Path) -> None:
    pyproject = service / "pyproject.toml"
    original = pyproject.read_text()
    pyproject.write_text(original.replace('"fastapi>=0.165"', '"fastapi>=0.165", "click>=8"'))
    old = prove("lock")
    pyproject.write_text(original.replace('"fastapi>=0.165"', '"fastapi>=0.165,<0.1"'))
    impossible = prove("lock")
    pyproject.write_text(original)
    (service / "uv.lock").unlink()
    missing = prove("lock")

    for checks in (old, impossible, missing):
        assert checks[0]["outcome"] == "insecure", told(checks)
        assert "uv lock" in checks[0]["remedy"]


def test_a_file_without_a_hash_is_insecure(prove: Prove, service: Path) -> None:
    lock = service / "uv.lock"
    lock.write_text(re.sub(r', hash = "[^"]*"', "", lock.read_text(), count=1))

    assert "every locked file has a hash" in [x["name"] for x in prove("lock") if x["outcome"] == "insecure"]


def test_the_bill_of_materials_lists_what_runs_and_is_the_same_for_the_same_lock(prove: Prove, service: Path) -> None:
    ask_for(service, "flask==1.1.2")
    assert outcomes(prove("sbom")) == {"proved"}
    first = (service / ".hardening/sbom.cdx.json").read_text()
    assert outcomes(prove("sbom", PYTHONHASHSEED="7")) == {"proved"}
    assert (service / ".hardening/sbom.cdx.json").read_text() == first

    bill = json.loads(first)
    export = ["uv", "export", "--quiet", "--locked", "--no-default-groups", "--no-emit-project", "--no-hashes"]
    wanted = subprocess.run(export, cwd=service, check=True, capture_output=True, text=True).stdout
    assert {f"{each['name']}=={each['version']}" for each in bill["components"]} == set(
        re.findall(r"^[^#\s]+==[^\s;]+", wanted, re.MULTILINE)
    )
    hashes = {each["content"] for x in bill["components"] for y in x["externalReferences"] for each in y["hashes"]}
    assert hashes == set(re.findall(r"sha256:(\w+)", subprocess_hashes(service)))
    edges = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert "pkg:pypi/flask@1.1.2" in edges["pkg:pypi/orders-api@0.1.0"]
    assert any(each.startswith("pkg:pypi/jinja2@") for each in edges["pkg:pypi/flask@1.1.2"])
    assert "timestamp" not in bill["metadata"]

    ask_for(service, "flask==2.2.5")
    prove("sbom")
    assert json.loads((service / ".hardening/sbom.cdx.json").read_text())["serialNumber"] != bill["serialNumber"]


def subprocess_hashes(service: Path) -> str:
    """The export of the runtime dependencies with the hashes of their files."""
    export = ["uv", "export", "--quiet", "--locked", "--no-default-groups", "--no-emit-project"]
    return subprocess.run(export, cwd=service, check=True, capture_output=True, text=True).stdout


def test_a_bill_of_materials_keeps_the_schema(prove: Prove, service: Path) -> None:
    ask_for(service, "flask==1.1.2")
    prove("sbom")
    text = (service / ".hardening/sbom.cdx.json").read_text()
    schema = JsonStrictValidator(SchemaVersion.V1_6)

    assert schema.validate_str(text) is None
    assert schema.validate_str(text.replace('"library"', '"book"')) is not None


# ---------------------------------------------------------------------------------------------------------------------
# Configuration: what matters in the files of the team
# ---------------------------------------------------------------------------------------------------------------------

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
    (WORKFLOW, "permissions: {}", "env: {}", "insecure: .*no `permissions` at the top"),
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

    bad = [check for check in prove("configuration", prepare=ONLY_FILES) if check["outcome"] != "proved"]
    assert re.search(because, told(bad)), told(bad)
    assert all(check["remedy"] for check in bad)


def test_files_that_are_not_used_are_no_fault(prove: Prove, service: Path) -> None:
    for name in ("Dockerfile", ".dockerignore", "compose.yaml"):
        (service / name).unlink()
    shutil.rmtree(service / ".github")

    checks = prove("configuration", prepare=ONLY_FILES)

    assert outcomes(checks) == {"proved"}, told(checks)
    assert told(checks).count("not used") == 7


def test_a_secret_that_git_tracks_is_named(prove: Prove, service: Path) -> None:
    (service / ".env").write_text("APP_API_TOKEN=secret\n")
    (service / "server.pem").write_text("-----BEGIN RSA PRIVATE KEY-----\n")
    commit(service, "emitted")
    assert "git tracks no .env" in told(
        [x for x in prove("configuration", prepare=ONLY_FILES) if "server.pem" in x["seen"]]
    )

    git(service, "add", "--force", ".env")
    git(service, "rm", "--quiet", "--cached", "server.pem")
    (found,) = (check for check in prove("configuration", prepare=ONLY_FILES) if "git tracks" in check["name"])
    assert (found["outcome"], found["seen"]) == ("insecure", ".env")


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


def test_a_service_that_is_not_safe_or_starts_with_nothing_set_is_named(prove: Prove, service: Path) -> None:
    route = service / "src" / PACKAGE / "routes/users.py"
    route.write_text(route.read_text().replace("@public\n", "", 1))
    checks = prove("configuration", prepare=THIS_COPY)
    assert "insecure: no routes.E001" in told(checks)
    assert "start with safe settings" not in told([x for x in checks if x["outcome"] == "proved"])

    main = service / "src" / PACKAGE / "__main__.py"
    main.write_text(main.read_text().replace("return 1 if errors else 0", "return 0"))
    assert "insecure: with nothing set, production refuses to start" in told(prove("configuration", prepare=THIS_COPY))
