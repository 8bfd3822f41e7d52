"""What the README tells people to type does what it says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from copier import run_copy
from verify.upkeep.owned_files import LIST, digest, sealed

from .conftest import REPOSITORY, Emit, commit, git
from .fake_osv import serving
from .mini_template import release, service_of, small_template
from .releases import PACKAGE

README = (REPOSITORY / "README.md").read_text()


def block(text: str, heading: str, number: int = 0) -> str:
    """One of the fenced blocks under a heading."""
    section = re.split(r"^## ", text.split(f"\n## {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    blocks: list[str] = re.findall(r"```\w*\n(.*?)```", section, re.DOTALL)
    return blocks[number]


def bash(folder: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-e", "-c", script]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def test_four_lines_update_a_service(template: Path, emit: Emit, tmp_path: Path) -> None:
    newer = tmp_path / "template"
    shutil.copytree(template, newer)
    page = newer / "template" / "HARDENING.md"
    before = digest(page.read_bytes(), PACKAGE)
    page.write_text(page.read_text().replace("# Hardening\n", "# Hardening, newer\n", 1))
    hashes = newer / "template" / LIST
    listed = hashes.read_text().splitlines(keepends=True)[:-1]
    hashes.write_text(sealed("".join(listed).replace(before, digest(page.read_bytes(), PACKAGE))))
    release(newer, "1000.0.0", "Changed", "The name of a page.")
    service = tmp_path / "orders-api"
    answers = {"checks": "off", "example": "minimal"}
    run_copy(str(newer), service, data=answers, vcs_ref="v999.0.0", defaults=True, quiet=True, skip_tasks=True)
    (service / "README.md").write_text("# Ours\n")
    subprocess.run(["uv", "lock", "--quiet"], cwd=service, check=True)
    commit(service, "emitted")
    lines = block(README, "Update")

    with serving() as osv:
        done = bash(service, lines, AUDIT_OSV_URL=osv.address)

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lines.splitlines()) == 4
    assert lines == block((emit() / "README.md").read_text(), "Update it")
    assert "all else proved" in done.stdout
    changed = git(service, "diff", "--name-only", "main", "update").split()
    assert changed == [".copier-answers.yml", "HARDENING.md", LIST.as_posix()]
    assert git(service, "status", "--porcelain") == ""


def test_a_conflict_is_settled_as_it_says(tmp_path: Path) -> None:
    template = small_template(tmp_path / "template")
    service = service_of(template, tmp_path / "orders-api")
    owned = "src/orders_api/hardening/headers.py"
    (service / owned).write_text('"""Edited by the team."""\n')
    commit(service, "edited")
    (template / "template/src/{{ package_name }}/hardening/headers.py").write_text('"""The newer one."""\n')
    release(template, "1.1.0", "Fixed", "It.")
    update = block(README, "Update").splitlines()[1]

    stopped = bash(service, update)
    assert stopped.returncode == 1
    assert f"Conflicts in {owned}" in stopped.stdout + stopped.stderr
    bash(service, re.findall("`(git reset --hard && [^`]*)`", README)[0])
    assert git(service, "status", "--porcelain") == ""
    assert (service / owned).read_text() == '"""Edited by the team."""\n'

    bash(service, update)
    settled = bash(service, block(README, "Update", 1).replace("FILE", owned))

    assert settled.returncode == 0, settled.stderr
    assert (service / owned).read_text() == '"""The newer one."""\n'
    assert git(service, "ls-files", "--unmerged") == ""


@pytest.mark.parametrize("address", ["gh:ORG/", "https://github.com/ORG/", "git@github.com:ORG/"])
def test_each_form_of_an_address_is_trusted_by_its_own_line(tmp_path: Path, address: str) -> None:
    template = small_template(tmp_path / "template")
    git(tmp_path, "clone", "--quiet", "--bare", str(template), str(tmp_path / "template.git"))
    listed = yaml.safe_load(block(README, "Trust", 1))["trust"]
    settings = tmp_path / "settings.yml"
    here = {
        "COPIER_SETTINGS_PATH": str(settings),
        "COPIER_CACHE_DIR": str(tmp_path / "cache"),
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"url.{tmp_path}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/ORG/",
        "GIT_CONFIG_KEY_1": f"url.{tmp_path}/.insteadOf",
        "GIT_CONFIG_VALUE_1": "git@github.com:ORG/",
    }
    copy = f"copier copy --defaults --quiet --pretend {address}template.git out"
    codes = {}
    for name, trusted in {"its own": [address], "the others": [each for each in listed if each != address]}.items():
        settings.write_text(yaml.safe_dump({"trust": trusted}))
        codes[name] = bash(tmp_path, copy, **here).returncode

    assert address in listed
    assert len(listed) == 3
    assert codes == {"its own": 0, "the others": 4}


def test_without_trust_it_says_what_the_readme_shows(tmp_path: Path) -> None:
    template = small_template(tmp_path / "template")

    refused = bash(tmp_path, f"copier copy --defaults {template} out")

    assert refused.returncode == 4
    assert block(README, "Trust").strip() in refused.stderr
    assert not (tmp_path / "out").exists()
