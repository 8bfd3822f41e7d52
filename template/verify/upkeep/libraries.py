# Owned by the template: an update rewrites this file.
"""The libraries that bring the bounds, and how uv gives them an environment of their own. The hooks use it too."""

LIBRARIES = ("packaging>=26.3", "tomlkit>=0.13.3")
"""What `upkeep/bounds.py` imports. An environment of its own has nothing else."""
OF_ITS_OWN = (
    "run",
    "--no-project",
    "--isolated",
    "--python=>=3.11",
    *(f"--with={each}" for each in LIBRARIES),
    "python",
)
