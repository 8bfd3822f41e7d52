# Owned by the template: an update rewrites this file.
"""What the template offers for the team's own files, and what the team has answered. No template is needed for it."""

import json
from contextlib import suppress
from pathlib import Path

from ..result import Check, Options, Rule, UnverifiedError, listed
from .seeds import FOUND, OFFERS, declined, emitted, is_after, seed_digest, unedited
from .template_repo import recorded_answers

ANSWERED = Rule("configuration", "seeds.offers", "every offer of the template for your own files is answered")


def check(options: Options) -> Check:
    """Which offers are open: of files that nobody has edited, and of others as far as somebody has looked."""
    try:
        waiting = {each.path: each.since for each in unedited(options.project, options.package).values()}
    except OSError as error:
        return ANSWERED.unverified(f"could not tell: {error}", "Put it back from git.")
    recorded = ""
    with suppress(UnverifiedError):
        recorded = recorded_answers(options.project)["_commit"]
    looked = _looked_up(options, recorded)
    states = looked or {}
    waiting = {**dict.fromkeys(states, recorded), **waiting}
    answers = {each.file: each for each in declined(options.project)}
    kept = {
        file: answer.reason
        for file, release in waiting.items()
        if (answer := answers.get(file))
        and (answer.release == recorded or states.get(file) == "declined" or not is_after(release, answer.release))
    }
    said = "".join(f"; {file} was declined: {reason}" for file, reason in sorted(kept.items()))
    opened = sorted(waiting.keys() - kept.keys())
    if opened:
        remedy = (
            f"`{OFFERS}` shows what it is for, takes it with --take FILE, or remembers with --decline FILE why not."
        )
        return ANSWERED.warning(f"open: {', '.join(opened)}{said}", remedy)
    named = sorted({each.path for each in emitted(options.project, options.package)} - answers.keys())
    unknown = [name for name in named if looked is None and (options.project / name).is_file()]
    if unknown:
        said += f"; whether there is one for {listed(unknown)}, as it is here, only `{OFFERS}` tells"
    return ANSWERED.proved(f"none is open{' of files that nobody has edited' * bool(unknown)}{said}")


def _looked_up(options: Options, recorded: str) -> dict[str, str] | None:
    """The states that the last look at the template found, of files as they were then; nothing if nobody has looked."""

    def is_still(file: str, digest: str) -> bool:
        path: Path = options.project / file
        present = path.read_bytes() if path.is_file() else b""  # as of a file that is new
        return seed_digest(present, options.package) == digest

    try:
        found = json.loads((options.project / FOUND).read_text(encoding="utf-8"))
        if not recorded or found["release"] != recorded:
            return None
        offers = [(str(each["file"]), str(each["digest"]), str(each["state"])) for each in found["offers"]]
        return {file: state for file, digest, state in offers if state != "gone" and is_still(file, digest)}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
