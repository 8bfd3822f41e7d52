"""What people put onto FastAPI (WSGI, an admin, GraphQL, accounts and tools of a library, pages of one's own, a
frontend), each under a policy of its own, in a real browser: it works, and nothing beside it is looser for it."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from verify.common.ports import free_port

from .browser import Page, chromium
from .conftest import PATIENCE, Emit
from .test_ported_code import environment
from .test_service import answer_of

FOREIGN = Path(__file__).parent / "foreign"
LIBRARIES = (
    *("a2wsgi", "flask", "sqladmin", "strawberry-graphql", "fastapi-users", "fastapi-users-db-sqlalchemy", "aiosqlite"),
    *("jinja2", "mcp", "itsdangerous", "python-multipart", "starlette-admin"),
)
FORM = "application/x-www-form-urlencoded"
API = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def address(emit: Emit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service in production that has all of it."""
    service = tmp_path_factory.mktemp("foreign") / "svc"
    shutil.copytree(emit(example="minimal", package_name="svc"), service)
    shutil.copytree(FOREIGN / "site", service / "src/svc", dirs_exist_ok=True)
    shutil.copy(FOREIGN / "app.py", service / "src/svc/app.py")
    for command in (["uv", "add", "--quiet", *LIBRARIES], ["uv", "sync", "--quiet"]):
        subprocess.run(command, cwd=service, env=environment(), check=True)
    port = free_port()
    settings = {"APP_ALLOWED_HOSTS": "localhost", "APP_TRUSTED_PROXIES": "none", "APP_RATE_LIMIT": "5000/1m"}
    python = service / ".venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    server = subprocess.Popen(
        [python, "-m", "svc", "serve", "--port", str(port)],
        cwd=service,
        env={**environment(), **settings},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answer_of(f"http://localhost:{port}/health/ready")
        yield f"localhost:{port}"
    finally:
        os.kill(server.pid, signal.SIGTERM)
        server.wait(PATIENCE)


