# Owned by the template: an update rewrites this file.
"""What every stage uses: progress on the screen, the record of a run, and processes that end. Proves nothing itself."""
