"""A password or token in the template's address reaches no file, no output and no list of processes, and is found."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from verify.common.addresses import holds_secret, masked
from verify.result import UnverifiedError
from verify.runner import subprocesses
from verify.stages.configuration import secrets
from verify.upkeep import overlay, update
from verify.upkeep.template_repo import Template, refuse_secret

from .conftest import commit, in_one_text
from .mini_template import release, service_of, small_template

TOKEN = "glpat-" + "s3cr3tS3CR3Tx9"
SECRET = [
    (f"https://oauth2:{TOKEN}@git.example.com/t.git", "https://git.example.com/t.git"),
    (f"HTTPS://oauth2:{TOKEN}@git.example.com/t.git", "HTTPS://git.example.com/t.git"),
    (f"git+https://oauth2:{TOKEN}@git.example.com/t", "git+https://git.example.com/t"),
    (f"https://oauth2:p@ss{TOKEN}@git.example.com/t.git", "https://git.example.com/t.git"),
    (f"https://{TOKEN}@git.example.com:8443/o/t.git", "https://git.example.com:8443/o/t.git"),
    ("https://ghp_16C7e42F292c6912E7710c838347Ae178B4a@github.com/o/t.git", "https://github.com/o/t.git"),
    ("https://0a1b2c3d4e5f60718293a4b5c6d7e8f901234567@git.example.com/t.git", "https://git.example.com/t.git"),
    (f"https://{TOKEN}:@git.example.com/t.git", "https://git.example.com/t.git"),
    (f"https://{TOKEN}:x-oauth-basic@github.com/o/t", "https://github.com/o/t"),
    (f"ssh://git:{TOKEN}@git.example.com/t.git", "ssh://git@git.example.com/t.git"),
    (f"git+https://git.example.com/t?access_token={TOKEN}", "git+https://git.example.com/t"),
    (f"git+https://git.example.com/t?private_token={TOKEN}&x=1", "git+https://git.example.com/t?x=1"),
    (f"git+https://git.example.com/t?token={TOKEN}&sig={TOKEN}", "git+https://git.example.com/t"),
    (f"git+https://git.example.com/t?x=1&API_KEY={TOKEN}#a", "git+https://git.example.com/t?x=1#a"),
]
HONEST = [
    "https://github.com/org/template.git",
    "https://contoso-engineering-team-2024@dev.azure.com/contoso-engineering-team-2024/p/_git/t.git",
    "https://jane@bitbucket.org/workspace/template.git",
    "https://git.example.com:8443/o/t.git",
    "git@github.com:org/template.git",
    "ssh://git@git.example.com:2222/t.git",
    "gh:org/template",
    "/srv/templates/a@b:c",
    "git+https://git.example.com/t?ref=main&monkey=1",
    "file:///srv/t.git",
]


@pytest.mark.parametrize(("address", "without"), SECRET)
def test_an_address_with_a_secret_is_found_masked_and_recorded_without(
    render: Callable[..., str], address: str, without: str
) -> None:
    macro = "{% from 'macros/address.jinja' import without_secret, had_secret %}"

    assert holds_secret(address)
    assert render(f"{macro}{{{{ without_secret(address) }}}}|{{{{ had_secret(address) }}}}", address=address) == (
        f"{without}|yes"
    )
    shown = masked(f"fatal: unable to access '{address}/': 403, \"{address}\"")
    assert TOKEN not in shown
    assert "16C7e" not in shown
    assert "0a1b2c" not in shown
    assert not holds_secret(without)


@pytest.mark.parametrize("mark", "/?#@")
def test_a_password_that_was_not_quoted_is_masked_like_any(mark: str) -> None:
    address = f"https://jane:s3cr{mark}3t@git.example.com/t.git"

    assert holds_secret(address)
    assert "3t" not in masked(f"fatal: unable to access '{address}/': URL rejected")
    for honest in ("https://git.example.com:8443/t@v1", "http://[::1]:80/t@v1"):
        assert not holds_secret(honest)
        assert masked(honest) == honest


@pytest.mark.parametrize("address", HONEST)
def test_an_honest_address_stays_as_it_is(render: Callable[..., str], address: str) -> None:
    macro = "{% from 'macros/address.jinja' import without_secret, had_secret %}"

    assert not holds_secret(address)
    assert render(f"{macro}{{{{ without_secret(address) }}}}|{{{{ had_secret(address) }}}}", address=address) == (
        f"{address}|"
    )


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, str]:
    """A template that git finds at an address with a token, and at the same one without."""
    template = small_template(tmp_path / "template")
    address = f"https://oauth2:{TOKEN}@git.example.com/t.git"
    count = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    for number, prefix in enumerate((address, "https://git.example.com/t.git"), count):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", f"url.{template}.insteadOf")
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", prefix)
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(count + 2))
    return template, address


def everything(folder: Path) -> str:
    """All that a service's folder holds, but for the history of git."""
    texts = (path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return b"\n".join(texts).decode("utf-8", "replace")


def test_neither_a_copy_nor_an_update_writes_or_says_it(behind: tuple[Path, str], tmp_path: Path) -> None:
    template, address = behind
    copier = [sys.executable, "-m", "copier"]
    folder = tmp_path / "orders-api"

    copied = in_one_text([*copier, "copy", "--trust", "--defaults", "-d", "checks=off", address, str(folder)])

    assert copied.returncode == 0, copied.stdout
    assert TOKEN not in copied.stdout
    assert "was given with a password or token" in " ".join(copied.stdout.split())
    assert TOKEN not in everything(folder)
    assert "_src_path: https://git.example.com/t.git" in (folder / ".copier-answers.yml").read_text()

    commit(folder, "emitted")
    release(template, "1.1.0", "Fixed", "Something.")
    updated = in_one_text([*copier, "update", "--trust", "--defaults"], folder)

    assert updated.returncode == 0, updated.stdout
    assert "_commit: v1.1.0" in (folder / ".copier-answers.yml").read_text()
    assert "password or token" not in updated.stdout


def test_strict_says_how_to_emit_it_again_without_it(behind: tuple[Path, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "copier", "copy", "--trust", "--defaults", "-d", "checks=strict"]

    failed = in_one_text([*command, behind[1], str(tmp_path / "orders-api")], PATH=os.environ["PATH"], UV_OFFLINE="1")

    assert failed.returncode != 0
    assert "-d checks=warn https://git.example.com/t.git" in failed.stdout
    assert TOKEN not in failed.stdout


@pytest.fixture
def older(behind: tuple[Path, str], tmp_path: Path) -> Path:
    """A service that an older release wrote, which recorded the address as it was given."""
    service = service_of(behind[0], tmp_path / "older")
    answers = service / ".copier-answers.yml"
    lines = (
        f"_src_path: {behind[1]}" if line.startswith("_src_path") else line for line in answers.read_text().split("\n")
    )
    answers.write_text("\n".join(lines))
    commit(service, "as an older release recorded it")
    release(behind[0], "1.1.0", "Fixed", "Something.")
    return service


@pytest.mark.parametrize("file", [".copier-answers.yml", ".copier-answers.overlay.yml"])
def test_verify_finds_it_in_each_record_and_names_the_way_out(older: Path, file: str) -> None:
    (older / ".copier-answers.yml").rename(older / file)

    found = [each for each in secrets.checks(older) if each.id == "secrets.template-address"]

    assert [(each.object, each.outcome.name) for each in found] == [(file, "INSECURE")]
    assert TOKEN not in json.dumps([each.as_json() for each in found])
    assert "Replace it" in found[0].remedy
    assert "credential helper" in found[0].remedy


def test_verify_update_starts_nothing_with_it(
    older: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[str] = []
    ran = subprocesses.run

    def run(command: list[str | Path], *rest: object) -> subprocesses.Ran:
        commands.append(" ".join(map(str, command)))
        return ran(command, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(subprocesses, "run", run)
    monkeypatch.setattr(update, "__file__", str(older / "verify/upkeep/update.py"))

    assert update.main() == 2

    told = (older / ".hardening/update.md").read_text()
    assert (older / ".hardening/update.patch").read_bytes() == b""
    assert "password or token" in told
    assert "credential helper" in told
    assert TOKEN not in "".join([told, *commands, *capsys.readouterr()])
    assert commands == ["git status --porcelain"]


def test_drift_and_offers_start_nothing_with_it(older: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocesses, "run", lambda *_: pytest.fail("something was started"))

    with pytest.raises(UnverifiedError, match="password or token") as error:
        Template.of(older, tmp_path)

    assert TOKEN not in f"{error.value} {error.value.seen} {error.value.remedy}"


def test_an_overlay_with_it_is_refused_too(older: Path) -> None:
    (older / ".copier-answers.yml").rename(older / overlay.ANSWERS)

    with pytest.raises(UnverifiedError, match="overlay"):
        refuse_secret(older)
