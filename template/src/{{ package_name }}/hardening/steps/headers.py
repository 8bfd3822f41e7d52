# Owned by the template: an update rewrites this file.
"""The headers that tell a browser what an API is not: a page, a frame, a script, a thing to sniff or to keep.

Set: OWASP Secure Headers Project. Whatever answers, every response carries all of them; a route that sets one itself
keeps its value. ASVS v5.0.0-3.4.1 to 3.4.8, 13.4.6, 14.3.2.
"""

import re
from collections.abc import Iterator

from ..core.findings import Finding
from ..core.headers import FINGERPRINT_HEADERS
from ..settings import HardeningSettings
from .base import Services, Step

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
_DENIED_FEATURES = (
    "accelerometer autoplay camera cross-origin-isolated display-capture encrypted-media fullscreen geolocation "
    "gyroscope keyboard-map magnetometer microphone midi payment picture-in-picture publickey-credentials-get "
    "screen-wake-lock sync-xhr usb web-share xr-spatial-tracking clipboard-read clipboard-write gamepad hid "
    "idle-detection interest-cohort serial unload"
)
_VALUES = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "content-security-policy": API_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "deny",
    "referrer-policy": "no-referrer",
    "permissions-policy": ", ".join(
        f"{name}={'(self)' if name == 'sync-xhr' else '()'}" for name in _DENIED_FEATURES.split()
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "origin-agent-cluster": "?1",
    "x-permitted-cross-domain-policies": "none",
    "x-dns-prefetch-control": "off",
    "cache-control": "no-store, max-age=0",
    # The server puts its own name into a response that has none; an empty value takes the place.
    "server": "",
}


class SecurityHeaders(Step):
    """The header set as bytes, built once. A value that a route chooses stays."""

    name = "headers"
    # The server frames the body, and sends nothing at all where a route copied how another did.
    reserved_headers = FINGERPRINT_HEADERS | {b"transfer-encoding"}

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        values = dict(_VALUES)
        if uri := services.settings.csp_report_uri:
            values["content-security-policy"] += f"; report-uri {uri}; report-to csp"
            values["reporting-endpoints"] = f'csp="{uri}"'
        self.fixed_headers = [(name.encode(), value.encode()) for name, value in values.items()]

    @staticmethod
    def findings(settings: HardeningSettings) -> Iterator[Finding]:
        uri = settings.csp_report_uri
        if uri and not re.fullmatch(r"https://[!#-+\--:<-\[\]-~]+", uri):
            yield Finding(
                "headers.E001",
                "APP_CSP_REPORT_URI is no plain https address.",
                "Write it as https://host/path, without spaces, quotes, commas or semicolons.",
            )
