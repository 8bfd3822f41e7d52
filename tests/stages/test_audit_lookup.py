"""A clean service is proved clean; what was not looked up, or not answered, is not taken for clean."""

import re
import socket
import ssl
import subprocess
import tomllib
from pathlib import Path

import pytest
from verify.stages import pip_audit

from ..fake_osv import advisory, serving
from ..proxies import SELF_SIGNED
from .runs import SHORT, Prove, ask_for, outcomes, refuses, told


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/query", "/osv", "/osv/v1/query"])
def test_a_clean_service_is_proved_clean_at_any_address(python: tuple[Path, Path], prove: Prove, path: str) -> None:
    with serving() as osv:
        prepare = "" if path == "" else SHORT
        checks = prove("audit", osv=osv.address + path, prepare=prepare)

    assert outcomes(checks) == {"proved"}, told(checks)
    assert osv.paths == {"/osv/v1/query" if "osv" in path else "/v1/query"}
    if path == "":
        lock = tomllib.loads((python[0] / "uv.lock").read_text())["package"]
        others = {(each["name"], each["version"]) for each in lock if each["source"] != {"editable": "."}}
        assert set(osv.asked) == {*others, ("jinja2", "2.10")}
        assert f"{len(others)} packages" in told(checks)
        assert "colorama" in dict(osv.asked), "what only another platform installs is looked up, too"


def test_nothing_that_lies_about_changes_the_result(prove: Prove, service: Path) -> None:
    (service / ".env").write_text("APP_ENV=development\nAPP_ALLOWED_HOSTS=*\nUV_FROZEN=1\nAUDIT_OSV_URL=http://x\n")
    shell = {
        "APP_ENV": "development",
        "APP_ALLOWED_HOSTS": "*",
        "APP_RATE_LIMIT": "nonsense",
        "COPIER_OPERATION": "update",
        "PIP_AUDIT_OSV_URL": "http://127.0.0.1:9",
        "PIP_AUDIT_VULNERABILITY_SERVICE": "esms",
        "STAGE": "task",
        "UV_FROZEN": "1",
        "UV_NO_DEV": "1",
        "UV_RESOLUTION": "lowest",
        "UV_PROJECT_ENVIRONMENT": str(service / "elsewhere"),
        "VIRTUAL_ENV": str(service / "elsewhere"),
    }
    with serving() as osv:
        checks = prove("lock", "audit", "configuration", osv=osv.address, prepare=SHORT, **shell)

    bad = [check for check in checks if check["outcome"] not in ("proved", "not_looked_at")]
    assert not bad, told(bad)
    assert "refused: hosts.E001, proxy.E001" in told(checks)
    assert not (service / "elsewhere").exists()


# Could not tell


@pytest.mark.parametrize(
    ("fault", "because"),
    [
        ("down", "answers with an error"),
        ("slow", "did not answer in time"),
        ("busy", "429 Client Error"),
        ("garbage", "not JSON"),
        ("nonsense", "does not understand"),
        ("empty", "does not know jinja2 2.10"),
        ("no canary", "does not know jinja2 2.10"),
    ],
)
def test_a_service_with_a_fault_is_not_believed(prove: Prove, fault: str, because: str) -> None:
    with serving(fault=fault) as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT)

    refuses(checks, because)
    attempts = osv.asked.count(("jinja2", "2.10"))
    assert attempts == (1 if fault in ("empty", "no canary", "busy") else 3), (
        "an answer is taken, anything else asked for again"
    )


def test_a_service_that_comes_back_is_asked_again(prove: Prove) -> None:
    with serving(fault="down at first") as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT)

    assert outcomes(checks) == {"proved"}, told(checks)
    assert sorted(name for name, _ in osv.asked) in (["click", "click", "jinja2"], ["click", "jinja2", "jinja2"])


@pytest.mark.parametrize("fault", ["busy at first", "stuck", "together", "null"])
def test_a_service_that_is_slow_or_limits_us_is_asked_as_it_says(prove: Prove, fault: str) -> None:
    with serving(fault=fault) as osv:
        checks = prove("audit", osv=osv.address, prepare="pip_audit.SOCKET_TIMEOUT = 4" if fault == "together" else "")

    assert outcomes(checks) == {"proved"}, told(checks)


