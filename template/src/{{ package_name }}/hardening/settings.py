# Owned by the template: an update rewrites this file. Steer it by `APP_...` or by your own `settings.py`.
"""Every setting, typed. Secure values are the defaults; what has no safe default must be set in production."""

import os
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from unicodedata import normalize

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "APP_"
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|)", re.ASCII)
_QUOTA = re.compile(rf"(\d+)/({_DURATION.pattern})", re.ASCII)
# The same in other words: `100 requests per minute`, `1e3/h`, `15 min`.
_LIKE = re.compile(r"(?:([\d_,]{0,12}\d(?:e\d)?) *[a-z]* *(?:/|\bper\b) *)?(\d+(?:\.\d+)?)? *([a-z]*)", re.ASCII)
_WORDS = {"ms": "ms", "mil": "ms", "mo": "", "m": "m", "s": "s", "h": "h", "d": "d", "": ""}
LEAST_SECONDS = 0.01
"""Of what bounds a request, a session or a quota: with less nobody would be answered, or nothing be bounded."""
MOST_SECONDS = 86400.0 * 365
MOST_WAITING = 86400.0 * 7
"""Of a time-out; the kernel and the server count its milliseconds in 31 bits, which are 24 days."""
MOST_REQUESTS = 10**9
"""Of a quota; with more, a double has not digits enough for the time between two of them."""
_STORE = re.compile(r"(redis|rediss|unix|rediss?\+(sentinel|cluster))://")


def seconds(value: Any, most: float = MOST_SECONDS, least: float = 0.0) -> Any:
    """Read a duration such as `30`, `5s`, `15m`, `12h` as seconds.

    Raises:
        ValueError: The text is not a duration, or one out of bounds.
    """
    number = value
    if isinstance(value, str):
        if (match := _DURATION.fullmatch(value.strip())) is None:
            raise ValueError(f"is not a duration; write seconds or a number with ms, s, m, h or d{_such_as(value)}")
        number = float(match[1]) * _UNITS[match[2]]
    if isinstance(number, int | float) and not (least <= number <= most and number > 0):
        at_least = f"at least {least * 1000:g}ms" if least else "more than 0"
        raise ValueError(f"is not a duration within bounds: {at_least}, and at most {most / 86400:g}d")
    return number


def _such_as(text: str, *, is_quota: bool = False) -> str:
    """What was meant, as it is written here; an example where nobody can tell."""
    match = _LIKE.fullmatch(normalize("NFKC", text).strip("\"' \t\r\n").lower())
    if match is not None and (match[1] is not None) is is_quota:
        limit, number, word = match.groups()
        unit = next(unit for start, unit in _WORDS.items() if word.startswith(start))
        if (unit or not word) and (unit or number):
            limit = "" if limit is None else f"{float(re.sub('[_,]', '', limit)):.0f}/"
            return f": {limit}{number or 1}{unit}"
    return ", such as 100/15m" if is_quota else ", such as 30 or 15m"


def lasting(value: Any) -> Any:
    """The seconds of what is in force for a while; errors name its own bounds."""
    return seconds(value, least=LEAST_SECONDS)


def waiting(value: Any) -> Any:
    """The seconds of a time-out; errors name its own bounds."""
    return seconds(value, MOST_WAITING, LEAST_SECONDS)


@dataclass(frozen=True, slots=True)
class Quota:
    """A burst of `limit` requests, then one each `window / limit` seconds (GCRA)."""

    limit: int
    window: float

    @classmethod
    def parse(cls, value: Any) -> Any:
        """Read `100/15m`.

        Raises:
            ValueError: The text is not a quota, or one out of bounds.
        """
        if not isinstance(value, str):
            return value
        if (match := _QUOTA.fullmatch(value.strip())) is None:
            raise ValueError(f"is not a quota; write requests/duration{_such_as(value, is_quota=True)}")
        if not 1 <= float(match[1]) <= MOST_REQUESTS:  # `int` takes no more than 4,300 digits
            raise ValueError(f"is not a quota within bounds: 1 to {MOST_REQUESTS} requests")
        return cls(int(match[1]), lasting(match[2]))

    def __str__(self) -> str:
        unit = next(unit for unit in ("d", "h", "m", "s", "ms") if self.window % _UNITS[unit] == 0 or unit == "ms")
        return f"{self.limit}/{self.window / _UNITS[unit]:g}{unit}"


def _items(value: Any) -> Any:
    return tuple(item.strip() for item in value.split(",") if item.strip()) if isinstance(value, str) else value


