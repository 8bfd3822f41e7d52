# Owned by the template: an update rewrites this file.
"""What an attacker would try, one module a step, each attack a function that returns the answer that was seen."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.hardening.asgi import Answer

from ..common.raw_http import TIMEOUT, Pairs
from ..result import Check, Outcome
from .routes import DiscoveredRoute
from .service import Service

EVIL = "https://evil.example"
UNREACHED = "Move each before the route that shadows it: what takes any path, such as `/{rest:path}`, comes last."


class Seen(NamedTuple):
    """What an attack saw: the words for it, and what should not have been."""

    text: str
    faults: list[str]


class UnknownError(Exception):
    """An attack that cannot tell; the message says why, and the remedy what to do about it."""

    def __init__(self, message: str, remedy: str = "Run it again; then look at what was seen.") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass
class Arena:
    """What is attacked.

    Args:
        probe: The template's own application behind the real perimeter.
        own: The service itself.
        routes: The service's own routes.
        thorough: Take minutes instead of seconds.
    """

    probe: Service
    own: Service
    routes: list[DiscoveredRoute]
    thorough: bool = False
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stranger(self) -> str:
        """The address of a client that the service has never seen."""
        with self._lock:
            number = next(self._numbers)
        return f"100.{64 + number // 65_536}.{number // 256 % 256}.{number % 256}"

    def ask(self, method: str, target: str, headers: Pairs = (), body: bytes | None = None) -> Answer:
        """Send one request to the service itself, as a client that it has never seen.

        Raises:
            UnknownError: There was no answer in time.
        """
        try:
            return self.own.ask(method, target, [*headers, ("X-Forwarded-For", self.stranger())], body)
        except TimeoutError:
            message = f"{method} {target.partition('?')[0]} was not answered within {TIMEOUT:g} s"
            remedy = "Let the route begin its answer sooner; look for what it waits for that is not there in verify."
            raise UnknownError(message, remedy) from None

    @property
    def unreached(self) -> list[str]:
        """The service's own routes that no request of verify reaches."""
        return sorted({str(route) for route in self.routes if not route.target and not route.is_websocket})

    def each(self, routes: Iterable[DiscoveredRoute], attack: Callable[[DiscoveredRoute], tuple[str, str]]) -> Seen:
        """Make the same attack on several of the service's own routes, as far as they can be reached.

        Args:
            routes: Which ones.
            attack: Returns what was seen, and what is wrong with that, if anything.
        """
        chosen = [route for route in routes if not route.is_websocket]
        if not chosen:
            return Seen("the service has no such route", [])
        chosen = [route for route in chosen if route.target]
        if not chosen:
            raise UnknownError("no such route of the service can be reached", UNREACHED)
        pool = ThreadPoolExecutor(4)
        try:
            results = list(pool.map(attack, chosen))
        finally:  # an interrupt waits for nobody
            pool.shutdown(wait=False, cancel_futures=True)
        faults = [f"{route}: {fault}" for route, (_, fault) in zip(chosen, results, strict=True) if fault]
        counted = Counter(text for text, _ in results)
        words = ", ".join(f"{text} ({number} routes)" if number > 1 else text for text, number in counted.items())
        return Seen(words, faults)


Attack = Callable[[Arena], Seen]


class Attacks:
    """The attacks on one step, in the order in which they are made."""

    def __init__(self, step: str, remedy: str) -> None:
        self.step = step
        self.remedy = remedy
        self._all: list[tuple[str, Attack, bool]] = []

    def __call__(self, name: str, thorough: bool = False) -> Callable[[Attack], Attack]:
        """Register an attack.

        Args:
            name: What the attacker tries.
            thorough: It takes too long for the quick tier.
        """

        def register(attack: Attack) -> Attack:
            self._all.append((name, attack, thorough))
            return attack

        return register

    def make(self, arena: Arena) -> Iterator[Check]:
        """Make every attack; one that fails to be made is unverified, and the others are made."""
        for name, attack, is_slow in self._all:
            if is_slow and not arena.thorough:
                continue
            try:
                seen = attack(arena)
            except Exception as error:  # noqa: BLE001 - whatever went wrong, nothing is known
                told = error if isinstance(error, UnknownError) else UnknownError(f"{type(error).__name__}: {error}")
                yield Check(self.step, name, Outcome.UNVERIFIED, str(told), told.remedy)
                continue
            if seen.faults:
                shown = "; ".join(seen.faults[:5]) + (f"; {len(seen.faults) - 5} more" if seen.faults[5:] else "")
                yield Check(self.step, name, Outcome.INSECURE, shown, self.remedy)
            else:
                yield Check(self.step, name, Outcome.PROVED, seen.text)


def statuses(answers: Iterable[Answer]) -> str:
    """The statuses that were seen, in words."""
    counted = Counter("closed" if not answer.status else str(answer.status) for answer in answers)
    return ", ".join(f"{status} ({number} times)" if number > 1 else status for status, number in counted.items())


def expect(answers: dict[str, Answer], *wanted: int) -> Seen:
    """Each answer, by the name of the attack, must have one of these statuses; 0 is a connection that was closed."""
    faults = [f"{name}: {answer.status or 'closed'}" for name, answer in answers.items() if answer.status not in wanted]
    return Seen(statuses(answers.values()), faults)
