# Owned by the template: an update rewrites this file.
"""Whether owned code is what its source says, once the application is made.

`python -P verify/harness/whole.py PACKAGE check --format json` prints what `check` does, with the names of what is not.
Each owned module that is loaded is run once more from its source, under another name, and both are compared: so it does
not matter how something got into the place of something else. The team's code runs in this process, never in verify's.
"""

import functools
import json
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import fields, is_dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FunctionType, ModuleType, NoneType
from typing import Any

FRESH = "_as_released"
"""The name under which owned modules are run once more."""
LIBRARIES = ("anyio", "builtins", "fastapi", "granian", "hmac", "pydantic", "pydantic_core", "secrets", "starlette")
"""What owned code relies on; only what the service's code puts into it is looked for."""
_PLAIN = (str, bytes, int, float, re.Pattern, Path, NoneType)
_PARTS = ("__qualname__", "__func__", "__self__", "func", "args", "keywords", "fget", "fset", "cell_contents")
"""What functions of other kinds, methods, properties and cells are made of."""
_TEAMS = ("_insecure_details", "_prepare", "_reported", "_steps")
"""What of an application the team passes in."""
_DEEPEST = 7


def changed(package: str, app: Any) -> Iterator[str]:
    """What stands in the place of something of the template's in this process as it is now, by its name.

    Args:
        package: The service's package.
        app: Its application, as far as it could be made.
    """
    source = Path(__file__).resolve().parents[2] / "src" / package
    again = sys.modules[FRESH] = ModuleType(FRESH)
    again.__path__ = [str(source)]
    for name in [each for each in sys.modules if f"{each}.".startswith(f"{package}.hardening.")]:
        live, fresh = sys.modules[name], import_module(f"{FRESH}{name.removeprefix(package)}")
        yield from _differing(vars(live), vars(fresh), name)
        for kind in _classes(fresh):
            if isinstance(there := vars(live).get(kind.__name__), type):
                yield from _differing(vars(there), vars(kind), kind.__name__)
    if app is not None:
        hardened = import_module(f"{package}.hardening").Hardened
        own = vars(hardened(app.settings))
        ours = {name: own[name] for name in own if name[0] == "_" or name in ("store", "middleware_stack")}
        there = {name: vars(app)[name] for name in ours if name in vars(app)}
        yield from (each for each in _differing(there, ours, "app") if not each.endswith(_TEAMS))
        for kind in type(app).__mro__[: type(app).__mro__.index(hardened)]:
            for name, value in vars(kind).items():
                if name == "__getattribute__" or (name in own and hasattr(type(value), "__set__")):
                    yield f"{kind.__name__}.{name}"
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in LIBRARIES:
            owners: list[Any] = [module, *_classes(module)]
            for owner in owners:
                for what, value in list(vars(owner).items()):
                    code = getattr(getattr(value, "__func__", value), "__code__", None)
                    folders = Path(getattr(code, "co_filename", "")).parents
                    is_teams = source.parent in folders and source / "hardening" not in folders
                    if is_teams or type(value).__module__ == "unittest.mock":
                        yield f"{name}.{what}" if owner is module else f"{name}.{owner.__name__}.{what}"


def _classes(module: ModuleType) -> list[type]:
    return [each for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]


def _differing(live: Mapping[str, Any], fresh: Mapping[str, Any], owner: str) -> Iterator[str]:
    """The names in a module, a class or an object that hold another thing, are gone, or are new."""
    for name in dict.fromkeys((*fresh, *live)):
        value = fresh.get(name, live.get(name))
        if name.startswith("__") and not (isinstance(value, FunctionType) and "annotate" not in name):
            continue
        if isinstance(value, ModuleType) and value.__name__.endswith(f"{owner.partition('.')[2]}.{name}"):
            continue  # one below it, which is there once somebody has imported it
        there = live.get(name)
        if getattr(there, "__name__", "") == name and getattr(there, "__module__", "").partition(".")[0] in LIBRARIES:
            continue  # what a library calls so; a tracer has put its own in the place of it since
        is_empty = isinstance(value, dict | list | set) and not value  # and is filled as it is used
        if not is_empty and (name not in fresh or name not in live or _shape(live[name]) != _shape(value)):
            yield f"{owner}.{name}"


def _shape(value: Any, depth: int = 0) -> Any:
    """What of a value is the same in both: code, constants, what a class is called; of other objects their kind."""
    into = functools.partial(_shape, depth=depth + 1)
    if depth > _DEEPEST or isinstance(value, type | ModuleType):
        kind = value if isinstance(value, type) else type(value)
        module = value.__name__ if isinstance(value, ModuleType) else kind.__module__
        return re.sub(r"^[^.]+", "", module), kind.__qualname__
    if isinstance(value, FunctionType):
        return value.__code__, into(value.__defaults__), into(value.__kwdefaults__), into(value.__closure__)
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, Mapping):
        return "mapping", tuple((into(key), into(each)) for key, each in value.items())
    if isinstance(value, tuple | list):
        return "list", tuple(map(into, value))
    if isinstance(value, set | frozenset):
        return "set", frozenset(map(into, value))
    if parts := typing.get_args(value):
        return into(typing.get_origin(value)), into(parts)
    names = [each for each in _PARTS if hasattr(type(value), each)]
    names += [each.name for each in fields(value)] if is_dataclass(value) else []
    names += ["__wrapped__"] * hasattr(value, "cache_clear")
    # A method of an object that something else stands before.
    own = sorted(each for each in getattr(value, "__dict__", ()) if callable(getattr(type(value), each, None)))
    return into(type(value)), tuple((each, into(getattr(value, each, None))) for each in names), tuple(own)


def report_in(said: str) -> str:
    """What `check` reports, after whatever the service prints as it is imported and made."""
    return said[max(said.rfind("\n{\n"), 0) :]


def main(package: str, *arguments: str) -> int:
    """Run `check`, with what stands in the place of something beside what it says itself."""
    command = import_module(f"{package}.__main__")
    with redirect_stdout(StringIO()) as said:
        code: int = command.main(arguments)
        text = said.getvalue()
        try:
            app = command.create_app(command.load(command.Settings))
        except (Exception, SystemExit):  # noqa: BLE001 - of which check tells
            app = None
    try:
        found = json.loads(report_in(text))
    except ValueError:  # of which whoever asked tells
        print(text)
        return code
    replaced = found["application"].setdefault("replaced", [])
    told = {each.rpartition(".")[2] for each in replaced}
    sys.dont_write_bytecode = True
    with TemporaryDirectory() as sys.pycache_prefix:  # from the source, whatever lies in a cache
        replaced += [each for each in dict.fromkeys(changed(package, app)) if each.rpartition(".")[2] not in told]
    print(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
