"""fastapi-guard as its README shows it, with its start-up hook; memory store, no TLS and no cloud lists here."""

import os

from fastapi import FastAPI
from guard import SecurityConfig, SecurityMiddleware
from guard.lifespan import guard_lifespan
from routes import Strict, add_routes

limit, window = os.environ["QUOTA"].split("/")

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=guard_lifespan)
app.add_middleware(
    SecurityMiddleware,
    config=SecurityConfig(
        enable_redis=False,
        enable_rate_limiting=True,
        rate_limit=int(limit),
        rate_limit_window=int(window),
        enforce_https=False,
        enable_cors=True,
        cors_allow_origins=["https://app.example.com"],
        cors_allow_methods=["GET", "POST"],
        cors_allow_headers=["*"],
        cors_allow_credentials=True,
    ),
)
add_routes(app, Strict)
