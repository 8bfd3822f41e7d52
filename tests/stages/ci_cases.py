"""Pipelines: honest ones, and ones that prove nothing, by what they do."""

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

SABOTAGED: dict[str, tuple[Files, str]] = {
    # s08 to s10 and their siblings: a step that cannot fail
    **{
        f"a step that cannot fail: {line}": ({HARDENING: script(line)}, "insecure .*hides it")
        for line in (
            f"{VERIFY} || true",
            f"{VERIFY} || :",
            f"{VERIFY} || exit 0",
            f"{VERIFY}; true",
            f"{VERIFY} | tee log",
            f"({VERIFY}) || echo failed",
            f"bash -c '{VERIFY} || true'",
            f"cd . && {VERIFY} || true",
        )
    },
    "set +e": ({HARDENING: script("set +e", VERIFY, "echo done")}, "insecure .*set -e"),
    "a shell without -e": (
        {HARDENING: script(VERIFY, "echo done").replace("- run", "- shell: bash {0}\n        run")},
        "insecure .*set -e",
    ),
    "in the background": ({HARDENING: github(f"run: {VERIFY} &")}, "insecure .*behind"),
    "asked by if": ({HARDENING: script(f"if {VERIFY}; then echo ok; fi")}, "insecure .*`if` asks"),
    "if false in the shell": ({HARDENING: script(f"if [ -n '' ]; then {VERIFY}; fi")}, "unverified"),
    "after an exit": ({HARDENING: script("exit 0", VERIFY)}, "exit 0"),
    "continue-on-error": ({HARDENING: github(f"continue-on-error: true\n        run: {VERIFY}")}, "continue-on-error"),
    "continue-on-error of the job": ({HARDENING: github(job="    continue-on-error: true\n")}, "continue-on-error"),
    "continue-on-error by an expression": (
        {HARDENING: github(f"{{run: {VERIFY}, continue-on-error: '${{{{ true }}}}'}}")},
        "continue",
    ),
    "continue-on-error by a matrix": (
        {HARDENING: github(job="    strategy: {matrix: {soft: [true]}}\n    continue-on-error: ${{ matrix.soft }}\n")},
        "continue-on-error",
    ),
    # a job that does not run
    **{
        f"if: {condition}": ({HARDENING: github(f"if: {condition}\n        run: {VERIFY}")}, "insecure .*does not hold")
        for condition in (
            "false",
            "${{ false }}",
            "always() && false",
            "(success() || always()) && !true",
            "github.event_name == 'schedule'",
            "${{ 'a' == 'b' }}",
            "failure()",
            "github.ref == 'refs/heads/never' && github.event_name == 'push'",
        )
    },
    "if: false of the job": ({HARDENING: github(job="    if: false\n")}, "insecure .*does not hold"),
    "a job that needs one that does not run": (
        {HARDENING: github(job="    needs: never\n") + "  never:\n    if: false\n    steps: [{run: 'true'}]\n"},
        "insecure .*needs never",
    ),
    "an empty matrix": ({HARDENING: github(job="    strategy: {matrix: {x: []}}\n")}, "matrix is empty"),
    "if a variable says so": ({HARDENING: github(job="    if: vars.VERIFY == 'yes'\n")}, "unverified .*cannot be told"),
    # triggers that never fire
    **{
        f"on: {on}": ({HARDENING: github(on=f"on: {on}\npermissions: {{}}\n")}, "insecure")
        for on in (
            "workflow_dispatch",
            "[workflow_dispatch, schedule]",
            "{push: {branches: [no-such-branch]}}",
            "{push: {branches: [releases/**], tags: ['v*']}}",
            "{push: {tags: ['v*']}}",
            "{push: {paths-ignore: ['**']}, pull_request: {paths-ignore: ['**/*.py']}}",
            "{pull_request: {paths: [docs/**]}}",
            "{pull_request: {types: [labeled]}}",
            "{pull_request: {branches-ignore: ['**']}}",
        )
    },
    # words that are no command
    "a comment": ({HARDENING: script(f"# {VERIFY}", "true")}, "insecure"),
    "echo": ({HARDENING: github(f"run: echo {VERIFY}")}, "insecure"),
    "echo, quoted": ({HARDENING: github(f'run: echo "{VERIFY}"')}, "insecure"),
    "a name": ({HARDENING: github(f"name: {VERIFY}\n        run: 'true'")}, "insecure"),
    "a here-document": ({HARDENING: script("cat <<EOF", VERIFY, "EOF")}, "insecure"),
    "another uv": ({HARDENING: script("uv() { true; }", VERIFY)}, "unverified .*what `uv` is"),
    "an alias": ({HARDENING: script("alias uv=true", VERIFY)}, "unverified .*what `uv` is"),
    "a function": ({HARDENING: script("f() {", VERIFY, "}")}, "unverified"),
    "another module": ({HARDENING: github("run: uv run python -m verify.bounds")}, "insecure"),
    # less than all of it
    **{
        f"a part of it: {part}": ({HARDENING: github(f"run: {VERIFY} {part}")}, "insecure .*leaves out the rest")
        for part in ("--only audit", "--only=lock", "--onl tests", "--target https://x", "--help")
    },
    # behind something else
    "make that ignores": (
        {HARDENING: github("run: make verify"), "Makefile": MAKE["Makefile"].replace("@$", "-@$")},
        "insecure .*`-`",
    ),
    "make -i": ({HARDENING: github("run: make -i ci"), **MAKE}, "unverified .*make -i"),
    **{
        f"a rehearsal: {command}": ({HARDENING: github(f"run: {command}"), **files}, "insecure|unverified .*otherwise")
        for command, files in (
            ("make --dry-run ci", MAKE),
            ("make --ignore-errors ci", MAKE),
            ("make ci PYTHON=echo", MAKE),
            ("make -o verify ci", MAKE),
            ("just --dry-run v", {"justfile": f"v:\n    {VERIFY}\n"}),
            ("task --dry v", {"Taskfile.yml": f"tasks: {{v: '{VERIFY}'}}\n"}),
            ("uv run --help python -m verify", {}),
            ("python -c pass -m verify", {}),
            (f"cat <({VERIFY})", {}),
            ("uv help run python -m verify", {}),
            ("uv version python -m verify", {}),
            ("uv run pytest -m verify", {}),
            ("uv run python manage.py -m verify", {}),
            (f"command -v {VERIFY}", {}),
        )
    },
    **{
        f"what changes it: {name}": (files, "unverified")
        for name, files in {
            "MAKEFLAGS before it": {HARDENING: github("run: MAKEFLAGS=-i make ci"), **MAKE},
            "MAKEFLAGS of the step": {HARDENING: github("env: {MAKEFLAGS: -i}\n        run: make ci"), **MAKE},
            "MAKEFLAGS of the job": {HARDENING: github("run: make ci", job="    env: {MAKEFLAGS: -i}\n"), **MAKE},
            "MAKEFLAGS of the makefile": {
                HARDENING: github("run: make v"),
                "Makefile": f"MAKEFLAGS += -i\nv:\n\t{VERIFY}\n",
            },
            "MAKEFLAGS exported": {HARDENING: script("export MAKEFLAGS=-i", "make ci"), **MAKE},
            "MAKEFLAGS exported in GitLab": {GITLAB: gitlab(line="export MAKEFLAGS=i\n    - make ci"), **MAKE},
            "BASH_ENV of GitLab": {GITLAB: gitlab(before="variables: {BASH_ENV: x.sh}\n")},
            "ifdef": {HARDENING: github("run: make v"), "Makefile": f"v:\nifdef NO\n\t{VERIFY}\nendif\n"},
            "status of a task": {
                HARDENING: github("run: task v"),
                "Taskfile.yml": f"tasks: {{v: {{status: ['true'], cmds: ['{VERIFY}']}}}}\n",
            },
            "a condition of a command of a task": {
                HARDENING: github("run: task v"),
                "Taskfile.yml": f"tasks: {{v: {{cmds: [{{cmd: '{VERIFY}', if: 'false'}}]}}}}\n",
            },
            "a shell in a shell": {
                HARDENING: github(f"shell: 'bash -c \"bash {{0}} || true\"'\n        run: {VERIFY}")
            },
        }.items()
    },
    # what stands before it, or around it
    **{
        f"before it: {' ; '.join(lines)}": ({HARDENING: script(*lines), **files}, because)
        for lines, files, because in (
            ([f"true | xargs -r {VERIFY}"], {}, "unverified .*`xargs` stands before"),
            ([f"ssh host {VERIFY}"], {}, "unverified .*`ssh` stands before"),
            (["RUN=echo", f"$RUN {VERIFY}"], {}, "insecure"),
            (["exec echo hello", VERIFY], {}, "unverified .*exec echo"),
            (['if [ "$X" = 1 ]; then exit 0; fi', VERIFY], {}, "unverified .*exit 0"),
            (["git diff --quiet && exit 0", VERIFY], {}, "unverified .*exit 0"),
            (["for i in $(ls services); do", f"  {VERIFY}", "done"], {}, "unverified .*loop"),
            (["MAKEFLAGS=-i", "export MAKEFLAGS", "make ci"], MAKE, "unverified .*MAKEFLAGS"),
            (["declare -x MAKEFLAGS=-i", "make ci"], MAKE, "unverified .*MAKEFLAGS"),
            (["export PYTHON=true", "make ci"], MAKE, "insecure"),
        )
    },
    **{
        f"written to GITHUB_ENV: {line}": (
            {HARDENING: script(line) + f"      - run: {command}\n", **files},
            "unverified",
        )
        for line, command, files in (
            ("echo MAKEFLAGS=-i >> $GITHUB_ENV", "make ci", MAKE),
            ('echo "BASH_ENV=./x.sh" >> "$GITHUB_ENV"', VERIFY, {}),
        )
    },
    "another folder by a variable": (
        {HARDENING: github(f"env: {{UV_WORKING_DIR: other}}\n        run: {VERIFY}")},
        "insecure .*in `other`",
    ),
    "just by a variable": (
        {HARDENING: github("run: JUST_DRY_RUN=1 just v"), "justfile": f"v:\n    {VERIFY}\n"},
        "unverified .*JUST_DRY_RUN",
    ),
    "a task in another folder": (
        {HARDENING: github("run: task v"), "Taskfile.yml": f"tasks: {{v: {{dir: other, cmds: ['{VERIFY}']}}}}\n"},
        "insecure .*in `other`",
    ),
    **{
        f"a makefile: {text}": (
            {HARDENING: github("run: make verify"), "Makefile": f"{text}verify:\n\t{VERIFY}\n\techo\n", **files},
            because,
        )
        for text, files, because in (
            ("", {"verify/__init__.py": ""}, r"insecure .*\.PHONY"),
            (".PHONY: verify\nSHELL = /bin/true\n", {}, "unverified .*/bin/true"),
            (".PHONY: verify\n.SHELLFLAGS = -n -c\n", {}, "unverified .*-n -c"),
            (".PHONY: verify\n.ONESHELL:\n", {}, "insecure .*set -e"),
            (".PHONY: verify\ninclude ci.mk\n", {"ci.mk": "MAKEFLAGS += -i\n"}, "unverified .*MAKEFLAGS"),
            (".IGNORE: verify\n", {}, "insecure .*IGNORE"),
        )
    },
    "a makefile by another name": (
        {HARDENING: github("run: make --file=other.mk ci"), "other.mk": "ci:\n\techo\n", **MAKE},
        "insecure",
    ),
    "another branch is checked out": (
        {HARDENING: github(f"{{uses: actions/checkout@{'a' * 40}, with: {{ref: main}}}}\n      - run: {VERIFY}")},
        "unverified .*checks out main",
    ),
    "pull_request_target": (
        {
            HARDENING: github(
                f"uses: actions/checkout@{'a' * 40}\n      - run: {VERIFY}",
                on="on: pull_request_target\npermissions: {}\n",
            )
        },
        "unverified .*not the change",
    ),
    "a shell of Windows": (
        {HARDENING: script(VERIFY, "echo done").replace("ubuntu-24.04", "windows-latest")},
        "insecure .*set -e",
    ),
    "gitlab: a pipe where there is no bash": (
        {GITLAB: gitlab("  image: python:3.14-alpine\n", f"{VERIFY} | tee x")},
        "insecure .*pipe",
    ),
    "gitlab: nothing is checked out": (
        {GITLAB: gitlab("  variables: {GIT_STRATEGY: none}\n")},
        "unverified .*checks noth",
    ),
    "gitlab: after one by hand": (
        {GITLAB: gitlab("  needs: [gate]\n", before="gate: {rules: [{when: manual}], script: ['true']}\n")},
        "insecure .*needs gate",
    ),
    "a forge that is not read": ({"Jenkinsfile": f"sh '{VERIFY}'\n"}, "unverified .*Jenkinsfile is not read"),
    "a forge that is not read, beside another": (
        {HARDENING: github("run: echo"), ".woodpecker/x.yaml": VERIFY},
        "unverified .*woodpecker is not read",
    ),
    "Forgejo": ({".forgejo/workflows/x.yml": github(f"run: {VERIFY} || true")}, "insecure .*hides"),
    "gitlab: a file that is not there": ({GITLAB: gitlab("  rules: [{exists: [nope]}]\n")}, "insecure .*none of"),
    **{
        f"gitlab: exists: {exists}": ({GITLAB: gitlab(f"  rules: [{{exists: {exists}}}]\n")}, because)
        for exists, because in (
            ("{paths: [nope]}", "insecure .*none of"),
            ("[/]", "insecure .*none of"),
            ("['**.nope']", "unverified .*cannot be told"),
            ("['nope.{a,b}']", "unverified .*cannot be told"),
            ("[$FILE]", "unverified .*cannot be told"),
        )
    },
    "gitlab: only variables": (
        {GITLAB: gitlab("  only: {refs: [merge_requests], variables: [$X]}\n")},
        "unverified .*cannot be told",
    ),
    "gitlab: only changes elsewhere": (
        {GITLAB: gitlab("  only: {refs: [merge_requests], changes: [docs/*]}\n")},
        "insecure .*changes",
    ),
    "make and true": ({HARDENING: github("run: make verify || true"), **MAKE}, "insecure .*hides"),
    "a recipe that hides": (
        {HARDENING: github("run: make verify"), "Makefile": f"verify:\n\t{VERIFY} || true\n"},
        "insecure .*hides",
    ),
    "just that ignores": (
        {HARDENING: github("run: just verify"), "justfile": f"verify:\n    -{VERIFY}\n"},
        "insecure .*`-`",
    ),
    "a script that goes on": (
        {HARDENING: github("run: ./scripts/ci.sh"), "scripts/ci.sh": f"#!/bin/sh\n{VERIFY}\necho done\n"},
        "insecure .*set -e",
    ),
    "a composite action that hides": (
        {
            HARDENING: github("uses: ./.github/actions/proof"),
            ".github/actions/proof/action.yml": f"runs: {{steps: [{{run: '{VERIFY} || true', shell: bash}}]}}\n",
        },
        "insecure .*hides",
    ),
    "a reusable workflow that hides": (
        {
            HARDENING: f"{ON}jobs:\n  check:\n    uses: ./.github/workflows/proof.yml\n",
            ".github/workflows/proof.yml": github(
                f"{{run: {VERIFY}, continue-on-error: true}}", on="on: workflow_call\n"
            ),
        },
        "insecure .*continue-on-error",
    ),
    "a reusable workflow of others": (
        {HARDENING: f"{ON}jobs:\n  check:\n    uses: org/ci/.github/workflows/x.yml@{'a' * 40}\n"},
        "unverified .*is not here",
    ),
    "nobody calls it": ({HARDENING: github(on="on: workflow_call\n")}, "insecure"),
    "a tool that is not read": (
        {HARDENING: github("run: uvx nox -s proof"), "noxfile.py": "'verify'"},
        "unverified .*noxfile.py",
    ),
    # GitLab
    "gitlab: allow_failure": ({GITLAB: gitlab("  allow_failure: true\n")}, "insecure .*allow_failure"),
    "gitlab: exit codes": ({GITLAB: gitlab("  allow_failure: {exit_codes: [1, 2]}\n")}, "insecure .*allow_failure"),
    "gitlab: a rule that lets it fail": (
        {GITLAB: gitlab("  rules: [{when: always, allow_failure: true}]\n")},
        "insecure .*allow",
    ),
    "gitlab: never": ({GITLAB: gitlab("  rules: [{when: never}]\n")}, "insecure .*when: never"),
    "gitlab: by hand": (
        {GITLAB: gitlab("  rules: [{if: '$CI_COMMIT_BRANCH', when: manual}, {when: never}]\n")},
        "insecure .*manual|never",
    ),
    "gitlab: manual": ({GITLAB: gitlab("  only: [merge_requests]\n  when: manual\n")}, "insecure .*manual"),
    "gitlab: schedules alone": ({GITLAB: gitlab("  only: [schedules]\n")}, "insecure .*only"),
    "gitlab: a rule that never holds": (
        {GITLAB: gitlab("  rules: [{if: '$CI_PIPELINE_SOURCE == \"web\"'}]\n")},
        "insecure .*none of",
    ),
    "gitlab: a variable": ({GITLAB: gitlab("  rules: [{if: '$PROOF == \"yes\"'}]\n")}, "unverified .*cannot be told"),
    "gitlab: other files": ({GITLAB: gitlab("  rules: [{changes: [docs/**/*]}]\n")}, "insecure .*none of"),
    "gitlab: workflow": ({GITLAB: gitlab(before="workflow: {rules: [{when: never}]}\n")}, "insecure .*never"),
    "gitlab: || true": ({GITLAB: gitlab(line=f"{VERIFY} || true")}, "insecure .*hides"),
    "gitlab: set +e before it": (
        {GITLAB: gitlab("  before_script: [set +e]\n").replace(VERIFY, f"{VERIFY}\n    - echo")},
        "set -e",
    ),
    "gitlab: afterwards": ({GITLAB: f"check:\n  script: ['true']\n  after_script: ['{VERIFY}']\n"}, "insecure"),
    "gitlab: hidden": ({GITLAB: gitlab().replace("check:", ".check:")}, "insecure"),
    "gitlab: included from elsewhere": ({GITLAB: "include: {project: ci/all, file: /x.yml}\n"}, "unverified .*ci/all"),
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
