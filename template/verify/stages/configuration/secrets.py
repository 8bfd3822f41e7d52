# Owned by the template: an update rewrites this file.
"""Secrets in the repository, as far as a small and honest search goes."""

import json
import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from ...result import Check, Rule, listed
from ...runner import subprocesses
from ...upkeep.template_repo import WAY_OUT, secrets

TIMEOUT = 30.0
TRACKED = Rule("configuration", "secrets.tracked", "git tracks no .env, no private key and no other secret")
ADDRESS = Rule("configuration", "secrets.template-address", "no address in it holds a password or token")

# The files that are committed by mistake most often, and keys that say what they are.
_SECRET_NAMES = re.compile(
    r"(^|/)(\.env(\.(?!([^/]*\.)?(example|sample|template|tmpl|dist|defaults?|tests?|testing|ci)$)[^/]*)?|"
    r"\.pgpass|id_(rsa|dsa|ecdsa|ed25519)|[^/]+\.(p12|pfx))$"
)
_PUBLIC = re.compile(r"\s*(#.*|(VITE|NEXT_PUBLIC|REACT_APP|NUXT_PUBLIC|EXPO_PUBLIC|PUBLIC)_\w+=.*)?")
"""A line of a frontend's `.env`: it is built into what browsers get."""
_PRIVATE_KEY = "BEGIN [A-Z ]*PRIVATE KEY-----"
_WITH_A_KEY = re.compile(rf"{_PRIVATE_KEY}.{{0,400}}?[A-Za-z0-9+/=]{{16}}", re.DOTALL)
"""A page that only shows the form of a key holds none."""
_PROSE = re.compile(
    r"(^|/)(tests?|docs?|examples?|fixtures|verify|locales?|i18n|lang|messages|translations|assets|hardening|node_modules)/|(^|/)(test_[^/]*|conftest\.py)$|"
    r"\.(md|rst|adoc|lock|svg|csv|po|html|css|example|sample|template|tmpl|dist)$|[-.]lock\.(json|yaml)$|"
    r"(^|/)(go\.sum|\.secrets\.baseline|\.(gitleaks|trufflehog)[^/]*|((openapi|swagger|asyncapi)[^/]*|[^/]*schema)\.(json|ya?ml)|"
    r"(example|sample)[._-][^/]*|[^/]*[._-](example|sample)[._-][^/]*|[^/]*\.(template|dist)\.\w+)$",
    re.IGNORECASE,
)
"""Files in which something that looks like a secret is an example of one, a test's, a hash, or a word for people."""
_CODE = re.compile(r"\.(py|pyi|ipynb|[cm]?[jt]sx?|go|rs|java|kt)$")
_SEALED = re.compile(
    r"kind: *SealedSecret|^sops(:|_\w+=)|^\[sops\]|^[ \t]*\"sops\": *\{|^\$ANSIBLE_VAULT|^\w+=[\"']?encrypted:",
    re.MULTILINE,
)

