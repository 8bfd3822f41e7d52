# Owned by the template: an update rewrites this file.
"""A look at a deployed service: what is polite and safe to send to a service that one owns, and nothing else.

Only requests that change nothing (GET, HEAD, OPTIONS, and methods that do not exist), at most two a second and forty in
all, within a minute and a half; a 429, a 503 with `Retry-After` and one of a proxy end it. What it did not try is listed, and does not
change the exit code: 0 means that all that was tried was proved. What a proxy in front answered by itself is a warning.
"""

import http.client
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urljoin, urlsplit, urlunsplit

from .attacks.cookies import unsafe
from .attacks.cors import granted
from .attacks.errors import leaks
from .attacks.headers import lacking, telling
from .common.answer import Answer
from .harness.arena import EVIL, Seen
from .harness.remote import NOTHING, EndedError, Target, is_proxy, proxy_of
from .result import Check, Options, Rule, UnverifiedError, number

ADDRESS = Rule("target", "target.address", "the address can be read")
_STICKY = re.compile(r"(?i)(awsalb|gclb|__?cf|arraffinity|bigipserver|visid_incap_|incap_ses_|serverid)\S* lacks ")
"""Cookies of balancers and walls, which no service sets."""
MARK = NOTHING.strip("/")
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
        if target.ended:
            yield rule.not_looked_at(target.ended)
            continue
        try:
            seen = attempt(target)
        except UnverifiedError as error:
            target.ended = "the look had ended before" * isinstance(error, EndedError)
            yield rule.unverified(error)
        except (OSError, http.client.HTTPException) as error:
            yield rule.unverified(f"no answer: {error}", "See that the service runs, and can be reached.")
        except ValueError as error:
            yield rule.unverified(f"no sense in the answer: {error}", "Look at the answer by hand.")
        else:
            yield _judged(rule, remedy, seen)


def _judged(rule: Rule, remedy: str, seen: Seen) -> Check:
    """What came of it. What a proxy in front answered by itself is a warning, unless the service is at fault too."""
    beside = [f"{name}: {whose}" for name, whose in seen.not_tried.items()]
    if seen.faults:
        return rule.insecure("; ".join([*seen.faults, *beside]), remedy)
    if seen.is_vacuous:
        return rule.not_looked_at("; ".join([*filter(None, [seen.text]), *beside]))
    return rule.warning("; ".join([seen.text, *beside]), _PROXY) if beside else rule.proved(seen.text)


Attempt = Callable[[Target], Seen]


def _own(target: Target, answers: dict[str, Answer]) -> tuple[dict[str, Answer], dict[str, str]]:
    """The answers of the service, and of the others whose they are."""
    others = {}
    for name, answer in answers.items():
        if proxy := proxy_of(answer):
            others[name] = f"{answer.status} by {proxy} in front, not by the service"
        address, to = target.address._replace(path=f"{target.address.path}/"), urlsplit(_moved(target, answer))
        if lacking(answer) and (to.hostname, to.path) == (address.hostname, address.path) != (address.hostname, "/"):
            said = f"write the address as {urlunsplit(address)}"
            others[name] = f"{answer.status} by what is in front, for the final slash: {said}"
    return {name: answer for name, answer in answers.items() if name not in others}, others


def _moved(target: Target, answer: Answer) -> str:
    """Where an answer sends on to, or nothing."""
    where = "".join(answer.all("location")) if 300 <= answer.status < 400 else ""
    return where and urljoin(urlunsplit(target.address), where)


def _is_foreign(answers: Iterable[Answer]) -> bool:
    """Whether not one of the answers is the service's."""
    return all(map(proxy_of, answers))


def _tls(target: Target) -> Seen:
    if target.address.scheme == "http":
        if target.address.hostname in ("127.0.0.1", "localhost", "::1"):
            return Seen("plain http, which does not leave this machine", [], True)
        return Seen("", ["everything goes over plain http, readable and changeable on the way"])
    return target.handshake()


def _plain(target: Target) -> Seen:
    if target.address.scheme == "http":
        return Seen("the address itself is plain http", [], True)
    answer = target.ask_plain()
    if answer is None:
        return Seen("port 80 is closed", [])
    if answer.status < 300:
        said = f"plain http is answered {answer.status}: a client that forgets the s sends its secrets readable"
        return Seen("", [said])
    where = ", ".join(answer.all("location"))
    if 300 <= answer.status < 400 and not _leads_back(where, target.address.hostname):
        return Seen("", [f"plain http is sent on to {where or 'nowhere'}"])
    return Seen(f"plain http is answered {answer.status}", [])


def _leads_back(where: str, host: str | None) -> bool:
    """Whether it is https, and this very host: also for a browser, which takes a backslash for a slash."""
    try:
        to = urlsplit(where)
        return (to.scheme, to.hostname) == ("https", host) and to.port != 0 and not re.search(r"[\\\s]", where)
    except ValueError:
        return False


def _headers(target: Target) -> Seen:
    answers = {
        "/health/live": target.live,
        "an unknown path": target.ask("GET", NOTHING),
        "an unknown method": target.ask("VERIFY", "/health/live"),
        "the address itself": target.ask("GET", ""),
    }
    ours, others = _own(target, answers)
    faults = [
        f"{name} ({answer.status}) lacks {', '.join(lacks)}"
        for name, answer in ours.items()
        # What a route answers may have headers of its own; what the perimeter answers has the template's.
        if (lacks := [*lacking(answer, exact=name != "the address itself"), *_weak(answer)])
    ]
    if target.address.scheme == "https" and _moved(target, answers["the address itself"]).startswith("http:"):
        faults.append("the address itself sends on to plain http")
    return Seen(f"{_statuses(ours)}, each with all", faults, not ours, others)


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


