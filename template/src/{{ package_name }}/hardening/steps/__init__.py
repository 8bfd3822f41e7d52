# Owned by the template: an update rewrites this file.
"""The checklist: one module a step."""
