# Owned by the template: an update rewrites this file.
"""A service in a folder of a larger repository: forges read pipelines at the root alone, so its own belong there.

`python -m verify.upkeep.larger_repository` writes them, for that place, into `.hardening/pipelines`, and says where to
put them; so does the hook of `copier copy`. The hooks load this file: Python 3.10, and the standard library.
"""

import re
import sys
from pathlib import Path

OFFERED = Path(".hardening", "pipelines")
_GITLAB = ".gitlab-ci.yml"


def root_of(project: Path) -> Path:
    """The root of the git repository that a folder is in; the folder itself if it is in none."""
    project = project.resolve()
    return next((each for each in (project, *project.parents) if (each / ".git").exists()), project)


def pipelines(project: Path) -> dict[str, str]:
    """The texts of the service's pipelines for the root of the repository, by their paths there."""
    folder = project.resolve().relative_to(root_of(project)).as_posix()
    name = re.sub(r"\W+", "-", folder).strip("-")
    found = {}
    for path in sorted((project / ".github" / "workflows").glob("*.yml")):
        text = _placed(path.read_text(encoding="utf-8"), folder, name)
        text = re.sub(r"^(name|concurrency): (.*)$", rf"\1: {name}-\2", text, flags=re.MULTILINE)
        text = re.sub(
            r"^jobs:", f"defaults:\n  run:\n    working-directory: {folder}\n\njobs:", text, flags=re.MULTILINE
        )
        found[f".github/workflows/{name}-{path.name}"] = text
    if (project / _GITLAB).is_file():
        text = _placed((project / _GITLAB).read_text(encoding="utf-8"), folder, name)
        text = re.sub(r"^([a-z]+):$", rf"{name}-\1:\n  before_script:\n    - cd {folder}", text, flags=re.MULTILINE)
        found[f".gitlab/{name}.yml"] = re.sub(r"^  needs: \[", f"  needs: [{name}-", text, flags=re.MULTILINE)
    return found


def _placed(text: str, folder: str, name: str) -> str:
    text = re.sub(r"((?:path: |paths: \[))\.hardening", rf"\1{folder}/.hardening", text)
    text = text.replace("hardening-update", f"hardening-update-{name}")
    return text.replace("Update the hardening", f"Update the hardening of {folder}")


def offer(project: Path) -> list[str]:
    """Write them, and return what to do with them: commands to be run at the root, and sentences."""
    root, done = root_of(project), []
    folder = project.resolve().relative_to(root).as_posix()
    for place, text in pipelines(project).items():
        path = project / OFFERED / place.rpartition("/")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        there = root / place
        if there.is_file() and there.read_text(encoding="utf-8", errors="replace") == text:
            continue
        done.append(f"mkdir -p {place.rpartition('/')[0]} && cp {folder}/{(OFFERED / path.name).as_posix()} {place}")
        if place.startswith(".gitlab/"):
            done.append(f"in {_GITLAB} there: include: [{{local: {place}}}]")
    return done


def main() -> int:
    """Write them and say where they belong."""
    project = Path(__file__).resolve().parent.parent.parent
    root = root_of(project)
    if root == project:
        print("This service is the root of its repository: its pipelines are read where they are.")
        return 0
    print(f"Forges read pipelines at {root} alone. There:")
    print("\n".join(f"    {each}" for each in offer(project) or ["nothing to do: they are in place"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