_WORDS = (
    "passw|requirepass|dockerconfig|passphrase|pwd|secret|token|credential|_pass|auth|(api|access|account|encryption|jwt|master|private|session|signing)"
    "[_-]?key|://[^/ ]*:[^/ ]+@|AKIA|ASIA|gh[oprsu]_|github_pat|gl[a-z]+-|xox[a-z]-|_live_|whsec_|AIza|sk-|npm_|pypi-|hf_|SG[.]|hooks.slack"
    "|login.*-p|sshpass|curl.*-u|mysql.*-p|mariadb.*-p|mongo.*-p|-cli|eyJ|LS0tLS1CRUdJTi|discord|:AA[A-Za-z0-9_-]"
)
"""What git looks for first, so that few files are read."""
_NAME = (
    r"((?<![\w./$-])[\w.-]*(?:passw(?:or)?d|passphrase|pwd|(?<!existing)(?<!existing_)secret|token|credentials?|_pass|"
    r"(?:api|access|account|encryption|jwt|master|private|secret|session|signing)[_-]?key|_auth|dockerconfigjson|(?<=[\"'])auth(?=[\"']))(?:_base|_?\d+)?)"
)
_VALUE = r"""(?:[rb]?"([^"\n]*)"|[rb]?'([^'\n]*)'|([^\s"',;})\]#]+))"""
_PLACES = tuple(
    re.compile(text, re.IGNORECASE | re.MULTILINE)
    for text in (
        rf"{_NAME}[\"']?\]?(?:\s*:\s*[\w.]+(?=[ \t]*=[ \t]*[^=\s]))?[ \t]*(?:[:?+]?=|:)[ \t]*(?:SecretStr\()?{_VALUE}",
        rf"^[ \t]*ENV[ \t]+{_NAME}[ \t]+{_VALUE}",
        rf"\b(authorization)[\"']?\s*[:=\s]\s*[\"']?(?:Bearer|Basic|Token)\s+{_VALUE}",
        rf"\blogin\s+\S+\s+(password)\s+{_VALUE}",  # .netrc
        rf"(\b(?:(?:docker|podman|helm|az)\s+login|sshpass|mongo\w*)\b[^\n;&|]{{0,300}}?\s-p|(?<=\s)--[\w-]*(?:passw(?:or)?d|token|secret|api-key)|\b(?:--)?requirepass)[ \t]+{_VALUE}",
        rf"\b(mysql\w*|mariadb[\w-]*|sshpass)\b[^\n;&|]{{0,300}}[\s\"'](?-i:-p){_VALUE}",
        rf"\b((?:redis|valkey)-cli)\b.{{0,300}}[\s\"']-a[\"',\s]+{_VALUE}",
        rf"[\"'](--?[\w-]*(?:passw(?:or)?d|token|secret|requirepass))[\"']\s*,\s*{_VALUE}",
        rf"<{_NAME}>()()([^\s<]+)</",
        rf"\b(?:getenv|environ\.get)\(\s*[\"']{_NAME}[\"']\s*,\s*{_VALUE}",
        rf"\b(curl\b.{{0,300}}\s(?:-u|--user))[ \t]+[\"']?[\w.@-]+:{_VALUE}",
        rf"[\"']?\b(?:name|key)[\"']?\s*[:=]\s*[\"']?{_NAME}[\"']?\s*,?\s*[\"']?value[\"']?\s*[:=]\s*{_VALUE}",
    )
)
_ADDRESS = re.compile(r"\b[a-z][\w+.-]{0,30}://([^\s:/@\"'`<>]*):([^\s/@\"'`<>]+)@([^\s:/?#\"'`,]+)", re.IGNORECASE)
_TOKEN = re.compile(
    r"\b((?:AKIA|ASIA)[A-Z0-9]{16}|gh[oprsu]_\w{36,}|github_pat_\w{22,}|gl(?:pat|[dr]t|cbt|ptt|ft|imt|agent|soat|oas)-[\w-]{20,}|"
    r"xox[abeoprs]-[\w-]{10,}|[rs]k_live_\w{16,}|whsec_\w{24,}|AIza[\w-]{35}|sk-(?:ant-|proj-)?[\w-]{20,}|npm_\w{36}|pypi-AgEI[\w-]{20,}|"
    r"hf_[A-Za-z]{30,}|dckr_pat_[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}|(?<!-)eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{20,}|\d{8,10}:AA[\w-]{33}|"
    r"LS0tLS1CRUdJTi(?:BSU0EgUFJJVkFU|BQUklWQVRF|BFQyBQUklW|BPUEVOU1NIIFBS)[\w+/]{20,})|hooks\.slack\.com/services/(T\w+/B\w+/\w{20,})|"
    r"discord(?:app)?\.com/api/webhooks/(\d+/[\w-]{50,})"
)
"""Credentials that say what they are, whatever they are called."""
_OF_BROWSERS = re.compile(r"authDomain|firebase|mobilesdk_app_id|maps\.google", re.IGNORECASE)
"""Beside which a key of Google says which project it is, to everybody."""
_REFERENCE = re.compile(
    r"[$<>{}%*&!@\[(~./|?]|(?P<user>\w+):(?P=user)$|.*(\$[\w({]|[{}<>]|://|\.\.\.)|"
    r"(ENC[\[(]|encrypted:|wcFMA|AQICAH|(arn|op|ssm|sm|vault|file|env|projects)[:/])|"
    r"[a-z_]+\(|[a-z_]\w*(\.[a-z_]\w*)+$|[a-z_-]+(/[a-z_-]+)+$"
)
"""What names where a value comes from: a variable, a file, an attribute, an entry of a vault."""
_WEAK = """
    my very super top a an the this that is it not for in of to be with ci dev development local only some any thing no word hidden
    at(?=[_.-]) least long random strong really enough min chars? characters bytes string value null none true false yes on off py
    unit tests? testing e2e user app admin root guest demo default pass?w[o0]rd p@ssw[o0]rd passwd pass pwd secret token key api jwt
    db database postgres postgresql mysql redis minio minioadmin rabbitmq mongo mongodb keycloak grafana localstack github gitlab
    actions? runner build enabled disabled required optional write read inherit abcd? foo bar baz
"""
_PLACEHOLDER = re.compile(
    r".*(change[ _-]?(me|this|it)|example|placeholder|replace|your|dummy|fake|mock|todo|xxx|\*\*\*|redacted|insecure|"
    r"not[ _-]?(a[ _-]?)?(real|secret)|made[ _-]?up|1234567|abcdefg|0000000|(^|[_.-])tests?(ing)?([_.-]|$))|"
    rf"((?:{'|'.join(sorted(_WEAK.split(), key=len, reverse=True))})[ _.-]?)*+[\d!]{{0,5}}$",
    re.IGNORECASE,
)
_USERS = re.compile(
    r"(?:user(?:name)?|login|_db|database|dbname)[\"']?[ \t]*(?:[:?]?=|:)[ \t]*[\"']?([\w-]+)", re.IGNORECASE
)
_OF_IMAGES = re.compile(r"((POSTGRES|MYSQL|MARIADB|RABBITMQ_DEFAULT)\w*|\w*ROOT)_PASS(WORD)?")
"""By which a job gives its own, passing database a password."""
_PIPELINES = re.compile(r"(^|/)\.(github|gitea|forgejo|gitlab|circleci|woodpecker)[/.-]|-pipelines?\.ya?ml$")
_LOCAL = re.compile(
    r"(^|[/._-])(dev|devel|development|devcontainer|local|vscode|compose[._-](override|tests?|testing|ci|e2e))([/._-]|$)|"
    r"(^|[/._-])tests?\.env$|\.env\.(tests?|testing|ci)$|(^|/)(pytest\.ini|tox\.\w+|noxfile\.py|locustfile\.py)$",
    re.IGNORECASE,
)
_RUN = re.compile(r"[A-Za-z0-9+/=]{16}")
_HINTS = (
    *("pass", "pwd", "secret", "token", "credential", "auth", "key", "dockerconfig", "://", "login", "curl"),
    *("mysql", "mariadb", "-cli", "mongo"),
)
_MADE_UP = re.compile(
    r"^\[tool\.(?:hardening\.verify\.environment|pytest[\w.]*)\].*?(?=^\[|\Z)", re.MULTILINE | re.DOTALL
)
_NEAR = re.compile(
    r"localhost$|127\.|::1$|\[::1|0\.0\.0\.0|[\w-]+$|host\.docker\.internal|.*\bexample\b|.*\.(test|invalid|local)$"
)


