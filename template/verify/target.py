# Owned by the template: an update rewrites this file.
"""A look at a deployed service: what is polite and safe to send to a service that one owns, and nothing else.

Only requests that change nothing (GET, HEAD, OPTIONS, and methods that do not exist), at most two a second and forty in
all; a 429 or 503 with `Retry-After` ends it. What it did not try is listed, and does not change the exit code: 0 means
that all that was tried was proved.
"""

import http.client
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from .attacks.cookies import unsafe
from .attacks.cors import granted
from .attacks.errors import leaks
from .attacks.headers import lacking, telling
from .common.answer import Answer
from .harness.arena import EVIL
from .harness.remote import Target, exchange
from .result import Check, Options, Rule, UnverifiedError

ADDRESS = Rule("target", "target.address", "the address can be read")
MARK = "verify-nothing-here"
NOT_MADE = (
    "rate limit (it would take the quota of others)",
    "validation of bodies",
    "cross-site requests that change something",
    "slow and many connections",
    "ambiguous framing",
    "routes of your own",
)


def stage(options: Options) -> Iterator[Check]:
    """Look at the deployed service."""
    address = urlsplit(options.target)
    try:
        known = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        known = None
    if not known or address.query or address.fragment or address.username:
        remedy = "Write it as https://api.example.com, with a path if the service is below one."
        yield ADDRESS.unverified(f"{options.target} is no address", remedy)
        return
    target = Target(address)
    for rule, remedy, attempt in ATTEMPTS:
        if not options.wants(rule.step):
            continue
        try:
            seen, faults = attempt(target)
        except UnverifiedError as error:
            yield rule.unverified(error.seen, error.remedy)
        except (OSError, http.client.HTTPException) as error:
            yield rule.unverified(f"no answer: {error}", "See that the service runs, and can be reached.")
        except ValueError as error:
            yield rule.unverified(f"no sense in the answer: {error}", "Look at the answer by hand.")
        else:
            yield rule.insecure("; ".join(faults), remedy) if faults else rule.proved(seen)


Attempt = Callable[[Target], tuple[str, list[str]]]


def _tls(target: Target) -> tuple[str, list[str]]:
    if target.address.scheme == "http":
        if target.address.hostname in ("127.0.0.1", "localhost", "::1"):
            return "plain http, which does not leave this machine", []
        return "", ["everything goes over plain http, readable and changeable on the way"]
    return target.handshake()


def _plain(target: Target) -> tuple[str, list[str]]:
    if target.address.scheme == "http":
        return "the address itself is plain http", []
    address = target.address._replace(scheme="http", netloc=target.address.hostname or "")
    target.made += 1
    try:
        answer = exchange(address, "GET", f"{target.address.path.rstrip('/')}/health/live", {})
    except (OSError, http.client.HTTPException):
        return "port 80 is closed", []
    if answer.status < 300:
        return "", [f"plain http is answered {answer.status}: a client that forgets the s sends its secrets readable"]
    where = "".join(answer.all("location"))
    if 300 <= answer.status < 400 and not where.startswith(f"https://{target.address.hostname}"):
        return "", [f"plain http is sent on to {where or 'nowhere'}"]
    return f"plain http is answered {answer.status}", []


def _headers(target: Target) -> tuple[str, list[str]]:
    answers = {
        "/health/live": target.ask("GET", "/health/live"),
        "an unknown path": target.ask("GET", f"/{MARK}"),
        "an unknown method": target.ask("VERIFY", "/health/live"),
        "the address itself": target.ask("GET", ""),
    }
    faults = [
        f"{name} ({answer.status}) lacks {', '.join(lacks)}"
        for name, answer in answers.items()
        # What a route answers may have headers of its own; what the perimeter answers has the template's.
        if (lacks := [*lacking(answer, exact=name != "the address itself"), *_weak(answer)])
    ]
    return f"{_statuses(answers)}, each with all", faults


def _weak(answer: Answer) -> list[str]:
    """What a header says that does not help."""
    faults = []
    ages = [
        int(age) for value in answer.all("strict-transport-security") for age in re.findall(r"max-age=(\d+)", value)
    ]
    if any(age < 31_536_000 for age in ages):
        faults.append("a year of strict-transport-security")
    if answer.all("x-content-type-options") not in ([], ["nosniff"]):
        faults.append("nosniff")
    if any("unsafe-inline" in value and "script-src" in value for value in answer.all("content-security-policy")):
        faults.append("a policy without unsafe-inline")
    return faults


