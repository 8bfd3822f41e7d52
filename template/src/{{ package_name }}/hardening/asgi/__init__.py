# Owned by the template: an update rewrites this file.
"""The plumbing around the steps."""