_SECRET = re.compile(r"^kind: *[\"']?Secret\b", re.MULTILINE)
_OF_SECRETS = re.compile(r"^[ \t]+[\w.-]+: *[\"']?([A-Za-z0-9+/]{16,}={0,2})[\"']?[ \t]*$", re.MULTILINE)
"""A Secret of Kubernetes, and each of its values in base64."""


def literal_secret(name: str, value: str, *, in_code: bool = False) -> bool:
    """Whether a value that stands beside such a name is a secret itself, and no reference, placeholder or word.

    Args:
        name: What it is called. In capitals it is a variable, and whatever is written there is its value.
        value: What is written there.
        in_code: Whether it stands in source code, where a name is as often that of a field or a header.
    """
    value = re.sub(r"^(?:\$\{\w+:?)?[-+]([^}]*)\}?", r"\1", value.strip())  # `${DB_PASSWORD:-postgres}`
    if len(value) < 4 or not value.isascii() or value.lower() in name.lower() or re.search(r"\s", value):
        return False
    if _REFERENCE.match(value) or _PLACEHOLDER.match(value):
        return False
    if in_code:
        runs = re.findall(r"[A-Za-z0-9+/=]{16,}", value)
        return any(len(re.findall(r"\d", each)) > 2 and re.search("[A-Za-z]", each) for each in runs)
    if name.isupper():
        return not re.fullmatch(r"\d{1,5}[smhd]?", value)
    runs = re.findall(r"[^\s_.,:-]{8,}", value)
    return any(re.search("[A-Za-z]", each) and re.search(r"\d|=$", each) for each in runs)


def found_in(text: str, file: str) -> Iterator[str]:
    """The secrets that a file holds, each by its line and its name, never by its value."""
    found = list(_found_in(text, file))
    if found and not _SEALED.search(text):
        yield from found


def _found_in(text: str, file: str) -> Iterator[str]:
    text = _MADE_UP.sub(lambda match: "\n" * match[0].count("\n"), text)
    in_code, in_pipeline = _CODE.search(file) is not None, _PIPELINES.search(file) is not None
    is_local = not in_pipeline and _LOCAL.search(file) is not None
    if "AIza" in text and _OF_BROWSERS.search(text):
        text = re.sub(r"AIza[\w-]{35}", "", text)
    near = "" if is_local else _near(text, in_code=in_code)
    given, users = set[str](), cache(lambda: set(_USERS.findall(text)))
    for pattern in _PLACES:
        for match in pattern.finditer(near):
            name, value = match[1], next((each for each in match.groups()[1:] if each), "")
            if in_pipeline and _OF_IMAGES.fullmatch(name):
                given.add(value)
            known = value in given or (in_code and match[4] is not None and name.lower() != "authorization")
            if not known and literal_secret(name, value, in_code=in_code) and value not in users():
                yield f"line {_line(near, match)}: {name}"
    for match in _ADDRESS.finditer(near):
        user, password, host = match.groups()
        weak = password in {user} | given | users() or _PLACEHOLDER.match(password) is not None
        is_literal = len(password) > 3 and not _REFERENCE.match(password) and "example" not in host
        if is_literal and not (weak and _NEAR.match(host)):
            yield f"line {_line(near, match)}: an address with a password"
    for value in _OF_SECRETS.findall(text) if _SECRET.search(text) else ():
        with suppress(ValueError):  # it is no text
            yield from (f"`{value[:4]}...`: {each}" for each in _found_in(b64decode(value).decode(), file))
    for match in _TOKEN.finditer(text):
        needed = r"\d.*[A-Z]|[A-Z].*\d" if match[0].startswith("sk-") else r"\d"  # `sk-` is a name of styles as well
        if not _PLACEHOLDER.match(match[0]) and re.search(needed, match[0]) and len(set(match[0])) > 9:
            yield f"line {_line(text, match)}: {match[0][:4]}..., a token"


