# Owned by the template: an update rewrites this file.
"""What is asked of Redis: commands, most of them scripts."""

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from hiredis import pack_command

from ..base import StoreUnavailableError

Argument = str | bytes | float


class Script:
    """A Lua script, sent by its digest; a server that does not know it gets the text.

    Args:
        text: What runs.
        is_repeatable: Whether it may run twice where once was asked for.
    """

    def __init__(self, text: str, *, is_repeatable: bool = False) -> None:
        self.text, self.is_repeatable = text, is_repeatable
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


class Call:
    """A script that is to run, and the future of who waits for its answer. In a cluster its keys must be in one slot."""

    asked = doubted = ends = 0.0
    """When it was asked, when it is late, and when whoever waits goes on."""
    is_sent = is_repeated = is_answered = False

    def __init__(self, script: Script, keys: Sequence[str] = (), arguments: Sequence[Argument] = ()) -> None:
        self.script, self._keys, self._arguments = script, keys, arguments
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.future.done()

    def command(self, *, is_known: bool = True) -> bytes:
        """What is sent: the digest of the script, or its text to a server that does not know it."""
        keys, arguments = self.operands()
        what = ("EVALSHA", self.script.digest) if is_known else ("EVAL", self.script.text)
        packed: bytes = pack_command((*what, len(keys), *keys, *arguments))  # type: ignore[arg-type]
        return packed

    def operands(self) -> tuple[Sequence[str], Sequence[Argument]]:
        """`KEYS` and `ARGV`, when the call is sent."""
        return self._keys, self._arguments

    def succeed(self, answer: Any) -> None:
        """Hand over the answer.

        Raises:
            TypeError, ValueError: It is nothing that the script answers.
        """
        if not self.is_over:
            self.future.set_result(answer)

    def fail(self) -> None:
        """Let whoever waits go on without an answer."""
        if not self.is_over:
            self.future.set_exception(StoreUnavailableError())
            self.future.exception()  # nobody waits for that of a probe


class Command(Call):
    """A command that is none of a script."""

    def __init__(self, *words: Argument) -> None:
        super().__init__(Script(""))
        self._words = words

    def command(self, *, is_known: bool = True) -> bytes:
        packed: bytes = pack_command(self._words)  # type: ignore[arg-type]
        return packed
