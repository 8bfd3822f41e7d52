# Owned by the template: an update rewrites this file.
"""How the log learns the traces of requests: from a proxy, or from the spans of an SDK of OpenTelemetry."""

from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from starlette.types import Message, Send

from .log import Log, log, request_id
from .traces import forget, heard, note


def note_trace(request_id: str, trace_id: str) -> None:
    """Write the id of its trace into each line of a request from now on."""
    note(request_id, trace_id)
    vars(log)["request"] = _request_of_trace  # until then no request pays for it


def _request_of_trace(level: str, event: str, request_id: str, *given: Any) -> None:
    if trace_id := forget(request_id):
        given = (*given[:-1], {**given[-1], "trace_id": trace_id})
    Log.request(log, level, event, request_id, *given)


class _Listener:
    """A span processor: the server's span that begins while a request is at work is the request's."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if span.kind is trace.SpanKind.SERVER and (at_work := request_id.get()):
            note_trace(at_work, trace.format_trace_id(span.get_span_context().trace_id))

    def on_end(self, span: Any) -> None: ...

    _on_ending = on_end

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 0) -> bool:
        return True


def listen_to_spans() -> None:
    """Hear of the spans of the SDK that is set up by now, if one is."""
    provider: Any = trace.get_tracer_provider()
    if hasattr(provider, "add_span_processor") and provider not in heard:
        heard.append(provider)
        provider.add_span_processor(_Listener())


def then_listen(send: Send, on_start: Callable[[], None]) -> Send:
    """A lifespan's `send`: an SDK is set up by the time that the application has started, which `on_start` is told."""

    async def send_and_listen(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            listen_to_spans()
            on_start()
        await send(message)

    return send_and_listen
