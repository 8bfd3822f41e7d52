# Owned by the template: an update rewrites this file.
"""A patch that `git apply` takes in the service's folder, wherever in its repository that is."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from ..result import UnverifiedError
from ..runner import subprocesses


def top_of(project: Path) -> Path:
    """The root of the repository that a service is in; outside of any, the service's own root."""
    up = subprocesses.run(["git", "rev-parse", "--show-cdup"], project, 60).out.strip()  # no name, so no encoding
    return (project.resolve() / up).resolve()


def write(project: Path, scratch: Path, target: Path, wanted: Path, names: Iterable[str]) -> None:
    """Write what leads from the service's files to those of another folder.

    Args:
        project: The root of the service.
        scratch: A folder of our own.
        target: The patch.
        wanted: The folder that holds these files as they are to be.
        names: The files. One that the service has not is a new one.

    Raises:
        UnverifiedError: git does not say what differs.
    """
    # Inside a repository, git takes the paths of a patch from its root, and passes over others without a word.
    prefix = project.resolve().relative_to(top_of(project))
    for side, origin in (("a", project), ("b", wanted)):
        (scratch / side).mkdir()
        for name in names:
            if (origin / name).is_file():
                copy = scratch / side / prefix / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(origin / name, copy, follow_symlinks=False)
    target.parent.mkdir(exist_ok=True)
    command = ["git", "diff", "--no-index", "--no-prefix", "--no-ext-diff", "--no-textconv", "--no-color", "--binary"]
    ran = subprocesses.run([*command, f"--output={target}", "a", "b"], scratch, 10)
    if ran.code != 1:
        raise UnverifiedError(f"git diff ended with {ran.code}: {ran.tail()}", "Run it again.")
