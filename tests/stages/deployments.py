"""What deploys: how a change of it is written in a line, and the honest ones, which end with exit code 0."""

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


def start(command: str) -> Change:
    return {"Dockerfile": (SERVE, command)}


def api(more: str, file: str = "compose.yaml") -> Change:
    return {file: ("    build: .\n", f"    build: .\n{more}")}


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
    **{
        f"without the development group: {flag}": {
            "Dockerfile": OF_UV.replace("ENV UV_NO_DEV=1\n", "").replace("uv sync", f"uv sync {flag}")
        }
        for flag in ("--no-group dev", "--only-group=prod", "--no-default-groups")
    },
    "a worker beside it": {"worker.Dockerfile": OF_UV.replace(SERVE, "CMD celery -A orders_api.tasks worker")},
    "kubernetes and a pipeline": {
        "k8s/service.yaml": "kind: Service\nspec: {ports: [{port: 80}]}\n",
        ".gitlab-ci.yml": "services: [docker:dind]\nx: {script: [echo]}\n",
    },
    "a shell form": start(f"CMD exec python -m {PACKAGE} serve --host 0.0.0.0"),
    "a variable for the port": start(f'CMD ["sh", "-c", "exec python -m {PACKAGE} serve --port ${{PORT:-8000}}"]'),
    "its words by ENV": start(f'ENV ARGS="--port 9"\nCMD python -m {PACKAGE} serve $ARGS $MORE'),
    "words for the entry point": {
        **start(f'ENTRYPOINT ["python", "-m", "{PACKAGE}"]\nCMD ["serve"]'),
        **api("    command: [serve, --port, '9']\n"),
    },
    "a file for development that a platform has no word of": {
        "Dockerfile.dev": f"FROM python\nCOPY . .\nCMD python -m {PACKAGE} serve --dev\n",
        "fly.toml": "[build]\ndockerfile = 'Dockerfile'\n",
    },
    "what a tool has built": {"build/lib/x/config.json": "{}", "web/build/manifest.json": '{"a": ["b"]}'},
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
            "sudo -u app",
            "setpriv --reuid app --regid app --clear-groups",
            *(
                "exec",
                "nohup",
                "nice",
                "nice -n 10",
                "timeout 1h",
                "timeout -k 5 -s INT 9000",
                "taskset -c 0",
                "ionice -c 2",
            ),
            *("tini", "/sbin/tini -g --", "dumb-init -r 15:2 --", "env -u A -i PATH=/bin", "chpst -u app", "gosu app"),
            *("su-exec 1:1", "s6-setuidgid app", "numactl --interleave=all", "chrt -b 0", "prlimit --nofile=999"),
            "opentelemetry-instrument --traces_exporter otlp",
            "uv run --package orders-api --no-group dev",
        )
    },
    "another user by su": start(f"CMD su app -s /bin/sh -c 'exec python -m {PACKAGE} serve'"),
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
    **{
        f"a base that is nobody: {base}": {
            "Dockerfile": f"FROM python AS build\nCOPY src .\nRUN uv sync --locked --no-dev\nFROM {base}\n"
            f"COPY --from=build /app /app\n{SERVE}"
        }
        for base in ("cgr.dev/chainguard/python", "dhi.io/python:3.14", "registry.access.redhat.com/ubi9/python-312")
    },
    "an image of a frontend": {
        "web/Dockerfile": "FROM node AS build\nCOPY . .\nRUN npm ci\n"
        "FROM nginx\nCOPY --from=build /dist /usr/share/nginx/html\n"
    },
    "a frontend of its own files, with a script": {
        "web/Dockerfile": "FROM node AS build\nRUN apk add python3 make\nCOPY package.json ./\nCOPY src ./src\n"
        "FROM nginx:1\nCOPY --from=build /dist /x\nCOPY env.sh /docker-entrypoint.d/\n",
        "site/Dockerfile": "FROM node\nCOPY src ./src\nUSER node\nCMD node src/server.js\n",
    },
    "an image that makes load": {"load/Dockerfile": 'FROM locustio/locust\nCOPY . .\nCMD ["locust"]\n'},
    "an image for the documentation": {"docs/Dockerfile": "FROM nginx\nCOPY docs /usr/share/nginx/html\n"},
    "one for development beside it": {
        "Dockerfile.dev": f"FROM python\nCOPY . .\nRUN uv sync\nCMD python -m {PACKAGE} serve --dev\n"
    },
    "everything, and an ignore file of its own": {
        "deploy/Dockerfile": OF_UV,
        "deploy/Dockerfile.dockerignore": "*\n!pyproject.toml\n!uv.lock\n!src\n**/.env*\n",
    },
    "a dev container": {
        ".devcontainer/Dockerfile": "FROM mcr.microsoft.com/devcontainers/python\nRUN pip install uv\n"
    },
    "Containerfile": {
        "Containerfile": f"FROM python\nENV UV_NO_DEV=1\nCOPY src .\nRUN uv sync --locked\n{USER}\n{SERVE}"
    },
    "no container at all": {"Dockerfile": None, "compose.yaml": None},
    "a frontend and a proxy from the same folder": {
        "web/Dockerfile": "FROM node AS build\nCOPY web .\nRUN npm ci\nFROM nginx\nCOPY --from=build /dist /x\n",
        "compose.yaml": (
            "services:\n",
            "services:\n  web:\n    build: {context: ., dockerfile: web/Dockerfile}\n    ports: ['80:80']\n",
        ),
    },
    "an empty file of extras": {"compose.extras.yaml": "# yours\n", "compose.more.yaml": "---\n"},
    "an override for development, beside one that ships": {
        "compose.override.yaml": f"services: {{api: {{command: python -m {PACKAGE} serve --dev}}}}",
        "compose.prod.yaml": "services: {api: {restart: always}}",
    },
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
        "compose.yaml": (
            "    build: .\n",
            "    build: .\n    volumes: ['./data:/data', '/srv/o:/x:ro', '/etc/localtime:/y:ro']\n",
        )
    },
    "limits of deploy": {
        "compose.yaml": (
            "    cpus: 1.0\n    mem_limit: 512m\n    memswap_limit: 512m\n    pids_limit: 128\n",
            "    deploy: {resources: {limits: {cpus: '1', memory: 512M, pids: 99}}}\n",
        )
    },
}
