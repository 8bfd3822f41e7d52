"""A forge's API over HTTP: pages, limits and redirects, with a token that this one server alone is sent."""

import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException, HTTPMessage
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from .model import LARGEST
from .words import UnreadableError, UsageError, masked, printable, wait_seconds

TIMEOUT = 30.0
"""Seconds that a server may take to begin or go on with an answer."""
LONGEST_WAIT = 900.0
"""Seconds that are waited for a limit to be lifted; a longer one is said, and what was read so far is shown."""
ATTEMPTS = 4
PAUSE = 1.0
"""Seconds before the second attempt at a server that failed; they double."""
PAGES = 1000
"""Pages of a list that are followed."""


class LimitedError(UnreadableError):
    """The server lets this token ask nothing more for longer than is waited."""


class NotFoundError(UnreadableError):
    """The server has no such thing, or does not show it to this token."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


class Answer:
    """What a server answered."""

    def __init__(self, content: bytes, headers: Mapping[str, str]) -> None:
        self.content = content
        self.headers = {name.lower(): value for name, value in headers.items()}

    def json(self) -> Any:
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            raise UnreadableError("the server's answer is no JSON", "Look at --api: it has to be the API's.") from None

    @property
    def next_page(self) -> str:
        """The address of the next page, by RFC 8288."""
        match = re.search(r'<([^>]*)>;\s*rel="?next"?', self.headers.get("link", ""))
        return match[1] if match else ""


class Client:
    """Asks one server.

    Args:
        base: The API's address, such as `https://api.github.com`.
        authorization: The field that carries the token, by name and value; nothing for none.
        accept: What the `Accept` field says.
        sleep: What waits, for tests.
        say: Tells a person why it waits.
    """

    def __init__(
        self,
        base: str,
        authorization: tuple[str, str] | None,
        *,
        accept: str = "application/json",
        sleep: Callable[[float], object] = time.sleep,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.base = checked(base)
        self._origin = _origin(self.base)
        self._authorization = authorization
        self._accept = accept
        self._sleep = sleep
        self._say = say
        self._opener = urllib.request.build_opener(
            _NoRedirect, urllib.request.HTTPSHandler(context=ssl.create_default_context())
        )
        self.calls = 0

    def get(self, path: str, *, largest: int = LARGEST * 10) -> Answer:
        """Ask for a path below the base, or an address that the server itself named.

        Raises:
            UnreadableError: There is no answer that can be used.
        """
        return self._ask("GET", path, None, largest)

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        return self._ask("POST", path, json.dumps(body).encode(), LARGEST * 10)

    def pages(self, path: str) -> Iterator[Any]:
        """The entries of a list that may take several pages."""
        for _ in range(PAGES):
            answer = self.get(path)
            found = answer.json()
            if not isinstance(found, list):
                raise UnreadableError("the server's answer is no list", "Look at --api: it has to be the API's.")
            yield from found
            path = answer.next_page
            if not path:
                return
            if _origin(path) != self._origin:
                raise UnreadableError(f"the next page is on another server: {printable(path)}", "Look at --api.")

    def _ask(self, method: str, path: str, body: bytes | None, largest: int) -> Answer:
        url = path if "://" in path else f"{self.base}/{path.lstrip('/')}"
        waited = 0.0
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                return self._once(method, url, body, largest)
            except urllib.error.HTTPError as error:
                with error:
                    pause = self._after(error, attempt, last=last)
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", error)
                if last or isinstance(reason, ssl.SSLError):
                    raise UnreadableError(
                        f"{_shown(url)} cannot be reached: {printable(str(reason))}",
                        "Look at --api and the network; SSL_CERT_FILE names the certificates of a proxy of your own.",
                    ) from None
                pause = PAUSE * 2 ** (attempt - 1)
            waited += pause
            if waited > LONGEST_WAIT:
                raise LimitedError(f"the server asks to wait for {pause:.0f} s", "Run it again later.")
            self._sleep(pause)
        raise UnreadableError(f"{_shown(url)} did not answer", "Try again.")

    def _after(self, error: urllib.error.HTTPError, attempt: int, *, last: bool) -> float:
        """The seconds after which to ask again.

        Raises:
            UnreadableError: There is no use in it.
        """
        headers = error.headers
        reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset")
        remaining = headers.get("X-RateLimit-Remaining") or headers.get("RateLimit-Remaining")
        wait = wait_seconds(headers.get("Retry-After"), reset if remaining == "0" else None, time.time())
        if error.code == 429 or (error.code == 403 and (remaining == "0" or headers.get("Retry-After"))):
            wait = PAUSE * 2**attempt if wait is None else wait + 0.5
            if wait > LONGEST_WAIT or last:
                again = time.strftime("%H:%M", time.localtime(time.time() + wait))
                raise LimitedError(
                    f"the server's limit for this token is used up until {again}", "Run it again then, or use less."
                )
            if wait > 5:
                self._say(f"The server asks to wait for {wait:.0f} s: its limit is used up.")
            return wait
        if error.code >= 500 and not last:
            return min(LONGEST_WAIT, wait) if wait is not None else PAUSE * 2 ** (attempt - 1)
        where = _shown(error.url)
        if error.code in (401, 403):
            who = "the token is not admitted" if self._authorization else "it asks for a token"
            raise UnreadableError(
                f"{where} answers {error.code}: {who}", "Look at the token's scopes in docs/fleet.md."
            )
        if error.code in (404, 410):
            raise NotFoundError(
                f"{where} answers {error.code}", "Look at the name; what is private needs a token that may read it."
            )
        raise UnreadableError(f"{where} answers {error.code}", "Try again later; look at --api if it stays.")

    def _once(self, method: str, url: str, body: bytes | None, largest: int) -> Answer:
        for _ in range(5):
            request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - http or https, by `checked`
            request.add_header("Accept", self._accept)
            request.add_header("User-Agent", "hardened-fastapi-fleet")
            if body is not None:
                request.add_header("Content-Type", "application/json")
            # Downloads redirect to storage of somebody else, who has no business with the token.
            if self._authorization and _origin(url) == self._origin:
                request.add_unredirected_header(*self._authorization)
            self.calls += 1
            try:
                with self._opener.open(request, timeout=TIMEOUT) as response:
                    content = response.read(largest + 1)
                    if len(content) > largest:
                        raise UnreadableError(f"{_shown(url)} answers more than {largest} bytes", "Report this.")
                    return Answer(content, dict(response.headers))
            except urllib.error.HTTPError as error:
                if error.code not in (301, 302, 303, 307, 308) or body is not None:
                    raise
                with error:
                    target = urljoin(url, error.headers.get("Location", ""))
                if urlsplit(target).scheme not in ("http", "https") or (
                    url.startswith("https:") and not target.startswith("https:")
                ):
                    raise UnreadableError(f"{_shown(url)} redirects to {_shown(target)}", "Look at --api.") from None
                url = target
        raise UnreadableError(f"{_shown(url)} redirects again and again", "Look at --api.")


def checked(base: str) -> str:
    """An API's address without the slash at its end.

    Raises:
        UsageError: It is none.
    """
    try:
        parts = urlsplit(base.strip())
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or masked(base) != base or parts.query or parts.fragment:
        raise UsageError(
            f"--api {printable(masked(base))}: write it as https://HOST/api/v3 (GitHub) or https://HOST/api/v4 "
            "(GitLab), without a token: that is read from the environment."
        )
    return base.strip().rstrip("/")


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _shown(url: str) -> str:
    """An address without query, which may hold a signature."""
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
