# Owned by the template: an update rewrites this file.
"""Counts and sessions in Redis or Valkey."""
