# Owned by the template: an update rewrites this file.
"""The owned files against the hashes that their release brings, without the template and without a network.

This finds haste, not malice: whoever may edit a file may edit the list. `--only drift` compares with the template.
"""

from collections.abc import Iterator
from pathlib import Path

from ..result import Check, Options, Rule, UnverifiedError
from ..upkeep.owned_files import LIST, PACKAGE, digest, parse
from ..upkeep.template_repo import ANSWERS, UPDATE, recorded_answers
from .lock import listed

RECORDED = Rule("owned", "owned.recorded", "updates find the package that the service was created with")
UNCHANGED = Rule("owned", "owned.unchanged", "the owned files hold what their release holds")
RULES = (RECORDED, UNCHANGED)


def stage(options: Options) -> Iterator[Check]:
    """Whether updates find what they need, and whether the owned files are as their release has them."""
    try:
        answers = recorded_answers(options.project)
    except UnverifiedError as error:
        yield RECORDED.unverified(error)
        yield UNCHANGED.unverified("which files the service has is not recorded", error.remedy)
        return
    yield _recorded(options, answers.get("package_name", ""))
    yield _unchanged(options, answers)


def _recorded(options: Options, package: str) -> Check:
    if package == options.package:
        return RECORDED.proved(package)
    return RECORDED.insecure(
        f"{ANSWERS} records the package {package or 'no name'}, and this one is src/{options.package}",
        f"Name the folder src/{package} again, with its imports: the name is for birth only. An update would write a "
        "second `hardening` beside this one, and what runs would stay as old as it is.",
    )


def _unchanged(options: Options, answers: dict[str, str]) -> Check:
    try:
        entries = parse((options.project / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return UNCHANGED.unverified(
            f"could not tell: {LIST.as_posix()} cannot be read: {error}", _remedy(LIST.as_posix())
        )
    if unsaid := sorted({name for entry in entries for name in entry.asks} - answers.keys()):
        return UNCHANGED.unverified(
            f"which files the service has is not recorded: {ANSWERS} has no answer to {', '.join(unsaid)}",
            f"Put {ANSWERS} back from git; updates need it too.",
        )
    digests: dict[str, set[str]] = {}
    for entry in entries:
        if entry.concerns(answers):
            digests.setdefault(entry.path.replace(PACKAGE, options.package), set()).add(entry.digest)
    found = [
        f"{name} {problem}"
        for name, allowed in digests.items()
        if (problem := _problem(options.project, name, options.package, allowed))
    ]
    if not digests:
        return UNCHANGED.unverified(f"{LIST.as_posix()} names no file", _remedy(LIST.as_posix()))
    if found:
        return UNCHANGED.insecure(listed(found, 9), _remedy(found[0].partition(" ")[0]))
    return UNCHANGED.proved(f"{len(digests)} files; finds haste, not malice, since the list stands beside them")


def _problem(project: Path, name: str, package: str, allowed: set[str]) -> str:
    path = project / name
    try:
        if path.resolve() != project.resolve() / name:
            return "is a link, or in a folder that is one"
        return "" if digest(path.read_bytes(), package) in allowed else "was changed"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _remedy(name: str) -> str:
    return (
        f"`git checkout -- {name}` takes back what is not committed; otherwise `git log -- {name}` names the commit to "
        f"take it from. `{UPDATE}` brings what a newer release has. What a change is for is said by a setting, or by "
        "what a seed passes in."
    )