def _software(target: Target) -> Seen:
    answers = [target.live, target.ask("GET", NOTHING)]
    said = dict.fromkeys(header for answer in answers for header in telling(answer))
    others = {
        header: "what the proxy in front says of itself" for header in said if is_proxy(header[len("server: ") :])
    }
    faults = [f"it says {header}" for header in said if header not in others]
    return Seen(
        "no other header names software" if others else "no header names it", faults, _is_foreign(answers), others
    )


def _foreign(target: Target) -> Seen:
    faults, answers = [], []
    for origin in (EVIL, "null"):
        both = [target.ask("GET", path, {"Origin": origin}) for path in ("/health/live", NOTHING)]
        faults += [
            f"{origin} gets {each}" for each in dict.fromkeys(each for answer in both for each in granted(answer))
        ]
        answers += both
    return Seen(f"{EVIL} and null get no CORS header", faults, _is_foreign(answers))


def _preflight(target: Target) -> Seen:
    headers = {"Origin": EVIL, "Access-Control-Request-Method": "PUT"}
    answer = target.ask("OPTIONS", NOTHING, headers)
    faults = [f"{EVIL} gets {each}" for each in granted(answer)]
    faults += [f"the preflight is answered {answer.status}"] if answer.status < 400 else []
    return Seen(f"{answer.status}, no CORS header", faults, _is_foreign([answer]))


def _methods(target: Target) -> Seen:
    return _refused({method: target.ask(method, "/health/live") for method in ("TRACE", "VERIFY")})


def _hidden(target: Target) -> Seen:
    paths = ("/docs", "/redoc", "/openapi.json", "/metrics", "/.env", "/.git/HEAD")
    return _refused({path: target.ask("GET", path) for path in paths})


def _refused(answers: dict[str, Answer]) -> Seen:
    return Seen(_statuses(answers), [f"{name} is answered {a.status}" for name, a in answers.items() if a.status < 400])


def _silent(target: Target) -> Seen:
    answers = {
        "an unknown path": target.ask("GET", f"{NOTHING}?{MARK}=1"),
        "a control character": target.ask("GET", f"{NOTHING}%00"),
        "an unknown method": target.ask("VERIFY", "/health/live"),
    }
    ours, others = _own(target, answers)
    faults = [f"{name} ({a.status}) {fault}" for name, a in ours.items() for fault in leaks(a, MARK)]
    faults += [f"{name} is answered {a.status}" for name, a in ours.items() if a.status >= 500 or a.status < 400]
    return Seen(f"{_statuses(ours)}: a problem document and nothing of the inside", faults, not ours, others)


def _cookies(target: Target) -> Seen:
    answers = [target.ask("GET", ""), target.ask("GET", NOTHING)]
    count = sum(len(answer.all("set-cookie")) for answer in answers)
    found = dict.fromkeys(fault for answer in answers for fault in unsafe(answer))
    others = {fault: "by which what is in front finds its way" for fault in found if _STICKY.match(fault)}
    faults = [fault for fault in found if fault not in others]
    seen = f"{number(count, 'cookie')}, each with its flags" if count else "no cookie was set"
    return Seen("no other cookie lacks one" if others else seen, faults, not count or _is_foreign(answers), others)


def _statuses(answers: dict[str, Answer]) -> str:
    return ", ".join(
        f"{name} {answer.status}{f' by {proxy}' if (proxy := proxy_of(answer)) else ''}"
        for name, answer in answers.items()
    )


_TEMPLATE = "See that this is the emitted service, and that no proxy in front of it takes away or adds what is wrong."
_PROXY = (
    "See to the proxy, where it matters to you: `server_tokens off`, pages of errors with the same headers; an address "
    "below a path is written with its final slash."
)
_CLOSE = "Close port 80, or answer it with an error or a redirect to https of this very host."
_RENEW = "Renew or configure the certificate where TLS ends; TLS 1.2 at least."
_DOCS = "Leave APP_DOCS unset in production."
ATTEMPTS: tuple[tuple[Rule, str, Attempt], ...] = (
    (Rule("server", "target.plain-http", "plain http is not answered"), _CLOSE, _plain),
    (Rule("server", "target.tls", "the connection is protected by TLS"), _RENEW, _tls),
    (Rule("server", "target.methods", "methods that no API needs are refused"), _TEMPLATE, _methods),
    (Rule("headers", "target.headers", "every answer has the security headers"), _TEMPLATE, _headers),
    (Rule("headers", "target.software", "no answer names the software or its version"), _TEMPLATE, _software),
    (Rule("cors", "target.cors", "no other origin reads an answer"), _TEMPLATE, _foreign),
    (Rule("cors", "target.preflight", "no other origin gets a preflight answered"), _TEMPLATE, _preflight),
    (Rule("errors", "target.hidden", "no documentation and no file that was left behind is public"), _DOCS, _hidden),
    (Rule("errors", "target.errors", "errors expose no internals and no input"), _TEMPLATE, _silent),
    (Rule("cookies", "target.cookies", "every cookie has its flags"), _TEMPLATE, _cookies),
)
