# Owned by the template: an update rewrites this file.
"""The commands of a shell script, and whether whoever runs the script learns that one of them has failed.

As much of POSIX's shell command language as pipelines and images are written in; nothing is expanded, nothing is run.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from posixpath import join, normpath

_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r]+|\\\r?\n|(?<![^\s;&|()])\#[^\n]*)
      | (?P<op>&&|\|\||\|&|;;|&(?!>)|[;|\n()])
      | (?P<word>(?:[0-9]*[<>]&[0-9-]+|&>>?|\\.|'[^']*'|"(?:\\.|[^"\\])*"|[$<>]\((?:[^()]|\([^()]*\))*\)|\$\{[^}]*\}|`[^`]*`
      |[^\s;&|()'"\\`])+)""",
    re.VERBOSE | re.DOTALL,
)
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1([^\n]*)\n.*?^[ \t]*\2[ \t]*$", re.DOTALL | re.MULTILINE)
_ASSIGNED = re.compile(r"\w+\+?=")
_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "ksh", "su", "runuser")
_BEFORE = ("exec", "command", "time", "env", "eval")
_OF_BEFORE = re.compile(r"--?|-[ip]|--(ignore-environment|unset=\w+)")
_ASKS = re.compile(r"(\[|\[\[|test|false)( .*)?", re.DOTALL)
_ASKS_ELSE = re.compile(
    rf"{_ASKS.pattern}|([efz]?grep|cmp|diff|which|type|command|jq|git (diff|log|show|status|ls-files|rev-parse))( .*)?",
    re.DOTALL,
)
_CLOSING = {"then", "elif", "else", "fi", "do", "done", "esac", "}", ")", ";;"}


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a script.

    Args:
        argv: Its words, without quotes and without the variables before them.
        env: The variables before them, and those that the script has set by then.
        folder: Where it runs, relative to where the script does.
        lost: Why nobody learns that it has failed; empty if the script fails with it.
        when: On what it depends whether it runs; empty if on nothing.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    folder: str = ""
    lost: str = ""
    when: str = ""


@dataclass(slots=True)
class _Node:
    """A simple command (`words`), or a compound one: what it asks first, and what it then does."""

    kind: str
    words: list[str] = field(default_factory=list)
    asked: "list[_Chain]" = field(default_factory=list)
    done: "list[list[_Chain]]" = field(default_factory=list)
    listed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Chain:
    """Pipelines with `&&` and `||` between them."""

    pipelines: list[tuple[bool, list[_Node]]] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)
    background: bool = False


class _Parser:
    def __init__(self, script: str) -> None:
        script = _HEREDOC.sub(r"\3", script)
        self.tokens: list[str] = []
        position = 0
        while position < len(script):
            if (match := _TOKEN.match(script, position)) is None:
                raise ValueError(f"shell that is not understood: {script[position : position + 20]!r}")
            if match["skip"] is None:
                self.tokens.append(match[0])
            position = match.end()
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1] if self.at <= len(self.tokens) else ""

    def expect(self, *words: str) -> str:
        if (found := self.next()) not in words:
            raise ValueError(f"shell that is not understood: {found!r} where {words[0]!r} should be")
        return found

    def sequence(self) -> list[_Chain]:
        found = []
        while self.peek():
            if self.peek() in (";", "\n", "&"):
                self.next()
            elif self.peek() in _CLOSING:
                break
            else:
                found.append(self.chain())
        return found

    def chain(self) -> _Chain:
        chain = _Chain([self.pipeline()])
        while self.peek() in ("&&", "||"):
            chain.operators.append(self.next())
            while self.peek() == "\n":
                self.next()
            chain.pipelines.append(self.pipeline())
        chain.background = self.peek() == "&"
        return chain

    def pipeline(self) -> tuple[bool, list[_Node]]:
        negated = self.peek() == "!"
        self.at += negated
        nodes = [self.command()]
        while self.peek() in ("|", "|&"):
            self.next()
            while self.peek() == "\n":
                self.next()
            nodes.append(self.command())
        return negated, nodes

    def command(self) -> _Node:
        word = self.peek()
        if word in ("{", "("):
            self.next()
            node = _Node(word, done=[self.sequence()])
            self.expect("}" if word == "{" else ")")
        elif word in ("if", "while", "until"):
            self.next()
            node = _Node(word, asked=self.sequence())
            while self.expect("then", "do", "else", "elif", "fi", "done") not in ("fi", "done"):
                node.done.append(self.sequence())
        elif word in ("for", "select", "case"):
            node = _Node(word)
            while self.next() not in ("do", "in", ""):
                pass
            if word != "case" and self.tokens[self.at - 1] == "in":
                while (each := self.next()) not in ("do", ""):
                    node.listed.append(each)
            while self.peek() not in ("done", "esac", ""):
                if word == "case":
                    while self.next() not in (")", ""):
                        pass
                node.done.append(self.sequence())
                while self.peek() in (";;", "\n"):
                    self.next()
            self.expect("done", "esac")
        elif self.tokens[self.at + 1 : self.at + 3] == ["(", ")"]:
            self.at += 3
            while self.peek() == "\n":
                self.next()
            return _Node("function", [word], done=[[_Chain([self.pipeline()])]])
        else:
            node = _Node("")
        while self.peek() and _TOKEN.fullmatch(self.peek())["op"] is None:  # type: ignore[index]
            node.words.append(self.next())
        if not node.kind and not node.words:
            raise ValueError(f"shell that is not understood: {self.next()!r}")
        return node


