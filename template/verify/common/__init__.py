# Owned by the template: an update rewrites this file.
"""What attacks and the owned tests have in common: requests, responses, and what a response must have."""
