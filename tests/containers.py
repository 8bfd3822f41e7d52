"""Container images without a daemon and without a registry: buildah builds them, and a shell starts what is in them as
Docker would: another user, no capabilities, a read-only file system, and the bounds of compose by control groups.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .proxies import running

PROGRAMS = ("sh", "mkdir", "chmod", "setpriv")
"""What the container file and its start need of the base, besides Python."""

CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

# In a namespace of its own, so that what is mounted is gone with the last process.
START = """
set -e
root=$1; shift
mount --bind "$root" "$root"
mount -t tmpfs -o "$TMPFS" tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
[ -z "$SECRETS" ] || cp --archive "$SECRETS" "$root/run/secrets"
[ -z "$NETWORK" ] || mount --bind "/etc/netns/$NETWORK/hosts" "$root/etc/hosts"
[ -z "$DATA" ] || mount --bind "$DATA" "$root/data"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
for each in null urandom; do touch "$root/dev/$each"; mount --bind "/dev/$each" "$root/dev/$each"; done
mount -o remount,bind,ro "$root"
mount -o remount,ro "$root/run"
for group in $BOUNDS; do echo $$ >"$group/cgroup.procs"; done
exec "$@"
"""


def tool(name: str) -> str:
    """A program that this needs; without it, or without the rights that it needs, the test is skipped."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    reason = f"{name} is not installed; .ci/run installs it" if found is None else ""
    if reason or os.geteuid():
        pytest.skip(reason or "images are built and started by root alone")
    return str(found)


@dataclass(frozen=True)
class Image:
    """What was built.

    Args:
        root: Its files.
        config: What it says of its start.
    """

    root: Path
    config: dict[str, Any]

    @property
    def files(self) -> set[str]:
        """Every file of it, from its root."""
        return {
            f"/{Path(folder, name).relative_to(self.root)}"
            for folder, folders, names in os.walk(self.root)
            for name in (*names, *(each for each in folders if Path(folder, each).is_symlink()))
        }

    @property
    def size(self) -> int:
        """What its files take, in bytes."""
        return sum((self.root / each[1:]).lstat().st_size for each in self.files)


