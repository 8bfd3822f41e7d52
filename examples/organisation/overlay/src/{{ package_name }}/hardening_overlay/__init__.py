# Owned by the organisation: an update of its overlay rewrites this file.
"""The steps that every service of ours has. They run after those of the template and of the service."""

from ..hardening import Refusal, RequestContext, Step


class OneMethod(Step):
    """No request says that it is another one: our gateway allows by method, and would be passed by."""

    name = "one_method"
    overridden = Refusal(400, "method_overridden", title="Send the method itself, not a header that names another")
    names = frozenset({b"x-http-method", b"x-http-method-override", b"x-method-override"})

    def refuse(self, request: RequestContext) -> Refusal | None:
        return None if self.names.isdisjoint(request.headers) else self.overridden


STEPS: tuple[type[Step], ...] = (OneMethod,)
