"""Secrets that git tracks: found wherever they stand, and never where somebody only says where one comes from."""

import json
import re
import time
from base64 import b64encode
from pathlib import Path

import pytest
from verify.result import Check, Outcome
from verify.stages.configuration import secrets

from ..conftest import commit, git

VALUE = "hunter2" + "Xy"
RANDOM = "9fK2" + "mQ7xW4vR8tZ1bN6c"
DATABASE = f"postgresql://orders:{VALUE}@db.internal:5432/orders"
LETTERS = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
ENV = (
    "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - env:\n"
    "            - name: {}\n              {}\n"
)

FOUND = {
    "ENV of an image": ("Dockerfile", f"FROM x\nENV A=1 DB_PASSWORD={VALUE}\n", "line 2: DB_PASSWORD"),
    "the older ENV": ("Dockerfile", f"ENV API_TOKEN {VALUE}\n", "API_TOKEN"),
    "ARG of an image": ("api.Dockerfile", f"ARG NPM_TOKEN='{VALUE}'\n", "NPM_TOKEN"),
    "compose": (
        "compose.yaml",
        f"services:\n  api:\n    environment:\n      APP_SECRET: {VALUE}\n",
        "line 4: APP_SECRET",
    ),
    "compose, a list": ("compose.yaml", f"    environment:\n      - SECRET_KEY={VALUE}\n", "SECRET_KEY"),
    "compose, in one line": ("compose.prod.yaml", f"environment: {{A: b, DB_PASS: '{VALUE}'}}\n", "DB_PASS"),
    "words that are a password": ("compose.yaml", "      DB_PASSWORD: correct-horse-battery\n", "DB_PASSWORD"),
    "a database of compose": ("compose.yaml", f"      APP_DATABASE_URL: {DATABASE}\n", "an address with a password"),
    "a weak one of another machine": ("compose.yaml", "  URL: redis://:password@cache.acme.internal:6379\n", "address"),
    "a default": ("compose.yaml", f"      DB_PASSWORD: ${{DB_PASSWORD:-{VALUE}}}\n", "DB_PASSWORD"),
    "env of a workflow": (".github/workflows/x.yml", f"env:\n  DEPLOY_TOKEN: {VALUE}\n", "DEPLOY_TOKEN"),
    "with of a workflow": (".github/workflows/x.yml", f"    with:\n      password: {RANDOM}\n", "line 2: password"),
    "a header of a workflow": (
        ".github/workflows/x.yml",
        f"curl -H 'Authorization: Bearer {RANDOM}' x\n",
        "Authorization",
    ),
    "a sign-in of a command": ("deploy.sh", f"docker login -u me -p {VALUE}1 registry.acme.com\n", "docker login"),
    "a flag of a command": (".github/workflows/x.yml", f"run: helm push x --password {RANDOM}\n", "--password"),
    "a user of curl": ("deploy.sh", f"curl -fsS -u ci:{VALUE}1 https://x.acme.com\n", "curl"),
    "a variable of GitLab": (".gitlab-ci.yml", f"variables:\n  DB_PASSWORD: '{VALUE}'\n", "DB_PASSWORD"),
    "a container of Kubernetes": ("k8s/api.yaml", ENV.format("DB_PASSWORD", f"value: {VALUE}"), "DB_PASSWORD"),
    "a ConfigMap": ("k8s/map.yaml", f'kind: ConfigMap\ndata:\n  API_KEY: "{VALUE}"\n', "API_KEY"),
    "a Secret": ("k8s/secret.yaml", "kind: Secret\ndata:\n  password: aHVudGVyMg==\n", "password"),
    "values of a chart": ("chart/values.yaml", f"auth:\n  password: {VALUE}1\n", "password"),
    "a task of ECS": ("task.json", f'{{"name": "DB_PASSWORD", "value": "{VALUE}"}}', "DB_PASSWORD"),
    "a platform": ("render.yaml", f"envVars:\n  - key: JWT_SECRET\n    value: {VALUE}\n", "JWT_SECRET"),
    "Terraform": ("main.tf", f'  password = "{VALUE}1"\n', "password"),
    "a script": ("deploy.sh", f"docker run -e DB_PASSWORD={VALUE} api\n", "DB_PASSWORD"),
    "TOML": ("config.toml", f'[db]\npassword = "{VALUE}1"\n', "line 2: password"),
    "JSON": ("config.json", f'{{"apiKey": "{RANDOM}"}}', "apiKey"),
    "an ini": ("alembic.ini", f"sqlalchemy.url = {DATABASE}\n", "address"),
    "another environment": ("config/prod.env", f"export SESSION_SECRET={VALUE}\n", "SESSION_SECRET"),
    "a key in the code": ("src/orders_api/keys.py", f'SECRET_KEY = "{RANDOM}"\n', "SECRET_KEY"),
    "a default in settings": ("src/x/settings.py", f'    token: SecretStr = SecretStr("{RANDOM}")\n', "token"),
    ".netrc": (".netrc", f"machine x.acme.com login me password {VALUE}1\n", "password"),
    ".npmrc": (".npmrc", f"//npm.acme.com/:_authToken={RANDOM}\n", "_authToken"),
    "a password of Redis": ("compose.yaml", f"    command: redis-server --requirepass {VALUE}1\n", "requirepass"),
    **{
        f"a password of a command: {line[:24]}": ("deploy.sh", f"{line}\n", said)
        for line, said in (
            (f"mysqldump -u root -p{VALUE}1 orders > x.sql", "mysqldump"),
            (f"redis-cli -h cache -a {VALUE}1 ping", "redis-cli"),
            (f'test: ["CMD", "redis-cli", "-a", "{VALUE}1", "ping"]', "redis-cli"),
            (f"['mysql', '-uroot', '-p{VALUE}1']", "mysql"),
            (f'command: ["redis-server", "--requirepass", "{VALUE}1"]', "requirepass"),
        )
    },
    "a registry": ("k8s/s.yaml", f"data:\n  .dockerconfigjson: {RANDOM}==\n", "dockerconfigjson"),
    "a sign-in of docker": (".docker/config.json", f'{{"ghcr.io": {{"auth": "{RANDOM}=="}}}}', "auth"),
    "a default in the code": ("src/x/keys.py", f'os.getenv("SECRET_KEY", "{RANDOM}")\n', "SECRET_KEY"),
    "a header in the code": ("src/x/keys.py", f'{{"Authorization": "Bearer {RANDOM}"}}\n', "Authorization"),
    "a pipeline for development": (".github/workflows/dev.yml", f"env:\n  DEPLOY_TOKEN: {VALUE}\n", "DEPLOY_TOKEN"),
    "a password of MySQL": ("backup.sh", f"mysqldump -u root -p{VALUE}1 orders > x.sql\n", "mysqldump"),
    "a password of ssh": ("deploy.sh", f"sshpass -p {VALUE}1 ssh x\n", "sshpass"),
    "a password of redis-cli": ("deploy.sh", f"redis-cli -h cache.acme.com -a {VALUE}1 PING\n", "redis-cli"),
    "a header of nginx": ("nginx.conf", f'proxy_set_header Authorization "Basic {RANDOM}==";\n', "Authorization"),
    "XML": ("settings.xml", f"<server><password>{VALUE}1</password></server>\n", "password"),
    "a key of a cluster": ("kubeconfig", f"    client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRV{RANDOM}\n", "LS0t"),
    "any value of a Secret": (
        "k8s/s.yaml",
        f"kind: Secret\ndata:\n  url: {b64encode(DATABASE.encode()).decode()}\n",
        "an address with a password",
    ),
    "a JWT": ("values.yaml", f"x: eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{RANDOM}{RANDOM}\n", "eyJh..., a token"),
    "what a notebook sets": ("x.ipynb", f'os.environ["API_KEY"] = "{RANDOM}"\n', "API_KEY"),
    "pip.conf": ("pip.conf", f"[global]\nindex-url = https://me:{VALUE}@pip.acme.com/simple\n", "address"),
    "uv.toml": ("uv.toml", f'[[index]]\nurl = "https://me:{VALUE}@pip.acme.com/simple"\n', "address"),
    **{
        f"a token that says what it is: {token[:4]}": ("notes.yaml", f"x: {token}\n", "a token")
        for token in (
            "AKIA" + "Z7Q4M2X9W8K5T3B6",
            "ghp_" + LETTERS,
            "github_" + f"pat_{LETTERS}",
            "glpat-" + LETTERS[:20],
            "xoxb-" + LETTERS[:24],
            "sk_" + f"live_{LETTERS[:24]}",
            "AIza" + LETTERS[:35],
            "npm_" + LETTERS,
        )
    },
}
HONEST = {
    "another command after that of a database": (
        "backup.sh",
        "mongodump --uri x && mkdir -p backup20240101\nmysqldump x; cp -path1234567 x\n",
    ),
    "a variable": (
        "compose.yaml",
        "      DB_PASSWORD: ${DB_PASSWORD}\n      A_TOKEN: $TOKEN\n      B_SECRET: ${B:?}\n",
    ),
    "a variable that must be there, or has a placeholder": (
        "compose.yaml",
        "      URL: postgresql://orders:${DB_PASSWORD:?Variable not set}@db/x\n      A_TOKEN: ${A_TOKEN:-changeme}\n"
        "      DB_CREDENTIALS: orders:orders\n",
    ),
    "a secret of the forge": (
        ".github/workflows/x.yml",
        "  token: ${{ secrets.T }}\n  GH_TOKEN: ${{secrets.A || github.token}}\n",
    ),
    "rights": (".github/workflows/x.yml", "permissions: {id-token: write}\nwith: {persist-credentials: false}\n"),
    "a command": ("deploy.sh", 'TOKEN=$(cat /run/token)\nexport PASSWORD="$1" API_KEY=`x`\nread -r PASSWORD\n'),
    "a command with a reference": (
        "deploy.sh",
        'docker login -u me -p "$TOKEN" x\ncurl -u "$U:$P" x\ndocker login --password-stdin r1234567\n'
        "helm x --token ${T}\n",
    ),
    "passwords of commands that stand elsewhere": (
        "deploy.sh",
        'mysqldump -p -u root orders1234\nmysql -p"$PW1" x\nredis-cli -a "$REDIS_PASSWORD1" ping\n'
        'mysql -P3306 -h db-12345678\ntest: ["CMD", "redis-cli", "-a", "${PW1}"]\n'
        "mysql --protocol=tcp1234\nredis-cli --askpass p1234567\n",
    ),
    "another place": (
        "k8s/api.yaml",
        ENV.format("DB_PASSWORD", "valueFrom: {secretKeyRef: {name: db-1, key: password}}"),
    ),
    "flags that are none": (
        "x.sh",
        'ssh -p 2222 x\nmysql -P3306 -p x\nmysql -p$PW\nmysqldump -p"${PW}" x\nredis-cli -a $PW\nsshpass -e ssh x\n'
        'docker run -p 8080:8080 mysql\nsshpass -p "$P" ssh x\n',
    ),
    "a certificate of a cluster": ("k8s/s.yaml", f"kind: Secret\ndata:\n  ca.crt: LS0tLS1CRUdJTiBDRVJU{RANDOM}\n"),
    "XML with a reference": ("pom.xml", "<password>${env.PW}</password><passwordPolicy>strict</passwordPolicy>\n"),
    "a file": ("compose.yaml", "      DB_PASSWORD_FILE: /run/secrets/db1\n      TOKEN: /run/secrets/token1\n"),
    "a name of a secret": ("chart/values.yaml", "existingSecret: orders-db-1\nsecretName: orders-tls-2\n"),
    "a vault": ("app.yaml", "DB_PASSWORD: arn:aws:secretsmanager:eu:1:secret:x\nTOKEN: op://vault/item/f1\n"),
    "sealed": ("k8s/s.yaml", f"kind: SealedSecret\nspec: {{encryptedData: {{password: {RANDOM}}}}}\n"),
    "by sops": ("s.yaml", "password: ENC[AES256_GCM,data:9fK2mQ7x]\nsops:\n  mac: x\n"),
    "empty": ("x.env", "DB_PASSWORD=\nAPI_TOKEN=''\nSECRET: ~\n"),
    "placeholders": (
        "compose.yaml",
        "A_PASSWORD: changeme\nB_TOKEN: your-token-here\nC_SECRET: example123\nD_KEY: <key>\nE_PASSWORD: xxxxxxxx\n"
        "F_PASSWORD: postgres\nG_SECRET_KEY: dev-secret\nH_PASSWORD: test1234\nI_TOKEN: not-a-secret\n",
    ),
    "a database of a job": (
        ".github/workflows/x.yml",
        "services:\n  db:\n    env:\n      POSTGRES_USER: orders\n      POSTGRES_PASSWORD: s0mething\n"
        "env:\n  URL: postgresql://orders:s0mething@localhost:5432/orders\n  PGPASSWORD: s0mething\n",
    ),
    "one named like its user": (
        "compose.yaml",
        "POSTGRES_USER: orders\nPOSTGRES_PASSWORD: orders\nU: redis://orders:orders@db/1\n",
    ),
    "an address of an example": (
        "src/x/settings.py",
        '"""`postgresql://user:password@host/database`"""\nf"redis://{user}:{password}@{host}"\n',
    ),
    "one of alembic": ("alembic.ini", "sqlalchemy.url = driver://user:pass@localhost/dbname\n"),
    "a time and a number": ("x.env", "TOKEN_TTL=3600\nACCESS_TOKEN=30m\nMAX_TOKEN=4096\nPASSWORD_MIN_LENGTH=12\n"),
    "names in the code": (
        "src/x/auth.py",
        'TOKEN_URL = "/token"\nCSRF_TOKEN = "x-csrf-token-v2-2026"\npassword: str = Field(min_length=12)\n'
        'token = request.headers["t"]\n',
    ),
    "a hash in the code": (
        "src/x/auth.py",
        'DUMMY_PASSWORD = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdDEyMzQ1Njc4$9fK2mQ7xW4vR8tZ1bN6c"\n',
    ),
    "words for people": ("web/locale.json", '{"password": "Passwort", "token": "Jeton", "api_key": "Clé"}'),
    "a schema": ("openapi.json", '{"password": {"type": "string"}, "tokenUrl": "/t1", "token": "string"}'),
    "a token of an example": (
        "notes.yaml",
        f"x: AKIA{'IOSFODNN7'}EXAMPLE\ny: ghp_{'x' * 36}\nz: sk_{'live'}_{'0' * 24}\n",
    ),
    "for development": ("compose.dev.yaml", f"      DB_PASSWORD: {VALUE}\n"),
    "of compose for a test": ("docker-compose.override.yml", f"      DB_PASSWORD: {VALUE}\n"),
    "of tests": ("config/test.env", f"DB_PASSWORD={VALUE}\n"),
    "of pytest": ("pyproject.toml", f'[tool.pytest_env]\nAPP_API_TOKEN = "{VALUE}1"\n'),
    "a web key of Firebase": ("web/x.ts", f'{{apiKey: "AIza{LETTERS[:35]}", authDomain: "x.firebaseapp.com"}}\n'),
    "names like tokens": ("x.yaml", "a: global-rate-limit-service-v2x1\nb: sk-fading-circle-animation-12a3b4\n"),
    "encrypted by a tool": (
        "x.json",
        f'{{"encrypted": {{"token": "wcFMA{RANDOM}"}}, "api_key": "AQICAH{RANDOM}"}}',
    ),
    "encrypted by sops": ("x.json", f'{{\n "password": "{RANDOM}",\n "sops": {{"mac": "x"}}}}'),
    "more placeholders": (
        ".github/workflows/x.yml",
        "A_SECRET: abcdefghijklmnopqrstuvwxyz012345\nB_SECRET: thisisasecret\nC_PASSWORD: Passw0rd123!\n"
        "D_SECRET_KEY: a-very-long-secret-key-at-least\nE_PASSWORD: keycloak\nF_SECRET_ACCESS_KEY: localstack\n",
    ),
    "made up for the proof": (
        "pyproject.toml",
        f'[tool.hardening.verify.environment]\nAPP_API_TOKEN = "{VALUE}1"\n\n[tool.x]\n',
    ),
    "a variable of Terraform": (
        "main.tf",
        "  password = random_password.db1.result\n  token = var.token1\n  secret_access_key = optional(string1)\n",
    ),
    "named like its product": ("compose.yaml", "ELASTIC_PASSWORD: ${ELASTIC_PASSWORD:-elastic}\n"),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_secret_is_found_and_not_repeated(name: str) -> None:
    file, text, said = FOUND[name]
    (found,) = set(secrets.found_in(text, file))
    assert said in found
    assert re.search(secrets._WORDS, text, re.IGNORECASE), "git would not list the file"
    assert VALUE not in found
    assert RANDOM not in found


@pytest.mark.parametrize("name", HONEST)
def test_what_is_no_secret_is_not_called_one(name: str) -> None:
    file, text = HONEST[name]
    assert list(secrets.found_in(text, file)) == []


def checked(root: Path, files: dict[str, str]) -> list[Check]:
    git(root, "init", "--quiet")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    commit(root, "all")
    return [each for each in secrets.checks(root) if each.id == "secrets.tracked"]


def test_what_git_tracks_is_searched_but_for_tests_texts_and_locks(tmp_path: Path) -> None:
    secret = f"DB_PASSWORD={VALUE}\n"
    passed_over = (
        "tests/x.env",
        "docs/x.yaml",
        "README.md",
        "uv.lock",
        "x.env.example",
        "src/o/hardening/x.env",
        "test_x.py",
        "example.env",
        ".env.production.example",
        "openapi.json",
    )
    notebook = json.dumps({"cells": [{"source": [f'k = connect(password="{RANDOM}")']}], "metadata": {"token": RANDOM}})

    known = {
        "web/.env": "# x\nVITE_API_URL=https://x\n",
        ".env.development": "DB_PASSWORD=postgres\nAPI_TOKEN=${TOKEN}\n",
        ".env.enc": "A=ENC[x]\nsops_mac=ENC[x]\n",
        ".env.production": 'A="encrypted:x"\n',
    }

    found = checked(
        tmp_path,
        {"deploy/a b.env": secret, "web/.env.dev": secret, "compose.yaml": secret * 2, "a.ipynb": notebook}
        | {**dict.fromkeys(passed_over, secret), **known},
    )

    assert {each.object: each.seen for each in found} == {
        "a.ipynb": "line 1: password",
        "compose.yaml": "line 1: DB_PASSWORD, line 2: DB_PASSWORD",
        "deploy/a b.env": "line 1: DB_PASSWORD",
        "web/.env.dev": "it is a secret by its name",
    }
    assert {each.outcome for each in found} == {Outcome.INSECURE}


def test_a_repository_without_one_is_proved(tmp_path: Path) -> None:
    (found,) = checked(tmp_path, dict(HONEST.values()))
    assert found.outcome is Outcome.PROVED


@pytest.mark.parametrize("words", ["mongo ", "mysql ", "redis-cli ", "curl ", "a.", "eyJ-", "\n"])
def test_a_long_line_is_searched_in_time(words: str) -> None:
    started = time.process_time()
    assert len(list(secrets.found_in(f"TOKEN: {RANDOM}\n" + words * 20_000, "data.txt"))) == 1
    assert time.process_time() - started < 20, "each start of a pattern looks at all that comes after it"


def test_a_repository_of_another_user_is_searched_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked(tmp_path, {"compose.yaml": f"DB_PASSWORD={VALUE}\n"})
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # as in a container that runs as root
    (found,) = (each for each in secrets.checks(tmp_path) if each.id == "secrets.tracked")
    assert (found.outcome, found.object) == (Outcome.INSECURE, "compose.yaml")