def _software(target: Target) -> tuple[str, list[str]]:
    answer = target.ask("GET", f"/{MARK}")
    return "no header names it", [f"it says {header}" for header in telling(answer)]


def _foreign(target: Target) -> tuple[str, list[str]]:
    faults = []
    for origin in (EVIL, "null"):
        answer = target.ask("GET", "/health/live", {"Origin": origin})
        other = target.ask("GET", f"/{MARK}", {"Origin": origin})
        faults += [f"{origin} gets {each}" for each in dict.fromkeys((*granted(answer), *granted(other)))]
    return f"{EVIL} and null get no CORS header", faults


def _preflight(target: Target) -> tuple[str, list[str]]:
    headers = {"Origin": EVIL, "Access-Control-Request-Method": "PUT"}
    answer = target.ask("OPTIONS", f"/{MARK}", headers)
    faults = [f"{EVIL} gets {each}" for each in granted(answer)]
    faults += [f"the preflight is answered {answer.status}"] if answer.status < 400 else []
    return f"{answer.status}, no CORS header", faults


def _methods(target: Target) -> tuple[str, list[str]]:
    answers = {method: target.ask(method, "/health/live") for method in ("TRACE", "VERIFY")}
    return _statuses(answers), [f"{method} is answered {a.status}" for method, a in answers.items() if a.status < 400]


def _hidden(target: Target) -> tuple[str, list[str]]:
    paths = ("/docs", "/redoc", "/openapi.json", "/metrics", "/.env", "/.git/HEAD")
    answers = {path: target.ask("GET", path) for path in paths}
    return _statuses(answers), [f"{path} is answered {a.status}" for path, a in answers.items() if a.status < 400]


def _silent(target: Target) -> tuple[str, list[str]]:
    answers = {
        "an unknown path": target.ask("GET", f"/{MARK}?{MARK}=1"),
        "a control character": target.ask("GET", f"/{MARK}%00"),
        "an unknown method": target.ask("VERIFY", "/health/live"),
    }
    faults = [f"{name} ({a.status}) {fault}" for name, a in answers.items() for fault in leaks(a, MARK)]
    faults += [f"{name} is answered {a.status}" for name, a in answers.items() if a.status >= 500 or a.status < 400]
    return f"{_statuses(answers)}: a problem document and nothing of the inside", faults


def _cookies(target: Target) -> tuple[str, list[str]]:
    answers = [target.ask("GET", ""), target.ask("GET", f"/{MARK}")]
    count = sum(len(answer.all("set-cookie")) for answer in answers)
    faults = [fault for answer in answers for fault in unsafe(answer)]
    return f"{count} cookies, each with its flags" if count else "no cookie was set", faults


def _statuses(answers: dict[str, Answer]) -> str:
    return ", ".join(f"{name} {answer.status}" for name, answer in answers.items())


_TEMPLATE = "See that this is the emitted service, and that no proxy in front of it takes away or adds what is wrong."
ATTEMPTS: tuple[tuple[Rule, str, Attempt], ...] = (
    (
        Rule("server", "target.tls", "the connection is protected by TLS"),
        "Renew or configure the certificate where TLS ends; TLS 1.2 at least.",
        _tls,
    ),
    (
        Rule("server", "target.plain-http", "plain http is not answered"),
        "Close port 80, or answer it with an error or a redirect to https.",
        _plain,
    ),
    (Rule("server", "target.methods", "methods that no API needs are refused"), _TEMPLATE, _methods),
    (Rule("headers", "target.headers", "every answer has the security headers"), _TEMPLATE, _headers),
    (Rule("headers", "target.software", "no answer names the software or its version"), _TEMPLATE, _software),
    (Rule("cors", "target.cors", "no other origin reads an answer"), _TEMPLATE, _foreign),
    (Rule("cors", "target.preflight", "no other origin gets a preflight answered"), _TEMPLATE, _preflight),
    (
        Rule("errors", "target.hidden", "neither the documentation nor a file that was left behind is public"),
        "Leave APP_DOCS unset in production.",
        _hidden,
    ),
    (Rule("errors", "target.errors", "errors expose no internals and no input"), _TEMPLATE, _silent),
    (Rule("cookies", "target.cookies", "every cookie has its flags"), _TEMPLATE, _cookies),
)
