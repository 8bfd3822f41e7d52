# Owned by the template: an update rewrites this file.
"""The documentation pages: `hardening/docs.py`. In development only, and from this service alone."""

import re

import pytest

from .asgi_client import request
from .assertions import assert_hardened, assert_problem
from .probe import probe, shared


@pytest.mark.parametrize(
    "target", ["/docs", "/redoc", "/openapi.json", "/docs/assets/swagger-ui.css", "/docs/start.js"]
)
def test_production_has_none(target: str) -> None:
    assert_problem(request(shared(), "GET", target), 404)


def test_the_page_runs_under_its_policy_without_another_host() -> None:
    app = probe(env="development")

    page = request(app, "GET", "/docs")

    assert page.status == 200
    policy = dict(each.split(" ", 1) for each in page["content-security-policy"].split("; "))
    assert policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert_hardened(page, content_security_policy=page["content-security-policy"])
    html = page.body.decode()
    assert "http:" not in html
    assert "https:" not in html
    assert re.findall(r"<script(?![^>]*src=)", html) == []
    assert re.findall(r"\son\w+=|<style|\sstyle=", html) == []
    linked = re.findall(r'(?:src|href)="((?!data:)[^"]+)"', html)
    assert len(linked) == 3
    for target in linked:
        answer = request(app, "GET", f"/{target}")
        assert answer.status == 200
        assert answer["content-type"].split(";")[0] in ("text/css", "text/javascript", "application/javascript")


@pytest.mark.costly
def test_the_document_tells_problems_limits_and_patterns() -> None:
    document = request(probe(env="development"), "GET", "/openapi.json").json

    short = document["components"]["schemas"]["Everything-Input"]["properties"]["short"]["anyOf"][0]
    assert (short["minLength"], short["maxLength"], short["pattern"]) == (2, 4, "^[a-z]+$")
    assert document["components"]["schemas"]["Item"]["additionalProperties"] is False
    responses = document["paths"]["/items"]["post"]["responses"]
    assert "application/problem+json" in responses["422"]["content"]


@pytest.mark.costly
def test_the_perimeter_stays_on() -> None:
    app = probe(env="development", rate_limit="1/1h")

    assert_hardened(request(app, "GET", "/ok"))
    assert request(app, "GET", "/ok").status == 429
    assert request(probe(env="development"), "GET", "/ok", {"host": "evil.example"}).status == 400
    answer = request(probe(env="development"), "POST", "/items", {"sec-fetch-site": "cross-site"}, b'{"name":"x"}')
    assert answer.status == 403
