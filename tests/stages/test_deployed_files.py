"""What deploys: honest container and compose files end green, and sabotaged ones red, whatever the files are called."""

import re
from collections.abc import Callable

import pytest
from verify.result import Check, Outcome

from .conftest import Change

PACKAGE = "orders_api"
SERVE = f'CMD ["python", "-m", "{PACKAGE}", "serve", "--host", "0.0.0.0"]'
USER = "USER 10001:10001"
CONFINED = """
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    cpus: 1.0
    mem_limit: 512m
    pids_limit: 128
"""
Look = Callable[[Change], list[Check]]

UVICORN = '"uvicorn", "orders_api.app:app"'
WRAPPER = (
    "import uvicorn\nfrom starlette.middleware.cors import CORSMiddleware\nuvicorn.run(CORSMiddleware(create_app()))\n"
)


def start(command: str) -> Change:
    return {"Dockerfile": (SERVE, command)}


def api(more: str, file: str = "compose.yaml") -> Change:
    return {file: ("    build: .\n", f"    build: .\n{more}")}


DEVELOPMENT: Change = {"prod.env": "export APP_ENV=development\n"}
REPLICAS = "compose.replicas insecure .*count in memory"
SABOTAGED: dict[str, tuple[Change, str]] = {
    # several containers, each of which counts for itself
    "replicas in memory": (api("    deploy: {replicas: 3}\n"), REPLICAS),
    "scale": (api("    scale: 2\n"), REPLICAS),
    "replicas by a default": (api("    deploy: {replicas: '${REPLICAS:-4}'}\n"), REPLICAS),
    "one on each machine": (api("    deploy: {mode: global}\n"), REPLICAS),
    "replicas beside memory by name": (
        {
            "compose.yaml": (
                "    build: .\n    environment:\n",
                "    build: .\n    deploy:\n      replicas: 2\n    environment:\n      APP_STORE_URL: memory://\n",
            )
        },
        REPLICAS,
    ),
    "replicas in a file of changes": (
        {"compose.prod.yaml": "services:\n  api:\n    deploy:\n      replicas: 5\n"},
        r"compose.prod.yaml api compose.replicas insecure 5 ",
    ),
    # s01 to s03 and their siblings: how the image starts
    "serve --dev": (start(SERVE.replace('"serve"', '"serve", "--dev"')), "docker.start insecure .*--dev"),
    "serve --de": (start(SERVE.replace('"serve"', '"serve", "--de"')), "docker.start insecure"),
    "a shell form with --dev": (start(f"CMD python -m {PACKAGE} serve --dev"), "docker.start insecure"),
    "a shell in an exec form": (start(f'CMD ["sh", "-c", "exec python -m {PACKAGE} serve --dev"]'), "start insecure"),
    "ENTRYPOINT and CMD": (
        start(f'ENTRYPOINT ["python", "-m", "{PACKAGE}"]\nCMD ["serve", "--dev"]'),
        "docker.start insecure",
    ),
    "ENV": (
        start(f"ENV APP_ENV=development APP_DOCS=true\n{SERVE}"),
        "start insecure .*APP_ENV=development, APP_DOCS=true",
    ),
    "ENV on several lines": (
        start(f'ENV A=1 \\\n    # why\n    app_env="development"\n{SERVE}'),
        "start insecure .*app_env",
    ),
    "the older ENV": (start(f"ENV APP_DOCS 1\n{SERVE}"), "start insecure .*APP_DOCS"),
    "ENV through ARG": (start(f"ARG MODE=development\nENV APP_ENV=$MODE\n{SERVE}"), "start insecure .*development"),
    "a variable before it": (start(f"CMD APP_ENV=development python -m {PACKAGE} serve"), "start insecure .*APP_ENV"),
    "env before it": (start(f'CMD ["env", "APP_DOCS=on", "python", "-m", "{PACKAGE}", "serve"]'), "start insecure"),
    "uvicorn": (start(f'CMD [{UVICORN}, "--forwarded-allow-ips", "*"]'), "start insecure .*uvicorn"),
    "uv run uvicorn": (start("CMD uv run --no-sync uvicorn orders_api.app:app"), "start insecure"),
    "python -m gunicorn": (start('CMD ["python", "-m", "gunicorn", "-w", "4", "x:app"]'), "start insecure"),
    "hypercorn of a path": (start('ENTRYPOINT ["/app/.venv/bin/hypercorn", "x:app"]'), "start insecure"),
    "granian by itself": (start('CMD ["granian", "--interface", "asgi", "x:app"]'), "start insecure"),
    "fastapi dev": (start('CMD ["fastapi", "dev", "src/orders_api/app.py"]'), "start insecure"),
    "an init before it": (start('ENTRYPOINT ["tini", "--"]\nCMD ["uvicorn", "x:app"]'), "start insecure"),
    "python -c": (start("CMD python -c 'import uvicorn; uvicorn.run(1)'"), "start insecure"),
    "a module that wraps": (
        {**start(f'CMD ["python", "-m", "{PACKAGE}.wrapped"]'), f"src/{PACKAGE}/wrapped.py": WRAPPER},
        "start insecure .*brings a server",
    ),
    "a file that wraps": ({**start('CMD ["python", "/app/run.py"]'), "run.py": WRAPPER}, "start insecure"),
    "an entry point that wraps": (
        {
            **start('CMD ["orders-web"]'),
            f"src/{PACKAGE}/web.py": WRAPPER,
            "pyproject.toml": (
                "[dependency-groups]",
                '[project.scripts]\norders-web = "orders_api.web:main"\n[dependency-groups]',
            ),
        },
        "start insecure",
    ),
    "a script": (
        {**start('ENTRYPOINT ["/entrypoint.sh"]'), "docker/entrypoint.sh": "#!/bin/sh\nexec uvicorn x:app\n"},
        "start insecure",
    ),
    "a script that exports": (
        {
            **start(f'ENTRYPOINT ["/entrypoint.sh"]\n{SERVE}'),
            "entrypoint.sh": '#!/bin/sh\nexport APP_ENV=development\nexec "$@"\n',
        },
        "start insecure",
    ),
    "an environment that is sourced": (
        {**start(f"CMD set -a; . ./prod.env; exec python -m {PACKAGE} serve"), **DEVELOPMENT},
        "docker.start insecure .*APP_ENV",
    ),
    "an environment by uv": (
        {**start(f"CMD uv run --env-file prod.env python -m {PACKAGE} serve"), **DEVELOPMENT},
        "docker.start insecure .*APP_ENV",
    ),
    "an environment by uv, in a folder": (
        {
            **start(f"CMD uv run --env-file=conf/prod.env python -m {PACKAGE} serve"),
            "conf/prod.env": "APP_ENV=development\n",
        },
        "docker.start insecure .*APP_ENV",
    ),
    **{
        f"an environment by a variable of uv: {files}": (
            {**start(f"ENV UV_ENV_FILE={files}\n{SERVE}"), **DEVELOPMENT},
            "docker.start insecure .*APP_ENV",
        )
        for files in ("prod.env", "'base.env prod.env'")
    },
    **{
        f"an environment by {command}": (
            {**start(f"CMD {command} python -m {PACKAGE} serve"), **DEVELOPMENT},
            "docker.start insecure .*APP_ENV",
        )
        for command in ("dotenv -f prod.env run --", "export $(cat /app/prod.env | xargs) &&", "APP_ENV=development;")
    },
    "an environment that may be meant": (
        {
            **start(f"CMD uv run --env-file /run/x.env python -m {PACKAGE} serve"),
            "deploy/x.env": "APP_ENV=development\n",
        },
        "docker.start unverified .*deploy/x.env",
    ),
    "a wrapper before another server": (start("CMD doppler run -- uvicorn x:app"), "docker.start insecure .*uvicorn"),
    "a script before --": (
        {
            **start(f'CMD ["./start.sh", "db:5432", "--", "python", "-m", "{PACKAGE}", "serve"]'),
            "start.sh": "#!/bin/sh\nexec uvicorn x:app\n",
        },
        "docker.start insecure .*uvicorn",
    ),
    "a script in an environment": (
        {
            **start("CMD APP_ENV=development ./start.sh"),
            "start.sh": f"#!/bin/sh\nexec python -m {PACKAGE} serve\n",
        },
        "docker.start insecure .*APP_ENV",
    ),
    **{
        f"an environment behind {wrapper}": (
            start(f"CMD {wrapper} APP_ENV=development python -m {PACKAGE} serve"),
            "docker.start insecure .*APP_ENV",
        )
        for wrapper in ("sudo", "doppler run -- env", "tini -- env -i")
    },
    "USER in quotes": ({"Dockerfile": (USER, 'USER "root"')}, "docker.user insecure"),
    "a file that is included": (
        {
            "compose.yaml": ("services:\n", "include: [{path: extra/other.conf}]\nservices:\n"),
            "extra/other.conf": "services: {b: {image: orders-api, privileged: true}}\n",
        },
        "other.conf b compose.confined insecure .*privileged",
    ),
    "JSON": (
        {"compose.yaml": None, "docker-compose.json": '{"services": {"api": {"build": ".", "privileged": true}}}'},
        "docker-compose.json api compose.confined insecure",
    ),
    "an env_file with colons": ({**api("    env_file: p.env\n"), "p.env": "APP_ENV: development\n"}, "start insecure"),
    **{
        f"confined, but {line}": (api(f"    {line}\n"), "compose.confined insecure")
        for line in (
            "devices: ['/dev/mem:/dev/mem']",
            "devices: [{source: /dev/mem, target: /dev/mem}]",
            "device_cgroup_rules: ['a *:* rwm']",
            "device_cgroup_rules: ['b 8:* rwm']",
            "device_cgroup_rules: ['c 1:1 rwm']",
            f"volumes: ['./{'../' * 30}:/host']",
            "use_api_socket: true",
            "post_start: [{command: x, user: root}]",
            "volumes: ['~/.ssh:/x']",
            "volumes: ['${HOME}:/x']",
            f"volumes: ['{'../' * 30}:/host']",
        )
    },
    **{
        f"no bound: {new}": ({"compose.yaml": (old, new)}, "compose.confined insecure .*misses")
        for old, new in (
            *(("mem_limit: 512m", f"mem_limit: {bound}") for bound in ("-1", "0b", "null", "~")),
            ("pids_limit: 128", "pids_limit: 0"),
        )
    },
    "without serve": (start(f'CMD ["python", "-m", "{PACKAGE}"]'), "start insecure .*without"),
    "nothing": (start(""), "docker.start unverified"),
    "something else": (start('CMD ["supervisord"]'), "docker.start unverified .*no server that is known"),
    "a file by any name": (
        {"deploy/stack.yml": "services: {api: {image: orders-api, privileged: true}}\n"},
        "stack.yml api .*priv",
    ),
    "a script that nobody sees": (start('CMD ["/start.sh"]'), "docker.start unverified"),
    # s05: the image itself, by whatever name
    "another name": (
        {"Dockerfile": None, "Dockerfile.prod": f"FROM python\nCOPY . .\nRUN pip install .\n{SERVE}"},
        "user insecure",
    ),
    "Containerfile": (
        {"Dockerfile": None, "Containerfile": f"FROM python\nCOPY src .\n{SERVE}"},
        "Containerfile docker.user ins",
    ),
    "a folder": (
        {"deploy/docker/api": f"FROM python\nRUN true\nCOPY src .\n{SERVE}"},
        "deploy/docker/api docker.user ins",
    ),
    "a second one": (
        {"api.Dockerfile": f'FROM python\nCOPY src /src\n{USER}\n{SERVE[:-1]}, "--dev"]'},
        "api.Dockerfile docker.start ins",
    ),
    "lower case": (
        {"Dockerfile": None, "dockerfile": f"from python\ncopy src .\n{SERVE}"},
        "dockerfile docker.user ins",
    ),
    "the only one, for development": (
        {"Dockerfile": None, "Dockerfile.dev": f"FROM python\nCOPY . .\n{SERVE}"},
        "Dockerfile.dev docker.user insecure",
    ),
    "pip install .": (
        {"Dockerfile": ("RUN uv sync --locked --no-editable", "RUN pip install --no-cache-dir .")},
        "docker.locked insecure .*pip install",
    ),
    "USER in an earlier stage alone": (
        {"Dockerfile": f"FROM python AS build\n{USER}\nCOPY src .\nFROM python\nCOPY --from=build /app /app\n{SERVE}"},
        "docker.user insecure no USER",
    ),
    "USER root in the last": ({"Dockerfile": (USER, f"{USER}\nUSER root")}, "docker.user insecure"),
    "USER through ARG": ({"Dockerfile": (USER, "ARG WHO=root\nUSER ${WHO}")}, "docker.user insecure USER root"),
    "a base that is a stage of root": (
        {"Dockerfile": f"ARG B=x\nFROM python AS x\nUSER root\nCOPY src .\nFROM ${{B}}\n{SERVE}"},
        "docker.user insecure USER root",
    ),
    "a heredoc": (
        {"Dockerfile": ("RUN uv sync --locked --no-editable", "RUN <<EOF\nuv sync\nEOF")},
        "docker.locked insecure",
    ),
    # s06, s07, B4: compose
    "docker-compose.yml": (
        {
            "compose.yaml": None,
            "docker-compose.yml": f"services:\n  api:\n    build: .\n    privileged: yes\n{CONFINED}",
        },
        "docker-compose.yml api compose.confined insecure .*privileged",
    ),
    "an image of ours": (
        {"compose.yaml": ("    build: .\n", "    image: registry.example/svc:1\n    privileged: true\n")},
        "privileged",
    ),
    "an image named like us": (
        {"compose.yaml": "services:\n  web:\n    image: registry.example/orders-api:1@sha256:aa\n"},
        "web compose.confined insecure .*misses read_only",
    ),
    "cap_add": (api("    cap_add: [SYS_ADMIN]\n"), "cap_add: SYS_ADMIN"),
    "every right": (api("    cap_add: ['all']\n"), "cap_add: ALL"),
    "user root": (api('    user: "0:0"\n'), "user: 0:0"),
    "user root by number": (api("    user: 0\n"), "user: 0"),
    "a default of root": (api("    user: ${WHO:-root}\n"), "user: root"),
    "host network": (api("    network_mode: host\n"), "network_mode: host"),
    "unconfined": (
        {"compose.yaml": ("- no-new-privileges:true", "- no-new-privileges:true\n      - seccomp:unconfined")},
        "seccomp:unc",
    ),
    "a socket": (api("    volumes: [/var/run/docker.sock:/var/run/docker.sock:ro]\n"), "docker.sock"),
    "a socket, written long": (
        api("    volumes:\n      - {type: bind, source: /run/podman/podman.sock, target: /x}\n"),
        "podman.sock",
    ),
    "the host's root": (api("    volumes: ['/:/host']\n"), "volumes: /"),
    "a merge key": (api("    <<: {pid: host}\n"), "pid: host"),
    "an anchor": (
        {"compose.yaml": ("services:\n  api:\n", "x-loose: &loose {ipc: host}\nservices:\n  api:\n    <<: *loose\n")},
        "ipc: host",
    ),
    "extends": (
        {**api("    extends: {file: base.yaml, service: x}\n"), "base.yaml": "services: {x: {privileged: 'true'}}"},
        "privileged: true",
    ),
    "an override": (
        {"compose.override.yaml": "services:\n  api:\n    privileged: true\n"},
        "override.yaml api .*privileged",
    ),
    "one for production": (
        {"compose.prod.yaml": "services: {api: {user: root}}\n"},
        "compose.prod.yaml api .*user: root",
    ),
    "command": (api(f"    command: python -m {PACKAGE} serve --dev\n"), "compose.start insecure .*--dev"),
    "command, a list": (api("    command: [uvicorn, 'x:app']\n"), "compose.start insecure .*uvicorn"),
    "entrypoint": (api("    entrypoint: ['sh', '-c', 'gunicorn x:app']\n"), "compose.start insecure .*gunicorn"),
    "environment": (
        {"compose.yaml": ("APP_TRUSTED_PROXIES: 10.201.0.2", "APP_ENV: development")},
        "compose.start insecure .*APP_ENV",
    ),
    "environment, a list": (
        {"compose.yaml": f"services:\n  api:\n    build: .\n    environment: ['APP_DOCS=true']\n{CONFINED}"},
        "compose.start insecure .*APP_DOCS",
    ),
    "env_file": ({**api("    env_file: ./prod.env\n"), "prod.env": "APP_ENV=development\n"}, "compose.start insecure"),
    "env_file, written long": (
        {**api("    env_file: [{path: p.env, required: true}]\n"), "p.env": "export APP_DOCS='on'\n"},
        "compose.start insecure",
    ),
    "the development stage": (
        {
            **api("    build: {context: ., target: dev}\n"),
            "Dockerfile": ("FROM python:3.14-slim\n", "FROM python AS dev\nUSER 0\nFROM python\n"),
        },
        "user: 0",
    ),
    "another container file": (
        {**api("    build: {context: ., dockerfile: Dockerfile.dev}\n"), "Dockerfile.dev": "FROM python\nUSER root\n"},
        "user: root",
    ),
    "a list that is put in the place of another": (
        {"compose.prod.yaml": "services: {api: {cap_drop: !override []}}\n"},
        "compose.prod.yaml api compose.confined insecure .*misses cap_drop",
    ),
    "a published store": (
        {"compose.yaml": ("services:\n", "services:\n  cache:\n    image: redis:8\n    ports: ['6379:6379']\n")},
        "stores ins",
    ),
    "a store on a port of its own": (
        {
            "compose.yaml": (
                "services:\n",
                "services:\n  db:\n    image: docker.io/library/postgres:18\n    ports: ['15432:5432']\n",
            )
        },
        "stores insecure",
    ),
    "a port alone": (
        {"compose.yaml": ("services:\n", "services:\n  x:\n    image: valkey/valkey\n    ports: [6379]\n")},
        "stores insecure",
    ),
    "a store, written long": (
        {
            "compose.yaml": (
                "services:\n",
                "services:\n  x:\n    image: y\n    ports: [{target: 6379, published: 6379}]\n",
            )
        },
        "stores insecure",
    ),
    **{
        f"to every address: {ports}": (
            {"compose.yaml": ("services:\n", f"services:\n  x:\n    image: redis-like\n    ports: ['{ports}']\n")},
            "stores insecure",
        )
        for ports in ("0.0.0.0:6379:6379", "6370-6380:6370-6380")
    },
}

