"""Pipelines: how one is written in a line, and the honest ones, which end with exit code 0."""

VERIFY = "uv run --locked python -m verify"
HARDENING = ".github/workflows/hardening.yml"
GITLAB = ".gitlab-ci.yml"
Files = dict[str, str]
ON = "on: [push, pull_request]\npermissions: {}\n"


def github(step: str = f"run: {VERIFY}", *, job: str = "", on: str = ON, more: str = "") -> str:
    """A workflow with one step."""
    return f"{on}{more}jobs:\n  check:\n    runs-on: ubuntu-24.04\n{job}    steps:\n      - {step}\n"


def script(*lines: str) -> str:
    return github("run: |\n" + "\n".join(f"          {line}" for line in lines))


def gitlab(more: str = "", line: str = VERIFY, before: str = "") -> str:
    rules = "" if "rules" in more or "only" in more or "extends" in more else "  rules: [{when: always}]\n"
    return f"{before}check:\n{rules}{more}  script:\n    - {line}\n"


MAKE = {
    "Makefile": "PYTHON ?= uv run python\n.PHONY: ci verify\nci: lint verify\nlint:\n\truff check\n"
    "verify:\n\t@$(PYTHON) -m verify\n"
}

CHECKOUT = f"uses: actions/checkout@{'a' * 40}"
SETUP = f"uses: astral-sh/setup-uv@{'b' * 40}"
POSTGRES = """    services:
      postgres:
        image: postgres:18
        env: {POSTGRES_USER: orders, POSTGRES_PASSWORD: orders}
        ports: ["5432:5432"]
        options: >-
          --health-cmd pg_isready
          --health-interval 10s
    env:
      DATABASE_URL: postgresql://orders:orders@localhost:5432/orders
"""


def job(name: str, *steps: str, more: str = "") -> str:
    """A job of several steps, the first of which checks the change out."""
    listed = "".join(f"      - {each}\n" for each in (CHECKOUT, SETUP, *steps))
    return f"  {name}:\n    runs-on: ubuntu-latest\n{more}    steps:\n{listed}"


