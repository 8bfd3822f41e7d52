# Owned by the template: an update rewrites this file.
"""YAML as compose files and workflows mean it: anchors and merges are resolved, and every value stays a text."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ..result import UnverifiedError

# By name: the library has no types of its own, and whether its stubs are installed is for the team to say.
_yaml: Any = import_module("yaml")


class _Loader(_yaml.SafeLoader):  # type: ignore[misc]
    """`on` is no boolean and `0644` no number; of all that plain YAML guesses, only `<<` is left."""

    yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile("<<"))]}  # noqa: RUF012


def _tagged(loader: Any, tag: str, node: Any) -> Any:
    """What Compose and GitLab have beside plain YAML: `!reset`, `!override` and `!reference`."""
    if tag not in ("reset", "override", "reference"):
        raise _yaml.constructor.ConstructorError(None, None, f"!{tag} is not understood", node.start_mark)
    if tag == "reset":
        return None
    if node.id == "sequence":
        value: Any = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True) if node.id == "mapping" else loader.construct_scalar(node)
    if tag == "override" and isinstance(value, list):
        return OverridingList(value)
    return {REFERENCE: value} if tag == "reference" else OverridingMapping(value) if isinstance(value, dict) else value


class OverridingList(list[Any]):
    """A list that is put in the place of what it would be added to: `!override`."""


class OverridingMapping(dict[str, Any]):
    """The same for a mapping."""


REFERENCE = "!reference"
"""The key under which a reference of GitLab stands."""
_Loader.add_multi_constructor("!", _tagged)
for _type in ("binary", "bool", "float", "int", "null", "timestamp"):  # a value that says its type is a text as well
    _Loader.add_constructor(f"tag:yaml.org,2002:{_type}", _yaml.SafeLoader.construct_yaml_str)


def read(path: Path) -> dict[str, Any]:
    """The mapping that a file holds.

    Raises:
        UnverifiedError: It is no YAML, or none that is understood here.
    """
    found = [each or {} for each in documents(path.name, _text(path))] or [{}]  # an empty file says nothing
    found = found[1:] if len(found) == 2 and list(found[0]) == ["spec"] else found  # what GitLab's is asked for
    if len(found) != 1 or not isinstance(found[0], dict):
        raise UnverifiedError(f"{path.name} holds no mapping", "Write it as its documentation says.")
    return found[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UnverifiedError(f"{path.name} cannot be read: {error}", "Write it in plain YAML.") from None


def documents(name: str, text: str) -> list[Any]:
    """What each document of a text holds.

    Raises:
        UnverifiedError: It is no YAML, or none that is understood here.
    """
    try:
        return list(_yaml.load_all(text, _Loader))
    except (ValueError, RecursionError, _yaml.YAMLError) as error:
        said = " ".join(str(error).split())[:200]
        raise UnverifiedError(f"{name} cannot be read: {said}", "Write it in plain YAML.") from None


def mapping(value: Any) -> dict[str, Any]:
    """A mapping as it is; nothing in the place of anything else."""
    return value if isinstance(value, dict) else {}


def texts(value: Any) -> list[str]:
    """A text, or those of a list, in whatever depth anchors have put them together."""
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) and value else []


def pairs(value: Any) -> Iterator[tuple[str, str]]:
    """Every text below a value with the key that it stands under. What anchors repeat is looked at once."""
    seen: set[int] = set()
    todo: list[tuple[str, Any]] = [("", value)]
    while todo:
        key, each = todo.pop()
        if isinstance(each, str):
            yield key, each
        elif isinstance(each, dict | list) and id(each) not in seen:
            seen.add(id(each))
            todo += each.items() if isinstance(each, dict) else [(key, item) for item in each]
