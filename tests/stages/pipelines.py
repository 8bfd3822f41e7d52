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

HONEST: dict[str, Files] = {
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
    "gitlab: rules": {
        GITLAB: gitlab(
            "  rules:\n    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'\n"
            "    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n"
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
    "gitlab: only": {GITLAB: gitlab("  only: [merge_requests, main]\n")},
    "gitlab: workflow": {
        GITLAB: gitlab(before="workflow: {rules: [{if: $CI_MERGE_REQUEST_IID}, {if: $CI_COMMIT_BRANCH}]}\n")
    },
}
