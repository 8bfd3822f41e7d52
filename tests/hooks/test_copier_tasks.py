"""Two facts about Copier that bite: when it runs a task, and what it deletes when one fails."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ..conftest import REPOSITORY, commit, git
from .runs import (
    command,
)


def with_task(template: Path, folder: Path, *tasks: str) -> Path:
    """The bare template with other tasks, in two releases."""
    shutil.copytree(template, folder)
    config = (folder / "copier.yml").read_text()
    start, end = config.index("_tasks:\n"), config.index("# What the task found out")
    (folder / "copier.yml").write_text(config[:start] + "_tasks:\n" + "".join(tasks) + "\n" + config[end:])
    commit(folder, "tasks")
    git(folder, "tag", "v2.0.0")
    (folder / "template" / "new.txt").write_text("new\n")
    commit(folder, "more")
    git(folder, "tag", "v3.0.0")
    return folder


def test_a_task_without_a_guard_runs_thrice_on_an_update(bare: Path, tmp_path: Path) -> None:
    def counting(name: str, guard: str = "") -> str:
        code = f"open({str(tmp_path / name)!r}, 'a').write('x')"
        return f"  - command: ['{{{{ _copier_python }}}}', -c, {json.dumps(code)}]\n{guard}"

    guard = re.findall(r"    when: .*_copier_operation.*\n", (REPOSITORY / "copier.yml").read_text())
    assert len(guard) == 1
    template = with_task(bare, tmp_path / "template", counting("bare"), counting("guarded", *guard))
    service = tmp_path / "service"
    subprocess.run(command(template, service, "--quiet", "--vcs-ref=v2.0.0"), check=True)
    commit(service, "emitted")
    assert (tmp_path / "bare").read_text() == (tmp_path / "guarded").read_text() == "x"

    update = [sys.executable, "-m", "copier", "update", "--trust", "--defaults", "--quiet"]
    subprocess.run(update, cwd=service, check=True)

    assert (service / "new.txt").is_file()
    assert (tmp_path / "bare").read_text() == "x" + "xxx"
    assert (tmp_path / "guarded").read_text() == "x"


def test_a_task_that_fails_takes_the_new_project_with_it(bare: Path, tmp_path: Path) -> None:
    template = with_task(
        bare, tmp_path / "template", "  - command: ['{{ _copier_python }}', -c, raise SystemExit(1)]\n"
    )

    result = subprocess.run(command(template, tmp_path / "service"), capture_output=True, text=True, check=False)

    assert result.returncode == 1
    assert not (tmp_path / "service").exists()
