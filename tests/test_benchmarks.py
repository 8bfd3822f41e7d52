"""The parts of `benchmarks/` that need no load: figures, tables, the picture; and that what is shown was measured."""

import json
import re
import socketserver
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import MINUTES, PAGES, SECTIONS, main
from benchmarks.aims import AIMS, judged
from benchmarks.bench import Bench
from benchmarks.check import check
from benchmarks.contenders import BARE, EXPRESS, bare
from benchmarks.edges import ALONE, AT_ONCE
from benchmarks.edges import PAGE as SERVERS
from benchmarks.figures import ratios, shown, spread, summary
from benchmarks.load import LoadError, parse
from benchmarks.plot import plot
from benchmarks.profiles import places
from benchmarks.report import RENDERERS, rendered, written
from benchmarks.safety import ROWS, Target, asked

from .conftest import REPOSITORY, Emit

FOLDER = REPOSITORY / "benchmarks"
README = (FOLDER / "README.md").read_text()
PAGE = (REPOSITORY / "README.md").read_text()
RESULTS: dict[str, Any] = json.loads((FOLDER / "results.json").read_text())


def three(middle: float) -> dict[str, float]:
    return {"median": middle, "min": middle / 2, "max": middle * 2}


def throughput(*names: str) -> dict[str, Any]:
    kinds = {kind: {"rate": three(8000), "cpu": three(110), "busy": three(0.98)} for kind in ("GET", "POST")}
    pairs = {f"hardened / {name}": {kind: {"rate": three(0.9), "cpu": three(1.2)} for kind in kinds} for name in names}
    plan = {"how": "5 rounds of 5 s", "date": "2026-11-23"}
    return {"measured": dict.fromkeys(("hardened", *names), kinds), "ratios": pairs, **plan}


def test_a_ratio_is_taken_within_rounds_and_not_of_medians() -> None:
    samples = {
        "ours": [{"rate": 90.0}, {"rate": 9.0}, {"rate": 45.0}],
        "bare": [{"rate": 100.0}, {"rate": 10.0}, {"rate": 45.0}],
    }
    assert ratios(samples, "ours", "bare", "rate") == {"median": 0.9, "min": 0.9, "max": 1.0}
    assert summary(samples)["bare"]["rate"] == {"median": 45.0, "min": 10.0, "max": 100.0}


def test_the_bare_application_is_started_by_the_service_s_own_serve(installed: Emit) -> None:
    contender = bare(installed(example="minimal"))
    check(replace(contender, variables={**contender.variables, "SERVICE_PACKAGE": "orders_api"}))


def test_nothing_measured_is_no_figure() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])
    with pytest.raises(ValueError, match="argument 2"):
        ratios({"ours": [{"rate": 1.0}], "bare": []}, "ours", "bare", "rate")


def test_what_wrk_says_is_read_and_silence_is_an_error() -> None:
    assert parse('Running 5s test\n\nRESULT {"requests":10,"p50":0.5}\n') == {"requests": 10, "p50": 0.5}
    with pytest.raises(LoadError, match="no such host"):
        parse("no such host")


def test_a_sample_belongs_to_the_innermost_frame_of_the_hardening_or_a_library() -> None:
    stacks = """
run (asyncio/runners.py:118);app (site-packages/fastapi/routing.py:3);send (src/bench_service/hardening/exchange.py:9) 3
run (asyncio/runners.py:118);_log (src/bench_service/hardening/perimeter.py:9);dumps (json/__init__.py:1) 2
run (asyncio/runners.py:118) 1
 40
"""
    found = places(stacks.strip("\n"))
    assert found == Counter({"hardening/exchange": 3, "hardening/perimeter": 2, "event loop": 1})


def test_a_missed_aim_is_said() -> None:
    assert judged(three(0.9), (">=", 0.9)) == "0.90 (0.45 to 1.80); aim ≥ 0.9: met"
    assert judged(three(1.2), ("<=", 1.1)) == "1.20 (0.60 to 2.40); aim ≤ 1.1: **missed**"
    assert judged(1.5, None, 1) == "1.5"