OF_UV = f"""\
FROM ghcr.io/astral-sh/uv:python3.14-bookworm-slim AS builder
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
ENV UV_NO_DEV=1
WORKDIR /app
RUN --mount=type=cache,target=/home/build/.cache/uv \\
    --mount=type=bind,source=uv.lock,target=uv.lock \\
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \\
    uv sync --locked --no-install-project
COPY . /app
RUN --mount=type=cache,target=/home/build/.cache/uv \\
    uv sync --locked

FROM python:3.14-slim-bookworm
RUN groupadd --system --gid 999 nonroot && useradd --system --gid 999 --uid 999 --create-home nonroot
COPY --from=builder --chown=nonroot:nonroot /app /app
ENV PATH="/app/.venv/bin:$PATH"
USER nonroot
{SERVE}
"""
HONEST: dict[str, Change] = {
    "replicas with a store": {
        "compose.yaml": (
            "    build: .\n    environment:\n",
            "    build: .\n    deploy: {replicas: 3}\n    environment:\n      APP_STORE_URL: redis://valkey:6379/0\n",
        )
    },
    "replicas with a store as a secret": api("    deploy: {replicas: 3}\n    secrets: [app_store_url]\n"),
    "as many as somebody says": api("    deploy: {replicas: '${REPLICAS}'}\n"),
    "one replica": api("    deploy: {replicas: 1}\n"),
    "as emitted": {},
    "as uv's documentation has it": {"Dockerfile": OF_UV},
    "a worker beside it": {"worker.Dockerfile": OF_UV.replace(SERVE, "CMD celery -A orders_api.tasks worker")},
    "kubernetes and a pipeline": {
        "k8s/service.yaml": "kind: Service\nspec: {ports: [{port: 80}]}\n",
        ".gitlab-ci.yml": "services: [docker:dind]\nx: {script: [echo]}\n",
    },
    "a shell form": start(f"CMD exec python -m {PACKAGE} serve --host 0.0.0.0"),
    "a variable for the port": start(f'CMD ["sh", "-c", "exec python -m {PACKAGE} serve --port ${{PORT:-8000}}"]'),
    "ENTRYPOINT and CMD": start(f'ENTRYPOINT ["tini", "--", "python", "-m", "{PACKAGE}"]\nCMD ["serve"]'),
    "uv run": start(f'CMD ["uv", "run", "--no-sync", "python", "-m", "{PACKAGE}", "serve"]'),
    "migrations first": start(f"CMD alembic upgrade head && exec python -m {PACKAGE} serve"),
    "a script": {
        **start(f'ENTRYPOINT ["/app/docker-entrypoint.sh"]\n{SERVE}'),
        "docker-entrypoint.sh": '#!/bin/sh\nif [ "$MIGRATE" = 1 ]; then\n  alembic upgrade head\nfi\nexec "$@"\n',
    },
    "an entry point": {
        **start('CMD ["orders", "serve"]'),
        "pyproject.toml": (
            "[dependency-groups]",
            '[project.scripts]\norders = "orders_api.__main__:main"\n[dependency-groups]',
        ),
    },
    "telemetry around it": start(f'CMD ["opentelemetry-instrument", "python", "-m", "{PACKAGE}", "serve"]'),
    **{
        f"behind {wrapper}": start(f"CMD {wrapper} python -m {PACKAGE} serve")
        for wrapper in (
            "ddtrace-run",
            "newrelic-admin run-program",
            "doppler run --",
            "op run --env-file=x --",
            "nohup",
            "sudo -u app",
            "setpriv --reuid app --regid app",
            "uv run --package orders-api --no-group dev",
        )
    },
    "a shell behind a wrapper": start(f"CMD tini -- sh -c 'exec python -m {PACKAGE} serve'"),
    "a script that only the image has": start(f"CMD ./wait-for-it.sh db:5432 -- python -m {PACKAGE} serve"),
    "a wait for the database": {
        **start(f'CMD ["./wait-for-it.sh", "db:5432", "--", "python", "-m", "{PACKAGE}", "serve"]'),
        "wait-for-it.sh": '#!/bin/sh\nshift\nexec "$@"\n',
    },
    "uv run -m": start(f'CMD ["uv", "run", "--no-sync", "-m", "{PACKAGE}", "serve"]'),
    "a page to look at a store": {
        "compose.yaml": ("services:\n", "services:\n  e:\n    image: mongo-express\n    ports: ['8081:8081']\n")
    },
    "a page to look at a search engine": {
        "compose.yaml": (
            "services:\n",
            "services:\n  e:\n    image: opensearchproject/opensearch-dashboards\n    ports: ['5601:5601']\n",
        )
    },
    "JSON of the same name": {"web/locales/en/compose.json": '{\n\t"to": "To",\n\t"send": ["Send"]\n}\n'},
    "somebody else's APP_": {
        "compose.yaml": ("services:\n", "services:\n  w:\n    image: nginx\n    environment: {APP_TITLE: x}\n")
    },
    "APP_ENV of others": {
        "compose.yaml": ("services:\n", "services:\n  w:\n    image: shop\n    environment: {APP_ENV: local}\n"),
        "k8s/shop.yaml": "kind: ConfigMap\ndata: {APP_ENV: local}\n",
    },
    "an environment of the same name for development": {
        **start(f"CMD uv run --env-file /app/conf/prod.env python -m {PACKAGE} serve"),
        "conf/prod.env": "APP_ENV=production\n",
        "examples/prod.env": "APP_ENV=development\n",
    },
    "an env_file with a comment": {
        **api("    env_file: p.env\n"),
        "p.env": "APP_ENV=production # not development\n",
    },
    "a port of USB and a folder of its own": api(
        "    devices: [{source: /dev/ttyUSB0, target: /dev/mem}]\n    device_cgroup_rules: ['c 189:* rwm']\n"
        "    volumes: ['./data:/data', '.:/code:ro']\n"
    ),
    "a card for graphics": api("    devices: ['/dev/dri:/dev/dri']\n"),
    "production, said": start(f"ENV APP_ENV=production APP_DOCS=false\n{SERVE}"),
    "distroless": {
        "Dockerfile": ("FROM python:3.14-slim\nWORKDIR", "FROM gcr.io/distroless/python3-debian12:nonroot\nWORKDIR"),
    },
    "a number in ARG": {"Dockerfile": (USER, "ARG UID=10001\nUSER ${UID}:${UID}")},
    "a stage of tests": {
        "Dockerfile": (
            "FROM python:3.14-slim\n",
            "FROM build AS test\nCOPY tests ./tests\nRUN uv sync --locked --dev && pytest\n\nFROM python:3.14-slim\n",
        )
    },
    "a heredoc": {
        "Dockerfile": ("RUN uv sync --locked --no-editable", "RUN <<EOF\nset -e\nuv sync --locked --no-editable\nEOF")
    },
    "an image for the documentation": {"docs/Dockerfile": "FROM nginx\nCOPY docs /usr/share/nginx/html\n"},
    "one for development beside it": {
        "Dockerfile.dev": f"FROM python\nCOPY . .\nRUN uv sync\nCMD python -m {PACKAGE} serve --dev\n"
    },
    "a dev container": {
        ".devcontainer/Dockerfile": "FROM mcr.microsoft.com/devcontainers/python\nRUN pip install uv\n"
    },
    "Containerfile": {
        "Containerfile": f"FROM python\nENV UV_NO_DEV=1\nCOPY src .\nRUN uv sync --locked\n{USER}\n{SERVE}"
    },
    "no container at all": {"Dockerfile": None, "compose.yaml": None},
    "compose for development beside it": {
        "compose.dev.yaml": f"services: {{api: {{user: root, command: python -m {PACKAGE} serve --dev}}}}"
    },
    "an override of the image": {
        "compose.prod.yaml": "services:\n  api:\n    image: registry.example/orders-api:1\n    build: !reset null\n"
    },
    "a job of migrations": {
        "compose.yaml": (
            "services:\n",
            f"services:\n  migrate:\n    build: .\n    command: alembic upgrade head\n{CONFINED}",
        )
    },
    "a merge key": {
        "compose.yaml": f"x-c: &c\n{CONFINED}\nservices:\n  api:\n    build: .\n    <<: *c\n    environment: [APP_X]\n"
    },
    "extends": {
        "compose.yaml": "services:\n  api:\n    extends: {file: base.yaml, service: x}\n    build: .\n",
        "base.yaml": f"services:\n  x:\n{CONFINED}",
    },
    "a store for this machine": {
        "compose.yaml": ("services:\n", "services:\n  db:\n    image: postgres\n    ports: ['127.0.0.1:5432:5432']\n")
    },
    "a proxy with the socket": {
        "compose.yaml": (
            "services:\n",
            "services:\n  proxy:\n    image: traefik\n    ports: ['443:443']\n    volumes: ['/run/docker.sock:/x']\n",
        )
    },
    "another application": {
        "compose.yaml": ("services:\n", "services:\n  web:\n    build: ../frontend\n    ports: ['80:80']\n")
    },
    "a low port": {"compose.yaml": ("    build: .\n", "    build: .\n    cap_add: [NET_BIND_SERVICE]\n")},
    "a volume of the host": {
        "compose.yaml": ("    build: .\n", "    build: .\n    volumes: ['./data:/data', '/srv/orders:/x:ro']\n")
    },
    "limits of deploy": {
        "compose.yaml": (
            "    cpus: 1.0\n    mem_limit: 512m\n    memswap_limit: 512m\n    pids_limit: 128\n",
            "    deploy: {resources: {limits: {cpus: '1', memory: 512M, pids: 99}}}\n",
        )
    },
}


