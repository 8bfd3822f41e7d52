"""The parts of `benchmarks/` that need no load: figures, tables, the picture; and that what is shown was measured."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import MINUTES, SECTIONS, main
from benchmarks.aims import AIMS, judged
from benchmarks.bench import Bench
from benchmarks.contenders import BARE, EXPRESS
from benchmarks.figures import ratios, shown, spread, summary
from benchmarks.load import LoadError, parse
from benchmarks.plot import plot
from benchmarks.profiles import places
from benchmarks.report import RENDERERS, rendered, written

from .conftest import REPOSITORY

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


def test_the_page_shows_what_was_measured() -> None:
    assert written(README, RESULTS) == README, "run: uv run python -m benchmarks"
    assert written(PAGE, RESULTS) == PAGE
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
    assert "(about 4 minutes left)" in said.out
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
