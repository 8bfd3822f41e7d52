"""Medians and spreads. A ratio is taken within each round, between runs that stood side by side; then its median."""

from collections.abc import Hashable, Mapping, Sequence
from statistics import median
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)
Sample = Mapping[str, float]
Samples = Mapping[Key, Sequence[Sample]]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest of some values.

    Raises:
        ValueError: There are none.
    """
    if not values:
        raise ValueError("nothing was measured")
    return {"median": median(values), "min": min(values), "max": max(values)}


def ratios(samples: Samples[Key], of: Key, to: Key, key: str) -> dict[str, float]:
    """How one contender's figure stands to another's, pairwise within the rounds.

    Args:
        samples: Each contender's figures, one mapping a round.
        of: The contender above the line.
        to: The one below it.
        key: The figure.

    Raises:
        ValueError: They ran a different number of rounds, or none.
    """
    pairs = list(zip(samples[of], samples[to], strict=True))
    return spread([one[key] / other[key] for one, other in pairs])


def summary(samples: Samples[Key]) -> dict[Key, dict[str, dict[str, float]]]:
    """Each contender's figures over all rounds."""
    return {name: {key: spread([each[key] for each in runs]) for key in runs[0]} for name, runs in samples.items()}


def shown(value: Mapping[str, Any] | float, digits: int = 0) -> str:
    """A figure for a table: the median, and the spread in parentheses."""
    if not isinstance(value, Mapping):
        return f"{value:,.{digits}f}"
    low, high = f"{value['min']:,.{digits}f}", f"{value['max']:,.{digits}f}"
    return f"{value['median']:,.{digits}f} ({low} to {high})"
