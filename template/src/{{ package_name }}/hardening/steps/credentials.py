# Owned by the template: an update rewrites this file.
"""Guessed passwords. What fails is counted: on the account from one address, and more widely on the address and on the
account. A device on which the account signed in before is counted by itself, so that strangers who use up the wide
quotas lock nobody out (OWASP, Slow Down Online Guessing Attacks with Device Cookies). ASVS v5.0.0-6.3.1.
"""

from contextlib import suppress
from hashlib import blake2b, sha256
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from fastapi import Request

from ..core.problems import Problem
from ..settings import Quota
from ..stores.base import Claim, StoreAwayError
from .cookies import COOKIE_ID, cookie, values_of
from .rate_limit import Meter, client_key, seconds_to_wait, tell

if TYPE_CHECKING:
    from ..asgi.exchange import Exchange

WIDER = 20
"""How many times as many failures an address, and an account, may have as an account from one address."""
DEVICE = "device"
DEVICE_SECONDS = 30 * 86_400


class SignInAttempt:
    """A sign-in that counts as a failure until it has `succeeded`."""

    def __init__(self, x: "Exchange", account: str, device: str | None, claims: list[Claim]) -> None:
        self._x, self._account, self._device, self._claims = x, account, device, claims

    async def succeeded(self) -> None:
        """Give back what was counted, and know this device from now on: its cookie leaves with the response."""
        claims, self._claims = self._claims, []
        if not claims:
            return
        await self._x.store.give_back(claims)
        if self._device is None:
            self._device = token_urlsafe(32)
        with suppress(StoreAwayError):
            await self._x.sessions.remember_device(self._account, _hash(self._device), DEVICE_SECONDS)
            value = cookie(DEVICE, self._device, max_age=DEVICE_SECONDS)
            self._x.with_success = {**self._x.with_success, DEVICE: (b"set-cookie", value.encode())}


async def sign_in_attempt(request: Request, account: str) -> SignInAttempt:
    """Count an attempt to sign in, before the password is looked at: many at once are as few as one after another.

    It knows nothing of which accounts there are, so neither its answers nor its time tell.

    Args:
        request: The request that carries the password.
        account: The name that was given, as your look-up compares it: in lower case, if `Alice` is `alice` to you.

    Raises:
        Problem: 429, too many attempts have failed; `Retry-After` says when the next one may be made.
    """
    x: Exchange = request.scope["hardening"]
    quota, key = x.settings.rate_limit_credentials, _hash_account(account)
    device = await _known_device(x, key)
    if device is not None:
        claims = [(f"credentials device {key} {_hash(device)}", quota)]
    else:
        wide = Quota(quota.limit * WIDER, quota.window)
        address = client_key(x.client)
        claims = [
            (f"credentials here {key} {address}", quota),
            (f"credentials address {address}", wide),
            (f"credentials account {key}", wide),
        ]
    told = await x.store.take(claims)
    if (spare := told[-1]) >= 0:
        return SignInAttempt(x, key, device, claims)
    *counted, (refused, quota) = claims[: len(told)]
    if counted:
        await x.store.give_back(counted)
    tell(x, Meter("credentials", quota), spare)
    x.note("quota_exceeded", quota=" ".join(refused.split()[:2]))
    raise Problem(429, "Too many attempts", headers={"retry-after": str(seconds_to_wait(spare))})


async def _known_device(x: "Exchange", account: str) -> str | None:
    """The device of the request, if the account has signed in on it."""
    values = values_of(x.scope["headers"], f"__Host-{DEVICE}".encode())
    if len(values) == 1 and COOKIE_ID.fullmatch(values[0]):
        device = values[0].decode()
        with suppress(StoreAwayError):
            if await x.sessions.knows_device(account, _hash(device)):
                return device
    return None


def _hash(device: str) -> str:
    return sha256(f"{DEVICE}={device}".encode()).hexdigest()


def _hash_account(account: str) -> str:
    """A name of any length, chosen by anyone, as a short one without blanks."""
    return blake2b(account.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
