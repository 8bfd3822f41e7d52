"""FastAPI and nothing else, with the same routes included in the same way, and no pages of documentation either."""

from fastapi import APIRouter, FastAPI
from routes import Strict, add_routes


def build() -> FastAPI:
    """The application."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    router = APIRouter()
    add_routes(router, Strict)
    app.include_router(router)
    return app


app = build()