def test_figures_have_their_spread() -> None:
    assert shown(three(8000)) == "8,000 (4,000 to 16,000)"


def test_tables_stand_between_their_markers_and_nothing_else_moves() -> None:
    bare = "bare FastAPI, same server"
    results = {"machine": {"cores": "2"}, "versions": {"Python": "3.13"}, "sections": {"hardened": throughput(bare)}}
    empty = "<!-- peers -->\n<!-- end -->\n<!-- machine -->\n<!-- end -->\n"
    readme = f"# Title\n<!-- hardened -->\nold\n<!-- end -->\ntext\n{empty}"
    made = written(readme, results)
    assert (
        f"| hardened / {bare} | 0.90 (0.45 to 1.80); aim ≥ 0.9: met | 1.20 (0.60 to 2.40); aim ≤ 1.1: **missed** |"
        in made
    )
    assert "| hardened | 8,000 (4,000 to 16,000) | 110 (55 to 220) |" in made
    assert "5 rounds of 5 s, 2026-11-23." in made
    assert f"least: hardened 49%, {bare} 49%." in made
    assert made.startswith("# Title\n<!-- hardened -->\n|")
    assert "<!-- peers -->\nNot measured yet.\n<!-- end -->" in made
    assert "cores 2." in made
    assert "old" not in made
    assert written(made, results) == made


def test_every_section_has_its_place_on_the_page_and_every_place_its_section() -> None:
    assert set(re.findall(r"<!-- (\w+) -->", README)) - {"end", "machine"} == set(SECTIONS) == set(RENDERERS)
    assert set(MINUTES) == set(SECTIONS)
    assert {section for section, *_ in AIMS} <= set(SECTIONS)


def test_the_pages_show_what_was_measured() -> None:
    assert written(README, RESULTS) == README, "run: uv run python -m benchmarks"
    for page in PAGES:
        assert written(page.read_text(), RESULTS) == page.read_text()
    assert PAGE.count("<!-- ") == 2
    assert plot(RESULTS) == (FOLDER / "plot.svg").read_text()
    assert set(RESULTS["sections"]) <= set(SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_stored_section_can_be_shown(name: str) -> None:
    text = rendered(RESULTS, name)
    assert text == "Not measured yet." or re.search(r"\n\n.*, \d{4}-\d\d-\d\d\.\Z", text)


def test_the_plot_is_read_in_light_and_in_dark() -> None:
    results = {"sections": {"peers": throughput("Fastify", "a <b>")}}
    drawn = plot(results)
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"hardened", "Fastify", "a <b>", "8,000"} <= set(texts)
    assert "prefers-color-scheme: dark" in drawn
    assert not re.search(r"(?:href|src)=", drawn)


def test_an_unknown_section_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "hardened,speed"])
    assert "speed is not one of instructions, hardened" in capsys.readouterr().err


def test_the_short_version_shows_ratios_of_what_was_measured() -> None:
    measured = {"sections": {"hardened": throughput(BARE)}}
    assert rendered({"sections": {}}, "speed") == "Not measured yet."
    assert rendered(measured, "speed").splitlines()[2:] == [f"| {BARE} | 0.90 | 1.20 | 0.90 | 1.20 |"]
    assert EXPRESS in {pair.removeprefix("hardened / ") for _, pair, *_ in AIMS}


