# Owned by the template: an update rewrites this file.
"""What a response leaves with: the headers of the route, and those that the steps add to them. Whatever the route
wrote, no header names the software, grants a foreign origin or sets a cookie without its flags.
"""

from collections.abc import Callable, Iterable, Sequence

from ..core.framework import teams_layer
from ..core.headers import HeaderList
from ..core.problems import MEDIA_TYPE
from ..policy import Policy
from ..steps.base import RequestContext, Step, is_overridden

MERGED_HEADERS = frozenset({b"vary", b"content-security-policy"})
"""Two values of these bind together, so none is dropped."""
Respond = Callable[[RequestContext, HeaderList], HeaderList]


def with_headers_of(policy: Policy, status: int, headers: HeaderList) -> HeaderList:
    """What an application wrote, and the headers of its policy that it did not write itself."""
    written = {name.lower(): value for name, value in headers}
    if written.get(b"content-type") == MEDIA_TYPE.encode():
        return headers
    added = [(name.encode(), value.encode()) for name, value in policy.headers.items()]
    is_kept = status < 400
    return [*headers, *(each for each in added if each[0] not in written and (is_kept or each[0] != b"cache-control"))]


class ResponseHeaders:
    """Completes the headers of every response; what does not depend on one is ready before the first.

    Args:
        checklist: What adds to responses, in this order.
        team: The same for the team's own. Their `respond` comes first: what it writes is treated as a route's.
    """

    def __init__(self, checklist: Sequence[Step], team: Sequence[Step] = ()) -> None:
        steps = (*checklist, *team)
        responding = [step for step in steps if is_overridden(step.respond, Step.respond)]
        self._team: tuple[Respond, ...] = tuple(step.respond for step in responding if step in team)
        responding = [step for step in responding if step not in team]
        self._responders: tuple[Respond, ...] = tuple(step.respond for step in responding)
        self._untriggered = tuple(step.respond for step in responding if not step.respond_triggers)
        self._triggers = frozenset(name for step in responding for name in step.respond_triggers)
        fixed: dict[bytes, bytes] = {}
        for name, value in (header for step in steps for header in step.fixed_headers):
            fixed[name] = b", ".join((fixed[name], value)) if name == b"vary" and name in fixed else value
        self._fixed: HeaderList = list(fixed.items())
        self._fixed_names = frozenset(fixed)
        self._reserved = frozenset(name for step in steps for name in step.reserved_headers)
        self._merged = self._fixed_names | MERGED_HEADERS | {b"x-request-id"}
        self._special = self._merged | self._reserved | self._triggers

    def finalize(self, request: RequestContext, status: int, headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
        """The headers of a response, with all that the steps add to it."""
        headers = list(headers)
        for respond in self._team:
            headers = list(respond(request, headers))
            if not all(isinstance(name, bytes) and isinstance(value, bytes) for name, value in headers):
                raise TypeError("a step's `respond` returned headers that are not bytes")
        written = headers
        is_plain = True
        for name, _ in headers:
            if name in self._special or not name.islower():
                lowered = [(name.lower(), value) for name, value in headers]
                headers = [header for header in lowered if header[0] not in self._reserved]
                is_plain = False
                break
        is_triggered = not (is_plain and self._triggers.isdisjoint(request.headers))
        for respond in self._responders if is_triggered else self._untriggered:
            headers = respond(request, headers)
        added = request.begin_response(status)
        if is_plain and (headers is written or self._merged.isdisjoint(dict(headers))):
            return [*headers, *self._fixed, *added]
        own = [value for name, value in headers if name == b"x-request-id"]
        if own and any(map(teams_layer, getattr(request.scope.get("app"), "user_middleware", ()))):  # it gives ids, too
            request.log_fields["correlation_id"] = own[-1][:200].decode("latin-1")
            added = [(name, own[-1] if name == b"x-request-id" else value) for name, value in added]
        return self._merge(headers, added)

    def _merge(self, headers: HeaderList, added: HeaderList) -> HeaderList:
        """A value that the route chose stays, once, unless a step has one for this very response."""
        chosen: dict[bytes, bytes] = {}
        others: HeaderList = []
        replaced = {name for name, _ in added} - {b"set-cookie"}
        for name, value in headers:
            if name in replaced:
                continue
            if name in MERGED_HEADERS and name in chosen:
                chosen[name] += b", " + value
            elif name in self._fixed_names or name in MERGED_HEADERS:
                chosen.setdefault(name, value)
            else:
                others.append((name, value))
        fixed = [(name, chosen.pop(name, value)) for name, value in self._fixed if name != b"vary"]
        varies = [chosen.pop(b"vary", b""), *(value for name, value in self._fixed if name == b"vary")]
        tokens = dict.fromkeys(token.strip() for value in varies for token in value.lower().split(b",") if token)
        vary = [(b"vary", b", ".join(tokens))] if tokens else []
        return [*others, *chosen.items(), *fixed, *added, *vary]
