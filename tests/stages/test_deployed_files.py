"""What deploys: honest container and compose files end green, and sabotaged ones red, whatever the files are called."""

import re
from collections.abc import Callable

import pytest
from verify.result import Check, Outcome

from .conftest import Change
from .deployments import CONFINED, HONEST, OF_UV, PACKAGE, SERVE, USER, api, start

Look = Callable[[Change], list[Check]]

UVICORN = '"uvicorn", "orders_api.app:app"'
WRAPPER = (
    "import uvicorn\nfrom starlette.middleware.cors import CORSMiddleware\nuvicorn.run(CORSMiddleware(create_app()))\n"
)

DEVELOPMENT: Change = {"prod.env": "export APP_ENV=development\n"}
REPLICAS = "compose.replicas insecure .*counts in memory"
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
    **{
        f"its words by ENV: {command}": (start(f"ENV ARGS=--dev RUN=uvicorn\nCMD {command}"), "docker.start insecure")
        for command in (
            f"python -m {PACKAGE} serve $ARGS",
            f"python -m {PACKAGE} serve ${{MORE:---dev}}",
            "exec ${RUN} orders_api.app:app",
        )
    },
    "its words by ENV, in a script": (
        {
            **start(f'ENV ARGS=--dev\nENTRYPOINT ["/entrypoint.sh"]\n{SERVE}'),
            "entrypoint.sh": '#!/bin/sh\nexec "$@" $ARGS\n',
        },
        "docker.start insecure .*--dev",
    ),
    "a file that starts one": (
        {**start('CMD ["python", "run.py"]'), "run.py": "import os\nos.execvp('uvicorn', ['uvicorn', 'x:app'])\n"},
        "start insecure .*brings a server",
    ),
    "one that is named in words of another": (
        api("    command: watchfiles 'uvicorn orders_api.app:app'\n"),
        "compose.start unverified .*watchfiles",
    ),
    "a word for the entry point": (
        {**start(f'ENTRYPOINT ["python", "-m", "{PACKAGE}", "serve"]'), **api("    command: --dev\n")},
        "compose.start insecure .*--dev",
    ),
    "words for the entry point": (
        {**start(f'ENTRYPOINT ["python", "-m", "{PACKAGE}"]\nCMD ["serve"]'), **api("    command: [serve, --dev]\n")},
        "compose.start insecure .*--dev",
    ),
    "a flag alone": (api("    command: [--dev]\n"), "compose.start insecure .*--dev"),
    "an env_file by a default": (
        {**api("    env_file: ['${FILE:-conf/stage.env}']\n"), "conf/stage.env": "APP_ENV=development\n"},
        "compose.start insecure .*APP_ENV",
    ),
    "ours by its env_file": (
        {
            "compose.yaml": "services: {web: {image: acme/backend, env_file: p.env, privileged: true}}\n",
            "p.env": "APP_ALLOWED_HOSTS=x.example\n",
        },
        "web compose.confined insecure .*privileged",
    ),
    "the file that a platform builds, by a name of development": (
        {
            "Dockerfile.dev": f"FROM python\nCOPY . .\nRUN uv sync\nCMD python -m {PACKAGE} serve --dev\n",
            "fly.toml": "[build]\ndockerfile = 'Dockerfile.dev'\n",
        },
        "Dockerfile.dev docker.start insecure .*--dev",
    ),
    **{
        f"in a folder: {name}": (
            {"Dockerfile": None, name: f"FROM python\nCOPY . .\nRUN pip install .\n{SERVE}"},
            f"{name} docker.user insecure",
        )
        for name in ("build/package/Dockerfile", ".ci/Dockerfile")
    },
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
        f"{wrapper} before another server": (start(f"CMD {wrapper} uvicorn x:app"), "docker.start insecure .*uvicorn")
        for wrapper in ("nice -n 5", "timeout 1h", "taskset -c 0", "gosu python", "exec -a x", "chrt -b 0")
    },
    "su before another server": (start("CMD su app -c 'uvicorn x:app'"), "docker.start insecure .*uvicorn"),
    "a word more than a wrapper takes": (start(f"CMD tini x python -m {PACKAGE} serve"), "docker.start unverified"),
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
        for wrapper in ("sudo", "doppler run -- env", "tini -- env -i", "env -u A", "timeout 1h env -u A")
    },
    **{
        f"open to all: {line}": (
            {"compose.yaml": ("APP_TRUSTED_PROXIES: 10.201.0.2", line)},
            "compose.start insecure .*APP_",
        )
        for line in (
            "APP_ALLOWED_HOSTS: '*'",
            "APP_CORS_ORIGINS: 'https://a.example,*'",
            "APP_TRUSTED_PROXIES: 0.0.0.0/0",
            "APP_TRUSTED_PROXIES: '0.0.0.0/1,128.0.0.0/1'",
        )
    },
    "everything, and no ignore file where it is": (
        {"deploy/Dockerfile": f"FROM python\nCOPY . .\nRUN uv sync --locked --no-dev\n{USER}\n{SERVE}"},
        "deploy/Dockerfile dockerignore.secrets insecure .*COPY . .",
    ),
    **{
        f"installed without proof: {line}": (
            {"Dockerfile": ("RUN uv sync --locked --no-editable", line)},
            "docker.locked insecure",
        )
        for line in (
            "RUN uv sync --locked --no-editable --index-strategy unsafe-best-match",
            "RUN uv export --locked | uv pip install --no-verify-hashes -r -",
            "ENV UV_INDEX_STRATEGY=unsafe-best-match\nRUN uv sync --locked --no-editable",
            "ENV UV_NO_VERIFY_HASHES=1\nRUN uv sync --locked --no-editable",
            "RUN uv sync --locked --no-editable --allow-insecure-host x.acme.com",
        )
    },
    **{
        f"with the development group: {flag}": (
            {"Dockerfile": OF_UV.replace("ENV UV_NO_DEV=1\n", "").replace("uv sync", f"uv sync {flag}")},
            "docker.no-dev insecure",
        )
        for flag in ("--no-group docs", "--only-group dev", "--no-group dev --group dev")
    },
    **{
        f"an image of another file, and all the same ours: {text}": (
            {
                "web/Dockerfile": text,
                "compose.yaml": ("services:\n", "services:\n  w: {build: {context: ., dockerfile: web/Dockerfile}}\n"),
            },
            "compose.yaml w compose.confined insecure",
        )
        for text in (
            "FROM acme/orders-api:1\nUSER 1\n",
            "FROM python\nCOPY src .\nUSER 1\n",
            "FROM nginx\nRUN apk add python3\nCOPY src .\nUSER 1\n",
        )
    },
    "the image of the repository, whatever is in it": (
        {
            "Dockerfile": "FROM python\nRUN pip install x\nUSER 1\nCMD x\n",
            "compose.yaml": (
                "    build: .\n",
                "    build: {context: ., dockerfile: ./Dockerfile}\n    privileged: true\n",
            ),
        },
        "compose.yaml api compose.confined insecure .*privileged",
    ),
    "an override in a folder that ships": (
        {
            "deploy/compose.override.yaml": f"services: {{api: {{build: .., command: {PACKAGE} serve --dev}}}}",
            "deploy/compose.yaml": "services: {}\n",
        },
        "override.yaml api compose.confined insecure",
    ),
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
            "volumes: ['/etc/shadow:/x:ro']",
            "volumes: ['/var/lib/docker/volumes:/x']",
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
    **{
        f"a base that is root: {base}": (
            {"Dockerfile": f"FROM {base}\nCOPY src .\nRUN uv sync --locked --no-dev\n{SERVE}"},
            "docker.user insecure no USER",
        )
        for base in ("cgr.dev/chainguard/wolfi-base", "x/chainguard/chainguard-base", "dhi.io/python:3.14-dev")
    },
    "everything in a folder, and a script": (
        {"deploy/Dockerfile": 'FROM acme/base\nCOPY . .\nCMD ["/start.sh"]\n'},
        "deploy/Dockerfile docker.user insecure",
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
    "no label": (
        {"compose.yaml": ("- no-new-privileges:true", "- no-new-privileges:true\n      - label:disable")},
        "label:disable",
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
    **{
        f"another store: {image}": (
            {"compose.yaml": ("services:\n", f"services:\n  x: {{image: {image}, ports: ['{port}:{port}']}}\n")},
            "stores insecure",
        )
        for image, port in (
            ("mcr.microsoft.com/mssql/server", 1433),
            ("clickhouse/clickhouse-server", 9000),
            ("neo4j:5", 7474),
            ("edoburu/pgbouncer", 5433),
        )
    },
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


@pytest.mark.parametrize("name", ["src/orders_api/app.py", "README.md", "openapi.yaml", "mkdocs.yml", "webpack.json"])
def test_no_other_file_is_taken_for_one(look: Look, name: str) -> None:
    assert "deploy.others" not in {each.id for each in look({name: "a: b\n"})}


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("*\n!pyproject.toml\n!uv.lock\n!src\n**/.env*\n", Outcome.PROVED), ("node_modules\n", Outcome.INSECURE)],
)
def test_an_ignore_file_of_one_image_is_read_in_the_place_of_the_common_one(
    look: Look, text: str, outcome: Outcome
) -> None:
    found = [each for each in look({"Dockerfile.dockerignore": text}) if each.id == "dockerignore.secrets"]
    assert [(each.object, each.outcome) for each in found] == [("Dockerfile.dockerignore", outcome)]
