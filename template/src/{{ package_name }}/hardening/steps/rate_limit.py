# Owned by the template: an update rewrites this file.
"""A quota for every client and every path, known or not: guessing, scraping and floods are what an API meets first.

GCRA at `100/15m` admits a burst of 100, then one request each 9 s. An IPv6 client is its /64, and its wider networks have
more of the same quota (`NETWORKS`). Headers: IETF draft ratelimit-headers-11. ASVS v5.0.0-2.4.1.
"""

from collections.abc import Awaitable, Iterator, Sequence
from contextlib import suppress
from math import ceil

from ..core.findings import Finding
from ..core.peers import Peers, is_within, too_wide
from ..core.problems import Refusal
from ..core.route import Route
from ..settings import HardeningSettings, Quota
from ..stores.base import Claim, Store, StoreUnavailableError
from .base import RequestContext, Services, Step
from .client import NETWORKS, client_keys


class QuotaHeaders:
    """One quota as the `RateLimit` headers describe it; what is always the same is ready before the first request.

    Args:
        name: What the headers call it.
        quota: What is counted against.
        prefix: What keeps its keys apart from those of other quotas.
        is_apart: It is counted in place of the service's, not beside it.
    """

    def __init__(self, name: str, quota: Quota, prefix: str = "", *, is_apart: bool = False) -> None:
        self.quota, self.prefix, self.is_apart = quota, prefix, is_apart
        self.policy = b'"%s";q=%d;w=%d' % (name.encode(), quota.limit, ceil(quota.window))
        self._form = b'"%s";r=%%d;t=%%d' % name.encode()
        self._interval = quota.window / quota.limit
        self._of_networks = [Quota(quota.limit * times, quota.window) for _, times, _ in NETWORKS]

    def network_claims(self, keys: Sequence[str]) -> list[Claim]:
        """The claims on the wider networks of a client that is counted to these keys, for who has more than a /64."""
        return [(self.prefix + key, quota) for key, quota in zip(keys[1:], self._of_networks, strict=False)]

    def state(self, remaining: float) -> bytes:
        """The value of `RateLimit`: how many requests are left, and in how many seconds all are.

        Args:
            remaining: Seconds of the window, as `Store.acquire` returns them.
        """
        if remaining < 0:
            return self._form % (0, ceil(self.quota.window - self._interval - remaining))
        return self._form % (remaining / self._interval + 1e-3, ceil(self.quota.window - remaining))


