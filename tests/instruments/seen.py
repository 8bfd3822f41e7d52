"""What an SDK sees of an application, as JSON: `seen.py SDK bare|hardened PACKAGE`.

Each run is a process of its own, since SDKs patch modules; an SDK is set up as its own page says, in the same place for
both applications.
"""

import json
import logging
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

SDK, KIND, PACKAGE = sys.argv[1:4]
TARGETS = [
    "GET /items/7", "GET /v1/items/8", "GET /v1/deeper/items/9", "GET /v1/plain", "GET /boom/1", "GET /v1/boom/2",
    "GET /denied", "GET /nope", "POST /items/7", "GET /items/x", "GET /mounted/items/5", "GET /own",
]  # fmt: skip
REFUSED = [
    ("GET /items/7?unknown=1", {}, 422), ("GET /items/7", {"host": "evil.example"}, 400),
    ("POST /v1/typed", {"content-type": "text/plain"}, 415),
    ("POST /v1/typed", {"content-type": "application/json", "origin": "https://evil.example"}, 403),
    ("OPTIONS /v1/typed", {"origin": "https://app.example.com", "access-control-request-method": "POST"}, 204),
    ("GET /items/7", {}, 429),
]  # fmt: skip


def opentelemetry() -> tuple[Any, Callable[[], list[dict[str, Any]]]]:
    """A provider that keeps spans, and what it has kept."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    def kept() -> list[dict[str, Any]]:
        return [described(span) for span in exporter.get_finished_spans()]

    return provider, kept


STATUSES = ("http.status_code", "http.response.status_code")


def described(span: Any) -> dict[str, Any]:
    found = dict(span.attributes or {})
    return {
        "name": span.name,
        "kind": span.kind.name,
        "route": found.get("http.route"),
        "status": next((found[name] for name in STATUSES if name in found), None),
        "error": [span.status.status_code.name, found.get("error.type")],
        "exceptions": [(event.attributes or {}).get("exception.type") for event in span.events],
    }


def build(instrument: Callable[[Any], None], **options: Any) -> Any:
    """The same routes on FastAPI alone or behind the perimeter."""
    fastapi = import_module("fastapi")
    mark: Callable[[Any], Any] = lambda endpoint: endpoint  # noqa: E731
    make: Callable[..., Any] = lambda **more: fastapi.FastAPI(openapi_url=None, redirect_slashes=False, **more)  # noqa: E731
    if KIND == "hardened":
        own = import_module(f"{PACKAGE}.hardening")
        limit = f"{len(TARGETS) + len(REFUSED)}/1h"
        settings = own.HardeningSettings(
            env="production", allowed_hosts="testserver", trusted_proxies="none", cors_origins="https://app.example.com",
            rate_limit=limit,
        )  # fmt: skip
        mark = own.public
        make = lambda **more: own.Hardened(settings, **more)  # noqa: E731
    app, inner = make(**options), make()
    router, deeper = fastapi.APIRouter(), fastapi.APIRouter(prefix="/deeper")

    async def item(number: int) -> dict[str, int]:
        return {"number": number}

    async def boom(number: int) -> None:
        raise LookupError(str(number))

    def plain() -> None: ...

    async def denied() -> None:
        raise fastapi.HTTPException(403)

    async def typed(request: fastapi.Request) -> None: ...

    class Own(Exception):  # noqa: N818
        """Has a handler."""

    async def raises() -> None:
        raise Own

    for owner in (app, router, deeper, inner):
        owner.get("/items/{number}", response_model=None)(mark(item))
    for owner in (app, router):
        owner.get("/boom/{number}")(mark(boom))
    router.get("/plain")(mark(plain))
    router.post("/typed")(mark(typed))
    app.get("/denied")(mark(denied))
    app.get("/own")(mark(raises))
    app.exception_handler(Own)(lambda _request, _error: fastapi.Response(status_code=409))
    router.include_router(deeper)
    app.include_router(router, prefix="/v1")
    app.mount("/mounted", inner)
    instrument(app)
    return app


def sentry() -> tuple[Any, Callable[[], list[Any]]]:
    import sentry_sdk

    seen: list[Any] = []

    def event(found: Any, hint: Any) -> None:
        types = [each["type"] for each in found["exception"]["values"]]
        seen.append(["error", found.get("transaction"), types, [found.get("level")]])

    def transaction(found: Any, hint: Any) -> None:
        trace = found["contexts"]["trace"]
        seen.append(["transaction", found["transaction"], found["transaction_info"]["source"], trace.get("status")])

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, before_send=event, before_send_transaction=transaction
    )
    return build(lambda app: None), lambda: seen


def otel_app() -> tuple[Any, Callable[[], list[Any]]]:
    provider, kept = opentelemetry()
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    return build(lambda app: FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)), kept


def otel_all() -> tuple[Any, Callable[[], list[Any]]]:
    _, kept = opentelemetry()
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    FastAPIInstrumentor().instrument()
    return build(lambda app: None), kept


def native() -> tuple[Any, Callable[[], list[Any]]]:
    _, kept = opentelemetry()
    return build(lambda app: None), kept


def by_hand() -> tuple[Any, Callable[[], list[Any]]]:
    provider, kept = opentelemetry()
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return build(lambda app: app.add_middleware(OpenTelemetryMiddleware, tracer_provider=provider)), kept


def logfire() -> tuple[Any, Callable[[], list[Any]]]:
    import logfire as sdk
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    sdk.configure(
        send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(exporter)], metrics=False
    )
    return build(lambda app: sdk.instrument_fastapi(app)), lambda: [
        described(each) for each in exporter.get_finished_spans()
    ]


def elastic() -> tuple[Any, Callable[[], list[Any]]]:
    from elasticapm.contrib.starlette import ElasticAPM, make_apm_client

    seen: list[Any] = []
    client = make_apm_client(
        {"SERVICE_NAME": "x", "DISABLE_SEND": True, "CENTRAL_CONFIG": False, "METRICS_INTERVAL": "0s"}
    )

    def queue(kind: str, data: Any, flush: bool = False) -> None:
        if kind == "transaction":
            seen.append([kind, data["name"], data["result"], data["outcome"]])
        elif kind == "error":
            seen.append([kind, data["exception"]["type"]])

    client.queue = client.tracer.queue_func = queue
    return build(lambda app: app.add_middleware(ElasticAPM, client=client)), lambda: seen


def main() -> None:
    logging.disable(logging.WARNING)
    app, kept = globals()[SDK]()
    from fastapi.testclient import TestClient

    found: dict[str, Any] = {"answers": {}, "refused": {}}
    client = TestClient(app, raise_server_exceptions=False)

    def ask(target: str, headers: dict[str, str]) -> list[Any]:
        before = len(kept())
        method, _, path = target.partition(" ")
        body = (
            {"headers": {"content-type": "application/json", **headers}, "content": b"{}"} if method == "POST" else {}
        )
        status = client.request(method, path, **{"headers": headers, **body}).status_code
        return [status, kept()[before:]]

    for target in TARGETS:
        found["answers"][target] = ask(target, {})
    if KIND == "hardened":
        for number, (target, headers, status) in enumerate(REFUSED):
            answer = ask(target, headers)
            while status == 429 and answer[0] == 200:
                answer = ask(target, headers)
            assert answer[0] == status, (target, headers, answer)
            found["refused"][f"{number} {target}"] = answer
    sys.stdout = sys.__stdout__
    print(json.dumps(found))


if __name__ == "__main__":
    main()
