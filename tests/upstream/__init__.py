"""FastAPI's own tests on `Hardened`: `python -m tests.upstream fastapi-0.165.0.tar.gz`, on demand."""
