# Owned by the template: an update rewrites this file.
"""What a route declares of itself: who may call it, and where it needs other bounds than the rest. Silence is an error,
since the route that forgot its guard is the one that leaks (OWASP API5:2023). `check` lists every policy.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from .settings import Quota, seconds

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Policy:
    """What one route is allowed beyond the defaults."""

    public: bool = False
    content_types: tuple[str, ...] = ("application/json",)
    quota: Quota | Literal["credentials"] | None = None
    body_timeout: float | None = None
    request_timeout: float | None = None
    script_cookies: frozenset[str] = frozenset()
    insecure_because: Mapping[str, str] = field(default_factory=dict)
    unchecked_query: bool = False
    any_host: bool = False
    apart: bool = False


DEFAULT = Policy()


def policy(
    *,
    public: bool = False,
    content_types: Iterable[str] = ("application/json",),
    quota: str | None = None,
    body_timeout: str | float | None = None,
    request_timeout: str | float | None = None,
    script_cookies: Iterable[str] = (),
    insecure_because: Mapping[str, str] | None = None,
    unchecked_query: bool = False,
    any_host: bool = False,
    apart: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Say what a route needs, beneath its path decorator. Its body size is FastAPI's own `max_body_size=`.

    Args:
        public: Anyone may call it. Otherwise a dependency marked with `guard` must authenticate the caller.
        content_types: Media types of the request body that it takes; a type ending in `+json` counts as JSON.
        quota: Its own quota, such as `5/15m`, counted for each client beside the service's; `credentials` is that of
            `APP_RATE_LIMIT_CREDENTIALS`.
        body_timeout: Seconds, or text such as `2m`, for the whole body to arrive.
        request_timeout: Seconds, or text such as `2m`, until its response starts.
        script_cookies: Cookies that it sets without HttpOnly, because scripts must read them.
        insecure_because: The escape hatch: finding ids that this route accepts, each with the reason.
        unchecked_query: It reads the query itself, as a callback of an identity provider does. Neither names that it does
            not declare nor those that come twice are refused; a query that is not UTF-8 still is.
        any_host: It is asked by address, as a probe of a platform's does: its GET and HEAD take any `Host`. What it answers
            is then readable by a page whose name somebody points at this service (DNS rebinding).
        apart: Its quota is counted in place of the service's, not beside it, so it may be a larger one: for a webhook.

    Raises:
        ValueError: A quota or duration cannot be read, or a reason is empty, or `apart` has no quota.
    """
    reasons = dict(insecure_because or {})
    if not all(reason.strip() for reason in reasons.values()):
        raise ValueError("insecure_because needs a reason for each finding that it accepts")
    if apart and quota is None:
        raise ValueError("apart needs a quota: without one nothing would be counted")
    made = Policy(
        public,
        tuple(each.lower() for each in content_types),
        "credentials" if quota == "credentials" else None if quota is None else Quota.parse(quota),
        None if body_timeout is None else float(seconds(body_timeout)),
        None if request_timeout is None else float(seconds(request_timeout)),
        frozenset(script_cookies),
        reasons,
        unchecked_query,
        any_host=any_host,
        apart=apart,
    )

    def attach(endpoint: Endpoint) -> Endpoint:
        function: Any = getattr(endpoint, "__func__", endpoint)
        function.__policy__ = made
        return endpoint

    return attach


def public(endpoint: Endpoint) -> Endpoint:
    """Say that anyone may call a route: `@public` beneath its path decorator."""
    return policy(public=True)(endpoint)


def guard(dependency: Endpoint) -> Endpoint:
    """Mark a dependency that authenticates the caller, and raises 401 or 403 when it cannot."""
    dependency.__guard__ = True  # type: ignore[attr-defined]
    return dependency
