"""Pipelines of GitLab that prove nothing, by what they do."""

from .pipelines import GITLAB, VERIFY, Files, gitlab

ON_GITLAB: dict[str, tuple[Files, str]] = {
    "gitlab: nothing but a reference": ({GITLAB: "!reference [a, b]"}, "insecure|unverified"),
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
    "gitlab: a variable, or never": (
        {GITLAB: gitlab("  rules: [{if: $PROOF}, {when: never}]\n")},
        "unverified .*cannot be told",
    ),
    "gitlab: never, by a variable": (
        {GITLAB: gitlab("  rules: [{if: $SKIP, when: never}, {when: always}]\n")},
        "unverified .*cannot be told",
    ),
    "gitlab: only if it is asked for": (
        {GITLAB: gitlab("  rules: [{if: $CI_COMMIT_MESSAGE =~ /proof/}]\n")},
        "insecure .*none of its rules",
    ),
    "gitlab: may fail, by a variable": (
        {GITLAB: gitlab("  rules: [{if: $SOFT, allow_failure: true}, {when: always}]\n")},
        "unverified .*cannot be told",
    ),
    "gitlab: files of one folder alone": ({GITLAB: gitlab("  rules: [{changes: [src/**, uv.lock]}]\n")}, "none of"),
    "gitlab: other files": ({GITLAB: gitlab("  rules: [{changes: [docs/**/*]}]\n")}, "insecure .*none of"),
    "gitlab: workflow": ({GITLAB: gitlab(before="workflow: {rules: [{when: never}]}\n")}, "insecure .*never"),
    "gitlab: || true": ({GITLAB: gitlab(line=f"{VERIFY} || true")}, "insecure .*hides"),
    "gitlab: set +e before it": (
        {GITLAB: gitlab("  before_script: [set +e]\n").replace(VERIFY, f"{VERIFY}\n    - echo")},
        "set -e",
    ),
    "gitlab: afterwards": ({GITLAB: f"check:\n  script: ['true']\n  after_script: ['{VERIFY}']\n"}, "insecure"),
    "gitlab: hidden": ({GITLAB: gitlab().replace("check:", ".check:")}, "insecure"),
    **{
        f"gitlab: a reference: {rules}": (
            {GITLAB: f".x: {{rules: [{{when: never}}]}}\ncheck:\n  rules: {rules}\n  script: ['{VERIFY}']\n"},
            because,
        )
        for rules, because in (
            ("!reference [.x, rules]", "insecure .*never"),
            ("[!reference [.x, rules]]", "insecure .*never"),
            ("[!reference [.elsewhere, rules], {when: never}]", "unverified .*cannot be told"),
        )
    },
    "gitlab: a reference that lets it fail": (
        {GITLAB: gitlab("  allow_failure: !reference [.x, soft]\n", before=".x: {soft: true}\n")},
        "insecure .*allow_failure",
    ),
    "gitlab: extends what is not here": (
        {GITLAB: gitlab("  extends: .nope\n  rules: [{when: always}]\n")},
        "unverified .*extends .nope, which is not here",
    ),
    **{
        f"gitlab: included where {rule}": (
            {GITLAB: f"include: [{{local: ci/x.yml, rules: [{{{rule}}}]}}]\n", "ci/x.yml": gitlab()},
            because,
        )
        for rule, because in (
            ("when: never", "insecure no job"),
            ("if: $CI_COMMIT_TAG", "insecure no job"),
            ("if: $X == 'y'", "unverified .*includes ci/x.yml"),
        )
    },
    "gitlab: included from elsewhere": ({GITLAB: "include: {project: ci/all, file: /x.yml}\n"}, "unverified .*ci/all"),
}
