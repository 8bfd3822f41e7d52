# Owned by the template: an update rewrites this file.
"""The environment of what is started, without what would steer the result: what a shell, a CI job, Copier or git left
behind reaches nothing. The hooks use this list too, in Copier's interpreter: Python 3.10, and the standard library.
"""

import os
from collections.abc import Mapping

# They would change the settings of the service, the interpreter and its modules, the tests that run, the advisory service
# that is asked, the repository that is looked at.
DROPPED = ("APP_", "COPIER_", "VERSION_", "VIRTUAL_ENV", "PYTHON", "PYTEST_", "COVERAGE_", "PIP_AUDIT_", "GRANIAN_")
COLOURS = ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS")
DROPPED_NAMES = {*COLOURS, "STAGE", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"}
# uv has a variable for nearly every option, and most of them change what is resolved, where it is installed or what is
# left out. Kept is only where packages come from and how this machine gets at them.
_OF_UV = """
    UV_CACHE_DIR UV_CONCURRENT_ UV_CONFIG_FILE UV_CREDENTIALS_DIR UV_DEFAULT_INDEX UV_EXCLUDE_NEWER UV_EXTRA_INDEX_URL
    UV_FIND_LINKS UV_HTTP_ UV_INDEX UV_INSECURE_HOST UV_KEYRING_PROVIDER UV_LINK_MODE UV_LOCK_TIMEOUT UV_NATIVE_TLS
    UV_NO_CACHE UV_NO_CONFIG UV_NO_INDEX UV_OFFLINE UV_PYTHON UV_REQUEST_TIMEOUT UV_SYSTEM_CERTS
"""
KEPT_OF_UV = tuple(_OF_UV.split())


def is_kept(name: str) -> bool:
    """Whether a variable may reach what is started."""
    upper = name.upper()
    if upper.startswith("UV_"):
        return upper.startswith(KEPT_OF_UV)
    return not upper.startswith(DROPPED) and upper not in DROPPED_NAMES


def clean(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process without what would steer the result, and these variables."""
    kept = {name: value for name, value in os.environ.items() if is_kept(name)}
    return {**kept, **(variables or {})}
