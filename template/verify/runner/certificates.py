# Owned by the template: an update rewrites this file.
"""The certificates of an organisation: what is started here trusts them beside those that it trusts already, so that an
index, an advisory service or a template behind the organisation's own authority can be reached. The hooks use this too,
in Copier's interpreter: Python 3.10, and the standard library.
"""

import os
import ssl
from importlib import import_module
from pathlib import Path

from .files import write_atomically

SOURCE = "src/*/hardening_overlay/ca.crt"
BUNDLE = Path(".hardening", "certificates.crt")
VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO")
"""What uv, pip-audit and git read; each names a file that takes the place of what they trust by themselves."""
OF_THE_SYSTEM = ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
SYSTEM = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def own(project: Path) -> str:
    """The organisation's certificates as text; empty if it has none. A file without a certificate is none.

    Raises:
        OSError: They cannot be read.
        ValueError: What stands there is no certificate, or not text.
    """
    texts = [path.read_text(encoding="utf-8") for path in sorted(project.glob(SOURCE))]
    found = "\n".join(text for text in texts if "-----BEGIN CERTIFICATE-----" in text)
    if found:
        try:
            ssl.create_default_context(cadata=found)
        except ssl.SSLError as error:
            raise ValueError(error.reason or "it holds no certificate") from None
    return found


def trust(project: Path) -> None:
    """Name them, and what is trusted already, in the variables of this process. What is none is left to the stage
    `overlay`, which says so.
    """
    try:
        if certificates := own(project):
            path = project / BUNDLE
            path.parent.mkdir(exist_ok=True)
            trusted = "\n".join(_trusted())
            if certificates not in trusted:  # it is, in what a hook or verify has started
                trusted += f"\n{certificates}"
            write_atomically(path, trusted.encode())
            of_the_system = any(os.environ.get(name) for name in OF_THE_SYSTEM)
            for name in VARIABLES:
                if name != "SSL_CERT_FILE" or not of_the_system or os.environ.get(name):
                    os.environ[name] = str(path.resolve())
    except (OSError, ValueError):
        return


def for_requests() -> dict[str, str]:
    """The variable by which pip-audit trusts what uv does, which reads others."""
    system = SYSTEM if any(os.environ.get(name) for name in OF_THE_SYSTEM) else ()
    named = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE")
    found = [each for each in (*map(os.environ.get, named), *system) if each and Path(each).exists()]
    return {"REQUESTS_CA_BUNDLE": found[0]} if found else {}


def _trusted() -> list[str]:
    """What is trusted already: by the variables, or else by Python's default, by certifi or by the system."""
    named = [path for name in VARIABLES if (path := os.environ.get(name))]
    default = ssl.get_default_verify_paths().cafile
    others = [*([default] if default else []), *_certifi(), *SYSTEM]
    paths = named or next(([path] for path in others if Path(path).is_file()), [])
    return list(dict.fromkeys(Path(path).read_text(encoding="utf-8", errors="replace") for path in paths))


def _certifi() -> list[str]:
    try:
        return [str(import_module("certifi").where())]
    except ImportError:
        return []
