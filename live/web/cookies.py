"""The two cookies: a person's seat in one session, and the organiser's entry.

Over TLS their names carry `__Host-`, so no neighbour domain can plant them. On plain http (a developer's
localhost) browsers differ about secure cookies, so the plain name is used there and nowhere else.
"""

from starlette.requests import HTTPConnection
from starlette.responses import Response

SEAT_SECONDS = 30 * 24 * 3600
ORGANISER_SECONDS = 12 * 3600
ORGANISER = "organiser"


def cookie(request: HTTPConnection, what: str) -> str | None:
    """Return the cookie's value for a session id or `ORGANISER`, or None."""
    return request.cookies.get(_name(request, what))


def set_cookie(request: HTTPConnection, response: Response, what: str, value: str, seconds: int) -> None:
    """Give the browser a cookie that no script can read and no other site can send."""
    response.set_cookie(
        _name(request, what),
        value,
        seconds,
        secure=_secure(request),
        httponly=True,
        samesite="strict",
        path="/",
    )


def clear_cookie(request: HTTPConnection, response: Response, what: str) -> None:
    """Take the cookie back."""
    response.delete_cookie(
        _name(request, what), secure=_secure(request), httponly=True, samesite="strict", path="/"
    )


def _secure(request: HTTPConnection) -> bool:
    return request.url.scheme in ("https", "wss")


def _name(request: HTTPConnection, what: str) -> str:
    return f"{'__Host-' if _secure(request) else ''}madoi-{what}"
