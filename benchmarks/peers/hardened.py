"""Takes the place of `app.py` in the emitted service: the routes of the comparison behind the perimeter."""

from fastapi import APIRouter
from routes import add_routes

from .hardening import ApiModel, Hardened, public
from .settings import Settings


def create_app(settings: Settings) -> Hardened:
    """Put the service together."""
    app = Hardened(settings)
    router = APIRouter()
    add_routes(router, ApiModel, public)
    app.include_router(router)
    return app
