"""Pipelines that prove nothing, by what they do."""

from .pipelines import GITLAB, HARDENING, MAKE, ON, ORIGIN, VERIFY, Files, github, gitlab, script
from .sabotaged_gitlab import ON_GITLAB

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
    **{
        f"continue-on-error, and {then}": (
            {HARDENING: github(f"{{id: v, continue-on-error: true, run: {VERIFY}}}\n      - {then}")},
            "insecure .*continue-on-error",
        )
        for then in (
            "{if: steps.v.outcome == 'failure', run: exit 0}",
            "{if: steps.w.outcome == 'failure', run: exit 1}",
            "{if: steps.v.conclusion == 'failure', run: exit 1}",
            "{if: steps.v.outcome == 'failure' && false, run: exit 1}",
            "{if: steps.v.outcome == 'failure', run: exit 1 || true}",
            "{if: steps.v.outcome == 'failure', continue-on-error: true, run: exit 1}",
            "{if: steps.v.outcome == 'failure', shell: 'true {0}', run: exit 1}",
        )
    },
    "only if somebody who starts it by hand says so": (
        {
            HARDENING: github(
                job="    if: inputs.verify\n",
                on="on: {push: {}, workflow_dispatch: {inputs: {verify: {type: boolean}}}}\npermissions: {}\n",
            )
        },
        "insecure .*does not hold",
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
            "startsWith(github.ref, 'refs/tags/')",
            "contains(github.event.head_commit.message, 'proof')",
        )
    },
    "in another repository": (
        {HARDENING: github(job="    if: github.repository == 'acme/nothing'\n"), ".git/config": ORIGIN},
        "insecure .*does not hold",
    ),
    "in a repository that is not known": (
        {HARDENING: github(job="    if: github.repository == 'acme/nothing'\n")},
        "unverified .*cannot be told",
    ),
    "after one that never runs": (
        {
            HARDENING: github(
                job="    needs: never\n    if: always() && needs.never.result == 'success'\n",
                more="",
            )
            + "  never:\n    if: false\n    steps: []\n"
        },
        "insecure .*does not hold",
    ),
    "a code that is not that of verify": (
        {HARDENING: script(f"{VERIFY} | tee log", "exit ${PIPESTATUS[1]}")},
        "insecure .*a pipe",
    ),
    "a shell by its path without -e": (
        {HARDENING: script(VERIFY, "echo done").replace("- run", "- shell: /bin/bash {0}\n        run")},
        "insecure .*set -e",
    ),
    "drafts alone": ({HARDENING: github(job="    if: github.event.pull_request.draft\n")}, "insecure .*does not hold"),
    "on Windows alone, where the job is not": (
        {HARDENING: github(f"if: runner.os == 'Windows'\n        run: {VERIFY}")},
        "insecure .*does not hold",
    ),
    "the shell of Windows goes on": (
        {HARDENING: script(VERIFY, "echo done").replace("ubuntu-24.04", "windows-2025")},
        "unverified .*pwsh",
    ),
    "PowerShell that hides it": ({HARDENING: github(f"{{run: {VERIFY} || 1, shell: pwsh}}")}, "insecure .*hides"),
    "an action that is given it": (
        {HARDENING: github(f"{{uses: a/retry@{'a' * 40}, with: {{command: {VERIFY} || true}}}}")},
        "unverified .*a/retry.* is not read",
    ),
    **{
        f"a wrapper before what hides it: {line}": (
            {HARDENING: github(f"run: {line}"), **MAKE},
            "insecure|unverified .*otherwise",
        )
        for line in ("timeout 9m make -i ci", f"nice -n 5 echo {VERIFY}", f"su ci -c '{VERIFY} || true'")
    },
    "if: false of the job": ({HARDENING: github(job="    if: false\n")}, "insecure .*does not hold"),
    "a job that needs one that does not run": (
        {HARDENING: github(job="    needs: never\n") + "  never:\n    if: false\n    steps: [{run: 'true'}]\n"},
        "insecure .*needs never",
    ),
    "an empty matrix": ({HARDENING: github(job="    strategy: {matrix: {x: []}}\n")}, "matrix is empty"),
    "a matrix that excludes all": (
        {HARDENING: github(job="    strategy: {matrix: {os: [a], exclude: [{os: a}]}}\n")},
        "insecure .*matrix is empty",
    ),
    "a matrix that excludes the one that would": (
        {
            HARDENING: github(
                f"if: matrix.py == '3.13'\n        run: {VERIFY}",
                job="    strategy: {matrix: {os: [a], py: ['3.13', '3.14'], exclude: [{py: '3.13'}]}}\n",
            )
        },
        "insecure .*does not hold",
    ),
    **{
        f"a matrix that is made as it runs: {matrix}": (
            {HARDENING: github(job=f"    strategy: {{matrix: {matrix}}}\n")},
            "unverified .*made as it runs",
        )
        for matrix in ("'${{ fromJSON(needs.x.outputs.m) }}'", "{x: '${{ fromJSON(needs.x.outputs.m) }}'}")
    },
    "a matrix that says no": (
        {
            HARDENING: github(
                f"if: matrix.verify\n        run: {VERIFY}", job="    strategy: {matrix: {verify: [false]}}\n"
            )
        },
        "insecure .*does not hold",
    ),
    "an input that says no": (
        {
            HARDENING: f"{ON}jobs:\n  check:\n    uses: ./.github/workflows/proof.yml\n",
            ".github/workflows/proof.yml": github(
                f"if: inputs.verify\n        run: {VERIFY}",
                on="on: {workflow_call: {inputs: {verify: {type: boolean, default: false}}}}\n",
            ),
        },
        "insecure .*does not hold",
    ),
    "continue-on-error by a variable": (
        {HARDENING: github(f"{{run: {VERIFY}, continue-on-error: '${{{{ vars.SOFT }}}}'}}")},
        "unverified .*continue-on-error",
    ),
    **{
        f"what another command asks, and then: {line}": (
            {HARDENING: script(line, "echo done")},
            "unverified .*depends on",
        )
        for line in (
            f"git diff --name-only HEAD~1 | grep -q src && {VERIFY}",
            f"git diff --quiet origin/main -- docs && {VERIFY}",
            f"command -v uv && {VERIFY}",
        )
    },
    "a code that is none": ({HARDENING: script(f"{VERIFY} || exit 00")}, "insecure .*hides"),
    **{
        f"left behind in a container: {command}": (
            {HARDENING: github(f"run: {command} {VERIFY}")},
            "unverified .*detach",
        )
        for command in ("docker run -d ci", "docker compose run --detach ci", "podman exec -d ci")
    },
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
            "{pull_request: {paths: [src, uv.lock]}}",
            "{pull_request: {paths: ['**', '!**.lock']}}",
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
    **{
        f"a part of it, by a variable: {name}": (files, "insecure .*--only.* leaves out the rest")
        for name, files in {
            "of the step": {HARDENING: github(f"env: {{ARGS: --only lock}}\n        run: {VERIFY} $ARGS")},
            "of the script": {HARDENING: script("ARGS=--only=lock", f'{VERIFY} "${{ARGS}}"')},
            "by a default": {HARDENING: github(f"run: {VERIFY} ${{ARGS:---only=lock}}")},
            "in an expression": {
                HARDENING: github(f"run: {VERIFY} ${{{{ env.ARGS }}}}", job="    env: {ARGS: --only lock}\n")
            },
            "that a step writes": {
                HARDENING: script('echo "ARGS=--only lock" >> $GITHUB_ENV') + f"      - run: {VERIFY} $ARGS\n"
            },
            "of GitLab": {GITLAB: gitlab("  variables: {ARGS: --only lock}\n", line=f"{VERIFY} $ARGS")},
        }.items()
    },
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
            "a part of the system of a task": {
                HARDENING: github("run: task v"),
                "Taskfile.yml": f"tasks: {{v: {{platforms: [windows], cmds: ['{VERIFY}']}}}}\n",
            },
            "a task of Linux on Windows": {
                HARDENING: github("run: task v").replace("ubuntu-24.04", "windows-2025"),
                "Taskfile.yml": f"tasks: {{v: {{platforms: [linux], cmds: ['{VERIFY}']}}}}\n",
            },
            "a task of another file": {HARDENING: github("run: task ci:v"), "Taskfile.yml": "includes: {ci: ./ci}\n"},
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
    # what changes the proof, or its tools, before it
    **{
        f"a step before it: {line}": (
            {
                HARDENING: script(line) + f"      - run: {VERIFY}\n",
                "tests/test_a.py": "",
                "ci/uv": "",
                "verify/run.py": "",
            },
            "unverified .*(comes before it|in the place of)",
        )
        for line in (
            "git checkout main",
            "git checkout origin/main -- verify tests",
            "git switch main",
            "git reset --hard origin/main",
            "git restore --source=main verify",
            "git apply ci.patch",
            "rm -r tests",
            "git rm -r ./tests",
            "rm tests/test_*.py",
            "find tests -delete",
            "mv tests old",
            "sed -i s/False/True/ verify/run.py",
            "curl https://x > verify/run.py",
            "ln -s /bin/true ~/.local/bin/uv",
            "cp ci/uv /usr/local/bin/uv",
            "printf x > bin/uv",
            'echo "$PWD/ci" >> $GITHUB_PATH',
            "cp ci/pyproject.toml .",
            "cp -f ci/pyproject.toml ./",
            "mv ci/uv.lock uv.lock",
            "cp -r ci/tests .",
            "curl -sSo pyproject.toml https://x",
            "git show main:uv.lock > uv.lock",
            "cat ci/conftest.py >> conftest.py",
        )
    },
    **{
        f"a variable of its job: {name}={value}": (
            {HARDENING: github(job=f"    env: {{{name}: '{value}'}}\n"), f"ci/{module}.py": ""},
            because,
        )
        for name, value, module, because in (
            ("LD_PRELOAD", "./ci/x.so", "x", "unverified .*LD_PRELOAD"),
            ("PYTHONSTARTUP", "ci/x.py", "x", "unverified .*PYTHONSTARTUP"),
            ("PYTHONPATH", "ci", "sitecustomize", "unverified .*ci/sitecustomize.py"),
            ("PYTHONPATH", "${{ github.workspace }}/ci", "yaml", "unverified .*ci/yaml.py"),
            ("UV_CONFIG_FILE", "ci/uv.toml", "x", "unverified .*UV_CONFIG_FILE"),
            ("UV_INDEX_STRATEGY", "unsafe-best-match", "x", "unverified .*UV_INDEX_STRATEGY"),
            ("UV_INSECURE_HOST", "x.acme.com", "x", "unverified .*UV_INSECURE_HOST"),
            ("UV_NO_VERIFY_HASHES", "1", "x", "unverified .*UV_NO_VERIFY_HASHES"),
        )
    },
    **{
        f"another lock: {line}": ({HARDENING: script(line, VERIFY)}, "unverified .*(what is locked|comes before it)")
        for line in (
            *("uv lock --upgrade", "uv sync -U --dev", "uv --quiet lock -P starlette", "uv add --dev x"),
            *("rm -f uv.lock && uv lock", "sed -i /x/d audit-waivers.toml"),
        )
    },
    "another lock with it": (
        {HARDENING: github("run: uv run --upgrade python -m verify")},
        "unverified .*what is locked",
    ),
    "another branch, where every one starts it": (
        {HARDENING: github(f"run: git checkout main && {VERIFY}", on="on: push\npermissions: {}\n")},
        "unverified .*comes before it",
    ),
    **{
        f"in one script before it: {line}": (
            {HARDENING: script(line, VERIFY), "ci/uv": ""},
            "unverified .*(comes before it|in the place of|set -n)",
        )
        for line in ('export PATH="$PWD/ci:$PATH"', "git checkout main -- verify", "rm -rf tests", "set -n")
    },
    "gitlab: before it": ({GITLAB: gitlab("  before_script: [git checkout main]\n")}, "unverified .*comes before it"),
    "a search path of the job": (
        {HARDENING: github(job="    env: {PATH: 'ci:/usr/bin'}\n"), "ci/uv": ""},
        "unverified .*in the place of",
    ),
    "a search path of a makefile": (
        {HARDENING: github("run: make v"), "Makefile": f"export PATH := ci:$(PATH)\nv:\n\t{VERIFY}\n", "ci/uv": ""},
        "unverified .*in the place of",
    ),
    "a recipe that deletes": (
        {HARDENING: github("run: make v"), "Makefile": f"v:\n\trm -r tests\n\t{VERIFY}\n"},
        "unverified .*comes before it",
    ),
    "a shell of one target": (
        {HARDENING: github("run: make v"), "Makefile": f"v: SHELL = /bin/true\nv:\n\t{VERIFY}\n"},
        "unverified .*/bin/true",
    ),
    "just of another shell": (
        {HARDENING: github("run: just v"), "justfile": f"set shell := ['true']\nv:\n    {VERIFY}\n"},
        "unverified .*true",
    ),
    "a recipe of no shell": (
        {HARDENING: github("run: just v"), "justfile": f"v:\n    #!/usr/bin/env true\n    {VERIFY}\n"},
        "unverified .*true",
    ),
    **{
        f"another folder by a variable: {name}": (
            {HARDENING: github(f"env: {{{name}: other}}\n        run: {VERIFY}")},
            "insecure .*in `other`",
        )
        for name in ("UV_WORKING_DIR", "UV_PROJECT")
    },
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
    **ON_GITLAB,
}
