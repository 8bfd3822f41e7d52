# Owned by the template: an update rewrites this file.
"""What is looked at before the first request."""
