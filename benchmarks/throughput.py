"""Requests a second and CPU time a request: hardened against bare, against its peers, on other servers, refused."""

from dataclasses import replace

from .bench import Bench, Section
from .check import JSON
from .contenders import EXPRESS, FASTIFY, UNHARDENED, USUAL, Contender, bare, hardened, javascript, on_servers, uvicorn
from .figures import ratios, summary
from .load import GET, POST, USER, Load, rounds
from .stacks import PEERS, python

SMALL = 1024
TOO_LARGE = USER[:-1] + ',"filler":"' + "x" * 2 * SMALL + '"}'


def against_bare(bench: Bench) -> Section:
    """The price of the perimeter, how much of it is the log, and what becomes of it in a service that has grown."""
    ours, framework = hardened(bench.service), bare(bench.service)
    quiet = ours.but("hardened, APP_LOG_LEVEL=warning", APP_LOG_LEVEL="warning")
    defaults = Contender(
        "bare FastAPI, Granian's defaults",
        (python(bench.service / ".venv"), "-m", "granian", "--interface", "asgi", "--port", "{port}", "bare:app"),
        PEERS,
        jobs=UNHARDENED,
    )
    grown = [each.but(f"{each.name}, behind 50 routes", OTHER_ROUTES="50") for each in (ours, framework)]
    pairs = [(ours.name, framework.name), (quiet.name, framework.name), (ours.name, defaults.name)]
    return bench.compare([ours, quiet, framework, defaults, *grown], [*pairs, (grown[0].name, grown[1].name)])


def against_peers(bench: Bench) -> Section:
    """The same seven jobs elsewhere."""
    flags = ("--http", "httptools", "--loop", "uvloop")
    peers = [
        javascript(EXPRESS, bench.node, "express.js"),
        javascript(FASTIFY, bench.node, "fastify.js"),
        uvicorn(USUAL, bench.python_peers, "usual:app"),
        uvicorn("", bench.python_peers, "usual:app", *flags).but(
            "secure, slowapi, ... with quota headers and log", QUOTA_HEADERS="yes"
        ),
        replace(uvicorn("FastAPI with fastapi-guard", bench.guard, "guarded:app"), connections=4),
        uvicorn("bare FastAPI, uvicorn", bench.python_peers, "bare:app", jobs=UNHARDENED),
    ]
    ours = hardened(bench.service)
    return bench.compare([ours, *peers], [(ours.name, peer.name) for peer in peers])


def beside_servers(bench: Bench) -> Section:
    """Bare and hardened on each server that could carry them, and each server beside the one that `serve` takes."""
    contenders = on_servers(bench.python_peers, bench.service)
    names = [each.name for each in contenders]
    pairs = [(name, name.replace("hardened", "bare")) for name in names if name.startswith("hardened")]
    for app in ("bare", "hardened"):
        ours = f"{app}, granian, uvloop"
        pairs += [(name, ours) for name in names if name.startswith(app) and name != ours]
    return bench.compare(contenders, pairs)


def refused(bench: Bench) -> Section:
    """What a request costs that is refused, beside one of its kind that is served."""
    ours = hardened(bench.service).but("hardened", APP_MAX_BODY_BYTES=str(SMALL))
    loads = {
        "served GET": GET,
        "served POST": POST,
        "429, quota used up": Load(refused=True),
        "400, bad host": Load(headers=("Host=evil.example",), refused=True),
        "403, POST from another site": Load("POST", "/users", USER, ("Origin=https://evil.example",), refused=True),
        "413, POST too large": Load("POST", "/users", TOO_LARGE, refused=True),
    }
    with bench.running([ours]) as served, bench.running([ours], "1/900") as limited:
        limited["hardened"].ask("POST", "/users", JSON, USER.encode())
        runs = {name: ((limited if "429" in name else served)["hardened"], load) for name, load in loads.items()}
        samples = rounds(bench.plan, runs, bench.told)
    compared = {}
    for name, load in loads.items():
        if load.refused:
            beside = f"served {load.method}"
            compared[f"{name} / {beside}"] = {"cpu": ratios(samples, name, beside, "cpu")}
    return {"measured": summary(samples), "ratios": compared}
