"""What a person sees of a run: no line wraps into the next, and the verdict stands once, last."""

import fcntl
import io
import os
import re
import struct
import subprocess
import termios
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from verify.result import Options, Rule
from verify.run import Run
from verify.runner.report import KEPT
from verify.runner.terminal import Terminal

from ..hooks.runs import POSIX

RULE = Rule(
    "configuration", "docker.user", "a rule whose name is as long as names may be, so that nothing else fits beside it"
)


def drawn(
    width: int | str, draw: Callable[[Terminal], None], monkeypatch: pytest.MonkeyPatch, term: str = "xterm"
) -> str:
    """What a terminal of this width gets."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = os.openpty()
    parts: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(ours, 65_536):
                parts.append(part)
        except OSError:  # the other end is closed
            return

    reader = threading.Thread(target=read)
    reader.start()
    with open(theirs, "w") as stream:  # noqa: PTH123
        draw(Terminal(stream))
    reader.join(5)
    os.close(ours)
    return b"".join(parts).decode()


def shown(text: str) -> list[str]:
    """Every line that stood there, progress that was overwritten included."""
    return re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;]*[mK]", "", text))


@POSIX
@pytest.mark.parametrize("width", [60, 80, 132])
def test_no_line_of_the_progress_or_the_report_is_wider_than_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def draw(screen: Terminal) -> None:
        run = Run(Options(tmp_path, "orders_api"), screen, ["APP_ENV"])
        screen.begin("configuration")
        screen.note(".dockerignore keeps secrets and what is not the service out of the image and elsewhere")
        threading.Event().wait(0.3)
        screen.end(
            "configuration", "INSECURE", 1234.5, "13 proved, 1 insecure, 2 not verified, 3 accepted, 4 not looked at"
        )
        run.checks = [
            RULE.insecure("what was seen " * 20, "Do this. " * 20),
            RULE.not_looked_at("there is none " * 9),
            RULE.accepted("for a reason " * 9),
        ]
        run.stopped_at = None
        run.summary()

    lines = shown(drawn(width, draw, monkeypatch))

    assert max(map(len, lines)) < width, [line for line in lines if len(line) >= width]
    assert any("configuration  |" in line or "configuration  /" in line for line in lines), lines


@POSIX
@pytest.mark.parametrize(("columns", "own", "most"), [(None, 60, 59), ("1", 60, 19), ("", 0, 79)])
def test_the_width_is_that_of_the_stream_while_standard_output_is_a_file(
    monkeypatch: pytest.MonkeyPatch, columns: str | None, own: int, most: int
) -> None:
    def draw(screen: Terminal) -> None:
        fcntl.ioctl(screen._stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, own, 0, 0))  # type: ignore[union-attr]
        if columns is None:
            monkeypatch.delenv("COLUMNS")
        screen.line("what was seen " * 20)

    lines = shown(drawn(columns or "", draw, monkeypatch))

    assert most - 14 < max(map(len, lines)) <= most


@POSIX
@pytest.mark.parametrize(
    ("to", "hosts", "code"),
    [
        (">&-", "api.example.com", 0),
        (">/dev/full", "api.example.com", 0),
        ("| true", "api.example.com", 0),
        ("| cat", "b\u00fccher.example", 1),
        ("| cat", "a\x1b[2J\n", 1),
    ],
)
def test_a_check_that_nobody_can_read_has_the_same_exit_code(
    python: tuple[Path, Path], to: str, hosts: str, code: int
) -> None:
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"$0" -m orders_api check {to}', python[1]],
        cwd=python[0],
        env={**os.environ, "APP_ALLOWED_HOSTS": hosts, "APP_TRUSTED_PROXIES": "none", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (code, "")
    assert "\x1b" not in ran.stdout
    assert r"b\xfccher" in ran.stdout or not hosts.startswith("b")


@POSIX
@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_what_takes_two_columns_is_measured_so(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    def draw(screen: Terminal) -> None:
        screen.begin("configuration")
        screen.note("\u8a2d\u5b9a/" * 30)
        threading.Event().wait(0.3)
        screen.halt()
        screen.line("    " + "\u8a2d\u5b9a \u6ce8\u6587 plain " * 12)

    drawing = drawn(60, draw, monkeypatch, term)

    wide = [sum(1 + (unicodedata.east_asian_width(each) == "W") for each in line) for line in shown(drawing)]
    assert 50 < max(wide) < 60
    assert "\u8a2d\u5b9a" in drawing
    assert "\1" not in drawing


@POSIX
def test_a_colour_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{'INSECURE':>12} {'x' * 40} and"

    def draw(screen: Terminal) -> None:
        screen.line(screen.paint(text, "INSECURE") + " more" * 9)
        screen.line(screen.paint("INSECURE", "INSECURE") + " more" * 14)

    drawing = drawn(80, draw, monkeypatch)
    lines = shown(drawing)

    assert lines[0] == f"{text} more more more more"
    assert lines[2] == f"INSECURE{' more' * 14}"
    assert drawing.count("\x1b[31;1m") == drawing.count("\x1b[0m") == 2


@POSIX
def test_a_command_to_copy_stays_on_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    command = "uv run --locked python -m verify.update --decline renovate.json --reason 'Dependabot'"

    def draw(screen: Terminal) -> None:
        screen.line(f"Run {command} or `{command}` as you like.")
        screen.line(f"    {command}", whole=True)

    lines = shown(drawn(60, draw, monkeypatch))

    assert f"    {command}" in lines
    assert any(f"`{command}`" in line for line in lines)


@pytest.mark.parametrize(
    ("outcomes", "last"),
    [
        (["proved"], "proved: 1 of 1 checks; all proved."),
        (["proved", "accepted", "accepted"], "proved: 1 of 3 checks, 2 accepted; all else proved."),
        (
            ["proved", "accepted", "warning", "warning", "not_looked_at"],
            "proved: 1 of 5 checks, 1 accepted, 2 warnings, 1 not looked at; all else proved.",
        ),
        (["proved", "insecure", "accepted"], "INSECURE: 1 of 3 checks proved, 1 accepted; this service is not secure."),
        (
            ["not_looked_at", "accepted"],
            "NOT VERIFIED: 0 of 2 checks proved, 1 accepted, 1 not looked at; not everything could be verified, "
            "so it is not known to be secure.",
        ),
    ],
)
def test_the_verdict_stands_once_and_last(tmp_path: Path, outcomes: list[str], last: str) -> None:
    stream = io.StringIO()
    run = Run(Options(tmp_path, "orders_api"), Terminal(stream), [])
    run.checks = [getattr(RULE.of(str(number)), each)("seen", "remedy") for number, each in enumerate(outcomes)]
    run.stopped_at = None

    run.summary()

    assert stream.getvalue().splitlines()[-1] == last
    assert stream.getvalue().count(" checks") == 1


def test_what_could_not_be_kept_is_not_pointed_to(tmp_path: Path) -> None:
    stream = io.StringIO()
    run = Run(Options(tmp_path, "orders_api"), Terminal(stream), [])
    run.checks, run.stopped_at = [RULE.proved("seen"), KEPT.unverified("read-only", "")], None

    run.summary()

    assert "report.html" not in stream.getvalue()


def test_what_may_be_accepted_is_named_as_the_acceptance_names_it(tmp_path: Path) -> None:
    stream = io.StringIO()
    run = Run(Options(tmp_path, "orders_api"), Terminal(stream), [])
    never = Rule("tests", "tests.yours", "your tests pass")
    run.checks = [RULE.of("Dockerfile").insecure("a", "b"), RULE.unverified("a"), never.insecure("a", "b")]
    run.checks += [Rule("audit", "audit.complete", "every package", "").unverified("a"), RULE.proved("a")]
    run.stopped_at = None

    run.summary()

    assert "Accepting): docker.user of Dockerfile, docker.user.\n" in stream.getvalue()
    run.checks = [never.insecure("a", "b")]
    run.summary()
    assert stream.getvalue().count("To live with") == 1


def test_whoever_started_the_run_says_the_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFY_RUN_ID", "all-outcomes-1")
    stream = io.StringIO()
    run = Run(Options(tmp_path, "orders_api"), Terminal(stream), [])
    run.checks, run.stopped_at = [RULE.proved("seen")], None

    run.summary()

    assert " checks" not in stream.getvalue()


@pytest.mark.parametrize(
    ("started_by", "outcome"), [("", "accepted"), ("all-outcomes-1", "accepted"), ("3f2a", "warning")]
)
def test_an_older_updater_is_told_what_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started_by: str, outcome: str
) -> None:
    monkeypatch.setenv("VERIFY_RUN_ID", started_by)
    run = Run(Options(tmp_path, "orders_api"), Terminal(None), [])
    run.checks = [RULE.accepted("for a reason")]

    (check,) = run.record()["checks"]

    assert check["outcome"] == outcome
    assert "for a reason" in check["seen"]
