# Owned by the template: an update rewrites this file.
"""What an attacker would try: one module for each step of the checklist, and nothing else in this folder."""

from pkgutil import iter_modules

STEPS = tuple(sorted(module.name for module in iter_modules(__path__)))
"""The steps that are attacked, which are also names that `--only` takes."""
