# Owned by the template: an update rewrites this file.
"""Cookies: one that a script can read, plain http can carry, or another site can use."""

from collections.abc import Collection

from ..common.answer import Answer
from ..harness.arena import NOT_TRIED, Arena, Attacks, Seen
from ..harness.routes import DiscoveredRoute
from ..result import number

attacks = Attacks("HARDENING.md, Cookies: set it with `set_cookie`; `hardening/steps/cookies.py` adds what is missing.")
FLAGS = ("secure", "httponly", "samesite")


def unsafe(answer: Answer, readable: Collection[str] = ()) -> list[str]:
    """The cookies of an answer that lack a flag, and which.

    Args:
        answer: Any response.
        readable: Cookies that scripts must read, as the route's policy says.
    """
    faults = []
    for value in answer.all("set-cookie"):
        pair, *attributes = value.split(";")
        name = pair.partition("=")[0].strip()
        present = {attribute.partition("=")[0].strip().lower() for attribute in attributes}
        missing = [flag for flag in FLAGS if flag not in present and not (flag == "httponly" and name in readable)]
        if name.startswith("__Host-") and ("domain" in present or "path" not in present):
            missing.append("path=/")
        faults += [f"{name} lacks {', '.join(missing)}"] if missing else []
    return faults


@attacks("cookies.flags", "every cookie is Secure, HttpOnly and SameSite, whoever sets it")
def whoever_set_it(arena: Arena) -> Seen:
    sources = {
        "/cookies/starlette": "a framework's default",
        "/cookies/raw": "a raw header",
        "/cookies/ours": "set_cookie",
        "/nested/deeper/cookies/starlette": "an included router",
        "/mounted/cookies/raw": "a mounted application",
        "/mounted-raw/x": "an application that is not hardened",
    }
    answers = {name: arena.probe("GET", target) for target, name in sources.items()}
    faults = [f"{name}: {fault}" for name, answer in answers.items() for fault in unsafe(answer)]
    faults += [f"{name}: the cookie is lost" for name, answer in answers.items() if "set-cookie" not in answer]
    count = sum(len(answer.all("set-cookie")) for answer in answers.values())
    return Seen(f"{count} cookies from {len(answers)} sources, each Secure, HttpOnly and SameSite", faults)


@attacks("cookies.script", "scripts read no cookie but the one that the route lets them read")
def readable(arena: Arena) -> Seen:
    answer = arena.probe("GET", "/cookies/script")
    return Seen("only the cookie that the policy names", unsafe(answer, {"theme"}))


@attacks("cookies.prefix", "the service's own cookie cannot be set from a sibling domain")
def prefixed(arena: Arena) -> Seen:
    values = [value for value in arena.probe("GET", "/cookies/ours").all("set-cookie") if "mine" in value]
    faults = [] if values and "samesite=strict" in values[0].lower() else ["the helper's cookie is not SameSite=Strict"]
    faults += [] if values and values[0].startswith("__Host-") else ["the helper's cookie has no __Host- prefix"]
    return Seen("`set_cookie` gives __Host-, which no other domain can set, and SameSite=Strict", faults)


@attacks("cookies.own-flags", "every cookie of your routes has its flags")
def own_cookies(arena: Arena) -> Seen:
    def ask(route: DiscoveredRoute) -> tuple[str, str]:
        answer = arena.ask(route.method, route.target, [] if route.is_safe else [("Host", "evil.example")])
        found = unsafe(answer, route.script_cookies)
        count = len(answer.all("set-cookie"))
        return number(count, "cookie") if count else f"{NOT_TRIED}it set no cookie", ", ".join(found)

    return arena.each(arena.routes, ask)
