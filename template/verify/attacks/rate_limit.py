# Owned by the template: an update rewrites this file.
"""Rate limit: guessing, scraping and floods, and the disguises that make one client look like many."""

import http.client
import re
import time
from collections.abc import Callable
from socket import inet_aton

from ..common.answer import HOST, Answer
from ..common.raw_http import Pairs
from ..harness.arena import EVIL, Arena, Attacks, Seen, statuses
from ..harness.service import PROBE, PROBE_MODULE, Service
from ..result import UnverifiedError
from ..runner import processes

attacks = Attacks("HARDENING.md, Rate limit: `hardening/steps/rate_limit.py` counts; APP_RATE_LIMIT says how many.")
MOST = 3000
SECONDS = 10.0
SMALLER = (
    "Give verify a smaller one in pyproject.toml: `[tool.hardening.verify.environment]`, "
    '`APP_RATE_LIMIT = "100/15m"`. What counts is the same; production keeps its own.'
)
_POLICY = re.compile(r'"default";q=(\d+);w=(\d+)')


class Client:
    """A client that keeps one connection open, so that a burst takes little time."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, target: str, headers: Pairs = (), method: str = "GET") -> Answer:
        pairs = list(headers)
        self._connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        if not any(name == "Host" for name, _ in pairs):
            self._connection.putheader("Host", HOST)
        for name, value in pairs:
            self._connection.putheader(name, value)
        self._connection.endheaders()
        response = self._connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())


def quota(answer: Answer) -> tuple[int, int] | None:
    """How many requests in how many seconds the service says that it grants."""
    match = _POLICY.search(", ".join(answer.all("ratelimit-policy")))
    return (int(match[1]), int(match[2])) if match else None


def flood(
    client: Client, disguise: Callable[[int], list[tuple[str, str]]]
) -> tuple[int, Answer, tuple[int, int] | None]:
    """Send requests until one is refused, or until there should have been a refusal; return how many were served.

    Raises:
        UnverifiedError: The quota is too large to be used up by the requests that verify sends.
    """
    began = time.monotonic()
    answer = client.get("/verify-nothing", disguise(0))
    granted = quota(answer)
    limit, window = granted or (100, 900)
    if limit > MOST:
        raise _too_large(limit, window)
    served = 0
    while answer.status != 429:
        served += 1
        elapsed = time.monotonic() - began
        if served > limit + elapsed * limit / window + 1:
            break
        if served > MOST or elapsed > SECONDS:
            raise _too_large(limit, window)
        answer = client.get("/verify-nothing", disguise(served))
    return served, answer, granted


def _too_large(limit: int, window: int) -> UnverifiedError:
    words = f"the quota, {limit} requests in {window} s, is too large to be used up here"
    return UnverifiedError(f"{words}: verify sends {MOST} requests at most, and takes {SECONDS:g} s", SMALLER)


def _insist(client: Client, target: str, headers: Pairs, method: str = "GET") -> Answer:
    """Ask until refused, but only a few times: as often as a quota may have grown again since it was used up."""
    for _ in range(5):
        answer = client.get(target, headers, method)
        if answer.status == 429:
            break
    return answer


@attacks("rate_limit.burst", "requests beyond the quota are refused, to unknown paths too")
def burst(arena: Arena) -> Seen:
    address = [("X-Forwarded-For", arena.fresh_client_address())]
    with Client(arena.real_service.port) as client:
        served, answer, granted = flood(client, lambda _: address)
        if answer.status != 429:
            return Seen("", [f"{served} requests of one client were answered, the last with {answer.status}"])
        faults = [] if granted is not None else ["no RateLimit-Policy tells a client its quota"]
        faults += [
            f"the 429 has no {name}" for name in ("retry-after", "ratelimit", "ratelimit-policy") if name not in answer
        ]
        elsewhere = {
            "a wrong method": _insist(client, "/verify-nothing", address, "PATCH"),
            "a wrong host": _insist(client, "/", [*address, ("Host", "evil.example")]),
            "another site": _insist(client, "/", [*address, ("Origin", EVIL)], "POST"),
            "another path": _insist(client, "/verify-more", address),
        }
        faults += [f"{name} is answered {each.status}" for name, each in elsewhere.items() if each.status != 429]
        other = client.get("/verify-nothing", [("X-Forwarded-For", arena.fresh_client_address())])
        if other.status == 429:
            faults.append("another client is refused too: all share one quota")
        health = client.get("/health/live", address)
        if health.status == 429:
            faults.append("/health/live is refused: an orchestrator would end the service")
    wait = answer.all("retry-after")
    return Seen(
        f"{served} answered, then 429 with Retry-After {', '.join(wait)}, on every path; other clients are served",
        faults,
    )


def _one_client(arena: Arena, disguise: Callable[[int], str], whose: str) -> Seen:
    """Send requests that the proxy says are of these clients, all of whom have one quota."""
    with Client(arena.real_service.port) as client:
        served, answer, _ = flood(client, lambda n: [("X-Forwarded-For", disguise(n))])
    fault = f"{served} requests {whose} were all answered"
    return Seen(f"429 after {served} requests {whose}", [] if answer.status == 429 else [fault])


@attacks("rate_limit.forwarded", "X-Forwarded-For makes no new client behind the proxy")
def disguised_behind_proxy(arena: Arena) -> Seen:
    address = arena.fresh_client_address()
    return _one_client(
        arena, lambda n: f"203.0.113.{n % 250}, {address}", "with changing addresses before the one that the proxy saw"
    )


@attacks("rate_limit.ipv6", "addresses of one IPv6 network are one client")
def ipv6(arena: Arena) -> Seen:
    return _one_client(arena, lambda n: f"2001:db8:7:7::{n + 1:x}", "from one /64")


def _forms(address: str) -> list[str]:
    """An IPv4 address as each kind of IPv6 address says it (RFC 3056, 4291, 4380, 6052, 8215), with zone and port too."""
    packed = inet_aton(address)
    plain, inverted = (each.hex(":", 2) for each in (packed, bytes(255 - byte for byte in packed)))
    prefixes = ("", "::", "::ffff:", "::FFFF:0:", "64:ff9b::", "64:ff9b:1::")
    others = (f"2002:{plain}::1", f"2001:0:5ef5:79fb::{inverted}", f"::ffff:{plain}%eth0", f"[::ffff:{plain}]:443")
    return [*(f"{prefix}{address}" for prefix in prefixes), *others]


@attacks("rate_limit.embedded", "an IPv4 address is one client in whatever form IPv6 has for it")
def embedded(arena: Arena) -> Seen:
    forms = _forms(arena.fresh_client_address())
    return _one_client(arena, lambda n: forms[n % len(forms)], f"of one address in {len(forms)} forms")


@attacks("rate_limit.customer", "an IPv6 customer has no quota for each of its networks", thorough=True)
def customer(arena: Arena) -> Seen:
    with Client(arena.real_service.port) as client:
        answer = client.get("/verify-nothing", [("X-Forwarded-For", "2001:db8:7:100::1")])
        limit, window = quota(answer) or (100, 900)
        if (most := limit * 24) > MOST:
            raise _too_large(limit, window)
        served = 1
        while answer.status != 429 and served < most:
            answer = client.get("/verify-nothing", [("X-Forwarded-For", f"2001:db8:7:1{served % 256:02x}::1")])
            served += 1
    fault = f"{served} requests from one /56 were all answered, where {limit} are a quota"
    return Seen(f"429 after {served} requests from one /56", [] if answer.status == 429 else [fault])


@attacks("rate_limit.spoofed", "X-Forwarded-For, Forwarded and X-Real-IP make no new client without a proxy")
def disguised(arena: Arena) -> Seen:
    answers = [
        arena.probe(
            "GET",
            "/nested/deeper/scarce",
            [
                ("X-Forwarded-For", f"198.51.100.{number}"),
                ("Forwarded", f"for=198.51.100.{number}"),
                ("X-Real-IP", f"198.51.100.{number}"),
            ],
        )
        for number in range(1, 5)
    ]
    seen = [answer.status for answer in answers]
    return Seen(
        f"a route with a quota of 2: {statuses(answers)}",
        [] if seen == [200, 200, 429, 429] else [f"a route with a quota of 2 answered {seen}"],
    )


@attacks("rate_limit.refill", "after the burst no more comes through than the quota refills", thorough=True)
def refill(arena: Arena) -> Seen:
    variables = {**PROBE, "APP_RATE_LIMIT": "20/2s"}
    with Service("refill", PROBE_MODULE, arena.probe_service.log.parent, variables) as service:
        service.wait()
        with Client(service.port) as client:
            began, answers = time.monotonic(), []
            while time.monotonic() < began + 4.0:
                answers.append(client.get("/ok"))
                time.sleep(0.01)
            elapsed = time.monotonic() - began
        processes.end(service.process)
    served = sum(answer.status == 200 for answer in answers)
    due = 20 + elapsed / 0.1
    fault = (
        f"{served} of {len(answers)} were answered in {elapsed:.1f} s where 20 at once and 10 a second allow {due:.0f}"
    )
    return Seen(
        f"{served} of {len(answers)} answered in {elapsed:.1f} s: 20 at once, then 10 a second",
        [] if abs(served - due) <= 2 else [fault],
    )
