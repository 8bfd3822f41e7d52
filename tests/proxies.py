"""Real proxies in front of a service, as their packages start and as people publish them."""

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from .conftest import PATIENCE, REPOSITORY

HOST = "api.example.com"

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {upstream}
    server {{
        listen {listen};
        {tls}
        location / {{
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            {location}
        }}
    }}
}}
"""
NGINX_UPSTREAM = "upstream service {{ server 127.0.0.1:{one}; server 127.0.0.1:{two}; keepalive 16; }}"
NGINX_KEPT = 'proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection "";'
NGINX_TLS = "ssl_certificate {folder}/both.pem; ssl_certificate_key {folder}/both.pem;"
HAPROXY = """
global
    log {folder}/log local0
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    {defaults}
frontend front
    bind 127.0.0.1:{port}{tls}
    default_backend service
backend service
    {backend}
"""
HAPROXY_TWO = "server one 127.0.0.1:{one} check inter 500ms\n    server two 127.0.0.1:{two} check inter 500ms"
CADDY = """
{{
    admin off
    auto_https off
    storage file_system {folder}/storage
    {options}
}}
{site} {{
    {tls}
    {reverse}
}}
"""
CADDY_TWO = """reverse_proxy 127.0.0.1:{one} 127.0.0.1:{two} {{
        lb_policy round_robin
        fail_duration 10s
        max_fails 1
        flush_interval -1
    }}"""


@dataclass(frozen=True)
class Proxy:
    """How one is set up. `{one}` and `{two}` stand for the ports of the services, `{port}` for its own."""

    program: str
    config: str
    is_tls: bool = False
    is_websocket: bool = False


def nginx(location: str, upstream: str = "", listen: str = "127.0.0.1:{port}", **more: bool) -> Proxy:
    """nginx with these lines where they belong."""
    is_tls = more.get("is_tls", False)
    parts = {"location": location, "upstream": upstream, "listen": listen, "tls": NGINX_TLS if is_tls else ""}
    return Proxy("nginx", _filled(NGINX, **parts), **more)


def haproxy(backend: str, defaults: str = "", tls: str = "", is_websocket: bool = False) -> Proxy:
    """HAProxy with these lines where they belong."""
    config = _filled(HAPROXY, backend=backend, defaults=defaults, tls=tls)
    return Proxy("haproxy", config, bool(tls), is_websocket)


def caddy(reverse: str, site: str = "http://127.0.0.1:{port}, http://api.example.com:{port}", tls: str = "") -> Proxy:
    """Caddy with these lines where they belong."""
    return Proxy("caddy", _filled(CADDY, reverse=reverse, site=site, tls=tls, options=""), bool(tls), True)


def _filled(text: str, **parts: str) -> str:
    for name, value in parts.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def documented(program: str, language: str, around: str, number: int = 1) -> Proxy:
    """A proxy as HARDENING.md says, on ports of the tests. `@` stands for what it says, in the block of this number."""
    said = (REPOSITORY / "template/HARDENING.md").read_text().split(f"```{language}\n")[number].partition("```")[0]
    said = said.replace("{", "{{").replace("}", "}}").replace(":8000", ":{one}")
    said = said.replace("listen 80", "listen 127.0.0.1:{port}").replace("bind :80", "bind 127.0.0.1:{port}")
    said = said.replace("api.example.com", "http://127.0.0.1:{port}, http://api.example.com:{port}")
    return Proxy(program, around.replace("@", said))


PROXIES = {
    "nginx, as HARDENING.md says": documented("nginx", "nginx", NGINX.partition("    {upstream}")[0] + "@}}"),
    "haproxy, as HARDENING.md says": documented("haproxy", "haproxy", HAPROXY.partition("    {defaults}")[0] + "@"),
    "caddy, as HARDENING.md says": documented("caddy", "caddyfile", CADDY.partition("    {options}")[0] + "}}\n@"),
    "nginx, as its manual begins": nginx("proxy_pass http://127.0.0.1:{one};"),
    "nginx, two servers": nginx(NGINX_KEPT, NGINX_UPSTREAM),
    "nginx, nothing buffered": nginx(f"{NGINX_KEPT} proxy_buffering off; proxy_request_buffering off;", NGINX_UPSTREAM),
    "nginx, upgrade everywhere": nginx(
        "proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
        'proxy_set_header Connection "upgrade";',
        NGINX_UPSTREAM,
        is_websocket=True,
    ),
    "nginx, TLS and HTTP/2": nginx(
        f"{NGINX_KEPT} proxy_request_buffering off;", NGINX_UPSTREAM, "127.0.0.1:{port} ssl http2", is_tls=True
    ),
    "haproxy, as its manual begins": haproxy("server one 127.0.0.1:{one}"),
    "haproxy, two servers": haproxy(
        "http-reuse always\n    option httpchk GET /health/live\n    " + HAPROXY_TWO,
        "option forwardfor",
        is_websocket=True,
    ),
    "haproxy, TLS and HTTP/2": haproxy(HAPROXY_TWO, "option forwardfor", " ssl crt {folder}/both.pem alpn h2,http/1.1"),
    "caddy, as its manual begins": caddy("reverse_proxy 127.0.0.1:{one}"),
    "caddy, two servers": caddy(CADDY_TWO),
    "caddy, TLS and HTTP/2": caddy(
        CADDY_TWO, "https://api.example.com:{port}", "tls {folder}/both.pem {folder}/both.pem"
    ),
}

_SERVER = NGINX.partition("        {tls}")[0].replace("{upstream}", "upstream service {{ server 127.0.0.1:{one}; }}")
_SERVER = _SERVER.replace("{listen}", "127.0.0.1:{port}") + "@}}}}"
_BARE_CADDY = CADDY.partition("    {options}")[0] + "}}\n@"
UNDER_A_PATH = {
    "nginx, as HARDENING.md says": documented("nginx", "nginx", _SERVER, 2),
    "caddy, as HARDENING.md says": documented("caddy", "caddyfile", _BARE_CADDY, 2),
}
UNDER_A_PATH |= {
    "nginx, keeping it": replace(
        UNDER_A_PATH["nginx, as HARDENING.md says"],
        config=UNDER_A_PATH["nginx, as HARDENING.md says"].config.replace("http://service/", "http://service"),
    ),
    "caddy, keeping it": replace(
        UNDER_A_PATH["caddy, as HARDENING.md says"],
        config=UNDER_A_PATH["caddy, as HARDENING.md says"].config.replace("handle_path", "handle"),
    ),
}
"""Proxies that show a service under `/api`, and take that off or not."""


def free_port() -> int:
    """A port that nothing listens on, below those that the kernel gives to connections: thousands are made here."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a port is listened on.

    Raises:
        AssertionError: The process ended, or took too long; with what it said.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(log.read_text())


