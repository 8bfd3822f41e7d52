# Owned by the template: an update rewrites this file.
"""The cookie of a session: it carries 256 random bits and nothing else, and only their hash is kept."""

from hashlib import sha256
from secrets import token_urlsafe

from starlette.requests import HTTPConnection

from ..core.problems import Problem
from .base import RequestContext, context_of
from .cookies import COOKIE_ID, cookie, values_of


class SessionCookie:
    """Reads and sends the ids of one kind of sessions.

    Args:
        name: Without `__Host-`.

    Raises:
        ValueError: No cookie can have this name.
    """

    def __init__(self, name: str) -> None:
        cookie(name, "")
        self.name = name
        self.challenge = {"www-authenticate": f'Cookie cookie-name="__Host-{name}"'}

    def unknown(self) -> Problem:
        """The answer to whoever has no session."""
        return Problem(401, "Sign in first", headers=self.challenge)

    def read(self, connection: HTTPConnection) -> tuple[RequestContext, str | None]:
        """The key of the session that the request names, if its cookie looks like one that this service made."""
        context = context_of(connection)
        if self.name in context.session_keys:
            return context, context.session_keys[self.name]
        values = values_of(context.scope["headers"], f"__Host-{self.name}".encode())
        if len(values) > 1:
            context.note("session_refused", reason="several cookies of its name")
        elif values and not COOKIE_ID.fullmatch(values[0]):
            context.note("session_refused", reason="no id of this service's form")
        elif values:
            return context, self._key_of(values[0].decode())
        return context, None

    def read_before_response(self, request: HTTPConnection) -> tuple[RequestContext, str | None]:
        """The same for whoever is going to send a new id.

        Raises:
            RuntimeError: The response has begun.
        """
        context, key = self.read(request)
        if context.has_response:
            raise RuntimeError("the response has begun, so the cookie of a session cannot leave with it any more")
        return context, key

    def send(self, context: RequestContext, session_id: str, key: str | None) -> None:
        """Set the cookie, and know the session under its new id for the rest of the request."""
        value = cookie(self.name, session_id, max_age=None if key else 0)
        context.add_on_success(self.name, (b"set-cookie", value.encode()))
        context.keep_session(self.name, key)

    def new_id(self) -> tuple[str, str]:
        """An id that nobody can guess, and the key under which its session is kept."""
        session_id = token_urlsafe(32)
        return session_id, self._key_of(session_id)

    def _key_of(self, session_id: str) -> str:
        return sha256(f"{self.name}={session_id}".encode()).hexdigest()
