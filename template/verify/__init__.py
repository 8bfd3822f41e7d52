# Owned by the template: an update rewrites this file.
"""Proof that this service is hardened: `uv run --locked python -m verify`. For development and CI, never in the image.

Each stage yields checks; a check was proved, is insecure, or could not be verified. What could not be verified is
never shown as green.
"""
