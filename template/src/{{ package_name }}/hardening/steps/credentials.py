# Owned by the template: an update rewrites this file.
"""Guessed passwords. What fails is counted: on the account from one address, and more widely on the address and on the
account. A device on which the account signed in before is counted by itself, so that strangers who use up the wide
quotas lock nobody out (OWASP, Slow Down Online Guessing Attacks with Device Cookies). ASVS v5.0.0-6.3.1.
"""

import asyncio
from contextlib import suppress
from contextvars import ContextVar
from hashlib import blake2b, sha256
from secrets import token_urlsafe

from fastapi import Request

from ..core.problems import Problem
from ..settings import Quota
from ..stores.base import Claim, StoreUnavailableError
from .base import RequestContext, context_of
from .client import client_keys
from .cookies import COOKIE_ID, cookie, values_of
from .rate_limit import QuotaHeaders, append_quota_headers, retry_after

WIDER = 20
"""How many times as many failures an address, and an account, may have as an account from one address."""
DEVICE = "device"
DEVICE_SECONDS = 30 * 86_400


class SignInAttempt:
    """A sign-in that counts as a failure until it has `succeeded`, unless no password was looked at for want of capacity.

    That is known of `Passwords`, which was full, or whose work was cancelled before it began; and a route that answers
    503 says it, unless `Passwords` did look. Whoever breaks a request off afterwards has made a guess.
    """

    def __init__(self, x: RequestContext, account: str, device: str | None, claims: list[Claim]) -> None:
        self._request, self._account, self._device, self._claims = x, account, device, claims
        self._is_looked_at = self._is_dropped = False
        self._unanswered: list[asyncio.Task[None]] = []

    async def succeeded(self) -> None:
        """Give back what was counted, and know this device from now on: its cookie leaves with the response.

        The response waits for both; what the route asks of a store meanwhile travels with them.
        """
        if self._claims:
            self._unanswered = [asyncio.create_task(each) for each in (self._give_back(), self._remember())]
            await asyncio.sleep(0)  # they are asked before this returns

    async def _give_back(self) -> None:
        """Give back what was counted, once. If that cannot be, it stays counted, and the log has `store_away`."""
        claims, self._claims = self._claims, []
        if claims:
            with suppress(StoreUnavailableError):
                await self._request.services.store.refund(claims)

    async def _remember(self) -> None:
        device = self._device or token_urlsafe(32)
        with suppress(StoreUnavailableError):
            await self._request.services.sessions.remember_device(self._account, _hash(device), DEVICE_SECONDS)
            value = cookie(DEVICE, device, max_age=DEVICE_SECONDS)
            self._request.add_on_success(DEVICE, (b"set-cookie", value.encode()))

    async def _settle(self, *, is_full: bool) -> None:
        if not self._is_looked_at and (self._is_dropped or is_full):
            await self._give_back()
        await asyncio.gather(*self._unanswered)

    def _mark(self, *, is_looked_at: bool) -> None:
        """Know of a password that was looked at, or that was not for want of capacity; all attempts of the request do."""
        for each in (self, *_attempts_of(self._request)):
            each._is_looked_at |= is_looked_at
            each._is_dropped |= not is_looked_at


latest_attempt: ContextVar[SignInAttempt | None] = ContextVar("sign_in_attempt", default=None)


class Guess:
    """A password of the request at work, as far as it is one of a sign-in: what becomes of it decides on the attempt."""

    def __init__(self) -> None:
        self._attempt = latest_attempt.get()

    @property
    def known_account(self) -> str | None:
        """The account by its hash, if the request comes from a device that it knows."""
        attempt = self._attempt
        return attempt._account if attempt is not None and attempt._device is not None else None

    def looked_at(self) -> None:
        """It was looked at, and counts whatever becomes of the request: whoever breaks it off has made a guess."""
        if self._attempt is not None:
            self._attempt._mark(is_looked_at=True)

    def dropped(self) -> None:
        """Nobody looked at it, for want of capacity."""
        if self._attempt is not None:
            self._attempt._mark(is_looked_at=False)


class _Attempts(list[SignInAttempt]):
    """All attempts of a request whose response has not begun."""

    async def settle(self, route_status: int | None) -> None:
        """Give back those for which no password was looked at, and end what those that succeeded have begun."""
        for each in self:
            await each._settle(is_full=route_status == 503)


def _attempts_of(context: RequestContext) -> _Attempts:
    found = next((each for each in context.unsettled if isinstance(each, _Attempts)), None)
    if found is None:
        found = _Attempts()
        context.settle_before_response(found)
    return found


async def sign_in_attempt(request: Request, account: str) -> SignInAttempt:
    """Count an attempt to sign in, before the password is looked at: many at once are as few as one after another.

    It knows nothing of which accounts there are, so neither its answers nor its time tell.

    Args:
        request: The request that carries the password.
        account: The name that was given, as your look-up compares it: in lower case, if `Alice` is `alice` to you.

    Raises:
        Problem: 429, too many attempts have failed; `Retry-After` says when the next one may be made.
    """
    context = context_of(request)
    store, quota = context.services.store, context.services.settings.rate_limit_credentials
    key = _hash_account(account)
    claims: list[Claim] = []
    decisions: list[float] = []
    if (device := _device_of(context)) is not None:
        claims = [(f"credentials device {key} {_hash(device)}", quota)]
        # At once: what is counted on a device that turns out to be a stranger's is given back with the rest.
        decisions, is_known = await asyncio.gather(store.acquire(claims), _is_known(context, key, device))
        if not is_known:
            device = None
            if decisions[0] < 0:
                claims, decisions = [], []
    if device is None:
        wide = Quota(quota.limit * WIDER, quota.window)
        address, *_ = keys = client_keys(context.client)
        more = [
            (f"credentials here {key} {address}", quota),
            (f"credentials address {address}", wide),
            *QuotaHeaders("credentials", wide, "credentials network ").network_claims(keys),
            (f"credentials account {key}", wide),
        ]
        decisions += await store.acquire(more)
        claims += more
    if (remaining := decisions[-1]) >= 0:
        attempt = SignInAttempt(context, key, device, claims)
        _attempts_of(context).append(attempt)
        latest_attempt.set(attempt)
        return attempt
    *counted, (refused, quota) = claims[: len(decisions)]
    if counted:
        await store.refund(counted)
    append_quota_headers(context, QuotaHeaders("credentials", quota), remaining)
    context.note("quota_exceeded", quota=" ".join(refused.split()[:2]))
    raise Problem(429, "Too many attempts", headers={"retry-after": str(retry_after(remaining))})


def _device_of(context: RequestContext) -> str | None:
    """The device that the request names, if its cookie looks like one that this service made."""
    values = values_of(context.scope["headers"], f"__Host-{DEVICE}".encode())
    return values[0].decode() if len(values) == 1 and COOKIE_ID.fullmatch(values[0]) else None


async def _is_known(context: RequestContext, account: str, device: str) -> bool:
    """Whether the account has signed in on a device."""
    with suppress(StoreUnavailableError):
        return await context.services.sessions.knows_device(account, _hash(device))
    return False


def _hash(device: str) -> str:
    return sha256(f"{DEVICE}={device}".encode()).hexdigest()


def _hash_account(account: str) -> str:
    """A name of any length, chosen by anyone, as a short one without blanks."""
    return blake2b(account.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