REPOSITORY = {"ranges": [{"type": "GIT", "repo": "https://git.example.com/click", "events": [{"introduced": "0"}]}]}
"""What a record is also about, without a package: the schema of OSV requires none."""


def test_advisories_on_later_pages_or_by_other_spellings_count(prove: Prove) -> None:
    more = [
        advisory("PYSEC-0000-7", "Click", "99.1", "CVE-0000-7"),
        advisory("CVE-0000-7", "click", "99.2", "CVE-0000-8"),
        advisory("GHSA-7", "click", "99.2", "CVE-0000-8"),
        {**(of_both := advisory("PYSEC-0000-7", "click", "99.1")), "affected": [*of_both["affected"], REPOSITORY]},
        {**advisory("PYSEC-0000-7", "click", "99.1"), "published": "2020-01-01 00:00:00 +00:00"},
    ]
    with serving(*more, fault="paged") as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT)

    (found,) = [each for each in checks if each["outcome"] == "insecure"]
    assert "PYSEC-0000-7" in found["name"]
    assert found["seen"].startswith("fixed in 99.2;"), found["seen"]
    assert {"CVE-0000-7", "CVE-0000-8", "GHSA-7"} <= set(re.split(r"\W*[ ,]\W*", found["seen"])), found["seen"]


@pytest.mark.parametrize("more", [{"affected": None}, {"affected": []}, {"affected": None, "aliases": None}])
def test_an_advisory_that_names_no_package_is_about_what_was_asked_for(prove: Prove, more: dict[str, None]) -> None:
    with serving({**advisory("PYSEC-0000-9", "click", None), **more}) as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT)

    (found,) = [each for each in checks if each["outcome"] == "insecure"]
    assert "click" in found["object"], told(checks)
    assert "PYSEC-0000-9" in found["name"]