@dataclass(slots=True)
class _State:
    script: str
    errexit: bool
    pipefail: bool
    folder: str = ""
    over: str = ""
    failed: bool = False
    renamed: set[str] = field(default_factory=set)
    env: dict[str, str] = field(default_factory=dict)


def commands(script: str, *, errexit: bool = True, pipefail: bool = False) -> list[Command]:
    """The commands of a script, in their order.

    Args:
        script: The text.
        errexit: Whether it runs under `set -e`.
        pipefail: Whether it runs under `set -o pipefail`.

    Raises:
        ValueError: It is no script that is understood here.
    """
    parser = _Parser(script)
    read = parser.sequence()
    if parser.peek():
        raise ValueError(f"shell that is not understood: {parser.peek()!r}")
    return list(_walk(read, _State(script, errexit, pipefail), "", "", True))


def unquoted(word: str) -> str:
    """A word without its quotes."""
    return re.sub(
        r"\\(.)|'([^']*)'|\"((?:\\.|[^\"\\])*)\"", lambda m: m[1] or m[2] or m[3] or "", word, flags=re.DOTALL
    )


def _words(node: _Node) -> list[str]:
    return [unquoted(each) for each in node.words]


def _constant(chains: list[_Chain]) -> bool:
    """Whether what is asked is `true`, `:` or a comparison of two texts: no condition at all."""
    nodes = [node for chain in chains for _, nodes in chain.pipelines for node in nodes]
    plain = (not node.kind and node.words[0] in ("true", ":", "[", "[[", "test") for node in nodes)
    return all(plain) and not any("$" in word or word.startswith("-") for node in nodes for word in node.words)


def _fails(node: _Node, script: str) -> bool:
    """Whether a command that runs because another one has failed lets the script fail too."""
    if node.kind:
        inner = [each for body in node.done for chain in body for _, nodes in chain.pipelines for each in nodes]
        return any(_fails(each, script) for each in inner)
    name, *rest = words = _words(node)
    if kept := re.fullmatch(r"(\w+)=\$\?", name):
        return re.search(rf"\bexit\s+\"?\$\{{?{kept[1]}\b", script) is not None
    return words == ["false"] or (name in ("exit", "return") and re.fullmatch("0*", "".join(rest)) is None)


def _walk(chains: Sequence[_Chain], state: _State, lost: str, when: str, is_last: bool) -> Iterator[Command]:
    for number, chain in enumerate(chains):
        after = chains[number + 1 :]
        following = after[0].pipelines[0][1][0] if after else None
        last = is_last and not after
        for place, (negated, nodes) in enumerate(chain.pipelines):
            why = lost or _lost(chain, place, negated, following, last, state)
            depends = when or (f"`{state.over}` stands before it" if state.over else "")
            if place and not depends:
                before = chain.pipelines[place - 1][1][-1]
                asks = _ASKS if last else _ASKS_ELSE  # the last of a script fails with what is asked
                if chain.operators[place - 1] == "||" or asks.fullmatch(" ".join(before.words)):
                    depends = f"it depends on `{' '.join(before.words)}`"
            state.failed = place > 0 and chain.operators[place - 1] == "||"
            for each in nodes:
                asked = ["exit", f"${{PIPESTATUS[{nodes.index(each)}]}}"] == (_words(following) if following else [])
                piped = each is not nodes[-1] and not state.pipefail and not asked
                hidden = why or ("a pipe hides it, without `pipefail`" if piped else "")
                yield from _of(each, state, hidden, depends, last and place == len(chain.pipelines) - 1)


def _lost(chain: _Chain, place: int, negated: bool, following: _Node | None, last: bool, state: _State) -> str:
    operators = chain.operators[place:]
    if chain.background:
        return "`&` leaves it behind"
    if negated:
        return "`!` turns it around"
    if "||" in operators:
        after = chain.pipelines[place + operators.index("||") + 1][1][-1]
        return "" if _fails(after, state.script) else f"`|| {' '.join(after.words)[:40] or after.kind}` hides it"
    said = " ".join(_words(following)) if following and not following.kind else ""
    if said in ("true", ":", "exit 0"):
        return f"`; {said}` hides it"
    if operators and not last:
        return "what comes after `&&` hides it"
    if not state.errexit and not last and not (said == "exit $?" or (following and _fails(following, state.script))):
        return "without `set -e` the script goes on"
    return ""


