# Owned by the organisation: an update of its overlay rewrites this file.
"""What our services are checked for, beside what `verify` checks by itself: `python -m verify --only overlay`."""

import re
from collections.abc import Iterator

from verify.result import Check, Options, Rule

BASES = ("python:3.",)
"""How the base images begin that we patch."""
IMAGES = Rule("overlay", "overlay.base-images", "images are built on a base that we patch")


def checks(options: Options) -> Iterator[Check]:
    """One check for each rule: `proved`, `insecure` with a remedy, or `unverified` where nobody can tell.

    Args:
        options: Where the service is (`project`), what its package is called, and whether minutes may be taken.
    """
    dockerfile = options.project / "Dockerfile"
    if not dockerfile.is_file():
        yield IMAGES.proved("Dockerfile is not used")
        return
    text = dockerfile.read_text(encoding="utf-8")
    stages = {name.lower() for name in re.findall(r"(?mi)^FROM\s.*\sAS\s+(\S+)", text)}
    images = set(re.findall(r"(?mi)^FROM\s+(?:--\S+\s+)*(\S+)", text))
    if others := sorted(each for each in images if not each.startswith(BASES) and each.lower() not in stages):
        yield IMAGES.insecure(", ".join(others), f"Build on {' or '.join(BASES)}..., which we patch every week.")
    else:
        yield IMAGES.proved(", ".join(sorted(images)))
