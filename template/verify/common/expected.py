# Owned by the template: an update rewrites this file.
"""What every response must have, written down a second time: a header that is lost in the code is missed here."""

HEADERS = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "deny",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "origin-agent-cluster": "?1",
    "x-permitted-cross-domain-policies": "none",
    "x-dns-prefetch-control": "off",
    "cache-control": "no-store, max-age=0",
}
POLICY = {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"}
FEATURES = (
    "accelerometer autoplay camera cross-origin-isolated display-capture encrypted-media fullscreen geolocation "
    "gyroscope keyboard-map magnetometer microphone midi payment picture-in-picture publickey-credentials-get "
    "screen-wake-lock usb web-share xr-spatial-tracking clipboard-read clipboard-write gamepad hid idle-detection "
    "interest-cohort serial unload"
)
REVEALING = {
    "x-powered-by", "powered-by", "x-generator", "x-framework", "x-generated-by", "x-runtime", "x-aspnet-version",
    "x-php-version", "x-sourcemap", "sourcemap", "x-xss-protection", "expect-ct", "public-key-pins", "feature-policy",
}  # fmt: skip
INSIDE = ("traceback", "site-packages", ".py", "fastapi", "starlette", "pydantic", "granian", "python", "exception")
