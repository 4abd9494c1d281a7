"""Whose pages may use our cookies: OWASP ASVS 5.0 3.5.1 and 4.4.2."""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from live.settings import Settings
from live.web.problems import Problem

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Origins:
    """Tells our own pages from everybody else's.

    With `public_url` set, our origin is that one. Without, it is whatever the browser says it asked for
    (scheme and `Host`), which suits a machine that is reached under several names at home.
    The socket's upgrade obeys the same rule: a page at a name that was bound to our address anew (DNS
    rebinding) is no page of ours once `public_url` is set.
    """

    def __init__(self, settings: Settings) -> None:
        self._own = origin_of(settings.public_url) if settings.public_url else None
        self._others = frozenset(origin_of(url) for url in settings.origins)

    def own(self, request: HTTPConnection) -> str:
        """Return our origin as this request's browser knows it."""
        scheme = {"ws": "http", "wss": "https"}.get(request.url.scheme, request.url.scheme)
        return self._own or origin_of(f"{scheme}://{request.headers.get('host', '')}")

    def allows(self, request: HTTPConnection, origin: str | None) -> bool:
        """Tell whether an `Origin` header names a page that may act for its user."""
        try:
            return origin is not None and (origin == self.own(request) or origin in self._others)
        except ValueError:  # a `Host` that is none
            return False

    def admits(self, request: HTTPConnection) -> bool:
        """Tell whether a request without a cookie's power may pass: a program's (no `Origin`), our pages'."""
        origin = request.headers.get("origin")
        return origin is None or self.allows(request, origin)

    def check_anonymous(self, request: HTTPConnection) -> None:
        """Let programs (no `Origin`) and our pages pass.

        Raises:
            Problem: another site's page asks, which could only be to put its cookie into our user's browser.
        """
        if request.scope["method"] not in SAFE and not self.admits(request):
            raise Problem("origin_refused")

    def check_cookie(self, request: HTTPConnection) -> None:
        """Demand proof that our own page sends the cookie along with an unsafe method.

        Raises:
            Problem: neither `Origin` nor `Sec-Fetch-Site` says so.
        """
        if request.scope["method"] in SAFE:
            return
        origin = request.headers.get("origin")
        if origin is None:
            if request.headers.get("sec-fetch-site") != "same-origin":
                raise Problem("origin_refused")
        elif not self.allows(request, origin):
            raise Problem("origin_refused")


def origin_of(url: str) -> str:
    """Return scheme, host and any unusual port of a URL, as browsers write an origin."""
    parts = urlsplit(url)
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme}://{host.removesuffix(usual) if usual else host}"
