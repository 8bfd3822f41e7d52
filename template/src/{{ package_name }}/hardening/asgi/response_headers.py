# Owned by the template: an update rewrites this file.
"""What a response leaves with: the fields of the route, and those that the steps add to them. Whatever the route wrote,
no field names the software, grants a foreign origin or sets a cookie without its flags.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..core.log import log
from ..steps.cookies import guard_cookies
from ..steps.cors import CrossOrigin
from ..steps.headers import REVEALING, Fields, SecurityHeaders

if TYPE_CHECKING:
    from .exchange import Exchange

SPECIAL = frozenset({b"set-cookie", b"vary", b"x-request-id", b"access-control-allow-origin"})


class Completion:
    """Completes the fields of every response."""

    def __init__(self, security: SecurityHeaders, cors: CrossOrigin) -> None:
        self._security = security
        self._varies = cors.fields
        self._fields = [*security.fields, *cors.fields]
        self._special = security.names | REVEALING | SPECIAL

    def complete(self, x: "Exchange", fields: Iterable[tuple[bytes, bytes]]) -> Fields:
        """The fields of a response, with all that the steps add to it."""
        fields = list(fields)
        added = [*x.added, (b"x-request-id", x.request_id.encode())]
        if x.with_success and x.status < 400:
            added += x.with_success.values()
        for name, _ in fields:
            if name in self._special or not name.islower():
                return self._merged(x, [(name.lower(), value) for name, value in fields], added)
        return [*fields, *self._fields, *added]

    def _merged(self, x: "Exchange", fields: Fields, added: Fields) -> Fields:
        fields, mended = guard_cookies(fields, x.policy.script_cookies)
        if mended:
            log("warning", "cookie_mended", request_id=x.request_id, path=x.scope["path"], cookies=mended)
        fields = self._security.complete(fields)
        varies = [value.lower() for name, value in (*fields, *self._varies) if name == b"vary"]
        if varies:
            tokens = dict.fromkeys(token.strip() for value in varies for token in value.split(b","))
            added.append((b"vary", b", ".join(tokens)))
        ours = {name for name, _ in added} - {b"set-cookie"}
        kept = [field for field in fields if field[0] not in ours and not field[0].startswith(b"access-control-")]
        return [*kept, *added]
