# Owned by the template: an update rewrites this file.
"""A bridge for `def` routes: they run in a thread, and what counts, keeps and checks is a coroutine of the event loop."""

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from anyio import from_thread

from .credentials import SignInAttempt, latest_attempt

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def run_async(
    function: Callable[Arguments, Coroutine[Any, Any, Result]], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Call an `async def` function from a `def` route or dependency, and wait for what it returns.

    Args:
        function: Such as `sign_in_attempt`, `attempt.succeeded`, `sessions.create` or `passwords.verify`.
        *args: Its arguments.
        **kwargs: Its arguments by name.

    Raises:
        RuntimeError: It was called on the event loop: await the function there.
    """

    async def call() -> tuple[Result, SignInAttempt | None]:
        return await function(*args, **kwargs), latest_attempt.get()

    result, attempt = from_thread.run(call)
    latest_attempt.set(attempt)  # the call had a context of its own
    return result
