# Owned by the template: an update rewrites this file. Names are only ever added here.
"""The hardening: all that your own code may import from it."""

from .application import Hardened
from .checks import Finding, InsecureConfigurationError, load
from .cookies import delete_cookie, read_cookie, set_cookie
from .credentials import SignInAttempt, sign_in_attempt
from .errors import Problem
from .models import ApiModel, QueryModel
from .policy import guard, policy, public
from .sessions import Session, Sessions
from .settings import CommaSeparated, Duration, HardeningSettings, Quota

__all__ = [
    "ApiModel",
    "CommaSeparated",
    "Duration",
    "Finding",
    "Hardened",
    "HardeningSettings",
    "InsecureConfigurationError",
    "Problem",
    "QueryModel",
    "Quota",
    "Session",
    "Sessions",
    "SignInAttempt",
    "delete_cookie",
    "guard",
    "load",
    "policy",
    "public",
    "read_cookie",
    "set_cookie",
    "sign_in_attempt",
]
