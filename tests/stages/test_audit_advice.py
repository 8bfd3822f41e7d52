"""A vulnerable package is named, with the command that fixes it, and with what forbids that."""

import re
import subprocess
import tomllib
from pathlib import Path

from packaging.version import Version
from verify.stages import audit
from verify.stages.lockfile import Lock, Package
from verify.stages.pip_audit import AuditResult

from ..fake_osv import UNFIXED, advisory, serving
from .runs import SHORT, Prove, outcomes, told


def test_a_vulnerable_package_is_named_with_all_that_fixes_it(prove: Prove, vulnerable: Path) -> None:
    colours = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "COLUMNS": "20"}  # of the caller, which change nothing
    with serving(UNFIXED, advisory("PYSEC-0000-2", "ruff", "99")) as osv:
        checks = prove("audit", osv=osv.address, **colours)

    bad = {check["name"]: check for check in checks if check["outcome"] == "insecure"}
    names = ["flask 1.1.2 has PYSEC-2023-62", "jinja2 2.11.1 has PYSEC-2021-66", "sqlparse 0.4.3 has PYSEC-2023-87"]
    runtime = [next(iter(x for x in bad if x.startswith("itsdangerous"))), *names]
    assert list(bad)[:4] == sorted([*runtime], key=lambda name: name.split()[0]), "runtime first"
    assert list(bad)[4:] == [next(x for x in bad if x.startswith("ruff"))], told(checks)
    assert outcomes(checks) == {"proved", "insecure"}, "all packages are accounted for nevertheless"

    direct, transitive = bad["sqlparse 0.4.3 has PYSEC-2023-87"], bad["jinja2 2.11.1 has PYSEC-2021-66"]
    assert "CVE-2023-30608" in direct["seen"]
    assert "fixed in 0.4.4" in direct["seen"]
    assert "runtime, required by sqlparse (runtime)" in direct["seen"]
    assert "pyproject.toml asks for sqlparse==0.4.3: raise that bound to admit 0.4.4" in direct["remedy"]
    assert "runtime, required by flask (runtime)" in transitive["seen"]
    assert transitive["remedy"] == "Run `uv lock --upgrade-package jinja2==2.11.3`."

    unfixed = next(check for name, check in bad.items() if name.startswith("itsdangerous"))
    assert "no release is named that fixes it" in unfixed["seen"]
    assert "[[waiver]]" in unfixed["remedy"]
    development = next(check for name, check in bad.items() if name.startswith("ruff"))
    assert "development, required by ruff (group dev)" in development["seen"]


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


def test_the_release_that_is_named_fixes_every_record_of_one_weakness() -> None:
    def fixes(*records: tuple[str, ...]) -> list[str]:
        package, root = (Package(name, "1.26.5", {}, {}, ()) for name in ("urllib3", "root"))
        named = [
            {"names": (f"A{number}", "CVE"), "fixes": [*map(Version, each)]} for number, each in enumerate(records)
        ]
        lock = Lock(root, (package,), {}, {})
        (found,) = audit._findings(lock, AuditResult(frozenset(), (), {package.key: named}, ()))
        return [str(each) for each in found.fixes]

    assert fixes(("1.26.17", "2.0.6")) == ["1.26.17", "2.0.6"]
    assert fixes(("1.26.17", "2.0.6"), ("1.26.18", "2.0.7")) == ["1.26.18", "2.0.7"]
    assert fixes(("1.26.17", "2.0.6"), ("2.0.5",)) == ["2.0.6"], "2.0.5 has the fix of one record alone"
    assert fixes(("1.26.17",), ()) == ["1.26.17"]