def told(checks: list[Check]) -> str:
    return "\n".join(f"{each.object} {each.id} {each.outcome.name.lower()} {each.seen}" for each in checks)


@pytest.mark.parametrize("name", SABOTAGED)
def test_a_sabotaged_file_is_red(look: Look, name: str) -> None:
    change, because = SABOTAGED[name]
    bad = [each for each in look(change) if each.outcome in (Outcome.INSECURE, Outcome.UNVERIFIED)]
    assert re.search(because, told(bad)), told(bad)
    assert all(each.remedy for each in bad)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_file_is_green(look: Look, name: str) -> None:
    checks = look(HONEST[name])
    assert not {Outcome.INSECURE, Outcome.UNVERIFIED} & {each.outcome for each in checks}, told(checks)
    assert len({(each.step, each.id, each.object) for each in checks}) == len(checks), told(checks)


@pytest.mark.parametrize(
    "name",
    [
        *("Procfile", "Procfile.dev", "fly.toml", "fly.production.toml", "render.yaml", "app.yaml", "chart/Chart.yaml"),
        *(
            ".do/app.yaml",
            "deploy/orders.service",
            "deploy/orders.container",
            "heroku.yml",
            "railway.json",
            "supervisord.conf",
            "vercel.json",
        ),
    ],
)
def test_what_else_deploys_is_named_and_not_called_proved(look: Look, name: str) -> None:
    found = [each for each in look({name: "web: uvicorn orders_api.app:app\n"}) if each.id == "deploy.others"]

    assert [(each.object, each.outcome) for each in found] == [(name, Outcome.NOT_LOOKED_AT)]
    assert "`serve`" in found[0].remedy


@pytest.mark.parametrize("name", ["infra/play.yml", "deploy.sh", "Makefile"])
def test_what_starts_another_server_is_named_whatever_it_is(look: Look, name: str) -> None:
    (found,) = (each for each in look({name: "run: uvicorn orders_api.app:app\n"}) if each.id == "deploy.others")
    assert (found.object, found.outcome) == (name, Outcome.NOT_LOOKED_AT)


@pytest.mark.parametrize("name", ["src/orders_api/app.py", "README.md", "openapi.yaml", "mkdocs.yml", "webpack.json"])
def test_no_other_file_is_taken_for_one(look: Look, name: str) -> None:
    assert "deploy.others" not in {each.id for each in look({name: "a: b\n"})}