def _near(text: str, *, in_code: bool) -> str:
    """The text with all lines emptied that hold no secret, nor does one beside them: a search of all takes seconds."""
    lines = text.split("\n")
    if in_code:
        may = [_RUN.search(each) is not None or "://" in each for each in lines]
    else:
        may = [any(word in low for word in _HINTS) for low in map(str.lower, lines)]
    beside = zip([False, *may], may, [*may[1:], False], lines, strict=False)
    return "\n".join(line if before or own or after else "" for before, own, after, line in beside)


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start(match.lastindex or 0)) + 1


def checks(project: Path) -> Iterator[Check]:
    """Whether git tracks a secret, and whether the address of a template is one."""
    for file, found in secrets(project).items():
        rule = ADDRESS.of(file)
        if found:
            yield rule.insecure(", ".join(found), WAY_OUT.format(file=file))
        else:
            yield rule.proved("no address in it does")
    yield from _tracked(project)


def _tracked(project: Path) -> Iterator[Check]:
    remedy = (
        "Take it out (a file with `git rm --cached`), and replace the secret: whoever has a copy of the repository has it. "
        "The service reads it from a file in APP_SECRETS_DIR. One that only tests use is accepted by its path: HARDENING.md, "
        "Accepting."
    )
    git = shutil.which("git")
    try:
        if git is None:
            raise FileNotFoundError("git is not on the PATH")
        mine = [git, "-c", "safe.directory=*"]  # in a container it belongs to somebody else
        tracked = subprocesses.run([*mine, "ls-files", "-z"], project, TIMEOUT)
        keys = subprocesses.run([*mine, "grep", "-lIz", "-e", _PRIVATE_KEY], project, TIMEOUT)
        words = subprocesses.run([*mine, "grep", "-lIziE", "-e", _WORDS], project, TIMEOUT)
    except OSError as error:
        yield TRACKED.unverified(str(error), "Install git.")
        return
    if tracked.code == 128 and "not a git repository" in tracked.err:
        yield TRACKED.not_looked_at("this is no git repository yet, so it tracks nothing")
        return
    for ran in (tracked, keys, words):
        if ran.code not in (0, *[1] * (ran is not tracked)):
            yield TRACKED.unverified(ran.tail(1), "Run `git status` here.")
            return
    named = filter(_SECRET_NAMES.search, tracked.out.split("\0"))
    found = {each: "it is a secret by its name" for each in named if not _may_be_known(project / each)}
    for name in filter(None, keys.out.split("\0")):
        if name not in found and _WITH_A_KEY.search(_text(project / name)):
            found[name] = "it holds a private key"
    for name in filter(None, words.out.split("\0")):
        if name not in found and not _PROSE.search(name):
            found |= {name: held} if (held := listed(dict.fromkeys(found_in(_text(project / name), name)))) else {}
    for name, held in found.items():
        yield TRACKED.of(name, f"git tracks {name}").insecure(held, remedy)
    if not found:
        yield TRACKED.proved(
            f"{tracked.out.count(chr(0))} files; looked for .env, id_rsa, .p12, .pfx, PEM private keys, tokens that say what "
            "they are, and passwords in addresses, variables and settings"
        )


def _may_be_known(path: Path) -> bool:
    """Whether a `.env` is encrypted, or a frontend's, or for development and holds nothing that is secret elsewhere."""
    if not path.name.startswith(".env") or not path.is_file():
        return False
    text = _text(path)
    is_known = _SEALED.search(text) is not None or all(map(_PUBLIC.fullmatch, text.splitlines()))
    return is_known or (re.search(r"\.(dev|development)$", path.name) is not None and not any(found_in(text, "x.env")))


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".ipynb":  # what was typed, and not the pictures that came of it
        with suppress(ValueError, LookupError, TypeError):
            return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return text
