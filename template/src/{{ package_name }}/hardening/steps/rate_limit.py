# Owned by the template: an update rewrites this file.
"""A quota for every client and every path, known or not: guessing, scraping and floods are what an API meets first.

GCRA at `100/15m` admits a burst of 100, then one request each 9 s. The client is the peer's address, or, behind a
proxy in `APP_TRUSTED_PROXIES`, the right-most hop that is not one; an IPv6 client is its /64. Fields: IETF draft
ratelimit-headers-11. ASVS v5.0.0-2.4.1, 4.1.3, 15.3.4.
"""

from collections.abc import Iterator
from functools import lru_cache
from math import ceil
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING

from ..core.log import log
from ..core.problems import Refusal
from ..settings import HardeningSettings, Quota
from ..startup.settings import Finding
from ..stores.base import Store, StoreAwayError

if TYPE_CHECKING:
    from ..asgi.exchange import Exchange
    from ..core.routes import Route, Routes

FORWARDED = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip"}
)
_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291, 2.5.5.2


def _packed(address: str) -> bytes:
    """The 4 or 16 bytes of an address without port and zone, a mapped IPv4 address as IPv4; none if it is none.

    Not by `ipaddress`, which takes longer than all the rest of a refusal: whoever has a /64 has a new address each time.
    """
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:  # some proxies write the port too
        address = address.partition(":")[0]
    address = address.partition("%")[0]
    try:
        packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        return b""
    return packed[12:] if packed.startswith(_MAPPED) else packed


@lru_cache(maxsize=4096)
def canonical(address: str) -> str:
    """One spelling for each address, without port and zone, a mapped IPv4 address as IPv4; empty if it is none."""
    packed = _packed(address)
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed) if packed else ""


@lru_cache(maxsize=4096)
def client_key(address: str) -> str:
    """What a quota is counted on: an IPv4 address, or the /64 of an IPv6 one, since one client has all of it."""
    if len(packed := _packed(address)) < 16:
        return canonical(address)
    return f"{inet_ntop(AF_INET6, packed[:8] + bytes(8))}/64"


class Meter:
    """One quota as its client is told of it; what is always the same is ready before the first request.

    Args:
        name: What the fields call it.
        quota: What is counted against.
        prefix: What keeps its keys apart from those of other quotas.
    """

    def __init__(self, name: str, quota: Quota, prefix: str = "") -> None:
        self.quota, self.prefix = quota, prefix
        self.policy = b'"%s";q=%d;w=%d' % (name.encode(), quota.limit, ceil(quota.window))
        self._form = b'"%s";r=%%d;t=%%d' % name.encode()
        self._interval = quota.window / quota.limit

    def field(self, spare: float) -> bytes:
        """How many requests are left, and in how many seconds all are: what `Store.take` told, in `RateLimit`."""
        if spare < 0:
            return self._form % (0, ceil(self.quota.window - self._interval - spare))
        return self._form % (spare / self._interval + 1e-3, ceil(self.quota.window - spare))


class RateLimit:
    """Counts each request of each client, and answers 429 to those over the quota."""

    def __init__(self, settings: HardeningSettings, store: Store, routes: "Routes") -> None:
        self.store = store
        self._of_service = Meter("default", settings.rate_limit)
        self._of_route: dict[Route | None, Meter] = {
            route: Meter("route", settings.rate_limit_credentials if quota == "credentials" else quota, f"{route} ")
            for route in routes
            if (quota := route.policy.quota) is not None
        }
        self._trusted = [
            (each.max_prefixlen // 8, int(each.netmask), int(each.network_address))
            for each in settings.trusted_proxies or ()
        ]
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)
        self._warned = False
        self._refusal = Refusal(429, "quota_exceeded")
        self._undecided = Refusal(503, "quota_undecided", [(b"retry-after", b"5")])

    @staticmethod
    def check(settings: HardeningSettings) -> Iterator[Finding]:
        if settings.is_production and settings.trusted_proxies is None:
            yield Finding(
                "proxy.E001",
                "APP_TRUSTED_PROXIES is not said: behind a balancer all clients would share one quota.",
                "Set it to the proxies' addresses or networks, or to none if clients connect directly.",
            )
        for network in settings.trusted_proxies or ():
            if network.prefixlen == 0:
                yield Finding(
                    "proxy.E002",
                    f"APP_TRUSTED_PROXIES contains {network}: whoever calls could choose its address.",
                    "Name the proxies' own addresses or networks.",
                )

    def _look_up(self, address: str) -> bool:
        packed = _packed(address)
        number = int.from_bytes(packed, "big")
        return any(size == len(packed) and number & mask == network for size, mask, network in self._trusted)

    def identify(self, x: "Exchange") -> None:
        """Set `x.client`; believe `X-Forwarded-*` from a trusted proxy only, and hide it from the routes otherwise."""
        peer = x.scope["client"][0] if x.scope.get("client") else ""
        x.client = peer if ":" not in peer else canonical(peer)
        if FORWARDED.isdisjoint(x.headers):
            return
        if not self._trusted or not self._is_trusted(peer):
            x.scope["headers"] = [field for field in x.scope["headers"] if field[0] not in FORWARDED]
            if not self._warned:
                self._warned = True
                log(
                    "warning",
                    "forwarded_header_ignored",
                    client=peer,
                    request_id=x.request_id,
                    hint="A peer that is not in APP_TRUSTED_PROXIES sends X-Forwarded-*. Is it your proxy?",
                )
            return
        lines = [value for name, value in x.scope["headers"] if name == b"x-forwarded-for"]
        for hop in reversed(b",".join(lines).decode("latin-1").split(",")):
            if not (address := canonical(hop.strip())):
                break
            x.client = address
            if not self._is_trusted(x.client):
                break
        x.scope["client"] = (x.client, 0)
        if (scheme := x.headers.get(b"x-forwarded-proto")) in (b"http", b"https"):
            x.scope["scheme"] = scheme.decode()

    async def refuse(self, x: "Exchange") -> Refusal | None:
        """Count the request on the service's quota, and on the route's own if it has one."""
        address = x.client if ":" not in x.client else client_key(x.client)
        meter, own = self._of_service, self._of_route.get(x.route)
        claims = [(address, meter.quota)]
        if own is not None:
            claims.append((own.prefix + address, own.quota))
        if (told := self.store.decide(claims)) is None:
            try:
                told = await self.store.take(claims)
            except StoreAwayError:
                return self._undecided
        field, policy = meter.field(told[0]), meter.policy
        if own is not None and len(told) > 1:
            field, policy = b"%b, %b" % (field, own.field(told[1])), b"%b, %b" % (policy, own.policy)
        x.added += [(b"ratelimit", field), (b"ratelimit-policy", policy)]
        if (spare := told[-1]) >= 0:
            return None
        x.added.append((b"retry-after", b"%d" % seconds_to_wait(spare)))
        return self._refusal


def tell(x: "Exchange", meter: Meter, spare: float) -> None:
    """Tell the client of one more quota, in the fields that its response carries already."""
    more = {b"ratelimit": meter.field(spare), b"ratelimit-policy": meter.policy}
    x.added = [(each, value + b", " + more[each]) if each in more else (each, value) for each, value in x.added]


def seconds_to_wait(spare: float) -> int:
    """`Retry-After` of a request that was refused."""
    return max(1, ceil(-spare))
