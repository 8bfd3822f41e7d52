# Owned by the template: an update rewrites this file.
"""Secrets in the repository, as far as a small and honest search goes."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ...result import Check, Rule
from ...runner import subprocesses
from ...upkeep.template_repo import WAY_OUT, secrets

TIMEOUT = 30.0
TRACKED = Rule("configuration", "secrets.tracked", "git tracks no .env and no private key")
ADDRESS = Rule("configuration", "secrets.template-address", "no address in it holds a password or token")

# The files that are committed by mistake most often, and keys that say what they are.
_SECRET_NAMES = re.compile(
    r"(^|/)(\.env(\.(?!example$|sample$|template$)[^/]*)?|id_(rsa|dsa|ecdsa|ed25519)|[^/]+\.(p12|pfx))$"
)
_PRIVATE_KEY = "BEGIN [A-Z ]*PRIVATE KEY-----"
_WITH_A_KEY = re.compile(rf"{_PRIVATE_KEY}.{{0,400}}?[A-Za-z0-9+/=]{{16}}", re.DOTALL)
"""A page that only shows the form of a key holds none."""


def checks(project: Path) -> Iterator[Check]:
    """Whether git tracks a secret, and whether the address of a template is one."""
    for file, found in secrets(project).items():
        rule = ADDRESS.of(file)
        if found:
            yield rule.insecure(", ".join(found), WAY_OUT.format(file=file))
        else:
            yield rule.proved("no address in it does")
    yield from _tracked(project)


def _tracked(project: Path) -> Iterator[Check]:
    remedy = (
        "Take it out with `git rm --cached`, and replace the secret: whoever has a copy of the repository has it. A key that "
        "only tests use is accepted by its path: HARDENING.md, Accepting."
    )
    git = shutil.which("git")
    try:
        if git is None:
            raise FileNotFoundError("git is not on the PATH")
        tracked = subprocesses.run([git, "ls-files", "-z"], project, TIMEOUT)
        keys = subprocesses.run([git, "grep", "-lIz", "-e", _PRIVATE_KEY], project, TIMEOUT)
    except OSError as error:
        yield TRACKED.unverified(str(error), "Install git.")
        return
    if tracked.code == 128 and "not a git repository" in tracked.err:
        yield TRACKED.not_looked_at("this is no git repository yet, so it tracks nothing")
        return
    if not tracked.ok or keys.code not in (0, 1):
        said = (keys if tracked.ok else tracked).tail(1)
        yield TRACKED.unverified(said, "Run `git status` here.")
        return
    found = [each for each in tracked.out.split("\0") if _SECRET_NAMES.search(each)]
    held = [each for each in keys.out.split("\0") if each and each not in found]
    found += [each for each in held if _WITH_A_KEY.search((project / each).read_text("utf-8", "replace"))]
    for name in found:
        yield TRACKED.of(name, f"git tracks {name}").insecure(f"{name} is, or holds, a secret", remedy)
    if not found:
        yield TRACKED.proved(
            f"{tracked.out.count(chr(0))} files; looked for .env, id_rsa, .p12, .pfx and PEM private keys"
        )
