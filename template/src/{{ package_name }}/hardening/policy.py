# Owned by the template: an update rewrites this file.
"""What a route declares of itself: who may call it, and where it needs other bounds than the rest. Silence is an error,
since the route that forgot its guard is the one that leaks (OWASP API5:2023). `check` lists every policy.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Literal, TypeVar

from fastapi import APIRouter

from .core.framework import lasts_of
from .core.headers import is_field
from .settings import Quota, waiting

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
    max_body_size: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_encodings: frozenset[str] = frozenset()
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
    max_body_size: int | None = None,
    headers: Mapping[str, str] | None = None,
    content_encodings: Iterable[str] = (),
    apart: bool = False,
) -> Callable[[Endpoint], Endpoint]:
    """Say what a route needs, beneath its path decorator. What has no decorator is called with: an application that is
    mounted (`app.mount("/admin", policy(...)(admin))`), a route or `Mount`, or a router, for the routes that it has by
    then and that say nothing themselves.

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
        max_body_size: Bytes of a request body; where a path decorator may say it, FastAPI's own `max_body_size=` does.
        headers: What its responses carry in place of the service's own, such as the `content-security-policy` of pages.
            What a response sets itself stays; problem documents keep the service's, and errors its `cache-control`.
        content_encodings: Encodings such as `gzip` that it unpacks itself. Nobody has looked into such a body, and it is for
            the route to bound what comes out.
        apart: Its quota is counted in place of the service's, not beside it, so it may be a larger one: for a webhook.

    Raises:
        ValueError: A quota, a duration, a size or a header is none, a reason is empty, or `apart` has no quota.
    """
    fields = {name.lower(): value for name, value in (headers or {}).items()}
    if not all(is_field(name.encode(), value.encode()) for name, value in fields.items()):
        raise ValueError("headers has what is not a header")
    if max_body_size is not None and max_body_size < 0:
        raise ValueError("max_body_size is not a number of bytes")
    reasons = dict(insecure_because or {})
    if not all(reason.strip() for reason in reasons.values()):
        raise ValueError("insecure_because needs a reason for each finding that it accepts")
    if apart and quota is None:
        raise ValueError("apart needs a quota: without one nothing would be counted")
    made = Policy(
        public,
        tuple(each.lower() for each in content_types),
        "credentials" if quota == "credentials" else None if quota is None else Quota.parse(quota),
        None if body_timeout is None else float(waiting(body_timeout)),
        None if request_timeout is None else float(waiting(request_timeout)),
        frozenset(script_cookies),
        reasons,
        unchecked_query,
        any_host,
        max_body_size,
        fields,
        frozenset(each.lower() for each in content_encodings),
        apart,
    )

    def attach(endpoint: Endpoint) -> Endpoint:
        for each in _spoken_for(endpoint):
            each.__policy__ = made
        return endpoint

    return attach


def _spoken_for(thing: Any) -> Iterator[Any]:
    """What a policy is for: a function, an application, a route; of a router or a `Hardened` all of its routes."""
    router = thing.router if hasattr(thing, "insecure_mounts") else getattr(thing, "original_router", thing)
    if isinstance(router, APIRouter):
        for each in (*router.routes, *lasts_of(router)):
            yield from _spoken_for(each)
    else:
        yield getattr(thing, "__func__", thing)


def policy_of(*places: Any) -> Policy:
    """What the first of these says that says something."""
    return next((each.__policy__ for each in places if hasattr(each, "__policy__")), DEFAULT)


def public(endpoint: Endpoint) -> Endpoint:
    """Say that anyone may call a route: `@public` beneath its path decorator."""
    return policy(public=True)(endpoint)


def guard(dependency: Endpoint) -> Endpoint:
    """Mark a dependency that authenticates the caller, and raises 401 or 403 when it cannot.

    The mark is of this very function or class: a decorator around it (`functools.wraps`), or a subclass with another
    `__call__`, may let callers through, and has to be marked itself. So it stands above other decorators.
    """
    marked: Any = getattr(dependency, "__func__", dependency)
    marked.__guard__ = marked
    return dependency


def is_guard(dependency: Any) -> bool:
    """Whether a dependency itself is marked as one that authenticates."""
    function = getattr(dependency, "__func__", dependency)
    if isinstance(function, FunctionType):
        return function.__dict__.get("__guard__") is function
    if getattr(function, "__dict__", {}).get("__guard__") is function and not isinstance(function, type):
        return True
    # What is called: a class to be made, or an object of a class; a mark counts for what its class or a later one defines.
    kind, called = (function, "__init__") if isinstance(function, type) else (type(function), "__call__")
    for each in kind.__mro__:
        if "__guard__" in vars(each):
            return bool(vars(each)["__guard__"])
        if called in vars(each):
            return False
    return False


def name_of(function: Any) -> str:
    """What a function, a class or an object that is called is known as."""
    return str(getattr(function, "__name__", type(function).__name__))
