# Owned by the template: an update rewrites this file.
"""Places and memory for what is at work, and the part of them that one client may hold: a few addresses do not take all,
and what each may do alone does not add up to more than the machine has.
"""

from ..core.problems import CLIENT_OVERLOADED, OVERLOADED, Refusal

MAX_BYTES = 100_663_296
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


class Memory:
    """Bytes of bodies and answers, a quarter of them for one client at most. What is alone may be larger than either.

    Args:
        most: Bytes of all of them together.
    """

    def __init__(self, most: int = MAX_BYTES) -> None:
        self.most = most
        self.held = 0
        self._by_client: dict[str, int] = {}

    def hold(self, client: str, size: int, own: int) -> bool:
        """Hold so many bytes more for a request that holds `own` already; or say that there is no room."""
        by_client = self._by_client.get(client, 0)
        if self.held + size > self.most and self.held > own:
            return False
        if by_client + size > self.most // 4 and by_client > own:
            return False
        self.held += size
        self._by_client[client] = by_client + size
        return True

    def let_go(self, client: str, size: int) -> None:
        """Hold so many bytes less."""
        self.held -= size
        if left := self._by_client.pop(client) - size:
            self._by_client[client] = left
