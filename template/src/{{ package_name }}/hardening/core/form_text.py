# Owned by the template: an update rewrites this file.
"""One dialect of forms: UTF-8, no NUL, declared names, each once unless it is a list, and no file name that is a path.
WHATWG URL 5.1 and RFC 7578; the framework's own parser reads what has passed.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from math import inf
from typing import Any
from urllib.parse import unquote_to_bytes

from .json_text import InvalidBodyError, UndeclaredFieldError

try:
    _library: Any = import_module("python_multipart.multipart")
except ImportError:  # then no route of FastAPI's takes a form
    _library = None

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
MAX_FILE_NAME = 255
_PARAMETER = re.compile(r'[ \t]*;[ \t]*([a-z]+\*?)=("(?:[^"\\]|\\.)*"|[^\s";]+)', re.IGNORECASE)
_DISPOSITION = "form-data"
_CHARSET = re.compile(r'charset[ \t]*=[ \t]*"?(?!(?:utf-?8|us-ascii)\b)', re.IGNORECASE)
_BOUNDARY = re.compile(r";\s*boundary[*0-9]*\s*=", re.IGNORECASE)  # browsers say boundary in its value, too
_NOT_ASCII = re.compile(rb"[\0]|%(?:00|[89a-f])", re.IGNORECASE)  # or no text at all
_NOT_A_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f]|^[/\\]|(?:^|[/\\])\.\.(?:[/\\]|$)")
_PLAIN = ("7bit", "8bit", "binary")

Check = Callable[[bytes, bool], None]
"""Takes a piece of a body and whether it is the last one; raises `InvalidBodyError`."""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields that a route declares, by name, and whether each may repeat."""

    fields: Mapping[str, bool]
    is_open: bool = False
    """Whether it takes others as well."""


UNDECLARED = Form({}, is_open=True)
"""What a route that reads a form by itself says of it: nothing."""


def check_of(form: Form, content_type: str, most: int) -> Check | None:
    """What the body of a form has to pass, or `None` if the content type is none of a form.

    Args:
        form: What the route declares.
        content_type: As the header has it.
        most: Fields and files, above which the framework refuses a form; it would tell when all of it is parsed.

    Raises:
        InvalidBodyError: The content type itself can be read in two ways.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in (URLENCODED, MULTIPART):
        return None
    if _CHARSET.search(content_type):
        raise InvalidBodyError("a form that is not in UTF-8")
    if media_type == URLENCODED:
        return _Urlencoded(form, most)
    if len(_BOUNDARY.findall(content_type)) != 1:
        raise InvalidBodyError("no boundary, or two")
    return _Multipart(form, most, content_type) if _library is not None else None


def _text(decode: Callable[[], str]) -> str:
    """What decodes to a text, if it has no NUL in it."""
    try:
        text = decode()
    except UnicodeDecodeError:
        raise InvalidBodyError("a form that is not in UTF-8") from None
    if "\0" in text:
        raise InvalidBodyError("a NUL character")
    return text


class _Fields:
    def __init__(self, form: Form, most: int) -> None:
        self._form = form
        self._most = inf if form is UNDECLARED else most  # else the route asks for as many as it likes
        self._seen: set[str] = set()

    def _count(self, number: int) -> None:
        self._most -= number
        if self._most < 0:
            raise InvalidBodyError("more fields than a form may have")

    def _take(self, name: str) -> None:
        repeats = self._form.fields.get(name)
        if repeats is None and not self._form.is_open:
            raise UndeclaredFieldError(f"a field that is not declared: {name[:100]!r}")
        if repeats is False and name in self._seen:
            raise InvalidBodyError("a name stands twice in one form")
        self._seen.add(name)


class _Urlencoded(_Fields):
    def __init__(self, form: Form, most: int) -> None:
        super().__init__(form, most)
        self._body = bytearray()

    def __call__(self, piece: bytes, is_last: bool) -> None:
        self._body += piece
        if not is_last:
            return
        if not self._body.isascii():  # to the framework it is Latin-1, to others UTF-8
            raise InvalidBodyError("a form that is not percent-encoded")
        self._count(self._body.count(b"&"))
        if _NOT_ASCII.search(self._body):
            _text(unquote_to_bytes(bytes(self._body)).decode)
        if self._form is UNDECLARED:
            return
        for pair in filter(None, self._body.split(b"&")):
            name = pair.partition(b"=")[0].replace(b"+", b" ")
            self._take(_text(unquote_to_bytes(bytes(name)).decode))


class _Multipart(_Fields):
    """Follows the parser that the framework uses, and looks at what that lets pass."""

    def __init__(self, form: Form, most: int, content_type: str) -> None:
        super().__init__(form, most)
        _, parameters = _library.parse_options_header(content_type)
        self._headers: dict[str, str] = {}
        self._name, self._value = bytearray(), bytearray()
        self._decoder: Any = None
        self._is_ended = False
        takes = "part_begin", "part_data", "part_end", "header_field", "header_value", "header_end", "headers_finished"
        callbacks = {f"on_{each}": getattr(self, f"_{each}") for each in (*takes, "end")}
        try:
            self._parser = _library.MultipartParser(parameters.get(b"boundary", b""), callbacks)
        except ValueError:
            raise InvalidBodyError("a boundary that is none") from None

    def __call__(self, piece: bytes, is_last: bool) -> None:
        try:
            self._parser.write(piece)
        except InvalidBodyError:
            raise
        except ValueError:  # the parser's own
            raise InvalidBodyError("not multipart/form-data") from None
        if is_last and not self._is_ended:
            raise InvalidBodyError("a form without its end")

    def _part_begin(self) -> None:
        self._count(1)
        self._headers = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        name = _text(self._name.decode).lower()
        if name in self._headers:
            raise InvalidBodyError("a header stands twice in one part")
        self._headers[name] = _text(self._value.decode).strip()
        self._name, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        disposition = self._headers.get("content-disposition", "")
        found, at = list[tuple[str, str]](), len(_DISPOSITION)
        while each := _PARAMETER.match(disposition, at):  # a search would begin anew at each of many blanks
            found.append((each[1].lower(), each[2]))
            at = each.end()
        parameters, is_whole = dict(found), not disposition[at:].strip(" \t;")
        starts = disposition[: len(_DISPOSITION)].lower() == _DISPOSITION
        if not (starts and is_whole) or "name" not in parameters or len(parameters) != len(found):
            raise InvalidBodyError("a part without one name")
        if self._headers.get("content-transfer-encoding", "binary").lower() not in _PLAIN:
            raise InvalidBodyError("an encoded part")
        is_file = "filename" in parameters
        if is_file:
            file_name = _unquoted(parameters["filename"])
            if len(file_name) > MAX_FILE_NAME or _NOT_A_NAME.search(file_name):
                raise InvalidBodyError("a file name that is too long, or a path")
        elif _CHARSET.search(self._headers.get("content-type", "")):
            raise InvalidBodyError("a form that is not in UTF-8")
        self._decoder = None if is_file else getincrementaldecoder("utf-8")()
        self._take(_unquoted(parameters["name"]))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._decode(data[start:end], is_last=False)

    def _part_end(self) -> None:
        self._decode(b"", is_last=True)

    def _decode(self, content: bytes, *, is_last: bool) -> None:
        if self._decoder is not None:
            _text(partial(self._decoder.decode, content, is_last))

    def _end(self) -> None:
        self._is_ended = True


def _unquoted(value: str) -> str:
    """As the framework's parser reads it."""
    quoted = len(value) > 1 and value[0] == '"'
    return value[1:-1].replace("\\\\", "\\").replace('\\"', '"') if quoted else value
