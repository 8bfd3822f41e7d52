# Owned by the template: an update rewrites this file.
"""What keeps an application from being made at all: a model or a route that Pydantic or FastAPI refuses. Their errors
say what is wrong; which route, model and field it is about stands only in the frames that the error passed through.
"""

import linecache
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

import fastapi
import pydantic

from ..core.findings import Finding

_FRAMEWORKS = tuple(Path(str(module.__file__)).parent for module in (fastapi, pydantic))
_ADDS_A_ROUTE = ("add_api_route", "add_api_websocket_route")
_MAX_TEXT = 300


def unmade(error: Exception) -> Finding | None:
    """The finding that says what could not be made, or `None` if it was neither a model nor a route.

    Args:
        error: What was raised while the application was imported, made or looked at.
    """
    frames = list(walk_tb(error.__traceback__))
    if isinstance(error, pydantic.ValidationError) or not any(_is_framework(frame) for frame, _ in frames):
        return None
    text = getattr(error, "message", "") or str(error)
    reason = f"{type(error).__name__}: {' '.join(text.split())[:_MAX_TEXT]}"
    subject = ", ".join(dict.fromkeys(_subjects([frame for frame, _ in frames]))) or "the application"
    path, line = next(
        ((frame.f_code.co_filename, line) for frame, line in reversed(frames) if _is_own(frame)), ("the service", 0)
    )
    source = linecache.getline(path, line).strip()
    return Finding("routes.E009", f"{subject} cannot be made: {reason}", f"It is made at {path}:{line}: `{source}`.")


def _is_framework(frame: FrameType) -> bool:
    return any(folder in Path(frame.f_code.co_filename).parents for folder in _FRAMEWORKS)


def _is_own(frame: FrameType) -> bool:
    """Whether it is code of the service: neither a library's nor the interpreter's nor owned."""
    path = Path(frame.f_code.co_filename)
    own = Path(__file__).parent.parent
    return path.is_file() and "site-packages" not in path.parts and own not in path.parents


def _subjects(frames: list[FrameType]) -> Iterator[str]:
    """The route that is being added, the model and the field that are being made, from the outside in."""
    for frame in frames:
        if not _is_framework(frame):
            continue
        own: dict[str, Any] = frame.f_locals
        if frame.f_code.co_name in _ADDS_A_ROUTE:
            methods = own.get("methods") or ["WEBSOCKET" if "websocket" in frame.f_code.co_name else "GET"]
            yield f"{','.join(sorted(methods))} {own.get('path', '')}"
        elif isinstance(name := own.get("param_name"), str):
            yield f"parameter {name}"
        elif isinstance(name := own.get("cls_name"), str):
            yield f"model {name}"
        elif isinstance(model := own.get("cls"), type) and issubclass(model, pydantic.BaseModel):
            yield f"model {model.__name__}"
        elif frame.f_code.co_name.endswith("_field_schema") and isinstance(name := own.get("name"), str):
            yield f"field {name}"
