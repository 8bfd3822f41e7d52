# Owned by the template: an update rewrites this file.
"""What the recorded release emits for a service: Copier renders it from the clone. No task of the template runs."""

import os
import shutil
from pathlib import Path

from ..result import UnverifiedError
from ..runner import subprocesses
from ..runner.subprocesses import NO_UV
from .template_repo import ANSWERS, COPIER, TIMEOUT, Template, expanded


def render(template: Template, answers: Path, folder: Path) -> tuple[set[str], set[str]]:
    """Write what the recorded release emits for these answers into an empty folder.

    Returns:
        The names of the owned files, which the folder then holds, and of the seeds, which it does not.

    Raises:
        UnverifiedError: The release is gone, or Copier does not render it.
    """
    if not template.git("rev-parse", "--verify", "--quiet", f"{template.version}^{{commit}}", folder=template.clone).ok:
        raise UnverifiedError(
            f"the template at {template.address} has no {template.version}",
            "Have its tag brought back, or move to the newest release with "
            f"`uvx '{COPIER}' recopy --trust --defaults --overwrite` and look at `git diff`.",
        )
    folder.mkdir()
    shutil.copyfile(answers, folder / ANSWERS)
    recopy(template, folder)
    # What belongs to the team is for the release to say, and Copier to understand: it leaves a seed that is there.
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    stub = b"there already"
    for name in names - {ANSWERS}:
        (folder / name).write_bytes(stub)
    recopy(template, folder)
    seeds = {name for name in names if (folder / name).read_bytes() == stub}
    for name in seeds:
        (folder / name).unlink()
    return names - seeds, seeds


def recopy(template: Template, folder: Path) -> None:
    """Let Copier render the release that the answers in a folder record, into that folder.

    Raises:
        UnverifiedError: It does not.
    """
    (template.scratch / "settings.yml").write_text("{}\n", encoding="utf-8")  # those of this machine change nothing
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    address = expanded(template.address).removesuffix(".git")
    variables = {
        "COPIER_SETTINGS_PATH": str(template.scratch / "settings.yml"),
        "COPIER_CACHE_DIR": str(template.scratch / "cache"),
        # Copier asks for the template at its address, and git gives it our clone.
        f"GIT_CONFIG_KEY_{count}": f"url.{template.clone.with_suffix('').as_posix()}.insteadOf",
        f"GIT_CONFIG_VALUE_{count}": address,
        "GIT_CONFIG_COUNT": str(count + 1),
    }
    copier = ["tool", "run", "--from", COPIER, "copier", "recopy"]
    switches = ["--vcs-ref", ":current:", "--defaults", "--overwrite", "--skip-tasks", "--quiet"]
    try:
        command = [subprocesses.uv(), *copier, *switches, str(folder)]
        ran = subprocesses.run(command, template.scratch, TIMEOUT, {**template.quiet(), **variables})
    except OSError as error:
        raise UnverifiedError(f"uv cannot be started: {error}", NO_UV) from None
    if not ran.ok:
        said = ran.tail() if ran.code is not None else f"no answer within {TIMEOUT:g} s"
        by_hand = f"`uvx '{COPIER}' recopy --vcs-ref :current: --defaults --pretend --skip-tasks`"
        raise UnverifiedError(f"Copier could not render {template.name}: {said}", f"{by_hand} says more.")
