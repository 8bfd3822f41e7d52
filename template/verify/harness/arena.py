# Owned by the template: an update rewrites this file.
"""What an attacker would try, one module a step, each attack a function that returns the answer that was seen."""

import itertools
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

from ..common.answer import Answer
from ..common.raw_http import TIMEOUT, Pairs
from ..result import Check, Rule, UnverifiedError, listed
from .routes import DiscoveredRoute
from .service import Service

EVIL = "https://evil.example"
AGAIN = "Run it again; then look at what was seen."
NOT_TRIED = "not tried: "
UNREACHED = "Move each before the route that shadows it: what takes any path, such as `/{rest:path}`, comes last."


class Seen(NamedTuple):
    """What an attack saw: the words for it, and what should not have been."""

    text: str
    faults: list[str]
    is_vacuous: bool = False
    """Nothing was tried that could have failed."""
    not_tried: Mapping[str, str] = {}
    """The routes to which nothing was sent that could have failed, and why."""


@dataclass
class Arena:
    """What is attacked.

    Args:
        probe_service: The template's own application behind the real perimeter.
        real_service: The service itself.
        routes: The service's own routes.
        thorough: Take minutes instead of seconds.
        caller: The headers of a caller that the team lends; empty if it lends none.
        no_caller: Why it lends none.
    """

    probe_service: Service
    real_service: Service
    routes: list[DiscoveredRoute]
    thorough: bool = False
    caller: Mapping[str, str] = field(default_factory=dict)
    no_caller: str = "no caller is lent"
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fresh_client_address(self) -> str:
        """The address of a client that the service has never seen."""
        with self._lock:
            number = next(self._numbers)
        return f"100.{64 + number // 65_536}.{number // 256 % 256}.{number % 256}"

    def probe(self, method: str, target: str, headers: Pairs = (), body: bytes | None = None) -> Answer:
        """Send one request to the probe application."""
        return self.probe_service.ask(method, target, headers, body)

    def ask(self, method: str, target: str, headers: Pairs = (), body: bytes | None = None) -> Answer:
        """Send one request to the service itself, as a client that it has never seen.

        Raises:
            UnverifiedError: There was no answer in time.
        """
        address = ("X-Forwarded-For", self.fresh_client_address())
        try:
            return self.real_service.ask(method, target, [*headers, address], body)
        except TimeoutError:
            message = f"{method} {target.partition('?')[0]} was not answered within {TIMEOUT:g} s"
            remedy = "Let the route begin its answer sooner; look for what it waits for that is not there in verify."
            raise UnverifiedError(message, remedy) from None

    @property
    def unreached(self) -> list[str]:
        """The service's own routes that no request of verify reaches."""
        return sorted({str(route) for route in self.routes if not route.target and not route.is_websocket})

    def each(self, routes: Iterable[DiscoveredRoute], attack: Callable[[DiscoveredRoute], tuple[str, str]]) -> Seen:
        """Make the same attack on several of the service's own routes, as far as they can be reached.

        Args:
            routes: Which ones.
            attack: Returns what was seen, and what is wrong with that, if anything. What begins with `NOT_TRIED` is why
                nothing was sent that could have failed.
        """
        chosen = [route for route in routes if not route.is_websocket]
        spared = {str(each): f"sent nothing, since {each.why_spared}" for each in chosen if each.why_spared}
        if not chosen:
            return Seen("the service has no such route", [], is_vacuous=True)
        chosen = [route for route in chosen if not route.why_spared]
        reached = [route for route in chosen if route.target]
        if chosen and not reached:
            raise UnverifiedError("no such route of the service can be reached", UNREACHED)
        pool = ThreadPoolExecutor(4)
        try:
            results = dict(zip(map(str, reached), pool.map(attack, reached), strict=True))
        finally:  # an interrupt waits for nobody
            pool.shutdown(wait=False, cancel_futures=True)
        faults = [f"{route}: {fault}" for route, (_, fault) in results.items() if fault]
        untried = {
            route: text.removeprefix(NOT_TRIED) for route, (text, _) in results.items() if text.startswith(NOT_TRIED)
        }
        counted = Counter(text for route, (text, _) in results.items() if route not in untried)
        words = ", ".join(f"{text} ({number} routes)" if number > 1 else text for text, number in counted.items())
        return Seen(words, faults, not counted, {**spared, **untried})


class _Watched:
    """A service that notes that it was attacked."""

    def __init__(self, service: Service, name: str, asked: set[str]) -> None:
        self._service, self._name, self._asked = service, name, asked

    def __getattr__(self, attribute: str) -> Any:
        self._asked.add(self._name)
        return getattr(self._service, attribute)


Attack = Callable[[Arena], Seen]


class Attacks:
    """The attacks on one step, in the order in which they are made.

    Args:
        remedy: What to do about an attack that succeeds.
    """

    def __init__(self, remedy: str) -> None:
        self.remedy = remedy
        self._all: list[tuple[Rule, Attack, bool]] = []

    def __call__(self, id_: str, name: str, thorough: bool = False) -> Callable[[Attack], Attack]:
        """Register an attack.

        Args:
            id_: The id of its rule, which begins with the step: `headers.complete`.
            name: What holds if the attack fails.
            thorough: It takes too long for the quick tier.
        """

        def register(attack: Attack) -> Attack:
            self._all.append((Rule(id_.partition(".")[0], id_, name), attack, thorough))
            return attack

        return register

    def make(self, arena: Arena) -> Iterator[Check]:
        """Make every attack; one that fails to be made is unverified, and the others are made."""
        for rule, attack, is_slow in self._all:
            if is_slow and not arena.thorough:
                continue
            asked: set[str] = set()
            watched = replace(
                arena,
                probe_service=cast(Service, _Watched(arena.probe_service, "probe", asked)),
                real_service=cast(Service, _Watched(arena.real_service, "yours", asked)),
            )
            found = list(self._judged(rule, attack, watched))
            yield from (replace(check, about=" and ".join(sorted(asked)) or "yours") for check in found)

    def _judged(self, rule: Rule, attack: Attack, arena: Arena) -> Iterator[Check]:
        try:
            seen = attack(arena)
        except UnverifiedError as error:
            yield rule.unverified(error.seen, error.remedy)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, nothing is known
            yield rule.unverified(f"{type(error).__name__}: {error}", AGAIN)
        else:
            shown = "; ".join(seen.faults[:5]) + (f"; {len(seen.faults) - 5} more" if seen.faults[5:] else "")
            if seen.faults:
                yield rule.insecure(shown, self.remedy)
            elif not seen.is_vacuous:
                yield rule.proved(seen.text)
            elif not seen.not_tried:
                yield rule.not_looked_at(seen.text)
            if seen.not_tried:
                reasons = defaultdict(list)
                for route, why in seen.not_tried.items():
                    reasons[why].append(route)
                text = "; ".join(f"{listed(routes)}: {why}" for why, routes in reasons.items())
                yield rule.of("not tried", f"{rule.name} (not tried)").not_looked_at(text)


def statuses(answers: Iterable[Answer]) -> str:
    """The statuses that were seen, in words."""
    counted = Counter("closed" if not answer.status else str(answer.status) for answer in answers)
    return ", ".join(f"{status} ({number} times)" if number > 1 else status for status, number in counted.items())


def expect(answers: dict[str, Answer], *wanted: int) -> Seen:
    """Each answer, by the name of the attack, must have one of these statuses; 0 is a connection that was closed."""
    faults = [f"{name}: {answer.status or 'closed'}" for name, answer in answers.items() if answer.status not in wanted]
    return Seen(statuses(answers.values()), faults)
