# Owned by the template: an update rewrites this file.
"""Peers: how their addresses are read, which networks they are of, and what they say of others."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Literal

FORWARDED = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip"}
)
TRACE = frozenset(
    {b"traceparent", b"tracestate", b"baggage", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid",
     b"x-b3-sampled", b"x-b3-flags", b"uber-trace-id", b"x-amzn-trace-id", b"x-cloud-trace-context"}
)  # fmt: skip
"""What an SDK would join its spans to: a stranger would choose the trace, and whether it is kept."""
OF_TRUSTED = FORWARDED | TRACE
# The beginnings of what proxies and content networks add, with theirs.
_OF_PROXIES = (
    *sorted(FORWARDED), b"x-forwarded", b"via", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip", b"x-original-",
    b"x-envoy-", b"cf-", b"cdn-", b"fastly-", b"fly-", b"akamai-", b"x-akamai-", b"x-amz", b"x-azure-", b"x-appengine-",
    b"x-cloud-trace-context", b"x-vercel-", b"x-nf-", b"x-proxyuser-ip", b"x-arr-", b"x-coming-from", b"x-proxy",
    b"rndr-id", b"x-request-start", b"front-end-https", b"x-scheme", b"x-host", b"x-remote-", b"x-traefik-", b"x-request-id",
)  # fmt: skip
_MAPPED = bytes(10) + b"\xff\xff"  # RFC 4291, 2.5.5.2
_UNIQUE_LOCAL = IPv6Network("fc00::/7")  # RFC 4193: private
_LINK_LOCAL = IPv6Network("fe80::/10")


def address_bytes(address: str) -> bytes:
    """The 4 or 16 bytes of an address without port and zone, a mapped IPv4 address as IPv4; none if it is none.

    Not by `ipaddress`, which takes longer than all the rest of a refusal: whoever has a /64 has a new address each time.
    """
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:  # some proxies write the port too
        address = address.partition(":")[0]
    address = address.partition("%")[0]
    try:
        found = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        return b""
    return found[12:] if found.startswith(_MAPPED) else found


@lru_cache(maxsize=4096)
def canonical(address: str) -> str:
    """One spelling for each address, without port and zone, a mapped IPv4 address as IPv4; empty if it is none."""
    found = address_bytes(address)
    return inet_ntop(AF_INET if len(found) == 4 else AF_INET6, found) if found else ""


class Peers:
    """Addresses and networks, and `unix`: the peer of a Unix socket, which has no address."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network | Literal["unix"]]) -> None:
        networks = list(networks)
        self._networks = [
            (each.max_prefixlen // 8, int(each.netmask), int(each.network_address))
            for each in networks
            if not isinstance(each, str)
        ]
        self._has_unix = "unix" in networks

    def has(self, address: str) -> bool:
        """Whether a peer is one of them."""
        if not address:
            return self._has_unix
        found = address_bytes(address)
        number = int.from_bytes(found, "big")
        return any(size == len(found) and number & mask == network for size, mask, network in self._networks)


def too_wide(networks: Iterable[IPv4Network | IPv6Network | Literal["unix"]]) -> list[IPv4Network | IPv6Network]:
    """Those that are no one owner's, also where they are written in parts; the widest, if only their sum is too much."""
    networks = list(networks)
    four = collapse_addresses(network for network in networks if isinstance(network, IPv4Network))
    six = collapse_addresses(network for network in networks if isinstance(network, IPv6Network))
    return [*_too_wide([*four], 8), *_too_wide([each for each in six if not _is_local(each)], 16)]


def _too_wide(networks: Sequence[IPv4Network | IPv6Network], length: int) -> list[IPv4Network | IPv6Network]:
    wide = [each for each in networks if each.prefixlen < length]
    if not wide and sum(2.0**-each.prefixlen for each in networks if not each.is_private) >= 2.0 ** (1 - length):
        return [min(networks, key=lambda each: each.prefixlen)]
    return wide


def _is_local(network: IPv6Network) -> bool:
    return network.subnet_of(_UNIQUE_LOCAL) or network.subnet_of(_LINK_LOCAL)


def is_within(inner: object, outer: object) -> bool:
    """Whether all of a network is in another; `unix` is in itself alone."""
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return inner == outer


def was_forwarded(headers: Iterable[bytes]) -> bool:
    """Whether a proxy, of whichever make, says in one of these headers that the peer asks for somebody else."""
    return any(name.replace(b"_", b"-").startswith(_OF_PROXIES) for name in headers)
