# Owned by the template: an update rewrites this file.
"""What everything stands on; it imports nothing above it."""
