"""The stack that guides for FastAPI put together: secure, slowapi, CORSMiddleware, TrustedHostMiddleware.

slowapi never limits a route that was included, so the routes stand on the application itself; of its two middlewares
this is the faster one, and by default it tells clients nothing of their quota.
"""

import os

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from routes import Strict, add_routes
from secure import Secure
from secure.middleware import SecureASGIMiddleware
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIASGIMiddleware
from slowapi.util import get_remote_address

limit, window = os.environ["QUOTA"].split("/")

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
app.state.limiter = Limiter(
    key_func=get_remote_address,
    default_limits=[f"{limit} per {window} seconds"],
    headers_enabled="QUOTA_HEADERS" in os.environ,
)
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
app.add_middleware(SlowAPIASGIMiddleware)
app.add_middleware(CORSMiddleware, allow_origins=["https://app.example.com"], allow_credentials=True)
app.add_middleware(TrustedHostMiddleware, allowed_hosts=["api.example.com"])
app.add_middleware(SecureASGIMiddleware, secure=Secure.with_default_headers())
add_routes(app, Strict)
