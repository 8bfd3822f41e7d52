# Owned by the template: an update rewrites this file.
"""Places and memory for what is at work, and the part of them that one client may hold: a few addresses do not take all,
and what each may do alone does not add up to more than the machine has.
"""

from collections.abc import Sequence

from ..core.problems import CLIENT_OVERLOADED, OVERLOADED, Refusal
from ..steps.client import NETWORKS

MAX_BYTES = 100_663_296
"""Of bodies and answers, all of them together."""
LEAST = 8
"""Places that one client may hold however few there are: as many as a browser uses at once, and two more."""
QUARTERS = (1, *(quarters for *_, quarters in NETWORKS))
"""Of all there is, for each of `client_keys`."""


class Shares:
    """So much of something, a quarter of it for one client at most, and more for the networks around it. What is alone
    may be larger than any of them.

    Args:
        most: How much there is.
        least: What one client may hold, however little there is.
    """

    def __init__(self, most: int, least: int = 0) -> None:
        self.most, self.held = most, 0
        self.shares = [max(least, most * quarters // 4) for quarters in QUARTERS]
        self._by_key: dict[str, int] = {}

    def of(self, key: str) -> int:
        """How much is held of this share."""
        return self._by_key.get(key, 0)

    def hold(self, keys: Sequence[str], size: int = 1, own: int = 0) -> bool:
        """Hold so much more for a request that holds `own` already; or say that there is no room."""
        if self.held + size > self.most and self.held > own:
            return False
        by_key, shares = self._by_key, self.shares
        for at, key in enumerate(keys):
            held = by_key.get(key, 0)
            if held + size > shares[at] and held > own:
                return False
        if size:
            self.held += size
            for key in keys:
                by_key[key] = by_key.get(key, 0) + size
        return True

    def let_go(self, keys: Sequence[str], size: int = 1) -> None:
        """Hold so much less."""
        self.held -= size
        for key in keys:
            if left := self._by_key.pop(key) - size:
                self._by_key[key] = left


class Places(Shares):
    """So many places.

    Args:
        number: How many there are.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number, LEAST)

    def take(self, keys: Sequence[str]) -> Refusal | None:
        """Take a place, to be let go of once; or say why there is none."""
        if len(keys) == 1 and self.held < self.most:  # as most are; `hold` would take twice as long to say the same
            held = self._by_key.get(key := keys[0], 0)
            if held < self.shares[0]:
                self.held += 1
                self._by_key[key] = held + 1
                return None
        if self.hold(keys):
            return None
        return OVERLOADED if self.held >= self.most else CLIENT_OVERLOADED