@contextmanager
def running(command: Sequence[str | Path], port: int, log: Path, cwd: Path, **variables: str) -> Iterator[None]:
    """A program that listens on a port, ended afterwards by its process id; nobody waits for port 0."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=cwd, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **variables}
        ) as process,
    ):
        try:
            if port:
                wait_for(port, process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def in_front(proxy: Proxy, services: Sequence[int], folder: Path) -> Iterator[int]:
    """The port of the proxy in front of the services."""
    program = shutil.which(proxy.program, path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, f"{proxy.program} is not installed; .ci/run installs it"
    port, config, log = free_port(), folder / "config", folder / "log"
    if proxy.is_tls:
        certify(folder / "both.pem")
    config.write_text(proxy.config.format(folder=folder, port=port, one=services[0], two=services[1]))
    commands: dict[str, list[str | Path]] = {
        "nginx": [program, "-p", folder, "-c", config],
        "haproxy": [program, "-db", "-f", config],
        "caddy": [program, "run", "--config", config, "--adapter", "caddyfile"],
    }
    with running(commands[proxy.program], port, log, folder, HOME=str(folder), XDG_DATA_HOME=str(folder)):
        yield port


SELF_SIGNED = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3".split()  # noqa: SIM905
"""How a certificate and a key are made, without their names and files."""


def certify(path: Path) -> None:
    """Write a key and a certificate that it signed itself into one file."""
    names = ("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}")
    key = path.with_suffix(".key")
    subprocess.run([*SELF_SIGNED, *names, "-keyout", key, "-out", path], check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
