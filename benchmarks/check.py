"""Whether each contender does its jobs, asked by requests before anything is timed. The seventh, the audit, is done
when a service is built, and costs a request nothing.
"""

from collections.abc import Callable

from .contenders import CHECKED, Contender
from .load import USER
from .processes import Process

ORIGIN = "https://app.example.com"
JSON = {"Content-Type": "application/json"}
LIMIT = int(CHECKED.partition("/")[0])


class CheckError(Exception):
    """A contender does not do what it is compared for."""


def _headers(server: Process) -> bool:
    names = {name for name, _ in server.ask("GET", "/ping")[1]}
    wanted = {"strict-transport-security", "x-content-type-options", "x-frame-options", "referrer-policy"}
    return names >= wanted and "x-powered-by" not in names


def _validation(server: Process) -> bool:
    wrong = (
        b'{"username":"a!","email":"alice@example.com"}',
        b'{"username":"alice","email":"alice"}',
        b'{"username":"alice"}',
        b'{"username":123,"email":"alice@example.com"}',
        b'{"username":"alice","email":"alice@example.com","admin":true}',
    )
    return all(server.ask("POST", "/users", JSON, body)[0] in (400, 422) for body in wrong)


def _errors(server: Process) -> bool:
    status, _, body = server.ask("GET", "/fail")
    return status == 500 and b"canary" not in body and b"Traceback" not in body


def _cors(server: Process) -> bool:
    def granted(origin: str) -> str | None:
        return dict(server.ask("GET", "/ping", {"Origin": origin})[1]).get("access-control-allow-origin")

    return granted(ORIGIN) == ORIGIN and granted("https://evil.example") is None


def _cookies(server: Process) -> bool:
    cookie = dict(server.ask("GET", "/cookie")[1]).get("set-cookie", "").lower()
    return all(flag in cookie for flag in ("httponly", "secure", "samesite=strict"))


def _limit(server: Process) -> bool:
    statuses = [server.ask("GET", "/ping")[0] for _ in range(LIMIT + 5)]
    return statuses[0] == 200 and statuses[-1] == 429


# The limit comes last, since nobody is answered after it.
_CHECKS: dict[str, Callable[[Process], bool]] = {
    "headers": _headers,
    "validation": _validation,
    "errors": _errors,
    "cors": _cors,
    "cookies": _cookies,
    "limit": _limit,
}


def check(contender: Contender) -> None:
    """Start it with the quota of the checklist and ask for each of its jobs.

    Raises:
        CheckError: It does not do one that it is said to do; or it does not serve the two routes.
    """
    with contender.process(CHECKED) as server:
        server.wait()
        status, _, body = server.ask("GET", "/ping")
        if status != 200 or b"pong" not in body:
            raise CheckError(f"{contender.name}: GET /ping answers {status}")
        status, _, body = server.ask("POST", "/users", JSON, USER.encode())
        if status != 201 or b"alice@example.com" not in body or b'"id"' not in body:
            raise CheckError(f"{contender.name}: POST /users answers {status}")
        for job, does in _CHECKS.items():
            if job in contender.jobs and not does(server):
                raise CheckError(f"{contender.name} does not do its {job}")
