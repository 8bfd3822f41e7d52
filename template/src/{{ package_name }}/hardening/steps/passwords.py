# Owned by the template: an update rewrites this file.
"""Passwords: 8 to 128 characters of any script, none of the commonest, kept as Argon2id hashes. Hashing is slow on
purpose, so it runs in threads of its own, a few at a time: sign-ins can fill neither the memory nor the event loop.
ASVS v5.0.0-6.2.1, 6.2.4, 6.2.5, 6.2.9, 11.4.2; RFC 9106; RFC 8265.
"""

import asyncio
import re
import runpy
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from os import urandom
from pathlib import Path
from threading import BoundedSemaphore
from typing import Annotated, ParamSpec, TypeVar
from unicodedata import normalize

from pwdlib import PasswordHash  # type: ignore[import-not-found,unused-ignore]
from pwdlib.hashers.argon2 import Argon2Hasher  # type: ignore[import-not-found,unused-ignore]
from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from ..core.problems import Problem
from .credentials import Guess

MIN_LENGTH, MAX_LENGTH = 8, 128
COMMONEST = 3_000
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_PARAMETERS = ParamSpec("_PARAMETERS")
_Result = TypeVar("_Result")


def _commonest() -> frozenset[str]:
    """The commonest passwords of at least the least length, from the list that zxcvbn carries.

    Only that one file is read: importing the package builds tables of all its lists and keeps 11 MB of them.
    """
    spec = find_spec("zxcvbn")
    if spec is None or spec.origin is None:
        raise ImportError("zxcvbn is not installed: its list of common passwords is needed")
    lists = runpy.run_path(str(Path(spec.origin).with_name("frequency_lists.py")))["FREQUENCY_LISTS"]
    return frozenset([word for word in lists["passwords"] if len(word) >= MIN_LENGTH][:COMMONEST])


_COMMON = _commonest()


def _too_long() -> PydanticCustomError:
    return PydanticCustomError("string_too_long", "too long", {"max_length": MAX_LENGTH})


def _normalized(password: SecretStr) -> SecretStr:
    """One spelling for what keyboards write differently (the OpaqueString profile of RFC 8265)."""
    text = password.get_secret_value()
    if len(text) > 4 * MAX_LENGTH:  # one character may arrive as up to four
        raise _too_long()
    return SecretStr(normalize("NFC", _SPACES.sub(" ", text)))


def _acceptable(password: SecretStr) -> SecretStr:
    text = password.get_secret_value()
    if len(text) < MIN_LENGTH:
        raise PydanticCustomError("string_too_short", "too short", {"min_length": MIN_LENGTH})
    if len(text) > MAX_LENGTH:
        raise _too_long()
    if text.casefold() in _COMMON:
        raise PydanticCustomError("password_common", "common")
    return password


Password = Annotated[
    SecretStr,
    AfterValidator(_normalized),
    # JSON with a NUL is a 400. Without an example, the page of the documentation would register "********".
    Field(
        json_schema_extra={"maxLength": MAX_LENGTH, "pattern": r"^[^\u0000]*$", "examples": ["correct horse battery"]}
    ),
]
"""A password that is checked against a stored one."""
NewPassword = Annotated[Password, AfterValidator(_acceptable), Field(json_schema_extra={"minLength": MIN_LENGTH})]
"""A password that somebody chooses: 8 to 128 characters once normalised, none of the 3,000 commonest."""


def gives_away(password: SecretStr, *words: str) -> bool:
    """Whether a password is one of the words that anyone knows of its owner, such as the user name."""
    return password.get_secret_value().casefold() in {word.casefold() for word in words}


class Passwords:
    """Hashes and checks passwords with Argon2id.

    Args:
        memory: KiB for one hash.
        passes: Passes over that memory.
        at_once: Hashes at work at once, each in a thread of its own.
        waiting: Hashes that may wait for a thread; what comes beyond is answered 503. Half as many more may wait that
            are of devices which their account knows, one of each account: strangers who fill the queue shut no owner
            out.
    """

    def __init__(self, *, memory: int = 65_536, passes: int = 3, at_once: int = 2, waiting: int = 16) -> None:
        self._hasher = PasswordHash([Argon2Hasher(time_cost=passes, memory_cost=memory, parallelism=1)])
        # What nobody can sign in with, and takes as long as a real one: its digest is chance, not a hash.
        salt, digest = (b64encode(urandom(size)).decode().rstrip("=") for size in (16, 32))
        self._nobody = f"$argon2id$v=19$m={memory},t={passes},p=1${salt}${digest}"
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="passwords")
        self._places = BoundedSemaphore(at_once + waiting)
        self._own_places = (waiting + 1) // 2
        self._own: set[str] = set()

    async def hash(self, password: SecretStr) -> str:
        """What to store of a password.

        Raises:
            Problem: 503, too many are waiting already.
        """
        future: Future[str] = self._begin(Guess(), self._hasher.hash, password.get_secret_value())
        return await asyncio.wrap_future(future)

    async def verify(self, password: SecretStr, stored: str | None) -> tuple[bool, str | None]:
        """Whether a password is right and, if it was hashed with other parameters than today's, its new hash.

        Args:
            password: What the client sent.
            stored: The hash of the account, or `None` if there is none: that takes as long, and is never right.

        Raises:
            Problem: 503, too many are waiting already.
        """
        guess = Guess()
        try:
            future: Future[tuple[bool, str | None]] = self._begin(
                guess, self._hasher.verify_and_update, password.get_secret_value(), stored or self._nobody
            )
        except Problem:
            guess.dropped()
            raise
        try:
            return await asyncio.wrap_future(future)
        finally:
            if future.cancel():  # the request ended before its turn came
                guess.dropped()
            else:
                guess.looked_at()

    def _begin(
        self,
        guess: Guess,
        work: Callable[_PARAMETERS, _Result],
        *args: _PARAMETERS.args,
        **kwargs: _PARAMETERS.kwargs,
    ) -> "Future[_Result]":
        account = guess.known_account
        if self._places.acquire(blocking=False):
            leave: Callable[[], None] = self._places.release
        elif account is not None and account not in self._own and len(self._own) < self._own_places:
            self._own.add(account)
            leave = partial(self._own.discard, account)
        else:
            raise Problem(503, "Too many passwords are being checked", headers={"retry-after": "1"})
        future = self._threads.submit(work, *args, **kwargs)
        # Not when the request ends: one that is cancelled leaves its thread at work.
        future.add_done_callback(lambda _: leave())
        return future
