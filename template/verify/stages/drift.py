# Owned by the template: an update rewrites this file.
"""Drift: an owned file that somebody changed, deleted or added protects nobody, and the next update stumbles over it.

The owned files are compared with the release that `.copier-answers.yml` records. Nothing of the service is touched.
"""

import difflib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..result import Check, Options, Rule, UnverifiedError
from ..runner import subprocesses
from ..upkeep import owned_files, patches
from ..upkeep.rendering import render
from ..upkeep.template_repo import ANSWERS, UPDATE, Template

PATCH = Path(".hardening", "drift.patch")

COMPARED = Rule("drift", "drift.compared", "every owned file is as the template's release has it")
CHANGED = Rule("drift", "drift.changed", "no owned file was changed")
DELETED = Rule("drift", "drift.deleted", "no owned file was deleted")
ADDED = Rule("drift", "drift.added", "no other file stands among the owned ones")
NEWEST = Rule("drift", "drift.security-release", "no newer release of the template fixes a vulnerability")


def stage(options: Options) -> Iterator[Check]:
    """Whether the owned files are still those of the recorded release, and whether a newer one fixes a vulnerability."""
    (options.project / PATCH).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="verify-", ignore_cleanup_errors=True) as scratch:
        try:
            template = Template.of(options.project, Path(scratch).resolve())
        except UnverifiedError as error:
            yield COMPARED.unverified(error)
            return
        for rule, checks in ((COMPARED, _compared(options.project, template)), (NEWEST, _newest(template))):
            try:
                yield from checks
            except UnverifiedError as error:
                yield rule.unverified(error)


def _compared(project: Path, template: Template) -> Iterator[Check]:
    release = template.scratch / "release"
    owned, seeds = render(template, project / ANSWERS, release)
    deleted = sorted(name for name in owned if not (project / name).is_file())
    changed = {
        name: difference
        for name in sorted(owned.difference(deleted))
        if (difference := _difference(project, name, release))
    }
    added = _added(project, owned, seeds)
    back = ""
    if changed or deleted:
        patches.write(project, template.scratch, project / PATCH, release, [*changed, *deleted])
        back = f"`git apply {PATCH.as_posix()}` puts it back."
    answers = f" To change an answer, run `{UPDATE} -d NAME=VALUE`." if ANSWERS in changed else ""
    found = {
        CHANGED: (
            [f"{name}: {difference}" for name, difference in changed.items()],
            f"{back} What the change is for is said by a setting, or by what a seed passes in.{answers}",
        ),
        DELETED: (deleted, f"{back} What is not wanted is switched off by a setting."),
        ADDED: (
            added,
            "Move it to where your own code or tests are; delete it if an older release left it.",
        ),
    }
    for rule, (seen, remedy) in found.items():
        if seen:
            yield rule.insecure("\n".join([f"against {template.name}:", *seen]), remedy.strip())
        else:
            yield rule.proved(f"{len(owned)} files of {template.name}")


def _difference(project: Path, name: str, release: Path) -> str:
    """What tells a file from that of the release, in a few words; nothing if they hold the same text."""
    present = project / name
    if present.resolve() != project.resolve() / name:
        return "it is a link, or in a folder that is one"
    # Git may have been told to write the line ends of Windows.
    old, new = (path.read_bytes().replace(b"\r\n", b"\n").split(b"\n") for path in (release / name, present))
    if old == new:
        return ""
    lines = list(difflib.diff_bytes(difflib.unified_diff, old, new, n=0, lineterm=b""))[2:]
    more, fewer = (sum(line.startswith(sign) for line in lines) for sign in (b"+", b"-"))
    return f"lines: {more} added, {fewer} taken away"


def _added(project: Path, owned: set[str], seeds: set[str]) -> list[str]:
    """Files in owned folders that the template does not emit, even ignored ones if Python could import them."""
    of_seeds = {folder for name in seeds for folder in PurePosixPath(name).parents}
    folders = {folder for name in owned for folder in PurePosixPath(name).parents} - of_seeds
    found = set(owned_files.added(project, map(str, folders), owned))
    harmless = {name for name in found if not owned_files.is_importable(project, name)}
    git = shutil.which("git")
    if harmless and git:
        ask = [git, "-c", "core.quotePath=off", "check-ignore", "--", *harmless]
        found -= set(subprocesses.run(ask, project, 10).out.splitlines())
    return sorted(found)


def _newest(template: Template) -> Iterator[Check]:
    newest = template.newer()
    if not newest:
        yield NEWEST.proved(f"{template.version} is the newest")
        return
    entries = template.changes(newest)
    fixes = [f"{each.version} fixes: {each.text}" for each in entries if each.kind == "Security"]
    breaks = [f"{each.version} breaks: {each.text}" for each in entries if each.breaking and each.kind != "Security"]
    what = (
        f"{len(fixes)} of {len(entries)} entries under Security" if entries else "and brings nothing for this service"
    )
    seen = "\n".join([f"{newest} is there, {what}", *fixes, *breaks])
    remedy = f"Run `{UPDATE}`, then `uv run --locked python -m verify`."
    yield NEWEST.insecure(seen, remedy) if fixes else NEWEST.proved(seen, remedy)
