# Owned by the template: an update rewrites this file.
"""Which trace a request belongs to: what a trusted proxy says in `traceparent`, or the span that an SDK of OpenTelemetry
begins. Its id joins the lines of the log, problem documents and traces. Where there is neither, nothing here runs.
"""

import re
from typing import Any

from opentelemetry import trace

MAX_TRACES = 10_000
"""Requests at work whose trace is remembered."""
_PARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_of_request: dict[str, str] = {}
heard: list[Any] = []
"""The providers whose spans are heard of: `core/spans.py`."""


def parent_trace(traceparent: bytes) -> str:
    """The trace id in a `traceparent` (W3C Trace Context, 3.2); empty if it is none."""
    match = _PARENT.fullmatch(traceparent)
    return match[1].decode() if match is not None else ""


def note(request_id: str, trace_id: str) -> None:
    """Remember what trace a request belongs to, until `forget`."""
    if len(_of_request) >= MAX_TRACES:
        del _of_request[next(iter(_of_request))]
    _of_request[request_id] = trace_id


def forget(request_id: str) -> str:
    """The trace of a request that is over; empty if it has none."""
    return _of_request.pop(request_id, "")


def trace_of(request_id: str) -> str:
    """The trace of a request, or of the span at work; empty if there is none."""
    if (known := _of_request.get(request_id)) is not None or not heard:
        return known or ""
    span = trace.get_current_span().get_span_context()
    return trace.format_trace_id(span.trace_id) if span.is_valid else ""
