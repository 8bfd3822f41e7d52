# Owned by the template: an update rewrites this file.
"""What is asked of Redis: scripts, many of them in one write."""

import asyncio
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError

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

    asked = 0.0
    is_hasty = False
    """Whether it is given up when others are doubted, since its request has waited in vain before."""
    is_sent = is_repeated = False

    def __init__(self, script: Script, keys: Sequence[str] = (), arguments: Sequence[Argument] = ()) -> None:
        self.script, self._keys, self._arguments = script, keys, arguments
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.future.done()

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
            self.future.set_exception(self.unavailable())
            self.future.exception()  # nobody waits for that of a probe

    def unavailable(self) -> StoreUnavailableError:
        """What whoever waits is told, and how long that was."""
        error = StoreUnavailableError()
        error.waited = asyncio.get_running_loop().time() - self.asked
        return error


async def exchange(connection: AbstractConnection, calls: Sequence[Call]) -> None:
    """Send calls in one write and hand over their answers; what the server has forgotten is sent again as text.

    Raises:
        RedisError, OSError: The connection broke, or the server refuses.
        TypeError, ValueError: An answer is none of its script.
    """
    sent = [(call, *call.operands()) for call in calls]
    commands = [("EVALSHA", call.script.digest, len(keys), *keys, *arguments) for call, keys, arguments in sent]
    while commands:
        await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        unknown = []
        for item in sent:
            try:
                answer = await connection.read_response()
            except NoScriptError:
                unknown.append(item)
            else:
                item[0].succeed(answer)
        sent = unknown
        commands = [("EVAL", call.script.text, len(keys), *keys, *arguments) for call, keys, arguments in sent]
