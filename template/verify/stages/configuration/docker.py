# Owned by the template: an update rewrites this file.
"""The Dockerfile: nobody is root in the image, and nothing but the locked service is in it."""

import re
from collections.abc import Iterator
from pathlib import Path

from ...result import Check, Rule

USER = Rule("configuration", "docker.user", "the image runs as somebody who is not root")
NO_DEV = Rule("configuration", "docker.no-dev", "the image holds nothing of the development group")
LOCKED = Rule("configuration", "docker.locked", "the image is built from the lock")
NO_TESTS = Rule("configuration", "docker.no-tests", "verify and the tests are not copied into the image")
RULES = (USER, NO_DEV, LOCKED, NO_TESTS)


def checks(path: Path) -> Iterator[Check]:
    text = re.sub(r"^\s*#.*\n?", "", path.read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE)
    instructions = [line.strip() for line in re.sub(r"[\\`][ \t]*\r?\n", " ", text).splitlines() if line.strip()]
    starts = [number for number, line in enumerate(instructions) if re.match(r"FROM\s", line, re.IGNORECASE)]
    last = instructions[starts[-1] :] if starts else []
    users = [match[1] for line in last if (match := re.match(r"USER\s+(\S+)", line, re.IGNORECASE))]
    remedy = "End the last stage of the Dockerfile with `USER 10001:10001`."
    if not users or re.match(r"(root|0+)(:|$)", users[-1]):
        yield USER.insecure(f"USER {users[-1]}" if users else "no USER in the last stage", remedy)
    elif "$" in users[-1]:
        yield USER.unverified(f"USER {users[-1]} depends on the build", "Write the number itself.")
    else:
        yield USER.proved(f"USER {users[-1]}")

    installs = [line for line in instructions if re.search(r"\buv\s+(sync|export)\b", line)]
    everywhere = re.search(r"^ENV\s.*\bUV_(NO_DEV|NO_DEFAULT_GROUPS)[= ][\"']?(1|true)", text, re.M | re.I)
    bare = [x for x in installs if not re.search(r"--(no-dev|no-default-groups)\b", x)] if not everywhere else []
    asks = [line for line in installs if re.search(r"--(dev|all-groups|only-dev|group[= ]+dev)\b", line)]
    if bare or asks:
        yield NO_DEV.insecure((bare + asks)[0][:80], "Set `ENV UV_NO_DEV=1` before the first `uv sync`.")
    elif not installs:
        yield NO_DEV.unverified("no `uv sync` in it", "Install with `uv sync --locked --no-dev`.")
    else:
        yield NO_DEV.proved("no `uv sync` or `uv export` takes it in")

    loose = [line for line in installs if not re.search(r"--(locked|frozen)\b", line) and "UV_LOCKED" not in text]
    if loose:
        yield LOCKED.insecure(loose[0][:80], "Write `uv sync --locked`.")
    elif installs:
        yield LOCKED.proved("`uv sync --locked`")

    copied = [
        line
        for line in instructions
        if re.match(r"(COPY|ADD)\s", line, re.I) and re.search(r"[\s/](verify|tests)\b", line)
    ]
    if copied:
        yield NO_TESTS.insecure(copied[0][:80], "Copy pyproject.toml, uv.lock and src, and nothing else.")
    else:
        yield NO_TESTS.proved("no COPY names them")
