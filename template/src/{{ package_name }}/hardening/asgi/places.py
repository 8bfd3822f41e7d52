# Owned by the template: an update rewrites this file.
"""Places for what is at work, and the part of them that one client may hold, so that a few addresses do not take all."""

from ..core.problems import CLIENT_OVERLOADED, OVERLOADED, Refusal

LEAST = 8
"""Places that one client may hold however few there are: as many as a browser uses at once, and two more."""


class Places:
    """So many places, a quarter of them for one client at most.

    Args:
        number: How many there are.
    """

    def __init__(self, number: int) -> None:
        self.number, self.share = number, max(LEAST, number // 4)
        self.taken = 0
        self._by_client: dict[str, int] = {}

    def take(self, client: str) -> Refusal | None:
        """Take a place, to be given back once; or say why there is none."""
        if self.taken >= self.number:
            return OVERLOADED
        own = self._by_client.get(client, 0)
        if own >= self.share:
            return CLIENT_OVERLOADED
        self.taken += 1
        self._by_client[client] = own + 1
        return None

    def give_back(self, client: str) -> None:
        """Give a place of this client back."""
        self.taken -= 1
        if own := self._by_client.pop(client) - 1:
            self._by_client[client] = own