def test_a_section_that_fails_loses_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(bench: Bench) -> dict[str, Any]:
        raise KeyError("nobody thought of this")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("os.sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(Bench, "versions", lambda _: {"Python": "3.13"})
    output = tmp_path / "output"

    for name, section in (("hardened", lambda _: throughput(BARE)), ("emit", lambda _: emitted())):
        monkeypatch.setitem(SECTIONS, name, section)
        monkeypatch.setitem(SECTIONS, "start", fails)
        assert main(["--only", f"{name},start", "--output", str(output)]) == 1

    said = capsys.readouterr()
    assert "nobody thought of this" in said.err
    assert "Could not be measured: start" in said.out
    assert f"(about {MINUTES['hardened'] + MINUTES['start']:g} minutes left)" in said.out
    assert set(json.loads((output / "results.json").read_text())["sections"]) == {"hardened", "emit"}
    assert (output / "README.md").read_text().count("| hardened |") == 1
    assert (REPOSITORY / "README.md").read_text() == PAGE


def emitted() -> dict[str, Any]:
    return {"measured": {"copy": {"seconds": three(1)}}, "how": "5 rounds"}


def test_the_versions_of_the_node_peers_are_exact() -> None:
    declared = json.loads((FOLDER / "peers" / "node" / "package.json").read_text())
    assert declared["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in declared["dependencies"].values())
    assert not list(Path(FOLDER).rglob("package-lock.json"))


class Careless(socketserver.BaseRequestHandler):
    """Takes each end of a paragraph for the end of a request, believes all that it reads, and never closes."""

    def handle(self) -> None:
        received = b""
        while part := self.request.recv(65536):
            received += part
            while ended := re.search(rb"\n\r?\n", received):
                head, received = received[: ended.end()], received[ended.end() :]
                assert isinstance(self.server, Toy)
                with self.server.log.open("ab") as log:
                    log.write(unquote_to_bytes(head.partition(b"\n")[0]) + b"\n")
                said = re.findall(rb"(?i)^x-forwarded-for: (.*?)\r?$", head, re.MULTILINE) or [b"127.0.0.1"]
                length = str(len(said[0])).encode()
                self.request.sendall(b"HTTP/1.1 200 OK\r\nServer: toy/1.0\r\nContent-Length: " + length)
                self.request.sendall(b"\r\n\r\n" + said[0])


class Toy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, log: Path, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.log = log


class Curt(socketserver.BaseRequestHandler):
    """Closes each connection after the first bytes, or a tenth of a second, and says nothing."""

    def handle(self) -> None:
        self.request.settimeout(0.1)
        with suppress(TimeoutError):
            self.request.recv(65536)


def test_the_page_on_servers_has_every_row_and_its_day() -> None:
    page = SERVERS.read_text()

    assert re.findall(r"(?m)^\| (\S.*?) \|", page)[1:] == [*AT_ONCE, *ALONE]
    assert re.search(r"granian \d+\.\d+\.\d+.*\d{4}-\d\d-\d\d\.", page)


def test_a_server_that_is_careless_is_reported_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.safety.MEGABYTE", "a" * 1000)
    with Toy(tmp_path / "careless", Careless) as careless, Toy(tmp_path / "curt", Curt) as curt:
        targets = {}
        for name, server in {"careless": careless, "curt": curt}.items():
            threading.Thread(target=server.serve_forever, daemon=True).start()
            server.log.touch()
            targets[name] = Target(server.server_address[1], server.log, patience=1.5)
        rows = asked(targets)
        for server in (careless, curt):
            server.shutdown()

    assert {row: told["careless"] for row, told in rows.items()} == {
        "one header of 60 MB": "**200**",
        "half a header, then silence": "**open after 1.5 s**",
        "connect, send nothing": "**open after 1.5 s**",
        "a body that stalls": "**open after 1.5 s**",
        "a body that drips": "**open after 1.5 s**",
        "Content-Length and Transfer-Encoding": "**200, 200, 200**",
        "bare LF lines": "200",
        "bad chunk size": "**200, 200**",
        "chunk extension of 1 MB": "**200, 200**",
        "no Host": "**200**",
        "two Hosts": "**200**",
        "X-Forwarded-For from loopback": "**believed**",
        "name in `Server`": "**toy/1.0**",
        "log of a path with %0a and %1b": "**raw**",
    }
    right = {row for row, told in rows.items() if "**" not in told["curt"]}
    assert set(ROWS) - right == {"X-Forwarded-For from loopback"}
    assert rows["connect, send nothing"]["curt"] == "closed after 0 s"
