# Owned by the template: an update rewrites this file. Names are only ever added here.
"""The hardening: all that your own code may import from it."""

from importlib.util import find_spec

from .app import Hardened
from .core.findings import Finding, InsecureConfigurationError
from .core.problems import Problem, Refusal
from .models import ApiModel, Page, QueryModel
from .policy import guard, policy, public
from .settings import CommaSeparated, Duration, HardeningSettings, Quota
from .startup.settings import load
from .steps.base import RequestContext, Step
from .steps.cookies import delete_cookie, read_cookie, set_cookie
from .steps.credentials import SignInAttempt, sign_in_attempt
from .steps.sessions import Session, Sessions
from .steps.threads import run_async

__all__ = [
    "ApiModel",
    "CommaSeparated",
    "Duration",
    "Finding",
    "Hardened",
    "HardeningSettings",
    "InsecureConfigurationError",
    "Page",
    "Problem",
    "QueryModel",
    "Quota",
    "Refusal",
    "RequestContext",
    "Session",
    "Sessions",
    "SignInAttempt",
    "Step",
    "delete_cookie",
    "guard",
    "load",
    "policy",
    "public",
    "read_cookie",
    "run_async",
    "set_cookie",
    "sign_in_attempt",
]

if all(map(find_spec, ("argon2", "pwdlib", "zxcvbn"))):  # as with example=accounts
    from .steps.passwords import (
        NewPassword,
        Password,
        Passwords,
        gives_away,
    )

    __all__ += ["NewPassword", "Password", "Passwords", "gives_away"]
