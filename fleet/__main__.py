"""Every service of the template in one table and one page: release, drift, proof, advisories, waivers, open updates.

    fleet --clones FOLDER | --addresses FILE | --github OWNER | --gitlab GROUP   [--html FILE]
    fleet ... --update [--trust]

A token is read from GH_TOKEN or GITHUB_TOKEN, for GitLab from GITLAB_TOKEN. Exit code: 0 every service is well; 1 one
has to be acted upon; 2 of one nobody can tell, or the command line cannot be carried out. docs/fleet.md has the rule.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, TypeVar

from . import clones, github, gitlab, judge
from .api import Client
from .model import Reading, Row, State
from .overlay import Overlay
from .page import page
from .programs import Credentials, Programs, StoppedError
from .table import lines, summary
from .template import Template
from .words import UnreadableError, UsageError, expanded, printable

JOBS = 4
MOST_JOBS = 32

T = TypeVar("T")
U = TypeVar("U")
Forge = github.GitHub | gitlab.GitLab


class Fleet:
    """One run over one source of services.

    Args:
        options: The command line.
        programs: What runs git and Copier.
        scratch: A folder of our own, gone afterwards.
        say: Writes a line of progress.
    """

    def __init__(
        self, options: argparse.Namespace, programs: Programs, scratch: Path, say: Callable[[str], None]
    ) -> None:
        self.options = options
        self.programs = programs
        self.scratch = scratch
        self.say = say
        self.forge: Forge | None = forge_of(options, programs, say)
        address = options.template or own_address()
        if not address:
            raise UsageError("Which template? This is no clone of it and was not installed from one: add --template.")
        self.template = Template(address, scratch, programs, self._credentials(address))
        given: str = options.overlay
        self.overlay = Overlay(given, scratch / "overlay", programs, self._credentials(given)) if given else None
        self.notes: list[str] = []
        self.readings: list[Reading] = []
        self.found: dict[str, Any] = {}
        """What the source knows of each service, by name: where its repository is, for an update."""

    def _credentials(self, address: str) -> Credentials | None:
        """Those of the forge, for a template that stands there too."""
        shared = self.forge.credentials() if self.forge else None
        return shared if shared and expanded(address).startswith(shared.base) else None

    def read(self) -> list[Reading]:
        """Every service, in the order of the source."""
        if self.options.clones:
            self._repositories({path.name: path for path in clones.folders(self.options.clones)}, is_clone=True)
        elif self.options.addresses:
            found = clones.addresses(self.options.addresses)
            self._repositories({each: number for number, each in enumerate(found)}, is_clone=False)
        else:
            self._forge()
        return self.readings

    def _repositories(self, found: dict[str, Any], *, is_clone: bool) -> None:
        def one(name: str) -> list[tuple[Reading, Path]]:
            folder = found[name]
            try:
                if not is_clone:
                    folder = clones.cloned(name, self.scratch / f"look-{folder}.git", self.programs)
                readings = list(clones.services(folder, name, self.programs, is_clone=is_clone))
            except UnreadableError as error:
                return [(Reading(name, problem=str(error), remedy=error.remedy), Path())]
            if not readings and not is_clone:
                problem = "it has no .copier-answers.yml, so it is no service of a template, or has lost it"
                readings = [Reading(name, problem=problem, remedy="Put it back from git, or take the address out.")]
            return [(each, folder) for each in readings]

        others = 0
        for name, readings in zip(found, self._each(one, list(found)), strict=True):
            for reading, folder in readings:
                if is_clone and not reading.problem and not self._is_ours(reading):
                    continue
                self.readings.append(reading)
                self.found[reading.name] = folder if is_clone else name
            others += is_clone and not any(each.name.split("/")[0] == name for each, _ in readings)
        self._others(others)

    def _forge(self) -> None:
        forge = self.forge
        if not forge:
            return
        listed: list[tuple[Reading, Any]] = []
        failure: UnreadableError | None = None
        try:
            for reading, node in forge.services():
                if reading.problem or self._is_ours(reading):
                    listed.append((reading, node))
                else:
                    forge.others += 1
        except UnreadableError as error:
            failure = error

        def one(item: tuple[Reading, Any]) -> None:
            reading, node = item
            if self.programs.stopped.is_set():
                raise StoppedError
            try:
                if not reading.problem:
                    forge.complete(reading, node)
            except UnreadableError as error:
                reading.problem, reading.remedy = str(error), error.remedy

        list(self._each(one, listed))
        for reading, node in listed:
            self.readings.append(reading)
            self.found[reading.name] = node
        if failure:
            whole = Reading(f"{forge.owner} (the list)", problem=str(failure), remedy=failure.remedy)
            self.readings.append(whole)
        self._others(forge.others)
        self.notes.append(f"{forge.client.calls} calls of the API.")

    def _is_ours(self, reading: Reading) -> bool:
        """Whether a repository with an answers file came from this template, at this address or at another."""
        return (
            self.template.is_source_of(reading.template) or {"package_name", "cors_origins"} <= reading.answers.keys()
        )

    def _others(self, count: int) -> None:
        if count:
            self.notes.append(f"{count} other repositories are no services of this template.")

    def _each(self, work: Callable[[T], U], items: Sequence[T]) -> Iterable[U]:
        with ThreadPoolExecutor(self.options.jobs) as pool:
            return list(pool.map(work, items))

    def rows(self) -> list[Row]:
        """Every service, judged."""
        max_age = self.options.max_age

        def one(reading: Reading) -> Row:
            return judge.judged(reading, self.template, max_age=max_age)

        return list(self._each(one, self.readings))


def own_address() -> str:
    """Where this program came from: the clone that it stands in, or what it was installed from."""
    root = Path(__file__).resolve().parent.parent
    if (root / "copier.yml").is_file() and (root / ".git").exists():
        return str(root)
    try:
        installed = json.loads(distribution("hardened-fastapi").read_text("direct_url.json") or "{}")
        url = installed["url"]
    except (PackageNotFoundError, ValueError, KeyError, TypeError):
        return ""
    return Path(url.removeprefix("file://")).as_posix() if url.startswith("file://") else str(url)


def forge_of(options: argparse.Namespace, programs: Programs, say: Callable[[str], None]) -> Forge | None:
    """The forge that the command line names, if it names one."""
    if not (options.github or options.gitlab):
        return None
    kind: type[Forge] = github.GitHub if options.github else gitlab.GitLab
    module = github if options.github else gitlab
    variables: tuple[str, ...] = module.VARIABLES
    token = next((value for name in variables if (value := os.environ.get(name, "").strip())), "")
    if not token:
        raise UsageError(
            f"There is no token: set {' or '.join(variables)}. docs/fleet.md has the scopes that it needs."
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"What {' or '.join(variables)} holds is no token: it has spaces or line breaks in it.")

    def sleep(seconds: float) -> None:
        if programs.stopped.wait(seconds):
            raise StoppedError

    client = Client(options.api or module.API, kind.authorization(token), sleep=sleep, say=say)
    return kind(options.github or options.gitlab, client, token)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--clones", type=Path, metavar="FOLDER", help="the folder that your clones stand in")
    source.add_argument("--addresses", type=Path, metavar="FILE", help="a file with an address that git clones a line")
    source.add_argument("--github", metavar="OWNER", help="an organisation or a person on GitHub")
    source.add_argument("--gitlab", metavar="GROUP", help="a group on GitLab, with its subgroups")
    parser.add_argument("--api", metavar="URL", help="the API of your own GitHub Enterprise or GitLab server")
    parser.add_argument("--template", metavar="ADDRESS", help="the template (default: what this was started from)")
    parser.add_argument(
        "--overlay", metavar="ADDRESS", default="", help="with --update: bring the newest release of this overlay too"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page there")
    parser.add_argument(
        "--max-age", type=int, default=judge.MAX_AGE, metavar="DAYS", help="how old an audit may be (%(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many services at once (%(default)s)")
    parser.add_argument("--update", action="store_true", help="update each service, on a branch of its own")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="with --update: run the template's hook too, which installs each service and runs its tests",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        default=Path("fleet-state.json"),
        help="how far an update is (%(default)s)",
    )
    options = parser.parse_args(arguments)
    if not 1 <= options.jobs <= MOST_JOBS:
        parser.error(f"--jobs {options.jobs}: say 1 to {MOST_JOBS}")
    if options.max_age < 1:
        parser.error(f"--max-age {options.max_age}: say a number of days")
    if options.trust and not options.update:
        parser.error("--trust goes with --update: without it, nothing of a service is run")
    if options.overlay and not options.update:
        parser.error("--overlay goes with --update")
    if options.api and not (options.github or options.gitlab):
        parser.error("--api goes with --github or --gitlab")
    return options


def run(options: argparse.Namespace, programs: Programs, scratch: Path) -> int:
    """Read, show, and update if that was asked for; the exit code."""

    def say(text: str) -> None:
        print(printable(text), file=sys.stderr, flush=True)

    fleet = Fleet(options, programs, scratch, say)
    fleet.read()
    if not fleet.readings:
        raise UsageError(f"No service of {fleet.template.address} was found. {' '.join(fleet.notes)}")
    if options.update:
        from .update import Updates

        return Updates(fleet, say).run()
    rows = fleet.rows()
    for line in lines(rows):
        _print(line)
    for note in fleet.notes:
        _print(note)
    _print(summary(rows))
    if options.html:
        _write(options.html, page(rows, f"{fleet.template.address}, {fleet.template.newest}", fleet.notes))
        _print(f"{options.html} has the same as a page.")
    states = {row.state for row in rows}
    return int(State.ACT if State.ACT in states else State.UNKNOWN if State.UNKNOWN in states else State.WELL)


def _print(text: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


def _write(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}. Name a file in a folder that exists.") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments)
    programs = Programs()

    def stop(number: int, frame: object) -> None:
        if programs.stopped.is_set():
            return  # it is ending already, within a bound
        programs.stop()

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        # What was ignored at the start stays so, as for a job in the background of a script.
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        with tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as scratch:
            return run(options, programs, Path(scratch).resolve())
    except UsageError as error:
        print(printable(str(error)), file=sys.stderr)
    except UnreadableError as error:
        print(f"{printable(str(error))}. {printable(error.remedy)}", file=sys.stderr)
    except StoppedError:
        print("Stopped before its end. Run it again.", file=sys.stderr)
    except FileNotFoundError as error:
        print(f"{printable(str(error))}: is git on the PATH?", file=sys.stderr)
    return int(State.UNKNOWN)


if __name__ == "__main__":
    sys.exit(main())
