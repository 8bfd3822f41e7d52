# Owned by the template: an update rewrites this file.
"""The headers that tell a browser what an API is not: a page, a frame, a script, a thing to sniff or to keep.

Set: OWASP Secure Headers Project. Whatever answers, every response carries all of them; a route that sets one itself
keeps its value. ASVS v5.0.0-3.4.1 to 3.4.8, 13.4.6, 14.3.2.
"""

import re
from collections.abc import Iterator

from ..settings import HardeningSettings
from ..startup.settings import Finding

Fields = list[tuple[bytes, bytes]]
API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
_DENIED = (
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
    "permissions-policy": ", ".join(f"{name}={'(self)' if name == 'sync-xhr' else '()'}" for name in _DENIED.split()),
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
REVEALING = frozenset(
    {
        b"server",
        b"x-powered-by",
        b"powered-by",
        b"x-generator",
        b"x-framework",
        b"x-generated-by",
        b"x-runtime",
        b"x-aspnet-version",
        b"x-aspnetmvc-version",
        b"x-b3-parentspanid",
        b"x-b3-sampled",
        b"x-b3-spanid",
        b"x-b3-traceid",
        b"x-php-version",
        b"x-sourcemap",
        b"sourcemap",
        b"x-xss-protection",
        b"expect-ct",
        b"public-key-pins",
        b"feature-policy",
    }
)


class SecurityHeaders:
    """The header set as bytes, built once."""

    def __init__(self, settings: HardeningSettings) -> None:
        values = dict(_VALUES)
        if settings.csp_report_uri:
            values["content-security-policy"] += f"; report-uri {settings.csp_report_uri}; report-to csp"
            values["reporting-endpoints"] = f'csp="{settings.csp_report_uri}"'
        self.fields: Fields = [(name.encode(), value.encode()) for name, value in values.items()]
        self.names = frozenset(name for name, _ in self.fields)

    @staticmethod
    def check(settings: HardeningSettings) -> Iterator[Finding]:
        uri = settings.csp_report_uri
        if uri and not re.fullmatch(r"https://[!#-+\--:<-\[\]-~]+", uri):
            yield Finding(
                "headers.E001",
                "APP_CSP_REPORT_URI is no plain https address.",
                "Write it as https://host/path, without spaces, quotes, commas or semicolons.",
            )

    def complete(self, fields: Fields) -> Fields:
        """What a response lacks, added; what names the software, removed. A value that the route chose stays, once."""
        kept: dict[bytes, bytes] = {}
        others = []
        for name, value in fields:
            if name in self.names and name not in REVEALING:
                is_policy = name == b"content-security-policy"  # two of them bind together, and so must stay
                kept[name] = b", ".join((kept[name], value)) if is_policy and name in kept else kept.get(name, value)
            elif name not in REVEALING:
                others.append((name, value))
        return [*others, *((name, kept.get(name, value)) for name, value in self.fields)]