PORTED: dict[str, Files] = {
    "compose, then a script with an argument": {
        ".github/workflows/test.yml": "on:\n  push:\n    branches:\n      - main\n  pull_request:\n    types:\n"
        "      - opened\n"
        "      - synchronize\npermissions: {}\njobs:\n"
        + job(
            "backend",
            "run: docker compose down -v --remove-orphans",
            "run: docker compose up -d db mailcatcher",
            "run: uv run bash scripts/prestart.sh",
            'run: uv run bash scripts/tests-start.sh "Coverage for ${{ github.sha }}"',
            "run: docker compose down -v --remove-orphans",
        ),
        "scripts/prestart.sh": "#!/usr/bin/env bash\nset -e\nset -x\npython -m x.wait\nalembic upgrade head\n",
        "scripts/tests-start.sh": f'#!/usr/bin/env bash\nset -e\nset -x\n\n{VERIFY}\nbash scripts/test.sh "$@"\n',
    },
    "a database, and an environment that is activated": {
        ".github/workflows/tests.yml": "on: push\npermissions: {contents: read}\njobs:\n"
        + job(
            "tests",
            "run: pip install poetry",
            "run: |\n          source .venv/bin/activate\n          alembic upgrade head\n"
            "          USE_LOCAL_DB=true ./scripts/test --cov-fail-under=100\n          alembic downgrade base",
            more=f"    strategy:\n      matrix:\n        python-version: ['3.13', '3.14']\n{POSTGRES}",
        ),
        "scripts/test": "#!/usr/bin/env bash\n\nset -e\n\npython -m verify\npytest --cov=x ${@}\n",
    },
    "changes of one folder, by the paths of the event": {
        ".github/workflows/server.yml": "on:\n  push: {branches: [main]}\n"
        "  pull_request: {types: [opened, synchronize, edited]}\n"
        "concurrency: {group: '${{ github.workflow }}-${{ github.ref }}', cancel-in-progress: true}\n"
        "permissions: {contents: read}\njobs:\n"
        + job("lint", "run: uv sync --dev", "run: uv run task lint")
        + job(
            "test",
            'run: curl -sSL https://x/install.sh | bash && echo "$HOME/.local/bin" >> $GITHUB_PATH',
            "run: |\n          uv sync --dev\n          uv run task keys",
            f"run: {VERIFY}",
            more="    needs: lint\n    timeout-minutes: 15\n" + POSTGRES,
        ),
    },
    "a workflow that others call, with a matrix": {
        ".github/workflows/pull-requests.yml": "on: {pull_request: {branches: [main]}, merge_group: {}}\n"
        "concurrency: {group: x, cancel-in-progress: true}\npermissions: {}\njobs:\n"
        "  end-to-end: {uses: ./.github/workflows/partial-backend.yml}\n"
        "  backend: {name: Tests, uses: ./.github/workflows/partial-backend.yml}\n",
        ".github/workflows/partial-backend.yml": "on:\n  workflow_call:\npermissions: {}\njobs:\n"
        + job(
            "tests",
            "run: sudo apt-get update && sudo apt-get install -y libpq-dev",
            "run: task setup:py",
            "run: task py:check",
            more="    strategy:\n      fail-fast: true\n      matrix:\n        Database: [sqlite, postgres]\n",
        ),
        "Taskfile.yml": "version: '3'\nenv: {PRODUCTION: false}\ntasks:\n  setup:py: {cmds: [uv sync --dev]}\n"
        f"  py:check: {{desc: all, deps: [py:lint], cmds: ['{VERIFY}']}}\n  py:lint: {{cmds: [uv run ruff check]}}\n",
    },
    "everything in one job, with what is only recommended": {
        ".github/workflows/python.yml": "on: pull_request\npermissions: {}\njobs:\n"
        + job(
            "test",
            "run: |\n          export LIGHT_BUILD=1\n          python -m pip install --upgrade pip\n"
            '          pip install -e ".[dev]"',
            f"run: {VERIFY}",
            "run: |\n          export MISSING=$(python -c \"import json;print(json.load(open('c.json'))['x'])\")\n"
            '          if [[ $MISSING != "" ]]; then\n            echo "only recommended"\n          fi',
            more=POSTGRES,
        ),
    },
    "a terminal around the shell": {
        ".github/workflows/pr.yml": "on:\n  merge_group:\n  pull_request:\n    branches: [main, 'release/**']\n"
        "permissions: {}\njobs:\n"
        + job(
            "check",
            f'run: {VERIFY}\n        shell: script -q -e -c "bash --noprofile --norc -eo pipefail {{0}}"',
            more="    env:\n      PYTHONPATH: ./backend\n      TOKEN: ${{ secrets.TOKEN }}\n",
        ),
        "backend/shared.py": "",
    },
    "a server that is tried first": {
        ".github/workflows/integration.yml": "on: {push: {branches: [main, dev]}, pull_request: {branches: "
        "[main, dev]}}\n"
        "permissions: {}\njobs:\n"
        + job(
            "migration",
            "run: |\n          . venv/bin/activate\n          echo PATH=$PATH >> $GITHUB_ENV",
            "run: |\n          python -m orders_api serve --port 8080 &\n          SERVER=$!\n"
            "          for i in {1..40}; do\n            curl -s http://localhost:8080/ > /dev/null && break\n"
            "            sleep 1\n"
            '            if [ $i -eq 40 ]; then\n              echo "failed"\n              kill -9 $SERVER\n'
            "              exit 1\n"
            "            fi\n          done\n          kill $SERVER",
            f"run: {VERIFY}",
            "if: always()\n        run: docker compose logs > logs.txt",
        ),
    },
    "fast for drafts, and no texts": {
        ".github/workflows/fast.yml": "---\non:\n  workflow_dispatch:\n  workflow_call:\n  push:\n"
        "    branches: [main]\n"
        "    paths-ignore: ['docs/**', '**.md']\n  pull_request:\n    types: [opened, synchronize, ready_for_review]\n"
        "    paths-ignore: ['docs/**', '**.md']\npermissions: {}\njobs:\n"
        "  linting:\n    if: github.event.pull_request.draft == false\n    uses: ./.github/workflows/unit.yml\n"
        "  unit:\n    needs: linting\n    if: github.event.pull_request.draft == false\n    strategy:\n      matrix:\n"
        "        os: [ubuntu-latest]\n        python-version: ['3.14']\n      fail-fast: false\n"
        "    uses: ./.github/workflows/unit.yml\n    with: {os: '${{ matrix.os }}'}\n    secrets: inherit\n",
        ".github/workflows/unit.yml": "on: {workflow_call: {inputs: {os: {type: string, default: "
        "ubuntu-latest}}}}\npermissions: {}\n"
        "jobs:\n" + job("test", f"run: {VERIFY}").replace("ubuntu-latest", "${{ inputs.os }}"),
    },
    "the main branch, checked out by its name to write to it": {
        ".github/workflows/main.yml": "on: {push: {branches: [main]}}\npermissions: {contents: write}\njobs:\n"
        + job(
            "release",
            "run: |\n          git checkout main\n          git pull --ff-only",
            f"run: {VERIFY}",
            "run: git push",
        ),
    },
    "a version that a tag gives": {
        ".github/workflows/build.yml": "on: [push]\npermissions: {contents: read}\njobs:\n"
        + job(
            "build",
            'run: sed -i "s/^version = .*/version = \\"$(git describe --tags)\\"/" pyproject.toml',
            "run: cp pyproject.toml uv.lock build/",
            f"run: {VERIFY}",
        ),
    },
}
"""The shapes of pipelines of well known FastAPI projects, each with verify where their tests are."""
VOUCHED: dict[str, Files] = {
    "what another step has found to be changed": {
        ".github/workflows/x.yml": "on: [push, pull_request]\npermissions: {}\njobs:\n"
        + job("changes", f"{{uses: dorny/paths-filter@{'c' * 40}, id: filter}}")
        + job("test", f"run: {VERIFY}", more="    needs: changes\n    if: needs.changes.outputs.server == 'true'\n"),
    },
    "what is no double of another run": {
        ".github/workflows/x.yml": "on: {push: {tags-ignore: ['*']}}\npermissions: {}\njobs:\n"
        + job("pre", f"{{uses: fkirc/skip-duplicate-actions@{'c' * 40}, id: skip}}")
        + job("test", f"run: {VERIFY}", more="    needs: pre\n    if: ${{ needs.pre.outputs.skip != 'true' }}\n"),
    },
    "a task of hatch": {
        ".github/workflows/x.yml": "on: [push, pull_request]\npermissions: {}\njobs:\n"
        + job("test", "run: pip install hatch && hatch env create", "run: hatch run test-cov-xml"),
        "pyproject.toml": f'[tool.hatch.envs.default.scripts]\ntest-cov-xml = "{VERIFY}"\n',
    },
}
"""Shapes of which nobody can tell whether verify runs but the team, which says so."""

