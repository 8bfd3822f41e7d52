# Owned by the template: an update rewrites this file.
"""What the attacks are made with: servers as in production, the routes of the service, and the arena of an attack."""
