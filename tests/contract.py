"""What scripts, reports and links read of an emitted service: names that stay as they are, for the snapshot.

They are read from the text of the service, since nothing of it is imported here.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

_ID = re.compile(r"^\| ([a-z]+\.[EW]\d{3}) \|", re.MULTILINE)


def contract(service: Path) -> Iterator[str]:
    """Every such name, each with what it is."""
    page = (service / "HARDENING.md").read_text()
    yield from (f"finding {each}" for each in _ID.findall(page))
    yield from (f"anchor HARDENING.md#{_slug(each)}" for each in re.findall(r"^#{2,3} (.+)$", page, re.MULTILINE))
    events = page.split("\n## Log events\n")[1].split("\n## ")[0]
    for cell in re.findall(r"^\| (`[^|]+) \|", events, re.MULTILINE):
        yield from (f"event {each}" for each in re.findall(r"`(\w+)`", cell))
    yield from (f"check {each}" for each in checks(service))
    yield from (f"--only {each}" for each in steps(service))
    yield from _record(service)
    yield from _log_fields(service)
    yield from _problems(service)


def checks(service: Path) -> Iterator[str]:
    """The ids of all rules of verify."""
    for path in sorted((service / "verify").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                position = {"Rule": 1, "attacks": 0, "last": 0}.get(name)
                if position is not None and len(node.args) > position:
                    found = node.args[position]
                    if isinstance(found, ast.Constant):
                        yield str(found.value)


def steps(service: Path) -> Iterator[str]:
    """The names that `--only` takes."""
    (stages,) = re.findall(r"^STAGES = \(([^)]*)\)", (service / "verify/run.py").read_text(), re.MULTILINE)
    yield from re.findall(r'"(\w+)"', stages)
    yield from (path.stem for path in (service / "verify/attacks").glob("*.py") if path.stem != "__init__")


def _record(service: Path) -> Iterator[str]:
    """The exit codes, and the keys of the record."""
    for node in ast.walk(ast.parse((service / "verify/result.py").read_text())):
        if isinstance(node, ast.ClassDef) and node.name == "Outcome":
            pairs = [each for each in node.body if isinstance(each, ast.Assign)]
            told = {ast.unparse(each.targets[0]).lower(): ast.unparse(each.value) for each in pairs}
            yield from (f"exit code {code} {name}" for name, code in told.items() if int(code) < 3)
            yield from (f"last-verify.json checks[].outcome {name}" for name in told)
        if isinstance(node, ast.ClassDef) and node.name == "Check":
            fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
            yield from (f"last-verify.json checks[].{ast.unparse(each)}" for each in fields)
    for node in ast.walk(ast.parse((service / "verify/run.py").read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "record":
            (returned,) = (each.value for each in node.body if isinstance(each, ast.Return))
            assert isinstance(returned, ast.Dict)
            yield from (f"last-verify.json {each.value!s}" for each in returned.keys if isinstance(each, ast.Constant))


def _owned(service: Path) -> Iterator[Path]:
    (package,) = service.glob("src/*/hardening")
    yield package.parent / "__main__.py"
    yield from sorted(package.rglob("*.py"))


def _log_fields(service: Path) -> Iterator[str]:
    """The fields of each event, `event.field`; without the event where a line of any may have them."""
    (text,) = (path.read_text() for path in _owned(service) if path.parts[-2:] == ("core", "log.py"))
    yield from (f"log field {each}" for each in re.findall(r'"(\w+)":(?=["{])', text))
    for path in _owned(service):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case (
                    ast.Call(func=ast.Name("log"), args=[_, event, *_])
                    | ast.Call(func=ast.Attribute(attr="note"), args=[event, *_])
                ):
                    of = f"{event.value!s}." if isinstance(event, ast.Constant) else ""
                    yield from (f"log field {of}{each.arg}" for each in node.keywords if each.arg)
                case ast.Subscript(ast.Name("log_fields") | ast.Attribute(attr="log_fields"), ast.Constant(name)):
                    yield f"log field {name!s}"
                case ast.Assign([ast.Name("log_fields")], value):
                    names = [key for each in ast.walk(value) if isinstance(each, ast.Dict) for key in each.keys if key]
                    yield from (f"log field {ast.literal_eval(each)}" for each in names)


def _problems(service: Path) -> Iterator[str]:
    """The types of problem documents, their members, and the types of the errors that one of 422 lists."""
    for path in _owned(service):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.arguments():
                    given = [*node.posonlyargs, *node.args]
                    defaults = zip(given[len(given) - len(node.defaults) :], node.defaults, strict=True)
                    kinds = [default for each, default in defaults if each.arg == "kind"]
                    yield from (f"problem type {each.value!s}" for each in kinds if isinstance(each, ast.Constant))
                case ast.keyword(arg="kind", value=ast.Constant(kind)):
                    yield f"problem type {kind!s}"
                case ast.Assign([ast.Name("_PROBLEM" | "_INPUT_ERROR" as which)], ast.Dict() as schema):
                    yield from (f"problem {'errors[].' * (which == '_INPUT_ERROR')}{each}" for each in _members(schema))
                case ast.Assign([ast.Name("_MESSAGES")], ast.Dict(keys)):
                    yield from (f"problem errors[].type {ast.literal_eval(each)}" for each in keys if each)


def _members(schema: ast.Dict) -> Iterator[str]:
    """The names under `properties` of a JSON schema."""
    for key, value in zip(schema.keys, schema.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == "properties" and isinstance(value, ast.Dict):
            yield from (str(ast.literal_eval(each)) for each in value.keys if each)


def _slug(heading: str) -> str:
    """The anchor that forges give a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
