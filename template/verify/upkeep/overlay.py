# Owned by the template: an update rewrites this file.
"""What an organisation lays over this service, by a small template of its own: where it stands, and how it is updated."""

import tempfile
from pathlib import Path

from ..common.addresses import masked
from ..runner import subprocesses
from .owned_files import is_importable
from .patches import top_of
from .template_repo import COPIER, TIMEOUT

ANSWERS = ".copier-answers.overlay.yml"
CHECKS, STEPS = "verify_overlay", "hardening_overlay"
"""Packages, one at the root and one beside `hardening`. Python takes a single module of that name too."""
COMMAND = ["update", "--defaults", "--answers-file", ANSWERS]
UPDATE = f"uvx '{COPIER}' {' '.join(COMMAND)}"


def is_there(project: Path) -> bool:
    """Whether this service has an overlay, or a part of one."""
    return (project / ANSWERS).exists() or bool(checks(project) or steps(project))


def checks(project: Path) -> list[Path]:
    """Where its checks are: a package or a single module."""
    return _named(project, CHECKS, "__init__.*")


def steps(project: Path) -> list[Path]:
    """Where its steps or certificates are: folders that hold something, and single modules."""
    return _named(project, f"src/*/{STEPS}", "*.*")


def _named(project: Path, name: str, holds: str) -> list[Path]:
    modules = (path for path in project.glob(f"{name}.*") if path.is_file() and is_importable(project, path.name))
    return sorted([*(path for path in project.glob(name) if any(path.glob(holds))), *modules])


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
        top = top_of(project)
        inside = clone / project.resolve().relative_to(top)
        copier = [subprocesses.uv(), "tool", "run", "--from", COPIER, "copier", *COMMAND, "--skip-tasks", "--quiet"]
        steps: list[tuple[list[str], Path]] = [
            (["git", "clone", "--quiet", str(top), str(clone)], project),
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
        ran = subprocesses.run(["git", "apply", "--index", "--whitespace=nowarn", str(patch)], top, 60)
        return "\nThe overlay was updated.\n" if ran.ok else f"\nThe overlay was not updated: {masked(ran.tail())}.\n"
