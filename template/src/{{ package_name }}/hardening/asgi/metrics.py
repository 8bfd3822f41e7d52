# Owned by the template: an update rewrites this file.
"""Whether there is a `/metrics`, and what must be so before it is; `measured.py` counts and answers."""

import atexit
import os
from collections.abc import Iterator
from importlib.util import find_spec
from tempfile import TemporaryDirectory

from ..core.findings import Finding, InsecureConfigurationError
from ..core.peers import is_within, too_wide
from ..core.routes import RouteTable
from ..settings import HardeningSettings

PATH = "/metrics"
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that tells `prometheus_client` where several processes count together."""


def is_measured(settings: HardeningSettings) -> bool:
    """Whether there is a `/metrics`."""
    return bool(settings.metrics_from) and find_spec("prometheus_client") is not None


def metrics_findings(settings: HardeningSettings, routes: RouteTable) -> Iterator[Finding]:
    """What is not safe about `/metrics`, or keeps it from being there; nothing where it is not asked for."""
    networks, proxies = settings.metrics_from or (), settings.trusted_proxies or ()
    if not networks:
        return
    for route in routes:
        if route.path.rstrip("/") == PATH and not route.is_websocket:
            message = f"{route} is a route of yours, and APP_METRICS_FROM puts the template's own there."
            yield Finding("metrics.E001", message, "Give yours another path, or unset APP_METRICS_FROM.")
    for network in networks:
        for proxy in proxies:
            if is_within(network, proxy):
                message = f"APP_METRICS_FROM contains {network}, all of which APP_TRUSTED_PROXIES trusts as a proxy."
                hint = "A proxy is shown no metrics: name in each the addresses that are the one, not the other."
                yield Finding("metrics.E002", message, hint)
            elif is_within(proxy, network):
                message = f"APP_METRICS_FROM contains {network}, and in it {proxy} of APP_TRUSTED_PROXIES."
                hint = "The proxy is shown no metrics. Name the scraper's own address: another proxy there would be."
                yield Finding("metrics.W001", message, hint)
    for wide in too_wide(networks):
        message = f"APP_METRICS_FROM contains {wide}: strangers could read how the service is doing."
        yield Finding("metrics.E003", message, "Name the scraper's own addresses or networks.")
    if find_spec("prometheus_client") is None:
        message = "APP_METRICS_FROM is set, and the package prometheus-client is not installed."
        yield Finding("metrics.E004", message, "Run `uv add prometheus-client`, or unset APP_METRICS_FROM.")


def count_together(settings: HardeningSettings, workers: int) -> None:
    """Let several workers count in files of one folder, so that each tells of all. To be called before anything counts.

    Raises:
        InsecureConfigurationError: There is no place for such a folder.
    """
    if workers < 2 or not is_measured(settings) or SHARED in os.environ:
        return
    try:
        folder = TemporaryDirectory(prefix="metrics-")
    except OSError as error:
        hint = f"Let the service write to /tmp, or name a folder, empty at each start, in {SHARED}."
        raise InsecureConfigurationError(
            [Finding("metrics.E005", f"Several workers have no folder to count in: {error}.", hint)]
        ) from None
    os.environ[SHARED] = folder.name
    atexit.register(folder.cleanup)
