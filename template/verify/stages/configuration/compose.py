# Owned by the template: an update rewrites this file.
"""Compose files: a container of ours can do no more than it must, starts as production does, and no store is published."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.expand import expanded
from ...common.yaml import OverridingList, OverridingMapping, mapping, pairs, read, texts
from ...result import Check, Options, Outcome, Rule, UnverifiedError, listed
from .docker import Image, holds_service
from .start import Start, env_file, is_development, is_ours, is_root, judge

CONFINED = Rule("configuration", "compose.confined", "the containers of compose are confined")
START = Rule("configuration", "compose.start", "compose starts the service with `serve`, in production")
STORES = Rule("configuration", "compose.stores", "compose publishes no store to the network")
RULES = (CONFINED, START, STORES)
REPLICAS = Rule("configuration", "compose.replicas", "several containers of one service share one store")

BASES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_STORE = re.compile(
    r"(redis|valkey|keydb|dragonfly|postgres|postgresql|postgis|timescaledb|pgvector|mysql|mariadb|percona|mongo|mongodb|"
    r"memcached|rabbitmq|kafka|redpanda|nats|elasticsearch|opensearch|cassandra|scylla|etcd|minio|cockroach|clickhouse|neo4j|"
    r"influxdb|couchdb|couchbase|mssql|pgbouncer|pgpool|qdrant|meilisearch|zookeeper)\b(?!-(express|exporter|commander|ui|dashboards))"
)
_PORTS = "6379 26379 5432 3306 27017 11211 5672 9092 9200 9042 2379 1433 8123 6432"
_STORE_PORTS = set(_PORTS.split())
YES = ("true", "yes", "on", "y")
_LOOPBACK = re.compile(r"(127\.\d+\.\d+\.\d+|\[?::1\]?|localhost):")
# What containers have by default: to name one of them again gives nothing more.
HARMLESS = re.compile(
    "AUDIT_WRITE|CHOWN|DAC_OVERRIDE|FOWNER|FSETID|KILL|MKNOD|NET_BIND_SERVICE|NET_RAW|SETFCAP|SETGID|SETPCAP|SETUID|SYS_CHROOT"
)
_DEVICES = re.compile(
    r"/dev(/(k?mem|kmsg|port|disk.*|mapper.*|dm-\d+|(sd|vd|xvd|nvme)\w*))?|[ab] .*|c (\*|1):(\*|[12]) .*"
)
_FREEING = re.compile(r"unconfined|label[:=]disable|no-new-privileges[:=]false")
_UNLIMITED = re.compile(r"-.*|[^1-9$]*")
HOST_PATHS = re.compile(
    r"(/|(~|\$\{?HOME\}?)(/\.[\w.-]+)?/?|/(etc|proc|sys|dev|root|boot|run|var|var/run|var/lib|usr|home)/?|"
    r"/((proc|root|boot|var/lib/(docker|containerd|kubelet))(/.*)?|etc/(shadow|passwd|sudoers|ssh|kubernetes|cron).*))"
)
SOCKET = re.compile(r"(docker|podman|containerd|crio)[\w-]*\.sock")


@dataclass(frozen=True, slots=True)
class Service:
    """A container that a compose file describes, whatever it was put together from."""

    name: str
    file: Path
    values: dict[str, Any]


def services(path: Path) -> list[Service]:
    """The services of a file, with those put in that they extend, and over those of the file beside it that it changes.

    Raises:
        UnverifiedError: A file that belongs to it cannot be read.
    """
    found = _read(path)
    base = next((each for name in BASES if (each := path.parent / name).is_file()), path)
    if base != path:
        below = {name: _extended(name, base, ()) for name in _read(base) if name in found}
        return [Service(name, path, _merged(below.get(name, {}), _extended(name, path, ()))) for name in found]
    return [Service(name, path, _extended(name, path, ())) for name in found]


def _read(path: Path) -> dict[str, Any]:
    return {str(name): mapping(value) for name, value in mapping(read(path).get("services")).items()}


def _extended(name: str, path: Path, seen: tuple[Any, ...]) -> dict[str, Any]:
    if (name, path) in seen or (service := _read(path).get(name)) is None:
        raise UnverifiedError(f"{name} of {path.name} is extended and is not there", "Write it out.")
    if not (extends := service.get("extends")):
        return dict(service)
    other = mapping(extends) or {"service": str(extends)}
    file = path.parent / str(other["file"]) if "file" in other else path
    below = _extended(str(other.get("service", name)), file, (*seen, (name, path)))
    return _merged(below, {key: value for key, value in service.items() if key != "extends"})


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """As Compose puts two descriptions together: mappings and lists grow, all else is replaced."""
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        if isinstance(value, OverridingList | OverridingMapping):
            found[key] = value
        elif key in ("environment", "labels") and isinstance(old, list | dict) and value is not None:
            found[key] = {**_environment(old), **_environment(value)}
        elif isinstance(old, dict) and isinstance(value, dict):
            found[key] = _merged(old, value)
        elif isinstance(old, list) and isinstance(value, list) and key not in ("command", "entrypoint", "test"):
            found[key] = [*old, *value]
        else:
            found[key] = value
    return found


def _environment(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return {str(name): f"${name}" if text is None else str(text) for name, text in value.items()}
    parts = (each.partition("=") for each in texts(value))
    return {name: text if equals else f"${name}" for name, equals, text in parts}


def checks(path: Path, name: str, options: Options) -> Iterator[Check]:
    """What is asked of each service of ours, and of the stores beside it; as `docker.checks`.

    Raises:
        UnverifiedError: It cannot be read.
    """
    every = services(path)
    ours = [each for each in every if _is_ours(each, options)]
    if not ours:
        yield CONFINED.of(name, CONFINED.name).not_looked_at("it runs no image of ours")
    for each in ours:
        about = f"{name} {each.name}"
        yield _confined(CONFINED.of(about), each, name, options)
        start = _start(each, options)
        if each.values.get("build") or start.argv or any(map(is_development, start.env, start.env.values())):
            judged = judge(START.of(about), start, options, name)
            yield judged
            if judged.outcome is not Outcome.NOT_LOOKED_AT:
                yield from _replicas(REPLICAS.of(about), each, start.env, options)
        else:
            yield START.of(about).not_looked_at("its image says what it starts")
            yield from _replicas(REPLICAS.of(about), each, start.env, options)
    published = [f"{each.name}: {port}" for each in every for port in _published(each)]
    if published:
        remedy = "Leave `ports` out: services of one network reach each other. Or publish to 127.0.0.1 alone."
        yield STORES.of(name, STORES.name).insecure(listed(published), remedy)
    elif every:
        yield STORES.of(name, STORES.name).proved(f"none of {listed(each.name for each in every)}")


def included(path: Path) -> Iterator[Path]:
    """The files that a file takes in, whatever they are called and wherever they are."""
    try:
        found = read(path).get("include")
    except UnverifiedError:
        return
    for each in found if isinstance(found, list) else [found]:
        yield from filter(Path.is_file, (path.parent / name for name in texts(mapping(each).get("path", each))))


def runs_ours(path: Path, options: Options) -> bool:
    """Whether a file of a larger repository runs this service, as far as it can be read."""
    try:
        return any(_is_ours(each, options) for each in services(path))
    except UnverifiedError:
        return False


def _is_ours(service: Service, options: Options) -> bool:
    """Whether it runs this service: it is built here, set by our settings, started by our package or named like it."""
    values = service.values
    described, project = mapping(values.get("build")), options.project.resolve()
    file = str(described.get("dockerfile", ""))
    image = _image(service, options) if file.removeprefix("./") not in ("", "Dockerfile", "Containerfile") else None
    if values.get("build") and (image is None or holds_service(image, options, file)):  # and no proxy or frontend
        context = str(described.get("context", ".") if described else values["build"])
        folder = (service.file.parent / expanded(context, {})).resolve()
        inside = (folder / file).resolve().is_relative_to(project)
        return "$" in str(folder) or folder == project or (inside and folder in project.parents)
    said = [*texts(values.get("command")), *texts(values.get("entrypoint")), *_environment(values.get("environment"))]
    said += _env_files(service)
    return is_ours(str(values.get("image", "")), " ".join(said), options)


def _image(service: Service, options: Options) -> Image | None:
    """The container file that the service is built from, if it can be read."""
    if not (build := service.values.get("build")):
        return None
    described = mapping(build)
    context = service.file.parent / str(described.get("context", ".") if described else build)
    text = described.get("dockerfile_inline")
    if text is None:
        names = [str(described["dockerfile"])] if "dockerfile" in described else ["Dockerfile", "Containerfile"]
        file = next((found for each in names if (found := context / each).is_file()), None)
        if file is None:
            return None
        text = file.read_text(encoding="utf-8", errors="replace")
    return Image(str(text), _environment(described.get("args")), str(described.get("target", "")))


def _start(service: Service, options: Options) -> Start:
    """What its container runs: what compose says, and else what the image does."""
    values = service.values
    said = [None if (value := values.get(key)) is None else _argv(value) for key in ("entrypoint", "command")]
    made = (_image(service, options) or Image("")).start(*said)
    env = {**_env_files(service), **_environment(values.get("environment"))}
    env = {name: expanded(value, {}) for name, value in env.items()}
    return Start(made.argv, {**made.env, **env}, str(values.get("user") or made.user))


def _env_files(service: Service) -> dict[str, str]:
    """What the files say that it gets its variables from, as far as they are here."""
    named = service.values.get("env_file")
    names = texts([mapping(x).get("path", x) for x in (named if isinstance(named, list) else [named])])
    found = (env_file(service.file.parent / expanded(name, {})) for name in names)
    return {name: value for each in found for name, value in each.items()}


def _argv(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(shlex.split(expanded(value, {}).replace("$$", "$")))
    return tuple(expanded(each, {}).replace("$$", "$") for each in texts(value))


def _confined(rule: Rule, service: Service, file: str, options: Options) -> Check:
    values = {key: _plain(value) for key, value in service.values.items()}
    missing = [remedy for remedy, holds in NEEDED.items() if not holds(values)]
    loose = [f"{key}: {values[key]}" for key, bad in FORBIDDEN.items() if str(values.get(key, "")).lower() in bad]
    if is_root(user := expanded(_start(service, options).user, {})):
        loose.append(f"user: {user}")
    given = {each.upper().removeprefix("CAP_") for each in texts(values.get("cap_add"))}
    loose += [f"cap_add: {each}" for each in sorted(given) if not HARMLESS.fullmatch(each)]
    loose += [each for each in texts(values.get("security_opt")) if _FREEING.search(each)]
    loose += sorted({text for _, text in pairs(service.values) if SOCKET.search(text)})
    loose += [f"volumes: {source}" for source in _sources(values, service.file.parent) if HOST_PATHS.fullmatch(source)]
    granted = [values.get("devices"), values.get("device_cgroup_rules")]
    devices = [text for key, text in pairs(granted) if key in ("", "source")]
    loose += [f"devices: {each}" for each in devices if _DEVICES.fullmatch(re.split(r":(?=/)", each)[0])]
    for hook in (mapping(each) for key in ("post_start", "pre_stop") for each in values.get(key) or ()):
        loose += ["a hook of root"] * (is_root(str(hook.get("user", ""))) or str(hook.get("privileged")).lower() in YES)
    if missing or loose:
        seen = [f"{service.name} misses {listed(missing, 9)}"] * bool(missing) + [f"has {each}" for each in loose]
        return rule.insecure("; ".join(seen), f"Put it into {file}; memory, CPU and processes may take other bounds.")
    if "$" in user:
        return rule.unverified(f"user: {user} depends on who starts it", "Write the number itself.")
    return rule.proved(f"{service.name}: {listed(NEEDED, 9)}")


def _replicas(rule: Rule, service: Service, env: Mapping[str, str], options: Options) -> Iterator[Check]:
    """Each process counts for itself in memory: so many containers have so many times the quota, and lose sessions."""
    deploy = mapping(service.values.get("deploy"))
    count = expanded(str(deploy.get("replicas", service.values.get("scale", 1))), {})
    if deploy.get("mode") == "global":
        count = "a container for each machine"
    elsewhere = "secrets" in service.values or "env_file" in service.values
    yield from several(rule, count, env, options, elsewhere=elsewhere)


def several(rule: Rule, count: str, env: Mapping[str, str], options: Options, *, elsewhere: bool) -> Iterator[Check]:
    """Whether so many containers share one store, or whether that may be said elsewhere."""
    if count in ("0", "1"):
        return
    several = count if "container" in count else f"{count} containers"
    store = env.get("APP_STORE_URL", "")
    settings = options.project / "src" / options.package / "settings.py"
    elsewhere = elsewhere or "APP_SECRETS_DIR" in env
    if not store and settings.is_file():
        elsewhere = elsewhere or "store_url" in settings.read_text(encoding="utf-8", errors="replace")
    if "$" in f"{store}{count}" or (not store and elsewhere):
        yield rule.not_looked_at(f"{several}, and {'how many' if '$' in count else 'their store'} is said elsewhere")
    elif store and not store.startswith("memory:"):
        yield rule.proved(f"{several}, and a store beside them")
    else:
        seen = f"{several}, and each counts in memory for itself: limits are multiplied, and a session is known to one alone"
        yield rule.insecure(seen, "Set APP_STORE_URL to a Redis or Valkey that all of them reach, or run one.")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return expanded(value, {}) if isinstance(value, str) else value


def _sources(values: dict[str, Any], folder: Path) -> Iterator[str]:
    for each in values.get("volumes") or ():
        source = str(mapping(each).get("source", "") if isinstance(each, dict) else str(each).partition(":")[0])
        yield str((folder / source).resolve()) if source.startswith(".") else source


def _published(service: Service) -> Iterable[str]:
    image = str(service.values.get("image", "")).partition("@")[0].rpartition("/")[2].lower()
    is_store = _STORE.match(image) is not None
    if is_store and str(service.values.get("network_mode", "")) == "host":
        yield "network_mode: host"
    for each in service.values.get("ports") or ():
        if isinstance(each, dict):
            port, host = str(each.get("target", "")), f"{each.get('host_ip', '')}:"
            text = f"{each.get('published', '')}:{port}"
        else:
            text = host = expanded(str(each), {})
            port = text.rpartition(":")[2].partition("/")[0]
        first, _, last = port.partition("-")
        within = last.isdecimal() and any(int(first or 0) <= int(each) <= int(last) for each in _STORE_PORTS)
        if (is_store or within or port in _STORE_PORTS) and not _LOOPBACK.match(host):
            yield text


def _limited(service: dict[str, Any], key: str, resource: str) -> bool:
    limits = mapping(mapping(mapping(service.get("deploy")).get("resources")).get("limits"))
    return not _UNLIMITED.fullmatch(str(service.get(key) or limits.get(resource) or ""))


NEEDED: dict[str, Callable[[dict[str, Any]], bool]] = {
    "read_only: true": lambda service: str(service.get("read_only")).lower() in YES,
    "cap_drop: [ALL]": lambda service: "ALL" in map(str.upper, texts(service.get("cap_drop"))),
    "security_opt: [no-new-privileges:true]": lambda service: any(
        re.fullmatch(r"no-new-privileges([:=]true)?", each) for each in texts(service.get("security_opt"))
    ),
    "mem_limit": lambda service: _limited(service, "mem_limit", "memory"),
    "cpus": lambda service: _limited(service, "cpus", "cpus"),
    "pids_limit": lambda service: _limited(service, "pids_limit", "pids"),
}
FORBIDDEN = {
    **dict.fromkeys(("privileged", "use_api_socket"), YES),
    **dict.fromkeys(("network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup"), ("host",)),
}
