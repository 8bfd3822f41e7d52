"""The lock file and the bill of materials."""

import json
import re
import subprocess
from pathlib import Path
from zipfile import ZipFile

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from ..conftest import commit
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


def test_a_folder_of_files_is_as_good_as_a_hash_where_git_holds_it(prove: Prove, service: Path) -> None:
    wheels = service / "wheels"
    wheels.mkdir()
    subprocess.run(["uv", "build", "--quiet", "--wheel", "-o", str(wheels), str(service)], check=True)
    (wheels / ".gitignore").unlink(missing_ok=True)  # uv ignores what it builds
    (wheel,) = wheels.glob("*.whl")
    other = wheels / wheel.name.replace("orders_api", "acme_bills")
    rename(wheel, other)
    with (service / "pyproject.toml").open("a") as pyproject:
        pyproject.write('\n[[tool.uv.index]]\nname = "acme"\nurl = "./wheels"\nformat = "flat"\nexplicit = true\n')
        pyproject.write('\n[tool.uv.sources]\nacme-bills = { index = "acme" }\n')
    ask_for(service, "acme-bills")

    said = {each["id"]: each for each in prove("lock")}["lock.hashes"]
    assert said["outcome"] == "insecure"
    assert "wheels gives none for acme-bills" in said["seen"]
    commit(service, "wheels of our own")
    assert outcomes(prove("lock")) == {"proved"}


def rename(wheel: Path, other: Path) -> None:
    """A wheel of another project, with nothing in it but its description."""
    with ZipFile(wheel) as old, ZipFile(other, "w") as new:
        for name in old.namelist():
            if ".dist-info/" in name and not name.endswith("RECORD"):
                text = old.read(name).decode().replace("orders-api", "acme-bills")
                text = re.sub(r"^Requires-Dist.*\n", "", text, flags=re.MULTILINE)
                new.writestr(name.replace("orders_api", "acme_bills"), text)
        new.writestr(f"{other.name.rpartition('-py3')[0]}.dist-info/RECORD", "")
    wheel.unlink()


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


def test_a_bill_of_materials_keeps_the_schema(prove: Prove, service: Path) -> None:
    ask_for(service, "flask==1.1.2")
    prove("sbom")
    text = (service / ".hardening/sbom.cdx.json").read_text()
    schema = JsonStrictValidator(SchemaVersion.V1_6)

    assert schema.validate_str(text) is None
    assert schema.validate_str(text.replace('"library"', '"book"')) is not None
