# Owned by the template: an update rewrites this file.
"""What the OpenAPI document says of errors, and the pages of development that show it: from this host only, under a
policy that lets no inline script run.

The assets are Swagger UI's, from a package of the development group; production has neither the package nor the pages.
"""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.utils import generate_unique_id

from .core.findings import Finding, InsecureConfigurationError
from .core.problems import MAX_ERRORS, MEDIA_TYPE
from .policy import public

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>API documentation</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
"""

_NUMBER = {"type": "integer", "format": "int32", "minimum": 0, "maximum": 2**31 - 1}
_TEXT = {"type": "string", "maxLength": 1000}
_ID = {"type": "string", "pattern": "^[0-9a-f]{32}$", "maxLength": 32}
_PROBLEM = {
    "title": "Problem",
    "description": "A problem document (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "request_id"],
    "properties": {
        "type": {**_TEXT, "format": "uri-reference", "default": "about:blank"},
        "title": _TEXT,
        "detail": _TEXT,
        "status": {"type": "integer", "format": "int32", "minimum": 400, "maximum": 599},
        "request_id": _ID,
        "trace_id": _ID,
        "errors": {"type": "array", "maxItems": MAX_ERRORS, "items": {"$ref": "#/components/schemas/InputError"}},
    },
}
_INPUT_ERROR = {
    "title": "InputError",
    "type": "object",
    "required": ["loc", "type", "msg"],
    "properties": {
        "loc": {"type": "array", "maxItems": 64, "items": {"anyOf": [_TEXT, _NUMBER]}},
        "type": _TEXT,
        "msg": _TEXT,
    },
}


def describe_problems(schema: dict[str, Any]) -> None:
    """Replace FastAPI's description of errors by what the perimeter really answers, in place."""
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(Problem=_PROBLEM, InputError=_INPUT_ERROR)
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    sent = {
        "RateLimit": "What is left of the quota.",
        "RateLimit-Policy": "The quota.",
        "X-Request-Id": "Its id in the log.",
    }
    headers = {name: {"description": text, "schema": _TEXT} for name, text in sent.items()}
    retry = {"Retry-After": {"description": "Seconds to wait.", "schema": _NUMBER}}
    for item in schema.get("paths", {}).values():
        for operation in item.values():
            responses = operation["responses"]
            if operation.get("security"):
                responses.setdefault("401", {"description": "The caller is not known", "content": content})
            responses["422"] = {"description": "The input is not valid", "content": content}
            responses["429"] = {"description": "Too many requests", "content": content, "headers": retry}
            responses.setdefault("default", {"description": "Any other problem", "content": content})
            for response in responses.values():
                if "$ref" not in response:
                    response["headers"] = {**headers, **response.get("headers", {})}


def add_docs(app: FastAPI) -> None:
    """Serve `/docs` and `/openapi.json`.

    Raises:
        InsecureConfigurationError: The package with the assets is not installed.
    """
    spec = find_spec("fastapi_offline")
    if spec is None or not spec.submodule_search_locations:
        hint = "Run `uv sync` with the development group, or set APP_DOCS=false."
        raise InsecureConfigurationError(
            [Finding("docs.E001", "The assets of the documentation are not installed.", hint)]
        )
    assets = Path(next(iter(spec.submodule_search_locations))) / "static"

    get = partial(app.get, include_in_schema=False, generate_unique_id_function=generate_unique_id)

    @get("/openapi.json")
    @public
    def openapi(request: Request) -> JSONResponse:
        schema = app.openapi()
        root_path, servers = request.scope.get("root_path", "").rstrip("/"), schema.get("servers", [])
        if root_path and app.root_path_in_servers and root_path not in (each.get("url") for each in servers):
            schema = {**schema, "servers": [{"url": root_path}, *servers]}  # as FastAPI's own page has it
        return JSONResponse(schema)

    @get("/docs")
    @public
    def page() -> HTMLResponse:
        return HTMLResponse(_PAGE, headers={"content-security-policy": _POLICY})

    @get("/docs/start.js")
    @public
    def start() -> Response:
        return Response(_START, media_type="text/javascript")

    @get("/docs/assets/{name}")  # not a mount, which is not found where a proxy takes a path off
    @public
    def asset(name: Literal["swagger-ui.css", "swagger-ui-bundle.js"]) -> FileResponse:
        return FileResponse(assets / name)