def _as_ipv4(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A network of mapped addresses (RFC 4291, 2.5.5.2) as what it stands for: such peers are read as IPv4."""
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else IPv4Network((mapped, network.prefixlen - 96))


def _networks(value: Any) -> Any:
    items = _items(value)
    if not isinstance(items, tuple) or not all(isinstance(item, str) for item in items):
        return items
    if items == ("none",):
        return ()
    try:
        networks = tuple(item if item == "unix" else _as_ipv4(ip_network(item)) for item in items)
        return None if networks == () and isinstance(value, str) else networks
    except ValueError as error:
        raise ValueError(
            f"{error}; write addresses or networks separated by commas, such as 10.0.0.0/8, unix, or the word none"
        ) from None


def _quotas_apart(value: Any) -> Any:
    items = _items(value)
    if not isinstance(items, tuple) or not all(isinstance(item, str) for item in items):
        return items
    try:
        pairs = [item.partition("=") for item in items]
        return tuple((_as_ipv4(ip_network(name.strip())), Quota.parse(quota)) for name, _, quota in pairs)
    except ValueError as error:
        raise ValueError(f"{error}; write address=quota, separated by commas, such as 10.1.2.3=6000/15m") from None


def _store(value: str) -> str:
    if value != "memory://" and _STORE.match(value) is None:
        raise ValueError("is neither memory:// nor the address of a Redis, such as redis://host:6379/0")
    return value


Duration = Annotated[float, BeforeValidator(seconds), Field(gt=0, le=MOST_SECONDS)]
Lifetime = Annotated[float, BeforeValidator(lasting), Field(ge=LEAST_SECONDS, le=MOST_SECONDS)]
Timeout = Annotated[float, BeforeValidator(waiting), Field(ge=LEAST_SECONDS, le=MOST_WAITING)]
QuotaField = Annotated[Quota, NoDecode, BeforeValidator(Quota.parse), PlainSerializer(str)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_items), PlainSerializer(",".join)]
Networks = Annotated[
    tuple[IPv4Network | IPv6Network | Literal["unix"], ...] | None,
    NoDecode,
    BeforeValidator(_networks),
    PlainSerializer(lambda nets: None if nets is None else ",".join(map(str, nets)) or "none"),
]

QuotasApart = Annotated[
    tuple[tuple[IPv4Network | IPv6Network, Quota], ...],
    NoDecode,
    BeforeValidator(_quotas_apart),
    PlainSerializer(lambda pairs: ",".join(f"{network}={quota}" for network, quota in pairs)),
]


class HardeningSettings(BaseSettings):
    """What steers the owned code. Your `Settings` inherits it; each field is read from `APP_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, hide_input_in_errors=True)

    env: Literal["production", "development"] = "production"
    """`development` relaxes what a laptop cannot have; `serve --dev` sets it for one run."""
    allowed_hosts: CommaSeparated = ()
    """Names that `Host` may carry, such as `api.example.com`; production needs at least one."""
    cors_origins: CommaSeparated = ()
    """Other origins whose scripts may call this service, exactly as a browser writes them."""
    rate_limit: QuotaField = Quota(100, 900.0)
    """Requests a client may make: a burst, then evenly spread over the duration."""
    rate_limit_apart: QuotasApart = ()
    """Callers with a quota of their own in place of `rate_limit`, such as `10.1.2.3=6000/15m`: a backend of yours."""
    rate_limit_credentials: QuotaField = Quota(5, 900.0)
    """Sign-ins that may fail, for an account from one address; an address and an account may have 20 times as many."""
    store_url: Annotated[str, AfterValidator(_store)] = "memory://"
    """Where limits are counted: `memory://` in each process for itself, `redis://...` for all of them together."""
    store_outage: Literal["local", "closed"] = "local"
    """While Redis is away: `local` counts in each process, `closed` answers 503."""
    trusted_proxies: Networks = None
    """Addresses or networks whose `X-Forwarded-*` is believed, `unix` for `serve --uds`, or `none`; production must set it."""
    max_body_bytes: Annotated[int, Field(ge=1, le=2**31)] = 1_048_576
    """Largest request body in bytes; a route may set `max_body_size=`."""
    header_timeout: Timeout = 5.0
    """Seconds a client has for its request line and headers."""
    keepalive_timeout: Timeout = 75.0
    """Seconds a connection may idle between requests: longer than the proxy in front keeps it."""
    body_timeout: Timeout = 10.0
    """Seconds a client has to send the whole body."""
    request_timeout: Timeout = 30.0
    """Seconds a route has until its response starts."""
    socket_idle: Lifetime = 300.0
    """Seconds a WebSocket may be open without a message from either side."""
    max_concurrency: Annotated[int, Field(ge=1, le=100_000)] = 512
    """Requests that one process works on at once, and half as many WebSockets beside; more are answered 503."""
    session_idle: Lifetime = 1800.0
    """Seconds until a session that is not used ends."""
    session_lifetime: Lifetime = 43_200.0
    """Seconds until a session ends however much it is used."""
    csp_report_uri: Annotated[str, Field(max_length=2048)] = ""
    """Where browsers report violations of the Content-Security-Policy."""
    docs: bool = False
    """Serve `/docs` and `/openapi.json`; on by default in development."""
    metrics_from: Networks = None
    """Addresses or networks that may read `/metrics` directly, and no other path to it; unset, there is no such path."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged."""

    @model_validator(mode="before")
    @classmethod
    def _development_defaults(cls, values: dict[str, Any]) -> dict[str, Any]:
        # What Windows calls UTF-8 begins with a byte order mark, and a secret would.
        values = {name: text.removeprefix("\ufeff") if isinstance(text, str) else text for name, text in values.items()}
        if values.get("env") != "development":
            return values
        local = {"allowed_hosts": "localhost,127.0.0.1,[::1]", "trusted_proxies": "none", "docs": True}
        return {**local, **values}

    @property
    def is_production(self) -> bool:
        return self.env == "production"


def secrets_dir() -> Path | None:
    """The folder named by `APP_SECRETS_DIR`: one file a setting, named like it."""
    name = os.environ.get(f"{PREFIX}SECRETS_DIR", "")
    return Path(name) if name else None


def secret_names() -> frozenset[str]:
    """The names of the files in `APP_SECRETS_DIR`; none where it cannot be listed, which reading a setting tells."""
    folder = secrets_dir()
    try:
        return frozenset(path.name for path in folder.iterdir()) if folder is not None else frozenset()
    except OSError:
        return frozenset()
