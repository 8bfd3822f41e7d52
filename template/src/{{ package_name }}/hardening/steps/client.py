# Owned by the template: an update rewrites this file.
"""Who calls: the peer's address or, behind a proxy in `APP_TRUSTED_PROXIES`, the right-most hop that is not one.
What anyone else says in `X-Forwarded-*` is hidden from the routes. ASVS v5.0.0-4.1.3, 15.3.4.
"""

from collections.abc import Iterator
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop

from starlette.types import Scope

from ..core.findings import Finding
from ..core.log import log
from ..core.peers import FORWARDED, OF_TRUSTED, Peers, address_bytes, canonical, too_wide
from ..core.spans import note_trace
from ..core.traces import parent_trace
from ..settings import HardeningSettings
from .base import RequestContext, Services, Step

_TRANSLATED = bytes(8) + b"\xff\xff\0\0"  # RFC 2765, 2.1
_NAT64 = bytes.fromhex("0064ff9b") + bytes(8)  # RFC 6052, 2.1
_NAT64_LOCAL = bytes.fromhex("0064ff9b0001")  # RFC 8215
_OF_SOCKET = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_SCHEMES = {"http": {"http": "http", "https": "https"}, "websocket": _OF_SOCKET}
NETWORKS = ((56, 20, 2), (48, 400, 3))
"""Lengths of the networks that an IPv6 customer may have been given, and how many quotas each has, and how many quarters
of what there is for all, where a client has one.

A /48 has 400, so that 2,000 customers of a provider who gives each a /64 of it have 20 requests each of the 100, while
one who has all of it does not have 65,536 quotas. Each leaves a quarter to those around it.
"""


def _counted(address: str) -> bytes:
    """The bytes that an address is counted by: those of the IPv4 address that an IPv6 one stands for, if it does.

    Whoever has the IPv4 address has all the others. For counting alone: nobody becomes a trusted proxy by such a name.
    """
    packed = address_bytes(address)
    if len(packed) < 16:
        return packed
    if packed.startswith(b"\x20\x02"):  # 6to4, RFC 3056
        return packed[2:6]
    if packed.startswith(b"\x20\x01\0\0"):  # Teredo, RFC 4380, 4: every bit of it is inverted
        return bytes(255 - each for each in packed[12:])
    if packed.startswith(_NAT64_LOCAL):
        bits = packed[:8] + packed[9:]  # behind a prefix of /48, /56, /64 or /96 (RFC 6052, 2.2)
        end = max(10, len(bits.rstrip(b"\0")))
        return bits[end - 4 : end] if end < 13 else packed[12:]
    is_compatible = not any(packed[:12]) and any(packed[12:14])  # RFC 4291, 2.5.5.1; :: and ::1 are none
    return packed[12:] if is_compatible or packed.startswith((_NAT64, _TRANSLATED)) else packed


def client_keys(address: str) -> tuple[str, ...]:
    """Whom anything is counted to: an IPv4 address, or the /64 of an IPv6 one, since one client has all of it, and then
    its networks of the lengths in `NETWORKS`.
    """
    return (address,) if ":" not in address else _keys_of(address)


@lru_cache(maxsize=4096)
def _keys_of(address: str) -> tuple[str, ...]:
    packed = _counted(address)
    if len(packed) < 16:
        return (inet_ntop(AF_INET, packed) if packed else "",)
    lengths = (64, *(length for length, *_ in NETWORKS))
    return tuple(f"{inet_ntop(AF_INET6, packed[: each // 8] + bytes(16 - each // 8))}/{each}" for each in lengths)


def _values(scope: Scope, name: bytes) -> list[str]:
    """The items of a header that may be sent on several lines, each a list (RFC 9110, 5.3)."""
    return b",".join(value for each, value in scope["headers"] if each == name).decode("latin-1").split(",")


class Client(Step):
    """Tells who calls."""

    name = "client"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._is_trusted = lru_cache(maxsize=4096)(Peers(services.settings.trusted_proxies or ()).has)
        self._is_warned = False
        self._may_miss = bool(services.settings.trusted_proxies)

    @staticmethod
    def findings(settings: HardeningSettings) -> Iterator[Finding]:
        if settings.is_production and settings.trusted_proxies is None:
            yield Finding(
                "proxy.E001",
                "APP_TRUSTED_PROXIES is not set: behind a balancer all clients would share one quota.",
                "Set it to the proxies' addresses or networks, or to none if clients connect directly.",
            )
        for network in too_wide(settings.trusted_proxies or ()):
            yield Finding(
                "proxy.E002",
                f"APP_TRUSTED_PROXIES contains {network}: whoever calls from there could choose its address.",
                "Name the proxies' own addresses or networks.",
            )

    def identify(self, request: RequestContext) -> str:
        """Who calls; believe `X-Forwarded-*` from a trusted proxy only, and hide it from the routes otherwise."""
        scope = request.scope
        peer = scope["client"][0] if scope.get("client") else ""
        client = peer if ":" not in peer else canonical(peer)
        if OF_TRUSTED.isdisjoint(request.headers):
            if self._may_miss and self._is_trusted(peer):
                self._warn_missing(request)
            return client
        if self._is_trusted(peer):
            if not (named := self._named_by_proxies(scope)) and self._may_miss:
                self._warn_missing(request)
            client = named or client
            scope["client"] = (client, 0)
            if trace_id := parent_trace(request.headers.get(b"traceparent", b"")):
                note_trace(request.request_id, trace_id)
            schemes = {name for each in _values(scope, b"x-forwarded-proto") if (name := each.strip().lower())}
            if len(schemes) == 1:
                scope["scheme"] = _SCHEMES[scope["type"]].get(schemes.pop(), scope["scheme"])
            return client
        scope["headers"] = [header for header in scope["headers"] if header[0] not in OF_TRUSTED]
        if not FORWARDED.isdisjoint(request.headers):
            self._warn(peer, request.request_id)
        return client

    def _named_by_proxies(self, scope: Scope) -> str:
        client = ""
        for hop in reversed(_values(scope, b"x-forwarded-for")):
            if not (address := canonical(hop.strip())):
                break
            client = address
            if not self._is_trusted(client):
                break
        return client

    def _warn_missing(self, request: RequestContext) -> None:
        if request.scope["path"].startswith("/health/"):
            return
        self._may_miss = False
        log(
            "warning",
            "forwarded_header_missing",
            request_id=request.request_id,
            hint="A peer in APP_TRUSTED_PROXIES names no client in X-Forwarded-For: its clients share one quota.",
        )

    def _warn(self, peer: str, request_id: str) -> None:
        if self._is_warned:
            return
        self._is_warned = True
        log(
            "warning",
            "forwarded_header_ignored",
            client=peer or "unix",
            request_id=request_id,
            hint="A peer that is not in APP_TRUSTED_PROXIES sends X-Forwarded-*. Is it your proxy?",
        )
