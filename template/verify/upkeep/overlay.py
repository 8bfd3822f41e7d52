# Owned by the template: an update rewrites this file.
"""What an organisation lays over this service, by a small template of its own: where it stands, and how it is updated."""

import tempfile
from pathlib import Path

from ..runner import subprocesses
from .template_repo import COPIER, TIMEOUT, masked

ANSWERS = ".copier-answers.overlay.yml"
CHECKS = Path("verify_overlay", "__init__.py")
STEPS = Path("hardening_overlay", "__init__.py")
COMMAND = ["update", "--defaults", "--answers-file", ANSWERS]
UPDATE = f"uvx '{COPIER}' {' '.join(COMMAND)}"


def is_there(project: Path) -> bool:
    """Whether this service has an overlay, or a part of one."""
    return any((project / name).exists() for name in (ANSWERS, CHECKS)) or any(
        project.glob(f"src/*/{STEPS.parent}/*.*")
    )


def update(project: Path) -> str:
    """Bring the overlay's newest release into the working tree, beside whatever else has changed there.

    Copier insists on a clean tree, so it works in a clone of the last commit; the files of the overlay are no others'. No
    task of the overlay runs, and no trust is given. What conflicts is left as it was.

    Returns:
        What came of it, as a section of a report; nothing where there is no overlay.
    """
    if not (project / ANSWERS).is_file():
        return ""
    with tempfile.TemporaryDirectory(prefix="overlay-", ignore_cleanup_errors=True) as name:
        clone, patch = Path(name, "clone"), Path(name, "overlay.patch")
        top, prefix = (
            subprocesses.run(["git", "rev-parse", f"--show-{what}"], project, 60).out.strip()
            for what in ("toplevel", "prefix")
        )
        inside = clone / prefix
        copier = [subprocesses.uv(), "tool", "run", "--from", COPIER, "copier", *COMMAND, "--skip-tasks", "--quiet"]
        steps: list[tuple[list[str], Path]] = [
            (["git", "clone", "--quiet", top, str(clone)], project),
            (copier, inside),
            (["git", "diff", "--quiet", "--diff-filter=U"], inside),
            (["git", "add", "--all", "."], inside),
            (["git", "diff", "--cached", "--binary", f"--output={patch}"], clone),
        ]
        for command, folder in steps:
            ran = subprocesses.run(command, folder, TIMEOUT)
            if not ran.ok:
                why = masked(ran.tail()) or "its files were edited here, and have to be merged"
                return f"\nThe overlay was not updated: {why}. Run `{UPDATE}` by hand.\n"
        if not patch.stat().st_size:
            return "\nThe overlay is as its newest release has it.\n"
        ran = subprocesses.run(["git", "apply", "--index", "--whitespace=nowarn", str(patch)], Path(top), 60)
        return "\nThe overlay was updated.\n" if ran.ok else f"\nThe overlay was not updated: {masked(ran.tail())}.\n"
