"""A service under a path of real proxies: whatever address it makes leads back to it through the proxy."""

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest

from .conftest import Emit
from .proxies import HOST, UNDER_A_PATH, Proxy, free_port, in_front, running

pytestmark = pytest.mark.world

SETTINGS = {
    "APP_ENV": "development",
    "APP_DOCS": "true",
    "APP_ALLOWED_HOSTS": HOST,
    "APP_TRUSTED_PROXIES": "127.0.0.1",
    "APP_RATE_LIMIT": "900000/1s",
}
SERVICE = """
import sys

from fastapi import Request, Response
from starlette.responses import JSONResponse
from verify.probe import __main__ as probe

from orders_api.hardening import public, set_cookie

assemble, in_the_application = probe.create_app, sys.argv.pop(1)


def create_app(settings):
    app = assemble(settings)
    app.router.redirect_slashes, app.root_path = True, in_the_application

    @app.get("/links")
    @public
    def links(request: Request) -> JSONResponse:
        response = JSONResponse([str(request.url_for("links")), str(request.url_for("slash")), str(request.url)])
        set_cookie(response, "seen", "yes")
        return response

    @app.get("/slash/")
    @public
    def slash() -> None: ...

    return app


sys.modules["orders_api.app"].create_app = create_app
sys.exit(probe.command.main())
"""


@contextmanager
def serving(service: Path, folder: Path, in_application: str = "", *arguments: str, **variables: str) -> Iterator[int]:
    """The port of the service, told its path in one of the ways there are."""
    port, script = free_port(), folder / "served.py"
    script.write_text(SERVICE)
    command: list[str | Path] = [service / ".venv/bin/python", script, in_application, "serve", "--port", str(port)]
    settings = {**SETTINGS, "PYTHONPATH": str(service), **variables}
    with running([*command, *arguments], port, folder / "service.log", service, **settings):
        yield port


def get(port: int, target: str) -> tuple[http.client.HTTPResponse, bytes]:
    """One GET of the host that everybody knows, wherever it listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", target, headers={"Host": HOST})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def status(port: int, url: str) -> int:
    """That of an address that the service has made, without redirects."""
    assert urlsplit(url).netloc.partition(":")[0] in ("", HOST)
    return get(port, urlsplit(url).path)[0].status


@pytest.mark.parametrize("proxy", UNDER_A_PATH.values(), ids=UNDER_A_PATH)
@pytest.mark.parametrize("how", ["argument", "environment", "application"])
def test_every_address_leads_back(installed: Emit, tmp_path: Path, proxy: Proxy, how: str) -> None:
    service = installed(example="minimal")
    said = ["/api"] if how == "application" else ["", *(["--root-path", "/api"] if how == "argument" else [])]
    variables = {"APP_ROOT_PATH": "/api"} if how == "environment" else {}
    with serving(service, tmp_path, *said, **variables) as own, in_front(proxy, [own, own], tmp_path) as port:
        answer, body = get(port, "/api/links")
        links, slash, url = json.loads(body)
        document = json.loads(get(port, "/api/openapi.json")[1])
        page = get(port, "/api/docs")[1].decode()
        assets = [urljoin("/api/docs", each) for each in re.findall(r'(?:src|href)="([^":]+)"', page)]
        shown = re.findall(r'url: "([^"]+)"', get(port, "/api/docs/start.js")[1].decode())
        redirect = get(port, "/api/slash")[0]

        assert [urlsplit(each).path for each in (links, slash)] == ["/api/links", "/api/slash/"]
        assert [status(port, each) for each in (links, slash)] == [200, 200]
        assert document["servers"] == [{"url": "/api"}]
        assert len(assets) == 3
        assert [urljoin("/api/docs", each) for each in shown] == ["/api/openapi.json"]
        assert [status(port, each) for each in assets] == [200] * 3
        assert "path=/;" in answer.headers["set-cookie"].lower()
        assert "domain" not in answer.headers["set-cookie"].lower()
        assert redirect.status == 307
        if how != "application":  # there it is as in FastAPI, which HARDENING.md says
            assert urlsplit(url).path == "/api/links"
            assert urlsplit(redirect.headers["location"]).path == "/api/slash/"
            assert status(port, redirect.headers["location"]) == 200
        assert get(port, "/api/nope")[0].status == 404
        assert [get(each, path)[0].status for each, path in ((own, "/health/ready"), (port, "/api/health/ready"))] == [
            200
        ] * 2
