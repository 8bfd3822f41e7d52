"""What the hardening costs, and how it stands beside its peers: `uv run python -m benchmarks`."""
