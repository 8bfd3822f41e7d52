# Owned by the template: an update rewrites this file.
"""The owned files against the hashes that their release brings, without the template and without a network.

This finds haste, not malice: whoever may edit a file may edit the list. `--only drift` compares with the template.
"""

from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from ..result import Check, Options, Rule, UnverifiedError, listed
from ..upkeep.owned_files import FOLDERS, LIST, PACKAGE, added, digest, is_importable, parse
from ..upkeep.template_repo import ANSWERS, UPDATE, recorded_answers

RECORDED = Rule("owned", "owned.recorded", "updates find the package that the service was created with")
UNCHANGED = Rule("owned", "owned.unchanged", "the owned files hold what their release holds")
ADDED = Rule("owned", "owned.added", "no other module stands among the owned ones, or before one of them")
RULES = (RECORDED, UNCHANGED, ADDED)


def stage(options: Options) -> Iterator[Check]:
    """Whether updates find what they need, and whether the owned files are as their release has them."""
    try:
        answers = recorded_answers(options.project)
    except UnverifiedError as error:
        yield RECORDED.unverified(error)
        for rule in (UNCHANGED, ADDED):
            yield rule.unverified("which files the service has is not recorded", error.remedy)
        return
    yield _recorded(options, answers.get("package_name", ""))
    try:
        digests = _expected(options, answers)
    except UnverifiedError as error:
        yield UNCHANGED.unverified(error)
        yield ADDED.unverified(error)
        return
    yield _unchanged(options, digests)
    yield _added(options, digests)


def _recorded(options: Options, package: str) -> Check:
    if package == options.package:
        return RECORDED.proved(package)
    return RECORDED.insecure(
        f"{ANSWERS} records the package {package or 'no name'}, and this one is src/{options.package}",
        f"Name the folder src/{package} again, with its imports: the name is for birth only. An update would write a "
        "second `hardening` beside this one, and what runs would stay as old as it is.",
    )


def _expected(options: Options, answers: dict[str, str]) -> dict[str, set[str]]:
    """The owned files that the service has by its answers, each with the hashes that it may have.

    Raises:
        UnverifiedError: The list or the record of answers does not say.
    """
    try:
        entries = parse((options.project / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnverifiedError(f"{LIST.as_posix()} cannot be read: {error}", _remedy(LIST.as_posix())) from None
    if unsaid := sorted({name for entry in entries for name in entry.asks} - answers.keys()):
        raise UnverifiedError(
            f"{ANSWERS} has no answer to {', '.join(unsaid)}, which decides what files there are",
            f"Put {ANSWERS} back from git; updates need it too.",
        )
    digests: dict[str, set[str]] = {}
    for entry in entries:
        if entry.concerns(answers):
            digests.setdefault(entry.path.replace(PACKAGE, options.package), set()).add(entry.digest)
    return digests


def _unchanged(options: Options, digests: dict[str, set[str]]) -> Check:
    found = [
        f"{name} {problem}"
        for name, allowed in digests.items()
        if (problem := _problem(options.project, name, options.package, allowed))
    ]
    if found:
        return UNCHANGED.insecure(listed(found, 9), _remedy(found[0].partition(" ")[0]))
    return UNCHANGED.proved(f"{len(digests)} files; finds haste, not malice, since the list stands beside them")


def _added(options: Options, digests: dict[str, set[str]]) -> Check:
    """What Python or pytest may import in the place of an owned module, or beside it."""
    folders = [folder.replace(PACKAGE, options.package) for folder in FOLDERS]
    project = options.project
    found = [name for name in added(project, folders, digests) if is_importable(project, name)]
    for path in (project / name for name in digests if name.endswith(".py")):
        # A folder and an extension module come before a module of the same name.
        spec = PathFinder.find_spec(path.stem, [str(path.parent)])
        if spec and spec.origin and Path(spec.origin) != path:
            found.append(Path(spec.origin).relative_to(project).as_posix())
    if found:
        return ADDED.insecure(
            listed(sorted(set(found)), 9),
            "Move it to where your own code or tests are, or take it out if an older release left it: among owned files "
            "it may run in the place of one of them.",
        )
    return ADDED.proved(f"none in {listed(folders)}")


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