class RateLimit(Step):
    """Counts each request of each client, and answers 429 to those over the quota."""

    name = "rate_limit"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        settings = services.settings
        self._store = services.store
        self._of_service = QuotaHeaders("default", settings.rate_limit)
        self._of_credentials = settings.rate_limit_credentials
        self._of_route: dict[Route, QuotaHeaders] = {}
        callers = sorted(settings.rate_limit_apart, key=lambda each: -each[0].prefixlen)  # the narrowest first
        self._callers = [(Peers([each]), QuotaHeaders("caller", quota, f"{each} ")) for each, quota in callers]
        if self._callers:
            vars(self)["refuse"] = self._refuse_callers
        self._refusal = Refusal(429, "quota_exceeded")
        self._undecided = Refusal(503, "quota_undecided", [(b"retry-after", b"5")])

    @staticmethod
    def findings(settings: HardeningSettings) -> Iterator[Finding]:
        networks = [network for network, _ in settings.rate_limit_apart]
        for network in too_wide(networks):
            message = f"APP_RATE_LIMIT_APART contains {network}: strangers would have the quota of a caller of yours."
            yield Finding("quotas.E001", message, "Name the caller's own addresses or networks.")
        proxies = settings.trusted_proxies or ()
        for network in networks:
            if any(is_within(network, proxy) or is_within(proxy, network) for proxy in proxies):
                message = f"APP_RATE_LIMIT_APART contains {network}, of which are proxies of APP_TRUSTED_PROXIES."
                hint = "A proxy that names no client would have that quota for all: name the caller's own address."
                yield Finding("quotas.W001", message, hint)

    def refuse(self, request: RequestContext) -> Refusal | Awaitable[Refusal | None] | None:
        """Count the request on the service's quota, and on the route's own if it has one."""
        own = self._own(request.route) if self.services.routes.has_quotas else None
        service = self._of_service
        if own is not None or ":" in request.client:
            return self._count(request, service, own)
        claims = [(request.client, service.quota)]
        if (decisions := self._store.acquire_nowait(claims)) is None:
            return self._refuse_later(request, claims, service, None)
        if decisions[0] < 0:
            return self._verdict(request, decisions, service, None)
        headers = ((b"ratelimit", service.state(decisions[0])), (b"ratelimit-policy", service.policy))
        request.response_headers.extend(headers)
        return None

    def _refuse_callers(self, request: RequestContext) -> Refusal | Awaitable[Refusal | None] | None:
        """The same, where callers have quotas of their own in place of the service's."""
        own = self._own(request.route)
        found = (quota for peers, quota in self._callers if peers.has(request.client))
        return self._count(request, next(found, self._of_service), own)

    def _count(
        self, request: RequestContext, service: QuotaHeaders, own: QuotaHeaders | None
    ) -> Refusal | Awaitable[Refusal | None] | None:
        if own is not None and own.is_apart:
            service, own = own, None
        keys = client_keys(request.client)
        counted = [service] if own is None else [service, own]
        claims = [(each.prefix + keys[0], each.quota) for each in counted]
        # After both: what one /64 is refused costs its neighbours nothing.
        claims += [claim for each in counted for claim in each.network_claims(keys)]
        if (last := counted[-1]).quota is self._of_credentials:
            request.settle_before_response(_Refund(self._store, [claims[len(counted) - 1], *last.network_claims(keys)]))
        if (decisions := self._store.acquire_nowait(claims)) is None:
            return self._refuse_later(request, claims, service, own)
        return self._verdict(request, decisions, service, own)

    def _own(self, route: Route | None) -> QuotaHeaders | None:
        if route is None or (quota := route.policy.quota) is None:
            return None
        if (own := self._of_route.get(route)) is None:
            quota = self._of_credentials if quota == "credentials" else quota
            own = self._of_route[route] = QuotaHeaders("route", quota, f"{route} ", is_apart=route.policy.apart)
        return own

    async def _refuse_later(
        self, request: RequestContext, claims: Sequence[Claim], service: QuotaHeaders, own: QuotaHeaders | None
    ) -> Refusal | None:
        try:
            decisions = await self._store.acquire(claims)
        except StoreUnavailableError:
            return self._undecided
        return self._verdict(request, decisions, service, own)

    def _verdict(
        self, request: RequestContext, decisions: Sequence[float], service: QuotaHeaders, own: QuotaHeaders | None
    ) -> Refusal | None:
        remaining = decisions[-1]
        left = [*decisions[: 1 if own is None else 2]]
        if remaining < 0 and (wider := len(decisions) - 1 - len(left)) >= 0:  # a wider network has no more of it
            left[wider // len(NETWORKS)] = remaining
        state, policy = service.state(left[0]), service.policy
        if own is not None and len(left) > 1:
            state, policy = b"%b, %b" % (state, own.state(left[1])), b"%b, %b" % (policy, own.policy)
        request.response_headers.extend(((b"ratelimit", state), (b"ratelimit-policy", policy)))
        if remaining >= 0:
            return None
        request.response_headers.append((b"retry-after", b"%d" % retry_after(remaining)))
        return self._refusal


class _Refund:
    """What a route has counted of its own that takes credentials. It answers 503 where it had no room to look at them."""

    def __init__(self, store: Store, claims: Sequence[Claim]) -> None:
        self._store, self._claims = store, claims

    async def settle(self, route_status: int | None) -> None:
        if route_status == 503:
            with suppress(StoreUnavailableError):  # it stays counted, and the log has `store_away`
                await self._store.refund(self._claims)


def append_quota_headers(request: RequestContext, quota: QuotaHeaders, remaining: float) -> None:
    """Add a second quota to the `RateLimit` headers of the response."""
    more = {b"ratelimit": quota.state(remaining), b"ratelimit-policy": quota.policy}
    request.response_headers[:] = [
        (name, value + b", " + more[name]) if name in more else (name, value)
        for name, value in request.response_headers
    ]


def retry_after(remaining: float) -> int:
    """`Retry-After` of a request that was refused, in seconds."""
    return max(1, ceil(-remaining))
