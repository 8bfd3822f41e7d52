# Owned by the template: an update rewrites this file.
"""The stages of the proof, one module each: `stage(options)` tries things and yields a `Check` for each."""
