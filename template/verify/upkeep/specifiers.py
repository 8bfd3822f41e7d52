# Owned by the template: an update rewrites this file.
"""What two bounds on one package come to: whether the one implies the other, and both in one line."""

import re

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

_PARTS = re.compile(
    r"(?P<head>\s*[\w.-]+\s*)(?P<extras>\[[^\]]*\])?(?P<blank>\s*\(?)(?P<bounds>[^;()]*)(?P<tail>.*)", re.DOTALL
)


def implies(narrow: str, wide: str) -> bool:
    """Whether `narrow` is a subset of `wide`. Clauses are compared as text where `packaging` cannot decide."""
    try:
        inner, outer = _comparable(narrow, wide)
        return inner.is_subset(outer)
    except (InvalidSpecifier, ValueError):
        return set(wide.split(",")) <= set(narrow.split(","))


def is_empty(*several: SpecifierSet) -> bool:
    """Whether no release can keep all of them. Where `packaging` cannot decide, `uv lock` does."""
    try:
        (every,) = _comparable(",".join(str(each) for each in several if each))
        return every.is_unsatisfiable()
    except (InvalidSpecifier, ValueError):
        return False


def _comparable(*bounds: str) -> list[SpecifierSet]:
    """The bounds, about pre-releases only if one of them names one; `===` compares as `==`."""
    texts = [each.replace("===", "==") for each in bounds]
    early = any(SpecifierSet(each).prereleases for each in texts)
    return [SpecifierSet(each, prereleases=early) for each in texts]


def intersected(text: str, need: Requirement) -> str:
    """A requirement as the team wrote it, with what owned code needs: `idna<3.7` and `idna>=3.6`: `idna>=3.6,<3.7`.

    Their clauses stay as they are spelled; one that ours make superfluous gives way to them. Extras are united, and a
    marker stays.

    Raises:
        ValueError: It is none that has bounds.
    """
    parts = _PARTS.fullmatch(text)
    if not parts:
        raise ValueError(f"{text!r} is not a requirement by bounds")
    theirs = [each.strip() for each in parts["bounds"].split(",") if each.strip()]
    kept = [each for each in theirs if not implies(str(need.specifier), each)]
    ours = sorted(str(each) for each in need.specifier if not implies(",".join(kept), str(each)))
    place = next((number for number, each in enumerate(theirs) if each not in kept), 0)
    clauses = [*kept[:place], *ours, *kept[place:]]
    comma = ", " if re.search(r",\s", parts["bounds"]) else ","
    extras = [each.strip() for each in (parts["extras"] or "").strip("[]").split(",") if each.strip()]
    extras += sorted(need.extras - {canonicalize_name(each) for each in extras})
    named = f"[{','.join(extras)}]" if need.extras else parts["extras"] or ""
    trailing = parts["bounds"][len(parts["bounds"].rstrip()) :]
    return f"{parts['head']}{named}{parts['blank']}{comma.join(clauses)}{trailing}{parts['tail']}"
