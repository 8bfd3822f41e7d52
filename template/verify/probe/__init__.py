# Owned by the template: an update rewrites this file.
"""An application of the template's own behind the real perimeter: what is attacked whatever becomes of your routes."""

COOKIE = "__Host-session"
"""The cookie of its sessions."""
PASSWORD = "correct horse battery staple"  # noqa: S105 - of everybody who signs in to the probe
