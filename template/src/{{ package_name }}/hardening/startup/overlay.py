# Owned by the template: an update rewrites this file.
"""The steps that an organisation lays over all of its services: `STEPS` of the package `hardening_overlay`, which stands
beside `hardening` if there is one. HARDENING.md, Overlay, says more.
"""

from importlib import import_module

from ..core.findings import Finding, InsecureConfigurationError
from ..steps.base import Step

NAME = "hardening_overlay"


def overlay_steps(package: str) -> tuple[type[Step], ...]:
    """The organisation's steps; none in a service without an overlay.

    Args:
        package: The service's package, such as `my_service`.

    Raises:
        InsecureConfigurationError: There is an overlay, and its steps cannot be taken.
    """
    name = f"{package}.{NAME}"
    try:
        overlay = import_module(name)
        if not getattr(overlay, "__file__", None):  # a folder that holds no module, such as what git leaves behind
            return ()
        steps = overlay.STEPS
        if isinstance(steps, tuple | list):  # what is used up by the first application would leave the second without
            return tuple(steps)
        raise TypeError(f"STEPS is a {type(steps).__name__}")
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            return ()
        why = f"The organisation's steps cannot be taken from {name}: {type(error).__name__}: {error}."
        hint = "It has to name a tuple `STEPS`. It comes from the organisation's overlay, so report it to those who keep that."
        raise InsecureConfigurationError([Finding("steps.E007", why, hint)]) from error
