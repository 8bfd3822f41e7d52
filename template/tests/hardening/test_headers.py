# Owned by the template: an update rewrites this file.
"""Headers: `hardening/steps/headers.py`. That every kind of response has them is in `test_perimeter.py`."""

import os
import subprocess
import sys

import pytest

from .asgi_client import request
from .assertions import assert_hardened
from .probe import probe, shared


def test_a_value_that_a_route_sets_is_kept_once_unless_it_names_the_software() -> None:
    answer = request(shared(), "GET", "/own-headers")

    assert_hardened(answer, cache_control="max-age=60", content_security_policy="default-src 'self'")
    assert answer["x-own"] == "yes"
    assert "canary" not in str(answer.headers)


def test_a_request_id_of_the_client_is_not_believed() -> None:
    answer = request(shared(), "GET", "/ok", {"x-request-id": "canary"})

    assert answer["x-request-id"] != "canary"


def test_vary_of_a_route_and_of_cors_become_one() -> None:
    answer = request(shared(), "GET", "/own-headers")

    assert {each.strip() for each in answer["vary"].split(",")} == {"accept", "origin"}


def test_no_two_requests_have_the_same_id() -> None:
    assert len({request(shared(), "GET", "/ok")["x-request-id"] for _ in range(20)}) == 20


FORKED = """
import os, sys
from {package}.hardening.steps import base
first = base._new_id()
os.fork()
sys.stdout.write(" ".join([first, *(base._new_id() for _ in range(3))]) + "\\n")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked on POSIX systems alone")
def test_workers_that_are_forked_give_ids_of_their_own() -> None:
    code = FORKED.replace("{package}", type(shared()).__module__.partition(".")[0])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert len(set(done.stdout.split())) == 7


def test_browsers_report_violations_where_the_setting_says() -> None:
    app = probe(csp_report_uri="https://reports.example.com/csp")

    answer = request(app, "GET", "/ok")

    assert_hardened(answer)
    assert "report-uri https://reports.example.com/csp" in answer["content-security-policy"]
    assert "report-to csp" in answer["content-security-policy"]
    assert answer["reporting-endpoints"] == 'csp="https://reports.example.com/csp"'
