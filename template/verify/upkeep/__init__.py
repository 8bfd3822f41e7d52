# Owned by the template: an update rewrites this file.
"""What keeps the service near its template: releases, changelog, updates and bounds. Proves nothing by itself."""
