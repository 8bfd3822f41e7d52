"""What starts the service beside containers: files of platforms, supervisors and scripts, by whatever name."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from verify.result import Check, Outcome

from .conftest import Change
from .deployments import PACKAGE

Look = Callable[[Change], list[Check]]

SERVE = f"python -m {PACKAGE} serve --host 0.0.0.0"
ENTRYPOINT = f"""ENTRYPOINT ["python", "-m", "{PACKAGE}"]"""
UNIT = "[Unit]\nDescription=x\n\n[Service]\nUser=app\n{}\nRestart=always\n"
TASK = '{{"family": "x", "containerDefinitions": [{{"name": "api", {}}}]}}'
KAMAL = (
    "service: orders\nimage: acme/orders\nservers:\n  web:\n    hosts: [192.0.2.1]\n    cmd: {}\nenv:\n"
    "  clear:\n    {}\n"
)
HELM = 'resource "helm_release" "x" {{\n  name = "x"\n  {}\n}}\n'
RENDER = "services:\n  - type: web\n    startCommand: {}\n    envVars:\n      - {{key: {}, value: {}}}\n"

SABOTAGED: dict[str, tuple[Any, str]] = {
    name: (files if isinstance(files, dict) else {name.partition(":")[0]: files}, because)
    for name, files, because in (
        ("Procfile", "release: alembic upgrade head\nweb: uvicorn orders_api.app:app\n", "insecure .*uvicorn"),
        ("Procfile: development", f"web: {SERVE} --dev\n", "insecure .*--dev"),
        ("Procfile: open", f"web: APP_ALLOWED_HOSTS='*' {SERVE}\n", r"insecure .*APP_ALLOWED_HOSTS=\*"),
        ("fly.toml", '[processes]\napp = "gunicorn -w 4 x:app"\n', "insecure .*gunicorn"),
        ("fly.toml: env", f'[env]\nAPP_ENV = "development"\n[processes]\napp = "{SERVE}"\n', "insecure .*APP_ENV"),
        ("fly.toml: env alone", "[env]\nAPP_DOCS = true\n", "insecure .*APP_DOCS"),
        (
            "fly.production.toml",
            '[experimental]\nentrypoint = ["uvicorn"]\ncmd = ["x:app"]\n',
            "insecure .*uvicorn x:app",
        ),
        ("render.yaml", RENDER.format("uvicorn x:app", "A", "b"), "insecure .*uvicorn"),
        ("render.yaml: env", RENDER.format(SERVE, "APP_ENV", "development"), "insecure .*APP_ENV"),
        ("railway.json", '{"deploy": {"startCommand": "hypercorn x:app"}}', "insecure .*hypercorn"),
        ("railway.toml", f'[deploy]\nstartCommand = "{SERVE} --dev"\n', "insecure .*--dev"),
        ("nixpacks.toml", '[start]\ncmd = "fastapi run"\n', "insecure .*fastapi"),
        ("app.yaml", "runtime: python314\nentrypoint: gunicorn -b :$PORT x:app\n", "insecure .*gunicorn"),
        ("app.yaml: env", f"entrypoint: {SERVE}\nenv_variables: {{APP_DOCS: 'true'}}\n", "insecure .*APP_DOCS"),
        (".do/app.yaml", "services:\n  - run_command: uvicorn x:app\n", "insecure .*uvicorn"),
        ("heroku.yml", "run:\n  web: uvicorn x:app\n  worker: celery\n", "insecure .*uvicorn"),
        ("apprunner.yaml", "run:\n  runtime-version: 3.14\n  command: uvicorn x:app\n", "insecure .*uvicorn"),
        ("config/deploy.yml", KAMAL.format("uvicorn x:app", "A: b"), "insecure .*uvicorn"),
        ("config/deploy.production.yml", KAMAL.format(SERVE, "APP_ENV: development"), "insecure .*APP_ENV"),
        ("infra/task-definition.json", TASK.format('"command": ["uvicorn", "x:app"]'), "insecure .*uvicorn"),
        (
            "infra/api.json",
            TASK.format('"environment": [{"name": "APP_ENV", "value": "development"}]'),
            "insecure .*APP_ENV",
        ),
        ("deploy/orders.service", UNIT.format("ExecStart=/srv/.venv/bin/gunicorn x:app"), "insecure .*gunicorn"),
        (
            "orders.service",
            UNIT.format(f"Environment=A=b APP_ENV=development\nExecStart=/v/bin/{SERVE}"),
            "insecure .*APP_ENV",
        ),
        (
            "a file of a unit",
            {
                "orders.service": UNIT.format(f"EnvironmentFile=-/etc/o/prod.env\nExecStart={SERVE}"),
                "prod.env": "APP_DOCS=1\n",
            },
            "insecure .*APP_DOCS",
        ),
        ("orders.container", f"[Container]\nImage=x\nExec={SERVE} --dev\n", "insecure .*--dev"),
        ("supervisord.conf", '[program:x]\ncommand=uvicorn x:app\nenvironment=A="b"\n', "insecure .*uvicorn"),
        ("deploy.sh", "#!/bin/sh\nset -e\nexec uvicorn x:app\n", "insecure .*uvicorn"),
        ("bin/start-prod", f"#!/usr/bin/env bash\nexec uv run {SERVE} --dev\n", "insecure .*--dev"),
        (
            "a script of a unit",
            {
                "orders.service": UNIT.format("ExecStart=/srv/run.sh"),
                "run.sh": f"#!/bin/sh\nexec {SERVE} --dev\n",
            },
            "insecure .*--dev",
        ),
        (
            "ship.sh",
            "docker run -d --rm -p 80:8000 -e APP_ENV=development --name x acme/orders\n",
            "insecure .*APP_ENV",
        ),
        ("run.sh", "podman run --env=A=b -v x:/x -it acme/orders uvicorn x:app\n", "insecure .*uvicorn"),
        ("package.json", f'{{"scripts": {{"start": "{SERVE} --dev"}}}}', "insecure .*--dev"),
        ("ship.sh: elsewhere", "ssh host 'docker run -d -e APP_DOCS=1 acme/orders'\n", "insecure .*APP_DOCS"),
        ("conf.d/api.conf", "[program:api]\ncommand=uvicorn x:app\n", "insecure .*uvicorn"),
        *(
            (
                f".github/workflows/deploy.yml: {command[:6]}",
                f"jobs: {{a: {{steps: [{{run: '{command}'}}]}}}}\n",
                "insecure .*APP_(ENV|DOCS)",
            )
            for command in (
                "gcloud run deploy x --set-env-vars A=b,APP_ENV=development",
                "heroku config:set APP_DOCS=true",
                "ssh host docker run -e APP_ENV=development x",
            )
        ),
        (
            "deploy.sh: ships what reloads",
            "#!/bin/sh\nexec uvicorn orders_api.app:app --reload\n",
            "insecure .*--reload",
        ),
        (
            "a folder with a project, for ours",
            {"run/pyproject.toml": "", "run/Procfile": "web: uvicorn orders_api.app:app\n"},
            "insecure .*uvicorn",
        ),
        (
            "a folder with a project, of which the code is ours",
            {
                "api/requirements.txt": "",
                "api/main.py": "from orders_api.app import create_app\n",
                "api/Procfile": "web: uvicorn main:app\n",
            },
            "insecure .*uvicorn",
        ),
        (
            "a folder with a project, from above",
            {"run/requirements.txt": "", "run/gunicorn.conf.py": "chdir = '..'\n"},
            "unverified .*not understood",
        ),
        *(
            (f"infra/main.tf: {block}", HELM.format(block), "unverified .*not understood")
            for block in (
                'chart = "./charts/api"',
                'chart = "orders-api"\n  repository = "oci://registry.acme.com"',
                'repository = "https://charts.example.com"',
                'chart = "x"\n}\noutput "x" { value = 1 }\nresource "aws_ecs_task_definition" "x" {\n',
                'chart = "x"\n}\nresource "docker_image" "x" { name = "x" }\nresource "fly_machine" "x" { image = "x"',
                'chart = "x"\n}\nresource "aws_ecs_service" "x" {\n}\nresource "aws_ecs_task_definition" "x" {\n',
                'chart = "x"\n}\nresource "docker_container" "x" {\n  image = "${var.image}"\n',
                'chart = "x"\n  values = [yamlencode({ APP_ENV = "production" })]\n',
            )
        ),
        *(
            (f"{name}: {command[:32]}", text.format(command), "insecure")
            for command in (
                "docker run -d ghcr.io/acme/orders_api uvicorn orders_api.app:app",
                "docker run -d -e APP_ENV=development acme/x",
                "docker run --restart always --privileged acme/orders-api:1",
                "docker run --user root acme/orders-api",
                "docker run -v /var/run/docker.sock:/x acme/orders-api",
                "podman run --network=host acme/orders-api",
                'ssh h "cd x && docker run acme/orders-api gunicorn x:app"',
            )
            for name, text in (
                ("ship.sh", "#!/bin/sh\n{}\n"),
                (".github/workflows/deploy.yml", "jobs:\n  a:\n    steps:\n      - run: |\n          {}\n"),
                (".gitlab-ci.yml", "ship:\n  stage: deploy\n  script:\n    - |\n      {}\n"),
                ("Makefile", "deploy: build\n\t@{}\n"),
                ("justfile", "deploy:\n    {}\n"),
            )
        ),
        (
            ".github/workflows/x.yml",
            "jobs:\n  a:\n    environment: production\n    steps:\n      - uses: x/ssh\n        with:\n"
            f"          script: |\n            APP_ENV=development nohup {SERVE} &\n",
            "insecure .*APP_ENV",
        ),
        (
            ".github/workflows/run.yml",
            "jobs:\n  a:\n    steps:\n      - uses: x/deploy-cloudrun\n        with:\n          env_vars: |\n"
            "            A=b\n            APP_DOCS=true\n",
            "insecure .*APP_DOCS",
        ),
        *(
            (f"{command[:9].strip()}.sh", f"{command}\n", "insecure .*APP_ENV")
            for command in (
                "dokku config:set x APP_ENV=development",
                "docker service update --env-add APP_ENV=development x",
                "eb setenv APP_ENV=development",
                "cf set-env x APP_ENV development",
            )
        ),
        ("Procfile: close", f"web:{SERVE} --dev\n", "insecure .*--dev"),
        ("o.service.d/x.conf", "[Service]\nEnvironment=APP_ENV=development\n", "insecure .*APP_ENV"),
        *(
            (f"orders.container: {line}", f"[Container]\nImage=acme/orders-api\n{line}\n", "insecure")
            for line in ("User=root", "PodmanArgs=--privileged", "Network=host", "Volume=/run/podman/podman.sock:/x")
        ),
        ("copilot/api/manifest.yml", "name: api\nvariables: {APP_ENV: development}\n", "insecure .*APP_ENV"),
        (
            "ansible/site.yml",
            "- tasks:\n    - docker_container: {image: acme/x, env: {APP_ENV: development}}\n",
            "insecure .*APP_ENV",
        ),
        ("template.yaml", "Resources: {F: {Type: AWS::Lambda::Function, Handler: !Sub x}}\n", "unverified"),
        ("infra/app.bicep", "resource a 'Microsoft.App/containerApps@2024-03-01' = {}\n", "unverified"),
        (
            "cloudbuild.yaml",
            "steps:\n  - entrypoint: gcloud\n    args: [run, deploy, x, --set-env-vars, APP_DOCS=true]\n",
            "unverified .*development",
        ),
        # what is not understood here
        ("gunicorn.conf.py", "workers = 4\n", "unverified"),
        ("app.yaml: nothing said", "runtime: python314\nhandlers: []\n", "unverified"),
        (".ebextensions/x.config", "option_settings: {a: {WSGIPath: x}}\n", "unverified"),
        ("nomad.hcl", 'job "x" {}\n', "unverified"),
        ("chart/Chart.yaml", "name: orders\n", "unverified .*not understood"),
        ("infra/main.tf", 'resource "aws_ecs_task_definition" "x" {\n}\n', "unverified .*not understood"),
        ("serverless.yml", "functions: {api: {handler: orders_api.lambda.handler}}\n", "unverified"),
        ("vercel.json", '{"builds": [{"src": "api/index.py", "use": "@vercel/python"}]}', "unverified"),
        ("fly.toml: broken", "[[[", "unverified"),
        ("k8s/api.yaml", "kind: Deployment\nspec: {{ toYaml .Values }}\n", "kubernetes.confined unverified"),
        ("infra/play.yml", "run: uvicorn orders_api.app:app\n", "unverified .*not understood"),
        ("Makefile", "up:\n\tgunicorn orders_api.app:app\n", "unverified"),
        ("captain-definition", '{"dockerfileLines": ["CMD uvicorn x:app"]}', "unverified"),
    )
}
HONEST: dict[str, dict[str, str]] = {
    "a Procfile": {
        "Procfile": f"release: alembic upgrade head\nweb: {SERVE} --port $PORT\nworker: celery -A x worker\n"
    },
    "one for development": {"Procfile.dev": f"web: {SERVE} --dev\n"},
    "fly": {"fly.toml": f'app = "x"\n[env]\nAPP_TRUSTED_PROXIES = "172.16.0.0/12"\n[processes]\napp = "{SERVE}"\n'},
    "fly by its image": {"fly.toml": 'app = "x"\n[deploy]\nrelease_command = "alembic upgrade head"\n'},
    "render": {"render.yaml": RENDER.format(SERVE, "APP_ENV", "production")},
    "railway by its image": {"railway.json": '{"build": {"builder": "DOCKERFILE"}}'},
    "App Engine": {"app.yaml": f"runtime: python314\nentrypoint: {SERVE} --port $PORT\n"},
    "kamal with a database": {
        "config/deploy.yml": KAMAL.format(SERVE, "A: b")
        + "accessories: {db: {image: postgres:18, cmd: postgres -c x=1}}\n"
    },
    "a task of ECS": {"task-definition.json": TASK.format(f'"command": ["sh", "-c", "exec {SERVE}"]')},
    "units": {
        "orders.service": UNIT.format(f"Environment=APP_SECRETS_DIR=%d\nExecStart=/srv/orders/.venv/bin/{SERVE}"),
        "backup.service": UNIT.format("ExecStart=/usr/bin/pg_dump orders"),
    },
    "supervisor": {"supervisord.conf": f"[supervisord]\nnodaemon=true\n[program:x]\ncommand={SERVE}\n"},
    "scripts": {
        "scripts/dev.sh": f"#!/bin/sh\nexec {SERVE} --dev\n",
        "scripts/run.sh": f'#!/bin/sh\n[ "$1" = dev ] && exec {SERVE} --dev\nAPP_ENV=development exec {SERVE}\n',
        "scripts/ship.sh": "docker build -t x .\n"
        f"docker run -d --read-only -e APP_ENV=production acme/orders {SERVE}\n",
        "scripts/db.sh": "docker run --rm -e POSTGRES_PASSWORD -p 127.0.0.1:5432:5432 postgres:18\n",
        "scripts/odd.sh": "case $1 in (a) docker run x;; esac 3<&0 <<<$(\n",
        "scripts/install.sh": "pip install uvicorn gunicorn\n# then uvicorn serves it\n",
        "Makefile": "dev:\n\tuvicorn orders_api.app:app --reload\n",
    },
    "what a pipeline tries, and what it ships": {
        ".github/workflows/ci.yml": "jobs:\n  test:\n    steps:\n      - run: docker run acme/orders uvicorn x:app\n"
        f"  deploy:\n    steps:\n      - run: docker run -d -e APP_ENV=production acme/orders-api {SERVE}\n",
        ".gitlab-ci.yml": "review:\n  environment: review/x\n  script: [docker run -e APP_ENV=development acme/x]\n",
        ".github/workflows/tools.yml": "jobs: {deploy: {steps: [{run: 'docker run --privileged docker:dind'}]}}\n",
        "Makefile": "up:\n\tdocker run -e APP_ENV=development x\ndeploy: up\n\tdocker run -u 1 acme/orders-api\n",
        "fly.toml": "# APP_ENV=development is for this machine alone\napp = 'x'\n",
    },
    "a container by Ansible": {
        "ansible/site.yml": "- tasks:\n    - docker_container: {image: acme/x, env: {APP_ENV: production}}\n"
    },
    "a frontend": {
        "web/package.json": '{\n\t"scripts": {"start": "vite preview", "dev": "vite"}\n}',
        "web/vercel.json": '{"rewrites": []}',
        "web/netlify.toml": '[build]\ncommand = "npm run build"\n',
    },
    "a chart": {
        "chart/templates/api.yaml": "kind: Deployment\nspec: {{ toYaml .Values }}\n",
        "chart/Chart.yaml": "name: x\n",
    },
    "what is asked for, and not started": {
        "pyproject.toml": '[project]\ndependencies = [\n    "uvicorn",\n    "gunicorn", "x",\n]\n',
        "environment.yml": "dependencies: [uvicorn, gunicorn]\n",
    },
    "what a platform is told": {
        ".github/workflows/deploy.yml": "jobs: {a: {steps: [{run: 'gcloud run deploy x --set-env-vars "
        "APP_ENV=production'}]}}\n",
        ".github/workflows/test.yml": "env: {APP_ENV: development}\n"
        "jobs: {a: {steps: [{run: 'uvicorn x:app & pytest'}]}}\n",
        ".github/workflows/int.yml": "run: aws s3 cp x y && APP_ENV=development pytest\n",
        ".github/workflows/chart.yml": "run: helm template x --set APP_ENV=development\n",
        ".github/workflows/deploy-dev.yml": "run: fly deploy --env APP_ENV=development\n",
        "docs/deploy.rst": "heroku config:set APP_DOCS=true\n",
    },
    "others that have its name in theirs": {
        "k8s/backup.yaml": "kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{name: b, image: "
        f"'postgres:18', command: [pg_dump, {PACKAGE}], env: [{{name: PGHOST, value: {PACKAGE}-db}}]}}]}}}}}}}}}}\n",
        "compose.yaml": "services:\n  proxy:\n    image: traefik\n"
        f"    command: --entrypoints.{PACKAGE}.address=:80 --file=/{PACKAGE}.conf\n",
    },
    "other projects in their folders": {
        "billing/pyproject.toml": "[project]\nname = 'billing'\n",
        "billing/gunicorn.conf.py": "workers = 4\n",
        "billing/Procfile": "web: gunicorn billing.wsgi\n",
        "web/package.json": "{}",
        "web/ecosystem.config.js": "module.exports = {apps: [{script: 'server.js', ...rest}]}\n",
    },
    "others by Terraform": {
        "infra/outputs.tf": 'output "x" {\n  value = aws_ecs_task_definition.x.arn\n}\n',
        "infra/alarm.tf": 'resource "aws_lambda_permission" "x" {\n  function_name = aws_lambda_function.x.arn\n}\n',
        "infra/main.tf": HELM.format(
            'chart = "ingress-nginx"\n  repository = "https://kubernetes.github.io/ingress-nginx"'
        )
        + 'resource "aws_db_instance" "orders_api" {\n}\n'
        'resource "docker_container" "x" {\n  image = "grafana/grafana:12"\n}\n',
    },
    "a server for who works on it": {
        "mprocs.yaml": "procs: {api: {shell: 'uvicorn orders_api.app:app'}}\n",
        "scripts/watch.sh": "#!/bin/sh\nset -e\nexec uvicorn orders_api.app:app --reload --port 8000\n",
    },
    "a database by Terraform": {"infra/db.tf": 'resource "aws_db_instance" "x" {\n}\n'},
}
VOUCHED = {"a chart"}
"""What is honest and not understood: the team says so."""


def told(checks: list[Check]) -> str:
    return "\n".join(f"{each.object} {each.id} {each.outcome.name.lower()} {each.seen}" for each in checks)


@pytest.mark.parametrize("name", SABOTAGED)
def test_what_starts_it_otherwise_is_red_and_a_team_may_vouch_for_it(look: Look, name: str) -> None:
    files, because = SABOTAGED[name]
    bad = [each for each in look(dict(files)) if each.outcome in (Outcome.INSECURE, Outcome.UNVERIFIED)]
    assert re.search(because, told(bad)), told(bad)
    assert all(each.remedy and each.object in files for each in bad)


@pytest.mark.parametrize("name", HONEST)
def test_what_starts_it_as_it_should_is_not_red(look: Look, name: str) -> None:
    checks = look(dict(HONEST[name]))
    red = [each for each in checks if each.outcome in (Outcome.INSECURE, Outcome.UNVERIFIED)]
    assert [each.id for each in red] == ["deploy.others"] * (name in VOUCHED), told(checks)
    assert len({(each.step, each.id, each.object) for each in checks}) == len(checks), told(checks)


def test_the_start_of_a_platform_is_proved(look: Look) -> None:
    proved = {
        each.object: each.outcome
        for files in HONEST.values()
        for each in look(dict(files))
        if each.id == "deploy.others" and "orders_api serve" in each.seen
    }
    assert set(proved.values()) == {Outcome.PROVED}
    assert proved.keys() >= {"Procfile", "fly.toml", "render.yaml", "app.yaml", "config/deploy.yml", "orders.service"}