ORIGIN = '[core]\n\tbare = false\n[remote "origin"]\n\turl = git@github.com:acme/orders.git\n'
HONEST: dict[str, Files] = {
    **PORTED,
    **{
        f"if: {condition}": {HARDENING: github(job=f"    if: {condition}\n"), ".git/config": ORIGIN}
        for condition in (
            "github.repository == 'acme/orders' && !startsWith(github.ref, 'refs/tags/')",
            "github.repository_owner == 'acme' || contains(github.event.head_commit.message, 'x')",
            "github.event_name != 'push' && github.event.pull_request.head.repo.full_name == github.repository",
        )
    },
    "after one that is told to have gone well": {
        HARDENING: f"{ON}jobs:\n"
        + job("lint", "run: ruff check")
        + job("test", f"run: {VERIFY}", more="    needs: lint\n    if: always() && needs.lint.result == 'success'\n")
    },
    "a path of modules": {
        HARDENING: github(job="    env: {PYTHONPATH: '.:src:lib:/opt/x', LD_PRELOAD: /usr/lib/libjemalloc.so.2}\n"),
        "lib/orders_helpers.py": "",
    },
    "a configuration of uv that is here": {
        HARDENING: github(job="    env: {UV_CONFIG_FILE: ci/uv.toml, UV_INDEX_STRATEGY: first-index}\n"),
        "ci/uv.toml": "",
    },
    "one of the machine": {HARDENING: github(job="    env: {UV_CONFIG_FILE: /etc/uv/uv.toml}\n")},
    "flow style (h01)": {
        HARDENING: f"on: {{pull_request: {{}}}}\npermissions: {{}}\njobs: {{a: {{steps: [{{run: {VERIFY}}}]}}}}\n"
    },
    "tags beside it": {
        HARDENING: github(),
        ".github/workflows/release.yml": github("run: x", on="on: {push: {tags: ['v*']}}\npermissions: {}\n"),
    },
    "permissions of the job (h02)": {
        HARDENING: github(on="on: pull_request\n", job="    permissions: {contents: read}\n")
    },
    "anchors": {HARDENING: github(more=f"x: &proof\n  run: {VERIFY}\n", step="*proof")},
    "merge_group": {HARDENING: github(on="on: {merge_group: {}, pull_request: {branches: [main]}}\npermissions: {}\n")},
    "not drafts": {
        HARDENING: github(job="    if: github.event.pull_request.draft == false || github.event_name == 'push'\n")
    },
    "not in forks": {HARDENING: github(job="    if: github.event_name != 'schedule'\n")},
    "a matrix": {
        HARDENING: github(
            f"run: {VERIFY}", job="    strategy: {matrix: {python: ['3.11', '3.14'], include: [{os: x}]}}\n"
        )
    },
    "a command of a matrix": {
        HARDENING: github("run: ${{ matrix.run }}", job=f"    strategy: {{matrix: {{run: [ruff, '{VERIFY}']}}}}\n")
    },
    "a folder of its own": {
        HARDENING: script(VERIFY)
        .replace("    steps:\n", "    steps:\n      - {uses: actions/checkout@" + "a" * 40 + ", with: {path: x}}\n")
        .replace("- run", "- working-directory: x\n        run")
    },
    "paths": {HARDENING: github(on="on: {pull_request: {paths: ['src/**', uv.lock, '*.toml']}}\npermissions: {}\n")},
    "paths that are left out": {
        HARDENING: github(on="on: {pull_request: {paths-ignore: ['docs/**', '**.md']}}\npermissions: {}\n")
    },
    "branches by a pattern": {HARDENING: github(on="on: {push: {branches: [ma*, 'release/**']}}\npermissions: {}\n")},
    "branches that are left out, and tags": {
        HARDENING: github(on="on: {push: {tags: ['v*'], branches-ignore: ['x/**']}}\npermissions: {}\n")
    },
    "a matrix that excludes one": {HARDENING: github(job="    strategy: {matrix: {os: [a, b], exclude: [{os: a}]}}\n")},
    "a matrix of a constant": {
        HARDENING: github(job="    strategy: {matrix: {py: '${{ fromJSON(''[\"3.14\"]'') }}'}}\n")
    },
    "what is only tried may fail": {
        HARDENING: github(
            job="    continue-on-error: ${{ matrix.soft }}\n"
            "    strategy: {matrix: {py: ['3.14'], soft: [false], include: [{py: '3.15', soft: true}]}}\n"
        )
    },
    "what is only tried may fail, and the others say nothing of it": {
        HARDENING: github(
            job="    continue-on-error: ${{ matrix.soft }}\n"
            "    strategy: {matrix: {py: ['3.14'], include: [{py: '3.15', soft: true}]}}\n"
        )
    },
    "an input that says yes": {
        HARDENING: f"{ON}jobs:\n  check:\n    uses: ./.github/workflows/proof.yml\n    with: {{verify: true}}\n",
        ".github/workflows/proof.yml": github(
            f"if: inputs.verify\n        run: {VERIFY}",
            on="on: {workflow_call: {inputs: {verify: {type: boolean, default: false}}}}\n",
        ),
    },
    "words by a variable": {HARDENING: github(f"env: {{ARGS: --thorough}}\n        run: {VERIFY} $ARGS $MORE")},
    "a label for what strangers propose": {
        HARDENING: github(),
        ".github/workflows/label.yml": github(
            f"uses: actions/labeler@{'a' * 40}", on="on: pull_request_target\npermissions: {}\n"
        ),
    },
    "with words behind it": {
        HARDENING: script("set -euo pipefail", f"{VERIFY} --thorough 2>&1 | tee proof.txt", "echo done")
    },
    "a summary when it fails": {
        HARDENING: script(f"if ! {VERIFY}; then", "  cat log >> $GITHUB_STEP_SUMMARY", "  exit 1", "fi")
    },
    "kept and said later": {HARDENING: script("code=0", f"{VERIFY} || code=$?", "echo $code", "exit $code")},
    **{
        f"before it: {' ; '.join(lines)}": {HARDENING: script(*lines), **MAKE}
        for lines in (
            ["cd . || exit 1", VERIFY],
            [f"cd . && {VERIFY}", f"uv sync --locked && {VERIFY}", "echo done"],
            ["uv lock --check", "uv lock --upgrade --dry-run", "uv tool install x --upgrade", VERIFY],
            ["command -v uv || exit", VERIFY],
            ["command -v uv || { echo 'install uv' >&2; exit 1; }", VERIFY],
            ['if [ -z "$HOME" ]; then', "  exit 2", "fi", VERIFY],
            ["exec > log 2>&1", VERIFY],
            [f"exec {VERIFY}"],
            ["trap 'rm -rf x' EXIT", VERIFY],
            ['export PATH="$HOME/.local/bin:$PATH"', f"timeout -k 5 900 {VERIFY}"],
            ["PYTHON=.venv/bin/python", "$PYTHON -m verify"],
            ["(export MAKEFLAGS=-n; make lint)", "make ci"],
            ["for step in lint types; do make $step; done", VERIFY],
            ["uv run coverage run -m verify"],
            ["uv --quiet run --locked --python 3.14 python -Im verify"],
            ["poetry run python -m verify"],
            ["env -u FOO CI=1 nice -n 5 uv run python -m verify"],
        )
    },
    **{
        f"a step before it: {' ; '.join(lines)}": {
            HARDENING: script(*lines) + f"      - run: {VERIFY}\n",
            "tests/test_a.py": "",
            ".venv/pyvenv.cfg": "",
            ".venv/bin/python": "",
        }
        for lines in (
            ["git fetch origin main", "git merge origin/main"],
            ["git checkout $SHA"],
            ["git checkout main", "uv run python -m timeit", "git checkout -"],
            ["git fetch origin pull/1/head", "git checkout FETCH_HEAD"],
            ["git checkout -- .", "git restore uv.lock", "git reset --hard", "git clean -fdx"],
            ["git clone https://x/other", "cd other", "git checkout v1"],
            ["rm -rf tests/__pycache__ tests/.cache tests/output .pytest_cache", "find . -name '*.pyc' -delete"],
            ["cp -r tests /tmp/x", "cp .env.example .env", "echo x > tests-report.xml"],
            ["ln -s /usr/bin/python3 /usr/bin/python", "mv uv-x86_64/uv /usr/local/bin/uv"],
            ['echo "$HOME/.local/bin" >> "$GITHUB_PATH"', 'echo "$PWD/.venv/bin" >> "$GITHUB_PATH"'],
        )
    },
    "just of its own shell": {
        HARDENING: github("run: just v"),
        "justfile": f"set shell := ['bash', '-euo', 'pipefail', '-cu']\nv:\n    {VERIFY}\n",
    },
    "a recipe of bash": {
        HARDENING: github("run: just v"),
        "justfile": f"v:\n    #!/usr/bin/env bash\n    set -euo pipefail\n    {VERIFY}\n    echo done\n",
    },
    "a variable of one target": {
        HARDENING: github("run: make v"),
        "Makefile": ".PHONY: v\nv: PYTHON = uv run python\nv:\n\t$(PYTHON) -m verify\n",
    },
    "Forgejo": {".forgejo/workflows/x.yaml": github(on="on: pull_request\n")},
    "Gitea and GitHub": {HARDENING: github(), ".gitea/workflows/hardening.yml": github()},
    "make of its own shell": {
        HARDENING: github("run: make verify"),
        "Makefile": "SHELL := /bin/bash\n.SHELLFLAGS := -eu -o pipefail -c\n.ONESHELL:\n-include .env\n.PHONY: verify\n"
        f"verify:\n\t{VERIFY} | tee log\n\techo done\n",
        "verify/__init__.py": "",
    },
    "MAKEFLAGS where nothing makes": {HARDENING: github(more="env: {MAKEFLAGS: -i}\n")},
    "a change from a fork": {
        HARDENING: github(
            f"{{uses: actions/checkout@{'a' * 40}, with: {{ref: '${{{{ github.head_ref }}}}'}}}}\n      - run: {VERIFY}"
        )
    },
    "a folder of a task": {
        HARDENING: github("run: task v"),
        "Taskfile.yml": f"tasks: {{v: {{dir: '{{{{.ROOT_DIR}}}}', cmds: ['{VERIFY}']}}}}\n",
    },
    "uv run -m": {HARDENING: github("run: uv run --locked -m verify")},
    "its own python": {HARDENING: github("run: .venv/bin/python -X utf8 -m verify --format json")},
    "a container": {HARDENING: github(f"run: docker compose run --rm ci {VERIFY}")},
    "retried": {HARDENING: github(f"run: timeout 15m {VERIFY}")},
    "shell: bash": {HARDENING: github(f"{{run: '{VERIFY} | tee x', shell: bash}}")},
    **{
        f"behind {wrapper}": {HARDENING: github(f"run: {wrapper} {command}"), **MAKE}
        for wrapper in (
            *("nice", "nice -n 5", "timeout 10m", "timeout -k 5 -s INT 600", "taskset -c 0,1", "ionice -c 3"),
            *("env", "env -u FOO A=b", "exec", "stdbuf -oL", "sudo -E", "setsid -w", "time -p"),
        )
        for command in (VERIFY, "make ci")
    },
    **{
        f"shell: {shell}": {HARDENING: github(f"{{run: {VERIFY}, shell: '{shell}'}}")}
        for shell in (
            *("/bin/bash -e {0}", "/usr/bin/bash -eo pipefail {0}", "/usr/bin/env bash -e {0}", "zsh -e {0}", "pwsh"),
            *("dash -e {0}", "bash --noprofile --norc -eo pipefail {0}"),
        )
    },
    "on Windows too": {
        HARDENING: github(job="    strategy: {matrix: {os: [windows-2025]}}\n").replace(
            "ubuntu-24.04", "${{ matrix.os }}"
        )
    },
    "a code that is kept by the shell": {HARDENING: script(f"{VERIFY} | tee log", "exit ${PIPESTATUS[0]}")},
    "no drafts": {
        HARDENING: github(
            on="on: pull_request\npermissions: {}\n", job="    if: ${{ !github.event.pull_request.draft }}\n"
        )
    },
    "paths by their ends": {
        HARDENING: github(on="on: {pull_request: {paths: ['**.py', '**/*.lock']}}\npermissions: {}\n")
    },
    "rights at the top of one job": {
        HARDENING: github(on="on: pull_request\npermissions: {contents: read, id-token: write}\n")
    },
    "make that includes": {
        HARDENING: github("run: make v"),
        "Makefile": "include ci/*.mk\ninclude ci.mk\n",
        "ci.mk": f"v:\n\t{VERIFY}\n",
    },
    "make that makes": {HARDENING: github("run: make all"), "Makefile": f"all:\n\t$(MAKE) v\nv:\n\t{VERIFY}\n"},
    "just by another name": {
        HARDENING: github("run: just v"),
        "justfile": f"alias v := verify\nverify:\n    {VERIFY}\n",
    },
    "task with variables, on Linux": {
        HARDENING: github("run: task v"),
        "Taskfile.yml": "vars: {PY: uv run --locked python}\n"
        "tasks: {v: {platforms: [linux/amd64, darwin], cmds: ['{{.PY}} -m verify']}}\n",
    },
    "gitlab: by braces": {GITLAB: gitlab("  rules: [{changes: ['**/*.{py,lock}']}]\n")},
    "gitlab: one rule that cannot be told, and one that holds": {
        GITLAB: gitlab("  rules: [{if: $CI_MERGE_REQUEST_EVENT_TYPE == 'merge_train'}, {if: $CI_COMMIT_BRANCH}]\n")
    },
    "make": {HARDENING: github("run: make ci"), **MAKE},
    "make that keeps going": {HARDENING: github("run: make -k -j 4 --no-print-directory ci"), **MAKE},
    "make by uv for a member": {HARDENING: github("run: uv run --package x --only-group ci make ci"), **MAKE},
    "make that says less": {HARDENING: github("run: make --quiet ci"), **MAKE},
    "MAKEFLAGS of the makefile": {
        HARDENING: github("run: make v"),
        "Makefile": f"MAKEFLAGS += --warn-undefined-variables --no-builtin-rules -j4\nv:\n\t{VERIFY}\n",
    },
    "MAKEFLAGS of the workflow": {HARDENING: github("run: make ci", more="env: {MAKEFLAGS: -j 2}\n"), **MAKE},
    "just that says less": {HARDENING: github("run: just --quiet v"), "justfile": f"v:\n    {VERIFY}\n"},
    "make with a variable": {HARDENING: github("run: make ci PYTHON=.venv/bin/python"), **MAKE},
    "just by uvx": {
        HARDENING: github("run: uvx --from rust-just just --justfile justfile v"),
        "justfile": f"v:\n    {VERIFY}\n",
    },
    "a login shell": {HARDENING: github(f"{{shell: 'bash -leo pipefail {{0}}', run: '{VERIFY} | tee x'}}")},
    "a shell with options in full": {
        HARDENING: github(f"{{shell: 'bash -o errexit -o nounset -o pipefail {{0}}', run: '{VERIFY} | tee x'}}")
    },
    "gitlab: only changes": {GITLAB: gitlab("  only: {refs: [merge_requests], changes: ['src/**/*', uv.lock]}\n")},
    "gitlab: a file that is there": {GITLAB: gitlab("  rules: [{exists: [.gitlab-ci.yml]}]\n")},
    "gitlab: one of several that is there": {
        GITLAB: gitlab("  rules: [{exists: {paths: ['**.nope', /.gitlab-ci.yml]}}]\n")
    },
    "make in a folder": {HARDENING: github("run: make -C . verify"), **MAKE},
    "just": {HARDENING: github("run: just proof"), "justfile": f"proof: lint\n    {VERIFY}\n\nlint:\n    ruff check\n"},
    "task": {
        HARDENING: github("run: task ci"),
        "Taskfile.yml": f"tasks:\n  ci:\n    deps: [proof]\n  proof:\n    cmds: ['{VERIFY}']\n",
    },
    "a script": {
        HARDENING: github("run: bash scripts/ci.sh"),
        "scripts/ci.sh": f"#!/usr/bin/env bash\nset -euo pipefail\n{VERIFY} \\\n  --thorough\n",
    },
    "a composite action": {
        HARDENING: github("uses: ./.github/actions/proof"),
        ".github/actions/proof/action.yml": f"runs: {{using: composite, steps: [{{run: '{VERIFY}', shell: bash}}]}}\n",
    },
    "a reusable workflow": {
        HARDENING: f"{ON}jobs:\n  check:\n    uses: ./.github/workflows/proof.yml\n    with: {{command: '{VERIFY}'}}\n",
        ".github/workflows/proof.yml": github(
            "run: ${{ inputs.command }}", on="on: {workflow_call: {inputs: {command: {type: string}}}}\n"
        ),
    },
    "gitlab: not by what is said": {
        GITLAB: gitlab(
            before="spec: {inputs: {x: {default: y}}}\n---\nworkflow:\n  rules:\n"
            "    - {if: $CI_COMMIT_MESSAGE =~ /-draft$/, when: never}\n    - when: always\n"
        )
    },
    **{
        f"failed later, if {condition}": {
            HARDENING: github(
                f"{{id: v, continue-on-error: true, run: {VERIFY}}}\n      - run: cat report.txt\n"
                f"      - if: {condition}\n        run: |\n          echo it failed\n          exit 1"
            )
        }
        for condition in ("steps.v.outcome == 'failure'", "${{ always() && steps.v.outcome != 'success' }}")
    },
    "unless somebody who starts it by hand says no": {
        HARDENING: github(
            job="    if: github.event.action != 'closed' && !inputs.fast && github.event.inputs.fast != 'true'\n",
            on="on: {push: {}, pull_request: {}, workflow_dispatch: {inputs: {fast: {type: boolean}}}}\n"
            "permissions: {}\n",
        )
    },
    "not by what is said": {
        HARDENING: github(job="    if: \"!contains(github.event.head_commit.message, '[skip tests]')\"\n")
    },
    "gitlab: rules": {
        GITLAB: gitlab(
            "  rules:\n    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'\n"
            "    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n"
        )
    },
    **{
        f"gitlab: less of it at night: {line}": {GITLAB: gitlab(line=f"{line}\n    - {VERIFY} ${{only:-}}")}
        for line in (
            'if [ "$CI_PIPELINE_SOURCE" = schedule ]; then only="--only audit"; fi',
            'test "$CI_PIPELINE_SOURCE" != schedule || only="--only audit"',
        )
    },
    "gitlab: without tags": {GITLAB: gitlab("  rules: [{if: $CI_COMMIT_TAG, when: never}, {when: on_success}]\n")},
    "gitlab: extends": {
        GITLAB: gitlab(
            "  extends: .base\n", before=".base: {rules: [{when: always}], before_script: [pip install uv]}\n"
        )
    },
    "gitlab: an anchor in a script": {
        GITLAB: f".p: &p [uv sync, '{VERIFY}']\nx:\n  rules: [{{if: $CI_MERGE_REQUEST_IID}}]\n  script: [*p, echo]\n"
    },
    "gitlab: a reference": {
        GITLAB: f".p: {{script: ['{VERIFY}']}}\ncheck:\n  only: [merge_requests]\n  script: [!reference [.p, script]]\n"
    },
    "gitlab: include": {GITLAB: "include: [{local: /ci/*.yml}]\n", "ci/proof.yml": gitlab()},
    "gitlab: rules of another job": {
        GITLAB: ".x: {rules: [{if: $CI_MERGE_REQUEST_IID}]}\n"
        f"check:\n  rules: [!reference [.x, rules]]\n  script: ['{VERIFY}']\n"
    },
    "gitlab: included for merge requests": {
        GITLAB: "include: [{local: ci/x.yml, rules: [{if: $CI_MERGE_REQUEST_IID}]}]\n",
        "ci/x.yml": gitlab(),
    },
    "gitlab: needs what may not be there": {
        GITLAB: gitlab(
            "  needs: [{job: gate, optional: true}, x]\n",
            before="gate: {rules: [{when: never}], script: ['true']}\nx: {rules: [{when: always}], script: ['true']}\n",
        )
    },
    "gitlab: only": {GITLAB: gitlab("  only: [merge_requests, main]\n")},
    "gitlab: workflow": {
        GITLAB: gitlab(before="workflow: {rules: [{if: $CI_MERGE_REQUEST_IID}, {if: $CI_COMMIT_BRANCH}]}\n")
    },
}