def _of(node: _Node, state: _State, lost: str, when: str, last: bool) -> Iterator[Command]:
    if node.kind == "function":
        state.renamed.add(node.words[0])
        yield from _walk(node.done[0], replace(state), lost, when or "it stands in a function", last)
    elif node.kind in ("{", "for", "select"):
        depends = "it stands in a loop over what only a run knows" if re.search(r"[$`*]", "".join(node.listed)) else ""
        for body in node.done:
            yield from _walk(body, state, lost, when or depends, last)
    elif node.kind == "(":
        yield from _walk(node.done[0], replace(state, env=dict(state.env)), lost, when, last)
    elif node.kind:
        answered = any(_fails(_Node("{", done=[body]), state.script) for body in node.done)
        asked = [replace(each, pipelines=[(False, nodes) for _, nodes in each.pipelines]) for each in node.asked]
        yield from _walk(asked, state, lost or f"`{node.kind}` asks it" * (not answered), when, True)
        depends = "" if node.kind == "if" and _constant(node.asked) else f"it stands in `{node.kind}`"
        for body in node.done:
            inner = replace(state) if depends else state
            yield from _walk(body, inner, lost, when or depends, last)
            state.over = state.over or inner.over
    else:
        yield from _simple(_words(node), state, lost, when)


def _simple(words: list[str], state: _State, lost: str, when: str) -> Iterator[Command]:
    env: dict[str, str] = {}
    before, inside, replaces = "", "", False
    while words:
        if _ASSIGNED.match(words[0]):
            name, _, value = words[0].partition("=")
            env[name.rstrip("+")] = value
        elif words[0] in _BEFORE:
            before = words[0]
            replaces = replaces or before == "exec"
        elif (before, words[0]) in (("command", "-v"), ("command", "-V")):
            return
        elif (before, words[0]) in (("env", "-u"), ("env", "--unset"), ("exec", "-a")):
            words = words[1:]
        elif (before, words[0]) == ("env", "-C"):
            words, inside = words[1:], "".join(words[1:2])
        elif not before or not _OF_BEFORE.fullmatch(words[0]):
            break
        words = words[1:]
    if not words or re.match(r"\d*[<>]", words[0]):
        state.env |= {} if when else env  # what may be set or not is not known
        return
    name, *rest = words
    if name in ("export", "declare", "typeset", "readonly"):
        state.env |= {} if when else dict(each.split("=", 1) for each in rest if "=" in each)
    elif name == "set":
        text = " ".join(rest)
        state.errexit = state.errexit or re.search(r"(^|\s)-(\w*e|o errexit)", text) is not None
        state.errexit = state.errexit and re.search(r"(^|\s)\+(\w*e|o errexit)", text) is None
        if re.search(r"(^|\s)-(\w*n|o noexec)", text):
            state.over = state.over or f"set {text}"
        state.pipefail = (state.pipefail or "pipefail" in text) and "+o pipefail" not in text
    elif name == "alias":
        state.renamed |= {each.partition("=")[0] for each in rest}
    elif name == "cd" and rest:
        state.folder = (
            "" if "CI_PROJECT_DIR" in rest[0] or "GITHUB_WORKSPACE" in rest[0] else join(state.folder, rest[0])
        )
    elif name in ("exit", "return"):
        code = rest[0] if rest else "$?" if state.failed else "0"
        if code == "0" or (code.startswith("$") and not when):
            state.over = state.over or " ".join(words)
    elif name == "trap" and "exit 0" in " ".join(rest) and {"EXIT", "ERR", "0"} & set(rest[1:]):
        state.over = state.over or " ".join(words)
    when = when or (f"the script says itself what `{name}` is" if name in state.renamed else "")
    script = next((rest[i + 1] for i, each in enumerate(rest[:-1]) if re.fullmatch(r"-\w*c", each)), "")
    if name.rpartition("/")[2] in _SHELLS and script:
        flags = " ".join(rest)
        inner = commands(script, errexit=re.search(r"(^|\s)-\w*e", flags) is not None, pipefail="pipefail" in flags)
        for each in inner:
            folder = normpath(join(state.folder, each.folder)) if each.folder else state.folder
            yield Command(each.argv, {**state.env, **env, **each.env}, folder, lost or each.lost, when or each.when)
    else:
        folder = normpath(join(state.folder, inside)) if inside else state.folder
        yield Command(tuple(words), {**state.env, **env}, folder, lost, when)
    if replaces:
        state.over = state.over or f"exec {name}"
