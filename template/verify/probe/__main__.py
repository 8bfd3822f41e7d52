# Owned by the template: an update rewrites this file.
"""`python -m verify.probe` is `python -m` and your package, with the probe application in place of yours.

Nothing of your application is imported. The worker processes of the server import this module too, so they serve the
probe as well.
"""

import sys
from types import ModuleType

from orders_api.hardening import Hardened, HardeningSettings

from . import sessions
from .app import assemble


def create_app(settings: HardeningSettings) -> Hardened:
    """What `app.py` has under this name."""
    return sessions.add_to(assemble(settings))


def _stand_in(name: str, **values: object) -> None:
    """Put a module of this process alone in the place of one of yours, before anything imports that one."""
    module = ModuleType(f"{Hardened.__module__.partition('.')[0]}.{name}")
    vars(module).update(values)
    sys.modules[module.__name__] = module


_stand_in("app", create_app=create_app)
_stand_in("settings", Settings=HardeningSettings)

from orders_api import __main__ as command  # noqa: E402 - it imports both

if __name__ == "__main__":
    sys.exit(command.main())
