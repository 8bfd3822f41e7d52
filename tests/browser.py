"""A headless Chromium that a test drives by the DevTools protocol over two pipes: no package is needed for it."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import Any, BinaryIO

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)
PATIENCE = 60


class Page:
    """One page, and what a person at the console would read.

    Attributes:
        complaints: What the console said of errors: policies that were violated, loads that failed, exceptions.
        loaded: Every address that was asked for, with its status.
    """

    def __init__(self, asked: BinaryIO, said: BinaryIO) -> None:
        self._asked, self._said, self._buffer = asked, said, b""
        self._number, self._session = 0, ""
        self.complaints: list[str] = []
        self.loaded: dict[str, int] = {}
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def open(self, address: str) -> None:
        """Go to an address, and wait until all of it is there."""
        self._call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, script: str) -> Any:
        """What an expression is worth in the page; a promise is awaited. No policy of the page binds it."""
        found = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true, across a navigation as well."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if self.evaluate(f"Boolean({condition})"):
                    return
                said = str(self.evaluate("document.documentElement?.outerHTML"))[:2000]
            except (AssertionError, RuntimeError) as error:  # the page was left meanwhile
                said = str(error)
            assert time.monotonic() < end, f"{condition}: {said}; {self.complaints}"
            time.sleep(0.1)

    def submit(self, form: str, **fields: str) -> None:
        """Fill a form and send it off as its button does, and wait for the next page."""
        for name, value in fields.items():
            self.evaluate(f"document.querySelector({json.dumps(f'{form} [name={name}]')}).value = {json.dumps(value)}")
        asked = f"document.querySelector({json.dumps(form)})"
        self.evaluate("window.leaving = true")
        self.evaluate(f"{{const it = {asked}; it.requestSubmit(it.querySelector('[type=submit]'))}}")
        self.wait_for("!window.leaving && document.readyState === 'complete'")

    def _call(self, method: str, **params: Any) -> Any:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": params}
        if self._session:
            asked["sessionId"] = self._session
        self._asked.write(json.dumps(asked).encode() + b"\0")
        self._asked.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(answer["error"]["message"])
                return answer["result"]
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _next(self) -> Any:
        while b"\0" not in self._buffer:
            read = os.read(self._said.fileno(), 65_536)
            assert read, "the browser has ended"
            self._buffer += read
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _note(self, event: str, params: dict[str, Any]) -> None:
        if event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.complaints.append(" ".join(str(each.get("value", "")) for each in params["args"]))
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif event == "Network.responseReceived":
            self.loaded[params["response"]["url"]] = params["response"]["status"]


@contextmanager
def chromium(program: str, profile: Path) -> Iterator[Page]:
    """Start the browser; yields its page.

    Args:
        program: Chromium, under whichever name.
        profile: A folder for what it remembers.
    """
    (its_in, asked), (said, its_out) = os.pipe(), os.pipe()
    high_in, high_out = (fcntl(each, F_DUPFD, 20) for each in (its_in, its_out))
    command = [program, *QUIET, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    script = f'exec "$@" 3<&{high_in} 4>&{high_out}'  # what it reads and what it writes
    with open(asked, "wb") as asked_file, open(said, "rb") as said_file:  # noqa: PTH123 - descriptors, not paths
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command], pass_fds=(high_in, high_out), stderr=subprocess.DEVNULL
        )
        for each in (its_in, its_out, high_in, high_out):
            os.close(each)
        try:
            yield Page(asked_file, said_file)
        finally:
            process.terminate()
            process.wait(PATIENCE)
