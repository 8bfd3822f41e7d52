"""The lock file and the bill of materials."""

import json
import re
import subprocess
from pathlib import Path

from .runs import Prove, ask_for, outcomes, told


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


def test_the_sbom_lists_what_runs_and_depends_on_the_lock_alone(prove: Prove, service: Path) -> None:
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


def test_an_sbom_that_is_not_valid_is_insecure(prove: Prove) -> None:
    broken = (
        "from verify import sbom\nbill = sbom.bill\nsbom.bill = lambda *_: bill(*_).replace('\"library\"', '\"book\"')"
    )

    checks = prove("sbom", prepare=broken)

    assert outcomes(checks) == {"insecure"}
    assert "not valid" in told(checks)