@pytest.fixture(scope="module")
def page(browser: str, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of a browser that has just been started."""
    with chromium(browser, tmp_path_factory.mktemp("profile")) as page:
        yield page


def ask(
    address: str, method: str, path: str, body: Any = None, kind: str = "application/json", **headers: str
) -> tuple[int, Message, str]:
    """One request as no browser sends it; a dictionary as body is written in its content type."""
    if isinstance(body, Mapping):
        body = urllib.parse.urlencode(body) if kind == FORM else json.dumps(body)
    given = {"Content-Type": kind} if body is not None else {}
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {**given, **{k.replace("_", "-"): v for k, v in headers.items()}})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def complaints(page: Page, *expected: str) -> list[str]:
    """What the console has said since, but for what is expected."""
    said = [each for each in page.complaints if not any(word in each for word in ("favicon.ico", *expected))]
    page.complaints.clear()
    return said


def test_a_wsgi_application_takes_its_forms_and_files(page: Page, address: str) -> None:
    page.open(f"http://{address}/old/")
    page.submit("form", word="grüße")
    assert page.evaluate("document.querySelector('#given').innerText") == "grüße"
    assert page.evaluate("getComputedStyle(document.querySelector('p')).color") == "rgb(1, 2, 3)"
    assert complaints(page) == []

    assert ask(address, "POST", "/old/", {"word": "a"}, FORM)[0] == 200
    assert ask(address, "POST", "/old/", "word=" + "a" * 2_500_000, FORM)[0] == 200
    status, headers, _ = ask(address, "POST", "/old/", "word=" + "a" * 3_500_000, FORM)
    assert (status, headers["content-security-policy"]) == (413, API)
    assert ask(address, "POST", "/old/", {"word": "a"})[0] == 415
    assert "200" in ask(address, "GET", "/old/")[1]["ratelimit-policy"]


def test_an_admin_signs_in_and_changes_data(page: Page, address: str) -> None:
    page.open(f"http://{address}/admin/login")
    page.submit("form", username="a", password="wrong")  # noqa: S106 - of nobody
    assert "Invalid credentials" in page.evaluate("document.body.innerText")
    assert complaints(page, "400 (Bad Request)") == []
    page.submit("form", username="a", password="right")  # noqa: S106 - of nobody
    page.open(f"http://{address}/admin/article/create")
    page.submit("form[method=POST]", name="Bread")
    assert "Bread" in page.evaluate("document.body.innerText")
    page.open(f"http://{address}/admin/article/edit/1")
    assert page.evaluate("document.querySelector('[name=name]').value") == "Bread"
    assert page.evaluate("document.cookie") == ""
    assert complaints(page) == []


def test_an_admin_with_scripts_in_its_pages_runs_these_and_no_other(page: Page, address: str) -> None:
    fonts = "rsms.me"  # of another host, which its template asks for
    page.open(f"http://{address}/desk/login")
    page.submit("form", username="a", password="wrong")  # noqa: S106 - of nobody
    assert "Wrong name" in page.evaluate("document.body.innerText")
    page.submit("form", username="a", password="right")  # noqa: S106 - of nobody
    page.open(f"http://{address}/desk/note/create")
    shown = '<script>window.bad = 1</script><img src="/static/nothing.png" onerror="window.bad = 1">'
    page.submit("form[enctype]", text=shown)
    page.open(f"http://{address}/desk/note/list")
    assert shown in page.evaluate("document.body.innerText")
    assert page.evaluate("typeof StarletteAdmin.getIcon") == "function"
    assert complaints(page, fonts, "400 (Bad Request)") == []

    # What its scripts send has the token that they read from a cookie.
    page.evaluate(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(shown)})")
    page.evaluate("document.querySelector('[data-sa-name=delete][data-sa-is-row-action]').click()")
    page.wait_for("document.querySelector('[data-sa-action=action-submit]')?.checkVisibility()")
    page.evaluate("document.querySelector('[data-sa-action=action-submit]').click()")
    page.wait_for("!document.querySelector('[data-sa-name=delete][data-sa-is-row-action]')")
    assert page.evaluate("window.bad") is None
    assert "desk" not in page.evaluate("document.cookie")
    assert any("inline event handler" in each for each in complaints(page))


def test_graphiql_asks_its_schema(page: Page, address: str) -> None:
    page.open(f"http://{address}/graphql")
    page.wait_for("document.body.innerText.includes('hello from strawberry')")
    assert complaints(page) == []

    assert json.loads(ask(address, "GET", "/graphql?query=%7Bhello%7D")[2])["data"]["hello"]
    assert ask(address, "POST", "/graphql", {"query": "{hello}"}, FORM)[0] == 415


def test_a_page_of_a_template_runs_what_has_its_nonce_and_no_other_script(page: Page, address: str) -> None:
    page.open(f"http://{address}/pages/greeting")
    page.submit("form", name="Alice")
    assert page.evaluate("document.body.dataset.ran") == "yes"
    assert "Hello Alice" in page.evaluate("document.body.innerText")
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(1, 2, 3)"
    assert complaints(page) == []
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.bad = 1'}))"
    )
    assert page.evaluate("window.bad") is None
    assert "Content Security Policy" in complaints(page)[0]


@pytest.mark.parametrize("path", ["/", "/orders/7", "/spa/"])
def test_a_frontend_asks_its_service(page: Page, address: str, path: str) -> None:
    page.open(f"http://{address}{path}")
    page.wait_for("document.body.innerText.includes('hello from strawberry')")
    assert page.evaluate("getComputedStyle(document.querySelector('#app')).color") == "rgb(1, 2, 3)"
    assert complaints(page) == []


def test_pages_without_a_policy_for_pages_are_bare(page: Page, address: str) -> None:
    page.open(f"http://{address}/bare/")
    assert any("Content Security Policy" in each for each in complaints(page))


def test_files_are_cached_as_their_policy_says_and_errors_are_not(address: str) -> None:
    status, headers, _ = ask(address, "GET", "/static/style.css")
    assert (status, headers["cache-control"], headers["content-security-policy"]) == (200, "public, max-age=3600", API)
    status, again, _ = ask(address, "GET", "/static/style.css", if_none_match=headers["etag"])
    assert (status, again["cache-control"]) == (304, "public, max-age=3600")
    for path in ("/static/nothing.css", "/assets/nothing.js"):
        status, headers, _ = ask(address, "GET", path)
        assert (status, headers["cache-control"]) == (404, "no-store, max-age=0")
    assert ask(address, "GET", "/")[1]["cache-control"] == "no-cache"


def test_accounts_of_a_library_register_and_sign_in(address: str) -> None:
    account = {"email": "alice@example.com", "password": "correct horse"}
    assert ask(address, "POST", "/auth/register", account)[0] == 201
    wrong = ask(address, "POST", "/auth/login", {"username": account["email"], "password": "wrong"}, FORM)
    assert (wrong[0], wrong[1]["content-security-policy"]) == (400, API)
    given = {"username": account["email"], "password": account["password"]}
    status, headers, _ = ask(address, "POST", "/auth/login", given, FORM)
    assert status == 204
    assert "HttpOnly" in headers["set-cookie"]
    assert "Secure" in headers["set-cookie"]
    assert ask(address, "GET", "/auth/me", cookie=headers["set-cookie"].partition(";")[0])[2] == '"alice@example.com"'
    assert ask(address, "GET", "/auth/me")[0] == 401
    assert "30" in wrong[1]["ratelimit-policy"]


def test_tools_of_mcp_are_called(address: str) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {"a": 2, "b": 3}}}
    status, _, text = ask(address, "POST", "/mcp/", call, accept="application/json, text/event-stream")
    assert status == 200, text
    assert json.loads(text)["result"]["content"][0]["text"] == "5"
    assert ask(address, "POST", "/mcp/", "a=1", FORM)[0] == 415


@pytest.mark.parametrize(
    "path", ["/old/", "/admin/login", "/desk/login", "/auth/login", "/graphql", "/mcp/", "/pages/greeting"]
)
def test_none_of_it_is_asked_by_another_site(address: str, path: str) -> None:
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}):
        kind = "application/json" if path in ("/graphql", "/mcp/") else FORM
        status, answered, _ = ask(address, "POST", path, {"a": "b"}, kind, **headers)
        assert (status, answered["content-security-policy"]) == (403, API)


@pytest.mark.parametrize(
    "path", ["/old/", "/admin/login", "/desk/login", "/graphql", "/static/style.css", "/", "/spa/", "/pages/greeting"]
)
def test_only_what_a_policy_names_is_another(address: str, path: str) -> None:
    loosened = {"content-security-policy", "cache-control"}
    of_api = {name: value for name, value in ask(address, "GET", "/auth/me")[1].items() if name not in loosened}
    headers = ask(address, "GET", path, accept="text/html")[1]
    for name in of_api.keys() - {
        "content-type",
        "content-length",
        "date",
        "x-request-id",
        "ratelimit",
        "ratelimit-policy",
    }:
        assert headers[name] == of_api[name], name
    assert ask(address, "GET", f"{path}?a=%00")[0] == 422
    assert ask(address, "GET", path, host="evil.example")[0] == 400
