# Owned by the template: an update rewrites this file.
"""pip-audit with questions that outlive a company's network: `python -I pip_audit_process.py SECONDS PAUSES ARGUMENTS`.

Several are asked at once. What is answered 429 or 5xx, with no JSON or not at all, is asked again, after `Retry-After` where
that is said. The pages of an OSV answer are put together. Its packages are called by their PEP 503 names, and the days on
which records were published are left out, since pip-audit compares names as they are spelled and fails at some days.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import import_module
from importlib.metadata import version
from runpy import run_module
from types import ModuleType
from typing import Any

from packaging.utils import canonicalize_name

# As it is imported, pip-api starts `python -m pip --version`, a third of this whole process: it is told instead.
_call = ModuleType("pip_api._call")
vars(_call)["call"] = lambda *_, **__: f"pip {version('pip')} from here (python {sys.version.partition(' ')[0]})"
sys.modules[_call.__name__] = _call
requests: Any = import_module("requests")  # by name: neither has types of its own
service: Any = import_module("pip_audit._service.interface")
AT_ONCE = 8
AGAIN = (429, 500, 502, 503, 504)
_request = requests.Session.request
_pauses: list[float] = []
_end, _open_at = 0.0, 0.0


def request(session: Any, method: str, url: str, **options: Any) -> Any:
    """As `requests.Session.request`, with every page of the answer in the first."""
    answer = _asked(session, method, url, options)
    data = _read(answer)
    if answer.status_code != 200 or not data or not {"vulns", "next_page_token"} & data.keys():
        return answer
    records, token = [*(data.get("vulns") or ())], data.get("next_page_token")
    while token:
        query = {**json.loads(options["data"]), "page_token": token}
        page = _asked(session, method, url, {**options, "data": json.dumps(query)})
        page.raise_for_status()
        data = page.json()
        records, token = [*records, *(data.get("vulns") or ())], data.get("next_page_token")
        if token and time.monotonic() > _end:
            raise requests.Timeout("its pages do not end")
    answer._content = json.dumps({"vulns": [*map(_plain, records)]}).encode()
    return answer


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record as pip-audit reads it. What is about no package, but a repository, is no part of an answer about one."""
    known = {name: value for name, value in record.items() if value is not None and name != "published"}
    about = [each for each in known.get("affected", ()) if each.get("package")]
    for each in about:
        each["package"]["name"] = canonicalize_name(each["package"]["name"])
    return {**known, "affected": [{name: value for name, value in each.items() if value is not None} for each in about]}


def _asked(session: Any, method: str, url: str, options: dict[str, Any]) -> Any:
    global _open_at  # of all questions: who is told to wait speaks for the others too
    pauses = iter([*_pauses, None])
    while True:
        time.sleep(max(0.0, _open_at - time.monotonic()))
        answer, wait = None, 0.0
        try:
            answer = _request(session, method, url, **options)
            if answer.status_code not in AGAIN and (answer.status_code != 200 or _read(answer) is not None):
                return answer
            wait = _seconds(answer.headers.get("Retry-After", ""))
        except requests.RequestException:
            if (pause := next(pauses)) is None or time.monotonic() > _end:
                raise
        else:
            pause = 0.0 if wait and answer.status_code == 429 else next(pauses)
        if pause is None or time.monotonic() + wait > _end:
            return answer
        _open_at = max(_open_at, time.monotonic() + wait)
        time.sleep(pause)


def _read(answer: Any) -> dict[str, Any] | None:
    """What was answered, if it is an object, with records in a list if with any."""
    with suppress(ValueError):
        data = answer.json()
        if isinstance(data, dict) and isinstance(data.get("vulns") or [], list):
            return data
    return None


def _seconds(text: str) -> float:
    """What `Retry-After` says, a number of seconds or a moment; 0 if nothing."""
    with suppress(ValueError, TypeError):
        until = None if text.strip().isdecimal() else parsedate_to_datetime(text)
        return max(0.0, (until - datetime.now(UTC)).total_seconds() if until else float(text))
    return 0.0


def query_all(self: Any, packages: Any) -> Any:
    """As `VulnerabilityService.query_all`; the first question without an answer ends them all."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        yield from pool.map(self.query, packages)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    _end, _pauses = time.monotonic() + float(sys.argv[1]), [*map(float, sys.argv[2].split(","))]
    sys.argv[1:] = sys.argv[3:]
    requests.Session.request, service.VulnerabilityService.query_all = request, query_all
    run_module("pip_audit", run_name="__main__")
