# Owned by the template: an update rewrites this file.
"""The checklist. `STEPS` has each step that looks at requests, in the order in which they run; those of the team come
after. The other modules here are what routes call themselves (`sessions`, `credentials`, `passwords`, and `set_cookie`
of `cookies`), and what answers when they raise (`errors`).
"""

from .base import Step
from .client import Client
from .cookies import Cookies
from .cors import CrossOrigin
from .headers import SecurityHeaders
from .rate_limit import RateLimit
from .validation import Validation

STEPS: tuple[type[Step], ...] = (Client, RateLimit, Validation, CrossOrigin, Cookies, SecurityHeaders)
