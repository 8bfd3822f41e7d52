# Owned by the template: an update rewrites this file.
"""Guessed passwords. What fails is counted: on the account from one address, and more widely on the address and on the
account. A device on which the account signed in before is counted by itself, so that strangers who use up the wide
quotas lock nobody out (OWASP, Slow Down Online Guessing Attacks with Device Cookies). ASVS v5.0.0-6.3.1.
"""

from contextlib import suppress
from hashlib import blake2b, sha256
from secrets import token_urlsafe

from fastapi import Request

from ..core.problems import Problem
from ..settings import Quota
from ..stores.base import Claim, StoreUnavailableError
from .base import RequestContext, context_of
from .client import client_key
from .cookies import COOKIE_ID, cookie, values_of
from .rate_limit import QuotaHeaders, append_quota_headers, retry_after

WIDER = 20
"""How many times as many failures an address, and an account, may have as an account from one address."""
DEVICE = "device"
DEVICE_SECONDS = 30 * 86_400


class SignInAttempt:
    """A sign-in that counts as a failure until it has `succeeded`."""

    def __init__(self, x: RequestContext, account: str, device: str | None, claims: list[Claim]) -> None:
        self._request, self._account, self._device, self._claims = x, account, device, claims

    async def succeeded(self) -> None:
        """Give back what was counted, and know this device from now on: its cookie leaves with the response."""
        claims, self._claims = self._claims, []
        if not claims:
            return
        services = self._request.services
        await services.store.refund(claims)
        if self._device is None:
            self._device = token_urlsafe(32)
        with suppress(StoreUnavailableError):
            await services.sessions.remember_device(self._account, _hash(self._device), DEVICE_SECONDS)
            value = cookie(DEVICE, self._device, max_age=DEVICE_SECONDS)
            self._request.add_on_success(DEVICE, (b"set-cookie", value.encode()))


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
    device = await _known_device(context, key)
    if device is not None:
        claims = [(f"credentials device {key} {_hash(device)}", quota)]
    else:
        wide = Quota(quota.limit * WIDER, quota.window)
        address = client_key(context.client)
        claims = [
            (f"credentials here {key} {address}", quota),
            (f"credentials address {address}", wide),
            (f"credentials account {key}", wide),
        ]
    decisions = await store.acquire(claims)
    if (remaining := decisions[-1]) >= 0:
        return SignInAttempt(context, key, device, claims)
    *counted, (refused, quota) = claims[: len(decisions)]
    if counted:
        await store.refund(counted)
    append_quota_headers(context, QuotaHeaders("credentials", quota), remaining)
    context.note("quota_exceeded", quota=" ".join(refused.split()[:2]))
    raise Problem(429, "Too many attempts", headers={"retry-after": str(retry_after(remaining))})


async def _known_device(context: RequestContext, account: str) -> str | None:
    """The device of the request, if the account has signed in on it."""
    values = values_of(context.scope["headers"], f"__Host-{DEVICE}".encode())
    if len(values) == 1 and COOKIE_ID.fullmatch(values[0]):
        device = values[0].decode()
        with suppress(StoreUnavailableError):
            if await context.services.sessions.knows_device(account, _hash(device)):
                return device
    return None


def _hash(device: str) -> str:
    return sha256(f"{DEVICE}={device}".encode()).hexdigest()


def _hash_account(account: str) -> str:
    """A name of any length, chosen by anyone, as a short one without blanks."""
    return blake2b(account.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