class Builder:
    """Images in a folder of their own.

    Args:
        folder: Where they are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        policy = folder / "policy.json"  # a machine may have none of its own
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}\n')
        self.policy = f"--signature-policy={policy}"
        self.base = Image(folder / "base", {})

    def __enter__(self) -> "Builder":
        return self

    def __exit__(self, *_: object) -> None:
        self.buildah("umount", "--all")

    def buildah(self, *arguments: str | Path) -> str:
        """Run it.

        Raises:
            AssertionError: It failed; with what it said.
        """
        storage = ["--root", str(self.folder / "images"), "--runroot", str(self.folder / "run")]
        done = subprocess.run(
            [tool("buildah"), *storage, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout).strip()

    def stand_in(self, name: str) -> None:
        """Put this machine's own Python where an image of the registry would be: there is none here.

        Args:
            name: What the container file calls it.
        """
        copy_python(self.base.root)
        container = self.buildah("from", "scratch")
        self.buildah("copy", "--quiet", container, self.base.root, "/")
        variables = ["PATH=/usr/local/bin:/usr/bin", f"SSL_CERT_FILE={CERTIFICATES}", f"PIP_CERT={CERTIFICATES}"]
        self.buildah("config", *(f"--env={each}" for each in variables), container)
        self.buildah("commit", self.policy, "--quiet", "--format", "docker", container, f"docker.io/library/{name}")

    def build(self, context: Path, file: Path | None = None) -> Image:
        """Build what a container file says.

        Args:
            context: The folder that it copies from.
            file: The container file; that of the folder if it is none.
        """
        image = self.buildah(
            "bud", self.policy, "--quiet", "--layers", "--pull=never", "--network=host", "--format=docker",
            "--file", file or context / "Dockerfile", context,
        ).splitlines()[-1]  # fmt: skip
        container = self.buildah("from", self.policy, "--pull=never", image)
        root = Path(self.buildah("mount", container))
        return Image(root, json.loads(self.buildah("inspect", "--type=image", image))["Docker"]["config"])


def copy_python(root: Path) -> None:
    """Write a file system that holds the interpreter of these tests, with pip, and a few programs of this machine."""
    for each in ("usr/bin", "usr/local/bin", "usr/local/lib", "etc/ssl/certs", "tmp", "proc", "dev", "sys", "run"):
        (root / each).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    for each in ("bin", "sbin", "lib", "lib64"):
        if Path("/", each).is_symlink():
            (root / "usr" / each).mkdir(exist_ok=True)
            (root / each).symlink_to(f"usr/{each}")
    base, version = Path(sys.base_prefix), sysconfig.get_python_version()
    ignored = shutil.ignore_patterns(
        "__pycache__", "test", "idlelib", "config-*", "EXTERNALLY-MANAGED", "site-packages"
    )
    library = root / f"usr/local/lib/python{version}"
    shutil.copytree(base / f"lib/python{version}", library, ignore=ignored)
    wheels = sorted((library / "ensurepip/_bundled").glob("pip-*.whl"))
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheels[0], library / "site-packages"], check=True)
    pip = root / "usr/local/bin/pip"
    pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    pip.chmod(0o755)
    interpreter = root / f"usr/local/bin/python{version}"
    shutil.copy(base / f"bin/python{version}", interpreter)
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to(interpreter.name)
    programs = [Path(tool(each)).resolve() for each in PROGRAMS]
    for name, program in zip(PROGRAMS, programs, strict=True):
        shutil.copy(program, root / "usr/bin" / name)
    for each in sorted(libraries([*programs, base / f"bin/python{version}", *library.rglob("*.so")])):
        to = root / str(each)[1:]
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(each, to)
    shutil.copy(CERTIFICATES, root / CERTIFICATES[1:])
    (root / "etc/hosts").touch()


def libraries(programs: Sequence[Path]) -> set[str]:
    """The shared libraries that these are linked with, the loader among them."""
    done = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False)
    known = subprocess.run([tool("ldconfig"), "-p"], capture_output=True, text=True, check=True)
    runtime = re.findall(r"lib(?:c|m|dl|rt|util|pthread|gcc_s|stdc\+\+)\.so\.\d .*=> (\S+)", known.stdout)  # of wheels
    return {*runtime, *re.findall(r"(?:=> |^\s+)(/\S+) \(0x", done.stdout, re.MULTILINE)}


@contextmanager
def bounded(memory: int, cpus: float, processes: int) -> Iterator[dict[str, Path]]:
    """Control groups with these bounds, by what they bound, of either version of the kernel's interface.

    Args:
        memory: Bytes, none of them swapped.
        cpus: Processors.
        processes: Processes and threads.
    """
    top, quota = Path("/sys/fs/cgroup"), str(int(cpus * 100_000))
    name = f"image-{os.getpid()}"
    if (top / "cgroup.controllers").exists():
        groups = dict.fromkeys(("memory", "cpu", "pids"), top / name)
        values = {"memory": ("memory.max", str(memory)), "cpu": ("cpu.max", f"{quota} 100000")}
        (top / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    else:
        groups = {each: top / each / name for each in ("memory", "cpu", "pids")}
        values = {"memory": ("memory.limit_in_bytes", str(memory)), "cpu": ("cpu.cfs_quota_us", quota)}
    values["pids"] = ("pids.max", str(processes))
    for kind, folder in groups.items():
        folder.mkdir(exist_ok=True)
        (folder / values[kind][0]).write_text(values[kind][1])
    try:
        yield groups
    finally:
        for folder in set(groups.values()):
            folder.rmdir()


def most_memory(groups: dict[str, Path]) -> int:
    """The most that a group ever took, in bytes, the page cache of its files among it."""
    found = (groups["memory"] / each for each in ("memory.peak", "memory.max_usage_in_bytes"))
    return next(int(each.read_text()) for each in found if each.exists())


OUTSIDE = "10.202.0.2"
"""Where Caddy is reached from this machine, which is 10.202.0.1 there."""


def inside(network: str) -> list[str]:
    """What a command begins with to run in a network namespace."""
    return [tool("nsenter"), f"--net=/run/netns/{network}"] if network else []


@contextmanager
def networks(caddy: str, api: str) -> Iterator[tuple[str, str]]:
    """Two network namespaces, as compose keeps them apart: that of Caddy, and that of the service and its stores.

    Args:
        caddy: The address of Caddy where the service sees it.
        api: The address of the service there.
    """
    edge, back = f"edge{os.getpid()}", f"back{os.getpid()}"
    hosts = {edge: f"{api} api\n", back: "127.0.0.1 localhost postgres valkey\n"}
    links = ((f"o{os.getpid()}", "", "10.202.0.1/30", edge, f"{OUTSIDE}/30"), ("front", edge, caddy, back, api))

    def ip(*arguments: str, within: str = "") -> None:
        subprocess.run([*inside(within), tool("ip"), *arguments], check=True, capture_output=True)

    try:
        for name, text in hosts.items():
            folder = Path("/etc/netns", name)
            folder.mkdir(parents=True)
            (folder / "hosts").write_text(text)
            ip("netns", "add", name)
            ip("link", "set", "lo", "up", within=name)
        for number, (link, here, address, there, other) in enumerate(links):
            ip("link", "add", link, "type", "veth", "peer", "name", f"eth{number}", "netns", there, within=here)
            for name, device, own in ((here, link, address), (there, f"eth{number}", other)):
                ip("address", "add", own if "/" in own else f"{own}/28", "dev", device, within=name)
                ip("link", "set", device, "up", within=name)
        yield edge, back
    finally:
        for name in hosts:
            subprocess.run([tool("ip"), "netns", "delete", name], check=False, capture_output=True)
            shutil.rmtree(Path("/etc/netns", name), ignore_errors=True)


@dataclass(frozen=True)
class Container:
    """How a container of an image is started: as compose describes it.

    Args:
        image: Whose container it is.
        described: What compose says of it.
        variables: Its environment besides the image's own.
        data: The folder that stands for its volume, if it has one.
        secrets: The folder with its secrets, if it has any.
        network: The namespace that it is in; this machine's if empty.
    """

    image: Image
    described: dict[str, Any]
    variables: dict[str, str]
    data: Path | str = ""
    secrets: Path | str = ""
    network: str = ""

    @property
    def memory(self) -> int:
        """What it may take, in bytes."""
        return int(self.described["mem_limit"].removesuffix("m")) * 1_048_576

    def command(self, argv: Sequence[str], groups: dict[str, Path]) -> list[str | Path]:
        """How a program is started in its files, by its user, without any right and in control groups."""
        assert self.described["read_only"] is True
        assert self.described["cap_drop"] == ["ALL"]
        (tmpfs,) = self.described["tmpfs"]
        uid, _, gid = self.described.get("user", self.image.config["User"]).partition(":")
        environment = dict(each.split("=", 1) for each in self.image.config["Env"]) | self.variables
        mounts = {"TMPFS": tmpfs.partition(":")[2], "DATA": self.data, "SECRETS": self.secrets, "NETWORK": self.network}
        mounts["BOUNDS"] = " ".join(sorted({str(each) for each in groups.values()}))
        right = ["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        return [
            *(tool("env"), *(f"{name}={value}" for name, value in mounts.items())),
            *inside(self.network),
            *(tool("unshare"), "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
            *("sh", "-c", START, "start", self.image.root),
            *(tool("env"), "--ignore-environment", *(f"{name}={value}" for name, value in environment.items())),
            *(tool("chroot"), self.image.root, "setpriv", "--reuid", uid, "--regid", gid, *right),
            *("sh", "-c", f'cd {self.image.config["WorkingDir"]} && exec "$@"', "sh", *argv),
        ]

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Another program in its files, beside it; what it printed."""
        return subprocess.run(self.command(argv, {}), capture_output=True, text=True, check=False)

    @contextmanager
    def started(self, port: int, log: Path) -> Iterator[dict[str, Path]]:
        """Its control groups while it runs, by what they bound.

        Args:
            port: Where it listens; 0 if that is not of this machine's network.
            log: Where what it says goes to.
        """
        described = self.described
        with bounded(self.memory, float(described["cpus"]), described["pids_limit"]) as groups:
            processes = groups["pids"] / "cgroup.procs"
            with running(self.command(self.image.config["Cmd"], groups), port, log, Path("/")):
                try:
                    yield groups
                finally:  # as Docker stops one: the signal goes to its first process
                    for first in sorted(map(int, processes.read_text().split()))[:1]:
                        os.kill(first, signal.SIGTERM)
                    end = time.monotonic() + float(described["stop_grace_period"].removesuffix("s"))
                    while processes.read_text():
                        assert time.monotonic() < end, "it did not stop in the time that compose gives it"
                        time.sleep(0.05)
