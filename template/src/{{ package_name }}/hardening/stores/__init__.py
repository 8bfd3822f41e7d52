# Owned by the template: an update rewrites this file.
"""Where counts and sessions are kept."""
