"""TURN: short-lived credentials in coturn's REST scheme, told to clients by `Link` (RFC 9725 §4.6)."""

import base64
import hmac

from live.iceurl import read_ice_url
from live.settings import Turn


def credentials(turn: Turn, person: str, now: float) -> tuple[str, str]:
    """Return user name and password that coturn accepts until `now + turn.ttl`.

    Args:
        turn: with the secret shared with coturn.
        person: part of the user name, so that coturn's log can be read; it is an id, not a name.
        now: Unix time in seconds.
    """
    user = f"{int(now) + turn.ttl}:{person}"
    digest = hmac.digest(turn.secret.encode(), user.encode(), "sha1")
    return user, base64.b64encode(digest).decode()


def ice_links(turn: Turn, person: str, now: float) -> list[str]:
    """Return one `Link` header per STUN server, and per TURN server when there is a secret to sign with."""
    user, password = credentials(turn, person, now)
    secret = f'; username="{user}"; credential="{password}"; credential-type="password"'
    return [
        f'<{url}>; rel="ice-server"{secret if relays else ""}'
        for url, relays in ((url, read_ice_url(url).relays) for url in turn.urls)
        if turn.secret or not relays
    ]
