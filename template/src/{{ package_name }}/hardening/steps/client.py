# Owned by the template: an update rewrites this file.
"""Who calls: the peer's address or, behind a proxy in `APP_TRUSTED_PROXIES`, the right-most hop that is not one.
What anyone else says in `X-Forwarded-*` is hidden from the routes. ASVS v5.0.0-4.1.3, 15.3.4.
"""

from collections.abc import Iterator
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from starlette.types import Scope

from ..core.findings import Finding
from ..core.log import log
from ..settings import HardeningSettings
from .base import RequestContext, Services, Step

_FORWARDED = frozenset(
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


class Client(Step):
    """Tells who calls."""

    name = "client"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._trusted = [
            (each.max_prefixlen // 8, int(each.netmask), int(each.network_address))
            for each in services.settings.trusted_proxies or ()
        ]
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)
        self._is_warned = False

    @staticmethod
    def findings(settings: HardeningSettings) -> Iterator[Finding]:
        if settings.is_production and settings.trusted_proxies is None:
            yield Finding(
                "proxy.E001",
                "APP_TRUSTED_PROXIES is not set: behind a balancer all clients would share one quota.",
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

    def identify(self, request: RequestContext) -> str:
        """Who calls; believe `X-Forwarded-*` from a trusted proxy only, and hide it from the routes otherwise."""
        scope = request.scope
        peer = scope["client"][0] if scope.get("client") else ""
        client = peer if ":" not in peer else canonical(peer)
        if _FORWARDED.isdisjoint(request.headers):
            return client
        if self._trusted and self._is_trusted(peer):
            client = self._named_by_proxies(scope, client)
            scope["client"] = (client, 0)
            if (scheme := request.headers.get(b"x-forwarded-proto")) in (b"http", b"https"):
                scope["scheme"] = scheme.decode()
            return client
        scope["headers"] = [header for header in scope["headers"] if header[0] not in _FORWARDED]
        self._warn(peer, request.request_id)
        return client

    def _named_by_proxies(self, scope: Scope, client: str) -> str:
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        for hop in reversed(b",".join(lines).decode("latin-1").split(",")):
            if not (address := canonical(hop.strip())):
                break
            client = address
            if not self._is_trusted(client):
                break
        return client

    def _warn(self, peer: str, request_id: str) -> None:
        if self._is_warned:
            return
        self._is_warned = True
        log(
            "warning",
            "forwarded_header_ignored",
            client=peer,
            request_id=request_id,
            hint="A peer that is not in APP_TRUSTED_PROXIES sends X-Forwarded-*. Is it your proxy?",
        )
