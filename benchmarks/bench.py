"""What the sections share: the plan, and the contenders, made when they are first needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from . import stacks
from .check import check
from .contenders import TIMED, Contender
from .figures import ratios, summary
from .load import GET, POST, Load, Plan, rounds
from .processes import Process

Section = dict[str, Any]
KINDS = {"GET": GET, "POST": POST}


@dataclass
class Bench:
    """One invocation."""

    plan: Plan
    quick: bool
    told: Callable[[str], None] = print

    @cached_property
    def template(self) -> Path:
        self.told("making the contenders")
        return stacks.template()

    @cached_property
    def service(self) -> Path:
        return stacks.service(self.template)

    @cached_property
    def python_peers(self) -> Path:
        return stacks.peers_environment(self.service)

    @cached_property
    def guard(self) -> Path:
        return stacks.environment("guard", self.service, "uvicorn", "httptools", "uvloop", "fastapi-guard")

    @cached_property
    def node(self) -> Path:
        return stacks.node()

    def versions(self) -> dict[str, str]:
        """Of all that this invocation has made so far."""
        made = self.__dict__
        folders = [made["service"] / ".venv"] if "service" in made else []
        folders += [made[name] for name in ("python_peers", "guard") if name in made]
        return stacks.versions(*folders) | (stacks.node_versions() if "node" in made else {}) | stacks.tools()

    @contextmanager
    def running(self, contenders: Sequence[Contender], quota: str = TIMED) -> Iterator[dict[str, Process]]:
        """All of them at once, on the server's core; only one is loaded at a time."""
        with ExitStack() as stack:
            servers = {}
            for each in contenders:
                servers[each.name] = stack.enter_context(each.process(quota, self.plan.server))
                servers[each.name].wait()
            yield servers

    def compare(
        self,
        contenders: Sequence[Contender],
        pairs: Sequence[tuple[str, str]],
        loads: Mapping[str, Load] = KINDS,
    ) -> Section:
        """Check all contenders, time them side by side, and set some against others.

        Args:
            contenders: What is measured.
            pairs: Names whose ratios are taken, the first to the second.
            loads: The kinds of requests.
        """
        for each in contenders:
            self.told(f"  checking {each.name}")
            check(each)
        return self.timed(contenders, pairs, loads)

    def timed(
        self,
        contenders: Sequence[Contender],
        pairs: Sequence[tuple[str, str]],
        loads: Mapping[str, Load] = KINDS,
    ) -> Section:
        """Time contenders that have been checked."""
        with self.running(contenders) as servers:
            runs = {
                (each.name, kind): (
                    servers[each.name],
                    replace(load, connections=each.connections) if each.connections else load,
                )
                for each in contenders
                for kind, load in loads.items()
            }
            samples = rounds(self.plan, runs, self.told)
        measured: Section = {each.name: {} for each in contenders}
        for (name, kind), figures in summary(samples).items():
            measured[name][kind] = figures
        compared: Section = {}
        for of, to in pairs:
            compared[f"{of} / {to}"] = {
                kind: {key: ratios(samples, (of, kind), (to, kind), key) for key in ("rate", "cpu")} for kind in loads
            }
        return {"measured": measured, "ratios": compared}