def test_a_workspace_has_one_lock_for_all_of_its_members(prove: Prove, service: Path) -> None:
    other = service.parent / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text(CHECKOUT.replace("click", "other") + "[tool.uv]\npackage = false\n")
    (service.parent / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["o*"]\n')
    (service / "uv.lock").rename(service.parent / "uv.lock")
    subprocess.run(["uv", "lock", "--quiet"], cwd=service, check=True)
    with serving() as osv:
        checks = prove("lock", "audit", "sbom", osv=osv.address)

    assert outcomes(checks) == {"proved"}, told(checks)


def test_a_workspace_whose_members_are_absolute_paths_ends_in_no_traceback(prove: Prove, service: Path) -> None:
    (service.parent / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["/srv/*"]\n')

    assert outcomes(prove("sbom")) == {"proved"}


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", ""])
def test_an_authority_of_one_s_own_is_trusted_as_uv_trusts_it(prove: Prove, tmp_path: Path, variable: str) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    names = ("-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
    subprocess.run([*SELF_SIGNED, *names], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    given = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), "") | (
        {variable: str(certificate)} if variable else {}
    )
    with serving(tls=tls) as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT, **given)

    if variable:
        assert outcomes(checks) == {"proved"}, told(checks)
    else:
        refuses(checks, "certificate that is not trusted .*SSL_CERT_FILE")


def test_a_service_without_tls_is_not_told_to_have_a_wrong_certificate(prove: Prove) -> None:
    with serving() as osv:
        checks = prove("audit", osv=osv.address.replace("http:", "https:"), prepare=SHORT)

    refuses(checks, "cannot be reached")
    assert "SSL_CERT_FILE" not in told(checks)


def test_an_unreachable_service_is_said_to_be_unreachable(prove: Prove) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        checks = prove("audit", osv=f"http://127.0.0.1:{taken.getsockname()[1]}", prepare=SHORT)

    refuses(checks, "cannot be reached")


def test_a_run_that_takes_too_long_is_ended(prove: Prove) -> None:
    with serving(fault="slow") as osv:
        prepare = f"{SHORT}\npip_audit.SOCKET_TIMEOUT, pip_audit.RUN_TIMEOUT = 20, 2.0"
        checks = prove("audit", osv=osv.address, prepare=prepare)

    refuses(checks, "no full answer within 2 s")


WATCHED = f"""{SHORT}
def run(command, *more, run=pip_audit.subprocesses.run):
    assert "hidden" not in " ".join(map(str, command))
    return run(command, *more)
pip_audit.subprocesses.run = run
"""


def test_a_password_of_the_service_is_in_no_list_of_processes_and_no_sentence(prove: Prove) -> None:
    with serving() as osv:
        checks = prove("audit", osv=osv.address.replace("://", "://jane:hidden@"), prepare=WATCHED)

    assert outcomes(checks) == {"proved"}, told(checks)
    assert "hidden" not in told(checks)


@pytest.mark.parametrize("address", ["ftp://127.0.0.1", "127.0.0.1:80", "http://", "http://[x", "http://h:99999/"])
def test_an_address_that_is_none_is_refused(prove: Prove, address: str) -> None:
    refuses(prove("audit", osv=address, prepare=SHORT), "AUDIT_OSV_URL is not the address")


def test_a_package_that_is_no_release_is_not_taken_for_one(prove: Prove, service: Path) -> None:
    checkout = service / "vendored"
    (checkout / "src" / "click").mkdir(parents=True)
    (checkout / "src" / "click" / "__init__.py").touch()
    (checkout / "pyproject.toml").write_text(CHECKOUT)
    subprocess.run(["uv", "build", "--quiet", "--wheel", str(checkout)], cwd=service, check=True)
    (wheel,) = checkout.glob("dist/*.whl")
    ask_for(service, str(wheel))

    with serving() as osv:
        checks = prove("audit", osv=osv.address, prepare=SHORT)

    refuses(checks, "click 8.99 is from no index")


CHECKOUT = """\
[project]
name = "click"
version = "8.99"
[build-system]
requires = ["uv_build>=0.13,<0.14"]
build-backend = "uv_build"
"""


def tampered(change: str) -> str:
    """A preparation after which pip-audit's output is something else."""
    return f"""{SHORT}
run = subprocesses.run
def changed(command, *arguments, **options):
    ran = run(command, *arguments, **options)
    if str(pip_audit.PROCESS) not in command:
        return ran
    data = json.loads(ran.out)
    {change}
    return subprocesses.Ran(ran.code, ran.out if type(data) is dict and not data else json.dumps(data), ran.err)
subprocesses.run = changed
"""


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ("ran = subprocesses.Ran(0, 'No known vulnerabilities found', ''); data = {}", "does not parse"),
        ("data = {'fixes': []}", "does not parse"),
        ("data['dependencies'][1] = {'name': 'click', 'version': 'x!', 'vulns': []}", "does not parse"),
        ("del data['dependencies'][1]", "1 of 1 locked packages are not in the answer: click"),
        ("data['dependencies'][1]['version'] = '0.1'", "1 of 1 locked packages are not in the answer: click"),
        (
            "data['dependencies'][1] = {'name': 'click', 'skip_reason': 'x'}",
            "has nothing on click",
        ),
        ("ran = subprocesses.Ran(1, '', 'No module named pip_audit'); data = {}", "pip-audit is not installed"),
    ],
)
def test_an_answer_that_falls_short_is_not_believed(prove: Prove, change: str, because: str) -> None:
    with serving() as osv:
        refuses(prove("audit", osv=osv.address, prepare=tampered(change)), because)


def test_an_advisory_that_pip_audit_drops_is_not_taken_for_none(prove: Prove) -> None:
    with serving(advisory("PYSEC-0000-3", "click", "99", schema="2.0.0")) as osv:
        refuses(prove("audit", osv=osv.address, prepare=SHORT), "not understood of the advisories: 1; ")


def test_the_audit_starts_no_other_program(python: tuple[Path, Path]) -> None:
    """pip-api, which pip-audit imports, would ask `pip` for its release."""
    code = f"""
import runpy, sys
seen = []
sys.addaudithook(lambda event, given: event == "subprocess.Popen" and seen.append(given))
runpy.run_path({str(pip_audit.PROCESS)!r})
import pip_audit._cli, pip_api
from importlib.metadata import version
assert (seen, str(pip_api.PIP_VERSION)) == ([], version("pip")), seen
"""

    done = subprocess.run([str(python[1]), "-I", "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_without_uv_or_a_lock_there_is_no_answer(prove: Prove, service: Path) -> None:
    with serving() as osv:
        refuses(prove("lock", osv=osv.address, UV="", PATH=str(service)), "uv cannot be started")
        (service / "uv.lock").unlink()
        refuses(prove("audit", osv=osv.address), "there is no uv.lock")
    assert not osv.asked
