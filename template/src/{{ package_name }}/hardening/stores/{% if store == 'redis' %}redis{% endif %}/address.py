# Owned by the template: an update rewrites this file.
"""`APP_STORE_URL`, read strictly: an address that is nearly right would count elsewhere, or in the clear."""

import asyncio
import re
import ssl
from contextlib import suppress
from ipaddress import ip_address
from socket import SOCK_STREAM
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from .calls import Command
from .wire import Wire

LOOK_UP = 0.25
"""Seconds for each of several Sentinels, nodes of a cluster, or addresses of a name."""
_SCHEMES = {
    "redis": 6379,
    "rediss": 6379,
    "unix": 0,
    "redis+sentinel": 26379,
    "rediss+sentinel": 26379,
    "redis+cluster": 6379,
    "rediss+cluster": 6379,
}
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_HOST = re.compile(r"(?P<host>[\w.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?", re.ASCII)

_DATABASE = re.compile(r"\d{1,6}", re.ASCII)


class Address(NamedTuple):
    """Where the store is. `kind` is `redis`, `unix`, `sentinel` or `cluster`."""

    kind: str
    is_encrypted: bool
    hosts: tuple[tuple[str, int], ...]
    path: str
    master: str
    options: dict[str, Any]
    sentinel_options: dict[str, Any]

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Read an address.

        Raises:
            ValueError: It is none, or says what is not understood. The message holds nothing of the password.
        """
        split = urlsplit(url)
        if split.scheme not in _SCHEMES:
            raise ValueError(f"its scheme is none of {', '.join(_SCHEMES)}")
        if split.fragment:
            raise ValueError("it has a #, which a password writes as %23")
        if split.username and not split.password:
            raise ValueError("it has a user and no password; without a user, a password is written :password@")
        encrypted, kind = split.scheme.startswith("rediss"), split.scheme.partition("+")[2] or split.scheme[:5]
        options: dict[str, Any] = {"username": _text(split.username), "password": _text(split.password)}
        parts = [unquote(part) for part in split.path.split("/")[1:] if part]
        hosts: tuple[tuple[str, int], ...] = ()
        path = master = ""
        if split.scheme == "unix":
            kind, path, parts = "unix", unquote(split.path), []
            if not path or split.netloc.rpartition("@")[2]:
                raise ValueError("a socket is written unix:///path, with three slashes")
        else:
            hosts = tuple(_host(each, _SCHEMES[split.scheme]) for each in split.netloc.rpartition("@")[2].split(","))
        if kind == "redis" and len(hosts) > 1:
            raise ValueError("several hosts are redis+sentinel:// or redis+cluster://")
        if kind == "sentinel":
            if not parts:
                raise ValueError("the name of the master is missing: redis+sentinel://host,host/master")
            master = parts.pop(0)
        if len(parts) > 1 or not all(_DATABASE.fullmatch(part) for part in parts) or (parts and kind == "cluster"):
            raise ValueError("its path is not the number of a database, of at most 6 digits")
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        known = [*(_TLS if encrypted else ()), *_QUERY.get(kind, ())]
        if unknown := sorted(query.keys() - set(known)):
            raise ValueError(f"it has {', '.join(unknown)}, where {', '.join(known) or 'no option'} may stand")
        number = parts[0] if parts else query.get("db", "0")
        if not _DATABASE.fullmatch(number):
            raise ValueError("db is not the number of a database, of at most 6 digits")
        if kind != "cluster":
            options["db"] = int(number)
        tls: dict[str, Any] = (
            {"ssl": True, **{name: query[name] for name in _TLS if name in query}} if encrypted else {}
        )
        sentinel = {
            "username": query.get("sentinel_username"),
            "password": query.get("sentinel_password"),
            **tls,
        }
        return cls(kind, encrypted, hosts, path, master, {**options, **tls}, sentinel)

    @property
    def is_exposed(self) -> bool:
        """Whether a password travels in the clear to a host that may be anywhere."""
        passwords = (self.options["password"], self.sentinel_options["password"])
        return not self.is_encrypted and any(passwords) and not all(_is_private(host) for host, _ in self.hosts)

    async def connect(self, key: str) -> Wire:
        """A new connection to the server that holds a key. Names, the master and a cluster's nodes are looked up anew.

        It has no time-outs: the caller has.

        Raises:
            RedisError, ReplyError, OSError, EOFError: There is none.
        """
        if self.kind == "unix":
            _, wire = await asyncio.get_running_loop().create_unix_connection(Wire, self.path)
        else:
            wire = await self._dial(*await self._find(key))
        user, password, database = (self.options.get(name) for name in ("username", "password", "db"))
        first = [Command("AUTH", *([user] if user else []), password)] if password else []
        first += [Command("SELECT", database)] if database else []
        try:
            if first:
                await wire.ask(*first)
        except BaseException:
            wire.close()
            raise
        return wire

    async def _find(self, key: str) -> tuple[str, int]:
        """Host and port of the server that holds a key."""
        # Of several hosts one that is silent must leave time to ask the next.
        impatient: dict[str, Any] = {
            "socket_connect_timeout": LOOK_UP,
            "socket_timeout": LOOK_UP,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,
            "protocol": 2,  # no greeting: a connection is ready a round trip sooner
        }
        if self.kind == "sentinel":
            options = {**impatient, **self.sentinel_options}
            async with Sentinel(self.hosts, sentinel_kwargs=options) as sentinel:  # type: ignore[no-untyped-call]
                host, port = await sentinel.discover_master(self.master)
            return host, int(port)
        if self.kind != "cluster":
            return self.hosts[0]
        nodes = [ClusterNode(host, port) for host, port in self.hosts]
        cluster = RedisCluster(startup_nodes=nodes, require_full_coverage=False, **impatient, **self.options)
        try:
            await cluster.nodes_manager.initialize()  # and not what commands there are, which any node may be asked
            node = cluster.get_node_from_key(key)
        finally:
            for kind in ("nodes_cache", "startup_nodes"):
                await cluster.nodes_manager.aclose(kind)
        assert node is not None  # noqa: S101 - only replicas may be none
        return node.host, int(node.port)

    async def _dial(self, host: str, port: int) -> Wire:
        """A connection to the first address of a name that answers: one that is silent leaves time for the next."""
        loop, tls = asyncio.get_running_loop(), await asyncio.to_thread(self._tls) if self.is_encrypted else None
        addresses = [str(each[4][0]) for each in await loop.getaddrinfo(host, port, type=SOCK_STREAM)]
        name = host if tls else None
        for address in addresses[:-1]:
            with suppress(OSError):
                async with asyncio.timeout(LOOK_UP):
                    return (await loop.create_connection(Wire, address, port, ssl=tls, server_hostname=name))[1]
        return (await loop.create_connection(Wire, addresses[-1], port, ssl=tls, server_hostname=name))[1]

    def _tls(self) -> ssl.SSLContext:
        """Made anew for each connection: files are replaced before they expire. To read all authorities takes 0.1 s."""
        context = ssl.create_default_context(cafile=self.options.get("ssl_ca_certs"))
        if certificate := self.options.get("ssl_certfile"):
            context.load_cert_chain(certificate, self.options.get("ssl_keyfile"))
        return context


_QUERY = {"unix": ("db",), "sentinel": ("sentinel_username", "sentinel_password")}


def _text(part: str | None) -> str | None:
    return unquote(part) if part else None


def _host(text: str, port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    if match is None or not 0 < int(match["port"] or port) <= 65535:
        raise ValueError("it has no host, or one that is none; write user, password and host percent-encoded")
    return match["host"].strip("[]"), int(match["port"] or port)


def _is_private(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:  # a bare name is of the same network: that of a compose file, a namespace, this machine
        return "." not in host or host.endswith((".cluster.local", ".internal", ".local", ".localhost", ".svc"))
