"""The last thing before the socket: security headers on every response, and a count of them.

CSP, frame-ancestors, nosniff, Permissions-Policy: OWASP ASVS 5.0 3.4.3-3.4.8. The policy allows our own
files, our own socket, and pictures and media that the page itself makes; nothing from anywhere else, no
inline script, no eval.
"""

import re
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from live.settings import Settings
from live.telemetry import Numbers

_HOST = re.compile(rb"[A-Za-z0-9.\-\[\]:]{1,255}")
_PERMISSIONS = (
    "camera=(self), microphone=(self), display-capture=(self), fullscreen=(self), autoplay=(self), "
    "screen-wake-lock=(self), clipboard-write=(self), geolocation=(), payment=(), usb=(), "
    "accelerometer=(), gyroscope=(), magnetometer=(), midi=(), serial=(), browsing-topics=()"
)


class Guard:
    """ASGI middleware around the HTTP routes.

    Args:
        app: what answers.
        settings: for `frame_ancestors`.
        numbers: where requests are counted.
    """

    def __init__(self, app: ASGIApp, settings: Settings, numbers: Numbers) -> None:
        self._app = app
        self._numbers = numbers
        self._ancestors = " ".join(settings.frame_ancestors) or "'none'"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding headers to whatever comes back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(scope, message)
                self._numbers.requests.labels(_method(scope), f"{message['status'] // 100}xx").inc()
                self._numbers.seconds.observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, guarded)

    def _add(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        headers["Content-Security-Policy"] = self._policy(scope)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Permissions-Policy"] = _PERMISSIONS
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if "access-control-allow-origin" not in headers:
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if scope["scheme"] == "https":
            headers["Strict-Transport-Security"] = "max-age=31536000"

    def _policy(self, scope: Scope) -> str:
        host = dict(scope["headers"]).get(b"host", b"")
        # 'self' covers our socket in today's browsers; Safari before 15.4 wants it said.
        wss = "wss" if scope["scheme"] == "https" else "ws"
        socket = f" {wss}://{host.decode()}" if _HOST.fullmatch(host) else ""
        return (
            f"default-src 'self'; connect-src 'self'{socket}; img-src 'self' data: blob:; "
            "media-src 'self' blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
            f"form-action 'self'; frame-ancestors {self._ancestors}; require-trusted-types-for 'script'"
        )


def _method(scope: Scope) -> str:
    known = {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"}
    return scope["method"] if scope["method"] in known else "other"
